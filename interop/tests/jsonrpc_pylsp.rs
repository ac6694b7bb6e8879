//! JSON-RPC behind `Content-Length` headers, with the Python package `python-lsp-jsonrpc`.

use cndt_interop::fixture::{TEXT, refusal};
use cndt_interop::{ForeignPeer, Language, fixture, in_time};
use cndt_tokio::{
    Client, ClientDescriptor, ClientHandle, ClientProtocol, Framing, JsonRpc, Params,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pylsp_client_is_served() {
    let (server, port) = fixture::jsonrpc_server(JsonRpc::new().trusted()).await;
    let mut client =
        ForeignPeer::start(Language::Python, "pylsp_client.py", &[&port.to_string()]).await;
    assert_eq!(client.next().await, json!({"positional": 30}));
    assert_eq!(client.next().await, json!({"named": 30}));
    client.failed("unknown", -32601, "no.such").await;
    client.failed("invalid", -32602, "`a`").await;
    client.failed("missing", -32602, "add").await;
    client.failed("raised", -32603, "boom").await;
    client.failed("failed", 4711, TEXT).await;
    assert_eq!(client.next().await, json!({"text": {"text": TEXT, TEXT: [1.5, null, true]}}));
    assert_eq!(client.next().await, json!({"large": true}));
    assert_eq!(client.next().await, json!({"noted": {"text": TEXT}}));
    assert_eq!(client.next().await, json!({"asked": {"heard": {"text": TEXT}}}));
    assert_eq!(client.next().await, json!({"asked": {"heard": [1, 2]}}));
    assert_eq!(client.next().await, json!({"pipelined": []}));
    assert_eq!(client.next().await, json!({"cancelled": 1, "after": 2}));
    assert_eq!(client.next().await, json!({"done": true}));
    assert_eq!(server.connection_count(), 1);
    drop(client);
    server.stop().await;
}

async fn connect(port: u16) -> ClientHandle {
    let descriptor = ClientDescriptor::jsonrpc("127.0.0.1", port)
        .protocol(ClientProtocol::JsonRpc(Framing::ContentLength));
    Client::new(descriptor.reconnect_enabled(false))
        .rpc("answer", |Params(question): Params<Value>| async move { json!({"heard": question}) })
        .connect()
        .await
        .expect("it listens")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pylsp_server_serves_us() {
    let mut server = ForeignPeer::start(Language::Python, "pylsp_server.py", &[]).await;
    let client = connect(server.port().await).await;
    let mut messages = client.messages();
    let sum: i64 = client.call("add", &(10, 20)).await.expect("an answer");
    assert_eq!(sum, 30);
    let sum: i64 = client.call("add", &json!({"a": 10, "b": 20})).await.expect("an answer");
    assert_eq!(sum, 30);
    // Our codes for "method not found" and "invalid parameters", whatever number says so.
    let (code, message, _) = refusal(client.call::<_, Value>("no.such", &json!([])).await);
    assert_eq!((code, &*message), (4000, "Method Not Found: no.such"));
    let (code, message, _) = refusal(client.call::<_, Value>("add", &json!({"a": 1})).await);
    assert_eq!((code, &*message), (4001, "add takes a and b"));
    // The package gives its internal errors the number of invalid parameters.
    let (code, message, details) = refusal(client.call::<_, Value>("boom", &json!([])).await);
    assert_eq!((code, &*message), (4001, "RuntimeError: boom"));
    assert!(details["traceback"].is_array(), "{details}");
    let asked = json!({"code": 4711, "message": TEXT});
    let expected = (4711, TEXT.to_owned(), json!({"asked": true}));
    assert_eq!(refusal(client.call::<_, Value>("fail", &asked).await), expected);
    for value in [json!({"text": TEXT, TEXT: [1.5, null, true]}), json!(["ž".repeat(150_000)])] {
        let back: Value = client.call("echo", &value).await.expect("an answer");
        assert!(back == value);
    }
    client.send("no.such.message", &json!({})).await.expect("it is sent");
    client.send("note", &json!({"text": TEXT})).await.expect("it is sent");
    assert_eq!(server.next().await, json!({"note": {"text": TEXT}}));
    let noted = in_time(messages.next()).await.expect("a message");
    let data: Value = serde_json::from_slice(&noted.data).expect("JSON");
    assert_eq!((&*noted.name, data), ("noted", json!({"text": TEXT})));
    for question in [json!({"text": TEXT}), json!([1, 2])] {
        let said: Value = client.call("ask", &question).await.expect("an answer");
        assert_eq!(said, json!({"said": {"heard": question}}));
    }
    let said: Value = client.call("ask_unknown", &()).await.expect("an answer");
    assert_eq!(said["code"], -32601, "{said}");
    let is_told: bool = client.call("cancel", &json!({"id": "x"})).await.expect("an answer");
    assert!(is_told);
    // It knows no pings, which is an answer too.
    client.ping().await.expect("an answer");
    let mut calls = JoinSet::new();
    for n in 0..1000_i64 {
        let client = client.clone();
        calls.spawn(async move {
            let sum: i64 = client.call("add", &(n, n)).await.expect("an answer");
            assert_eq!(sum, 2 * n);
        });
    }
    calls.join_all().await;
    client.disconnect().await;
}
