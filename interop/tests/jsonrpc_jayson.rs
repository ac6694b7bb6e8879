//! JSON-RPC with the Node package `jayson`: its client puts each text on a line, its server nothing
//! between them.

use cndt_interop::fixture::{TEXT, refusal};
use cndt_interop::{ForeignPeer, Language, fixture, in_time};
use cndt_tokio::{Client, ClientDescriptor, ClientProtocol, Framing, JsonRpc};
use serde_json::{Value, json};
use tokio::task::JoinSet;

async fn is_served(jsonrpc: JsonRpc) {
    let (server, port, mut heard) = fixture::jsonrpc_listener(jsonrpc).await;
    let mut client =
        ForeignPeer::start(Language::Node, "jayson_client.js", &[&port.to_string()]).await;
    assert_eq!(client.next().await, json!({"positional": {"result": 30}}));
    assert_eq!(client.next().await, json!({"named": {"result": 30}}));
    client.failed("unknown", -32601, "no.such").await;
    client.failed("invalid", -32602, "`a`").await;
    client.failed("raised", -32603, "boom").await;
    client.failed("failed", 4711, TEXT).await;
    let text = json!({"result": {"text": TEXT, TEXT: [1.5, null, true]}});
    assert_eq!(client.next().await, json!({"text": text}));
    assert_eq!(client.next().await, json!({"large": true}));
    assert_eq!(client.next().await, json!({"notified": true}));
    assert_eq!(in_time(heard.recv()).await, Some(json!({"text": TEXT})));
    assert_eq!(client.next().await, json!({"batch": [[-32601], [3, 7]]}));
    assert_eq!(client.next().await, json!({"many": []}));
    assert_eq!(client.next().await, json!({"done": true}));
    drop(client);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jayson_client_is_served() {
    is_served(JsonRpc::new().trusted()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jayson_client_is_served_one_answer_at_a_time() {
    is_served(JsonRpc::new().trusted().one_answer()).await;
}

fn client(port: u16, framing: Framing) -> Client {
    let descriptor =
        ClientDescriptor::jsonrpc("127.0.0.1", port).protocol(ClientProtocol::JsonRpc(framing));
    Client::new(descriptor.reconnect_enabled(false))
}

async fn serves_us(framing: Framing) {
    let mut server = ForeignPeer::start(Language::Node, "jayson_server.js", &[]).await;
    let template = client(server.port().await, framing);
    let client = template.clone().connect().await.expect("it listens");
    let sum: i64 = client.call("add", &(10, 20)).await.expect("an answer");
    assert_eq!(sum, 30);
    let sum: i64 = client.call("add", &json!({"a": 10, "b": 20})).await.expect("an answer");
    assert_eq!(sum, 30);
    // Our codes for "method not found", "invalid parameters" and "internal error".
    assert_eq!(refusal(client.call::<_, Value>("no.such", &json!([])).await).0, 4000);
    let (code, message, _) = refusal(client.call::<_, Value>("add", &json!({"a": 1})).await);
    assert_eq!((code, &*message), (4001, "add takes a and b"));
    assert_eq!(refusal(client.call::<_, Value>("malformed", &json!([])).await).0, 1001);
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
    // It knows no pings, which is an answer too.
    client.ping().await.expect("an answer");
    let batch = client.batch().call("add", &(1, 2)).call("no.such", &()).call("echo", &[TEXT]);
    let outcomes = batch.await.expect("an answer");
    let [Ok(sum), Err(_), Ok(echo)] = &outcomes[..] else { panic!("{outcomes:?}") };
    assert_eq!(sum.read::<i64>().expect("a number"), 3);
    assert_eq!(echo.read::<Value>().expect("JSON"), json!([TEXT]));
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
    let sum: i64 = template.call_once("add", &(1, 2)).await.expect("an answer");
    assert_eq!(sum, 3);
    template.send_once("note", &json!({"text": "once"})).await.expect("it is sent");
    assert_eq!(server.next().await, json!({"note": {"text": "once"}}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jayson_server_serves_us_on_lines() {
    serves_us(Framing::Newline).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jayson_server_serves_us_with_nothing_between() {
    serves_us(Framing::Bare).await;
}
