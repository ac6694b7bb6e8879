//! Dialect `cndt` against an independent peer, written in another language from PROTOCOL.md.

use cndt_interop::{CndtPeer, PASSWORD, fixture, python_client};
use cndt_tokio::core::connection::{LoginFault, Violation};
use cndt_tokio::core::message::auth::RefusalCode;
use cndt_tokio::{
    CallError, CallFailure, Client, ClientDescriptor, ClientHandle, CloseReason, ConnectError,
    ConnectErrorKind, Data, Dialect, Params, ServerHandle,
};
use serde_json::{Value, json};

async fn our_server() -> ServerHandle {
    fixture::server(fixture::descriptor())
        .on("noted", |Data(_): Data<Value>| async {})
        .start()
        .await
        .expect("a free port")
}

async fn peer(arguments: &[&str]) -> CndtPeer {
    let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
    tokio::task::spawn_blocking(move || {
        CndtPeer::start(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    })
    .await
    .expect("it starts")
}

/// Waits without holding the server up, which runs on the same threads.
async fn next(peer: CndtPeer) -> (Value, CndtPeer) {
    tokio::task::spawn_blocking(move || (peer.next(), peer)).await.expect("it says something")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_logs_in_calls_sends_and_leaves() {
    let server = our_server().await;
    let port = server.address().port().to_string();
    let mut client = peer(&["client", &port, PASSWORD]).await;
    for expected in [
        json!({"opened": {"server": {"name": "rust_server", "version": "9.8.7"}}}),
        json!({"result": 30}),
        json!({"error": {"code": 4000, "message": "RPC method not found: nope"}}),
        json!({"message": {"type": "greeting_response", "data": {"reply": "Hello, World!"}}}),
        json!({"ack": true}),
        json!({"pong": true}),
    ] {
        let (line, back) = next(client).await;
        client = back;
        assert_eq!(line, expected);
    }
    let peers = server.connections();
    let [python] = &peers[..] else { panic!("{peers:?}") };
    assert_eq!((&*python.name(), python.dialect()), ("cndt_peer", Some(Dialect::Cndt)));
    let who: String = python.call("whoami", &json!({})).await.expect("it answers, too");
    assert_eq!(who, "python");
    let status = tokio::task::spawn_blocking(|| client.end()).await.expect("it ends");
    assert_eq!(status, Some(0));
    assert_eq!(python.closed().await, CloseReason::Peer);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_with_the_wrong_password_is_refused() {
    let server = our_server().await;
    let port = server.address().port().to_string();
    for (password, user) in [("guess", "default"), (PASSWORD, "nobody")] {
        let (line, client) = next(peer(&["client", &port, password, user]).await).await;
        assert_eq!(line, json!({"refused": {"code": "auth_failed", "reason": "Invalid password"}}));
        let status = tokio::task::spawn_blocking(|| client.end()).await.expect("it ends");
        assert_eq!(status, Some(3));
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_dialects_are_served_on_one_port() {
    let server = our_server().await;
    let port = server.address().port();
    let mut stranger = peer(&["client", &port.to_string(), PASSWORD]).await;
    for _ in 0..6 {
        stranger = next(stranger).await.1;
    }
    python_client("5.0.0", port, &[], "calls", json!({})).await;
    let ours = Client::new(ClientDescriptor::new("127.0.0.1", port, PASSWORD)).connect().await;
    let ours = ours.expect("the login is accepted");
    let sum: i64 = ours.call("add", &json!({"a": 1, "b": 2})).await.expect("it answers");
    assert_eq!(sum, 3);
    drop(stranger);
    server.stop().await;
}

async fn connect_to(server: &CndtPeer, password: &str) -> Result<ClientHandle, ConnectError> {
    let port = server_port(server);
    let descriptor = ClientDescriptor::new("127.0.0.1", port, password).name("rust");
    Client::new(descriptor.password_iterations_min(4096))
        .rpc("double", |Params((n,)): Params<(i64,)>| async move { n * 2 })
        .connect()
        .await
}

fn server_port(server: &CndtPeer) -> u16 {
    let port = server.next()["port"].as_u64().expect("a port");
    u16::try_from(port).expect("a port")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_client_is_served_by_a_stranger() {
    let server = peer(&["server", PASSWORD, "100000"]).await;
    let client = connect_to(&server, PASSWORD).await.expect("the login is accepted");
    assert_eq!(client.server_info().expect("logged in").peer_name, "cndt_peer");
    let opened = server.next();
    assert_eq!(opened["opened"]["user"], "default");
    assert_eq!(opened["opened"]["client"]["name"], "rust");
    let sum: i64 = client.call("add", &json!({"a": 10, "b": 20})).await.expect("it answers");
    assert_eq!(sum, 30);
    let mixed = json!({"text": "zoë", "list": [1, -2, 3.5, null, true], "deep": {"a": {"b": []}}});
    let back: Value = client.call("echo", &mixed).await.expect("it answers");
    assert_eq!(back, mixed);
    match client.call::<_, Value>("fail", &json!({})).await {
        Err(CallError::Failed(CallFailure::Remote(error))) => {
            assert_eq!((error.code.number(), &*error.message), (4711, "failed as asked"));
            let details: Value =
                cndt_tokio::from_slice(&error.details.expect("details")).expect("a map");
            assert_eq!(details, json!({"why": "because"}));
        }
        other => panic!("{other:?}"),
    }
    let mut messages = client.messages();
    client.send("greeting", &json!({"name": "Rust"})).await.expect("it is sent");
    let answer = messages.next().await.expect("an answer");
    assert_eq!(answer.name.as_str(), "greeting_response");
    client.ping().await.expect("a pong");
    client.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_refuses_our_wrong_password() {
    let server = peer(&["server", PASSWORD, "4096"]).await;
    let error = connect_to(&server, "guess").await.expect_err("it is wrong");
    match error.kind {
        ConnectErrorKind::Closed { reason: CloseReason::LoginRefused(failure), .. } => {
            assert_eq!(failure.code, RefusalCode::AuthFailed);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(server.next(), json!({"refused": "auth_failed"}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_know_the_password_is_not_believed() {
    let server = peer(&["server", PASSWORD, "4096", "forge"]).await;
    let error = connect_to(&server, PASSWORD).await.expect_err("its signature is wrong");
    let ConnectErrorKind::Closed { reason: CloseReason::Violation(violation), .. } = error.kind
    else {
        panic!("{error}");
    };
    assert!(matches!(violation, Violation::Login { fault: LoginFault::ServerUnproven, .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_python_server_of_the_other_dialect_is_no_riddle() {
    for version in cndt_interop::VERSIONS {
        let server =
            tokio::task::spawn_blocking(move || cndt_interop::PythonServer::start(version, &[]))
                .await
                .expect("it starts");
        let descriptor = ClientDescriptor::new("127.0.0.1", server.port, PASSWORD);
        let error = Client::new(descriptor).connect().await.expect_err("another dialect");
        let words = error.to_string();
        assert!(words.contains("dialect"), "{version}: {words}");
        // And it was not spoken to in its own: nothing of the password has left.
        assert!(server.events("connect").is_empty(), "{version}");
    }
}
