//! JSON-RPC with peers that know no framing at all: one request on each connection, read until the
//! bytes parse.

use cndt_interop::fixture::{TEXT, refusal};
use cndt_interop::{ForeignPeer, Language, fixture, in_time};
use cndt_tokio::{Client, ClientDescriptor, ClientProtocol, Framing, JsonRpc, OnceError};
use serde_json::{Value, json};
use tokio::task::JoinSet;

async fn is_served(jsonrpc: JsonRpc, more: &[&str]) {
    let (server, port, mut heard) = fixture::jsonrpc_listener(jsonrpc).await;
    let port = port.to_string();
    let arguments: Vec<&str> = [&*port].iter().chain(more).copied().collect();
    let mut client = ForeignPeer::start(Language::Python, "once_client.py", &arguments).await;
    assert_eq!(client.next().await, json!({"named": {"result": 30}}));
    assert_eq!(client.next().await, json!({"positional": {"result": 30}}));
    client.failed("unknown", -32601, "no.such").await;
    client.failed("invalid", -32602, "`a`").await;
    client.failed("raised", -32603, "boom").await;
    client.failed("failed", 4711, TEXT).await;
    assert_eq!(client.next().await, json!({"refused": {TEXT: [TEXT]}}));
    assert_eq!(client.next().await, json!({"broken": [[null, -32700], [null, -32600]]}));
    let text = json!({"result": {"text": TEXT, TEXT: [1.5, null, true]}});
    assert_eq!(client.next().await, json!({"text": text}));
    assert_eq!(client.next().await, json!({"pieces": {"result": {"text": TEXT}}}));
    assert_eq!(client.next().await, json!({"large": true}));
    assert_eq!(client.next().await, json!({"notified": true}));
    assert_eq!(in_time(heard.recv()).await, Some(json!({"text": TEXT})));
    assert_eq!(client.next().await, json!({"many": []}));
    assert_eq!(client.next().await, json!({"done": true}));
    in_time(async {
        while server.connection_count() > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_closes_is_served() {
    is_served(JsonRpc::new().trusted(), &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_waits_for_the_end_is_served() {
    is_served(JsonRpc::new().trusted().one_answer(), &["closes"]).await;
}

fn client(port: u16) -> Client {
    let descriptor = ClientDescriptor::jsonrpc("127.0.0.1", port)
        .protocol(ClientProtocol::JsonRpc(Framing::Bare));
    Client::new(descriptor)
}

async fn refused(client: &Client, method: &str) -> (i64, String, Value) {
    match client.call_once::<_, Value>(method, &json!({})).await {
        Err(OnceError::Call(error)) => refusal::<Value>(Err(error)),
        other => panic!("{method}: {other:?}"),
    }
}

async fn serves_us(arguments: &[&str]) {
    let mut server = ForeignPeer::start(Language::Python, "once_server.py", arguments).await;
    let client = client(server.port().await);
    for params in [json!({"a": 10, "b": 20}), json!([10, 20])] {
        let sum: i64 = client.call_once("add", &params).await.expect("an answer");
        assert_eq!(sum, 30);
        let expected = json!({"request": {"method": "add", "params": params}, "ascii": true});
        assert_eq!(server.next().await, expected);
    }
    let error = refused(&client, "no.such").await;
    assert_eq!(error, (4000, "Method not found".to_owned(), Value::Null));
    let error = refused(&client, "boom").await;
    assert_eq!(error, (1001, "Internal error".to_owned(), json!("boom zoë")));
    let error = refused(&client, TEXT).await;
    assert_eq!(error, (4000, "Method not found".to_owned(), Value::Null));
    for method in ["no.such", "boom", TEXT] {
        let expected = json!({"request": {"method": method, "params": {}}, "ascii": true});
        assert_eq!(server.next().await, expected);
    }
    // What it would choke at, if a character of several bytes were sent as such.
    for shift in 0..4 {
        let params = json!({"text": format!("{}{TEXT}", "x".repeat(shift)), TEXT: [1.5, null]});
        let back: Value = client.call_once("echo", &params).await.expect("an answer");
        assert_eq!(back, params);
        let expected = json!({"request": {"method": "echo", "params": params}, "ascii": true});
        assert_eq!(server.next().await, expected);
    }
    client.send_once("note", &json!({"text": TEXT})).await.expect("it is sent");
    let expected = json!({"request": {"method": "note", "params": {"text": TEXT}}, "ascii": true});
    assert_eq!(server.next().await, expected);
    let mut calls = JoinSet::new();
    for n in 0..100_i64 {
        let client = client.clone();
        calls.spawn(async move {
            let sum: i64 = client.call_once("add", &(n, n)).await.expect("an answer");
            assert_eq!(sum, 2 * n);
        });
    }
    calls.join_all().await;
    for _ in 0..100 {
        let said = server.next().await;
        assert_eq!((&said["request"]["method"], &said["ascii"]), (&json!("add"), &json!(true)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_answers_once_serves_us() {
    serves_us(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_answers_a_byte_at_a_time_serves_us() {
    serves_us(&["1"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_answers_once_ends_a_connection_that_would_stay() {
    let mut server = ForeignPeer::start(Language::Python, "once_server.py", &[]).await;
    let descriptor = ClientDescriptor::jsonrpc("127.0.0.1", server.port().await)
        .protocol(ClientProtocol::JsonRpc(Framing::Bare))
        .reconnect_enabled(false);
    let client = Client::new(descriptor).connect().await.expect("it listens");
    let sum: i64 = client.call("add", &(1, 2)).await.expect("an answer");
    assert_eq!(sum, 3);
    in_time(client.closed()).await;
    let second = client.call::<_, i64>("add", &(1, 2)).await;
    assert!(second.is_err(), "{second:?}");
    let expected = json!({"request": {"method": "add", "params": [1, 2]}, "ascii": true});
    assert_eq!(server.next().await, expected);
}
