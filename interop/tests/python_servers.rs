//! Our client against real Python servers of every version.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cndt_interop::{PASSWORD, PythonServer, for_each_version};
use cndt_tokio::{
    Bytes, CallError, CallFailure, Client, ClientDescriptor, ClientHandle, CloseReason,
    ConnectErrorKind, Dialect, ErrorCode, RpcError,
};
use serde_json::{Value, json};

fn descriptor(port: u16) -> ClientDescriptor {
    ClientDescriptor::new("127.0.0.1", port, PASSWORD).name("rust").dialect(Dialect::Netconduit)
}

async fn connect(server: &PythonServer) -> ClientHandle {
    Client::new(descriptor(server.port)).connect().await.expect("the login is accepted")
}

async fn start(version: &'static str, options: &'static [&'static str]) -> PythonServer {
    tokio::task::spawn_blocking(move || PythonServer::start(version, options))
        .await
        .expect("the server starts")
}

async fn failure(client: &ClientHandle, method: &str, params: Value) -> RpcError {
    match client.call::<_, Value>(method, &params).await {
        Err(CallError::Failed(CallFailure::Remote(error))) => error,
        other => panic!("{method}: {other:?}"),
    }
}

async fn a_right_password_opens(version: &'static str) {
    let server = start(version, &["--name", "py"]).await;
    let client = connect(&server).await;
    assert_eq!(client.server_info().expect("logged in").peer_name, "py");
    server.wait_for("connect", 1).await;
    client.disconnect().await;
}

async fn a_wrong_password_is_refused(version: &'static str) {
    let server = start(version, &[]).await;
    let wrong =
        ClientDescriptor::new("127.0.0.1", server.port, "guess").dialect(Dialect::Netconduit);
    let error = Client::new(wrong).connect().await.expect_err("it is wrong");
    match error.kind {
        ConnectErrorKind::Closed { reason: CloseReason::LoginRefused(failure), .. } => {
            assert_eq!(failure.reason, "Invalid password");
        }
        other => panic!("{other:?}"),
    }
    connect(&server).await.disconnect().await;
}

async fn calls(version: &'static str) {
    let server = start(version, &[]).await;
    let client = connect(&server).await;
    let sum: i64 = client.call("add", &json!({"a": 10, "b": 20})).await.expect("add");
    let product: f64 =
        client.call("multiply", &json!({"x": 3.5, "y": 2.0})).await.expect("multiply");
    let greeting: String = client.call("greet", &json!({"name": "World"})).await.expect("greet");
    assert_eq!((sum, product, greeting.as_str()), (30, 7.0, "Hello, World!"));
    let user = json!({"username": "kaede", "email": "k@example.org", "age": 20});
    let created: Value = client.call("create_user", &user).await.expect("a model, flattened");
    assert_eq!(created["username"], "kaede");
    let own: Value = client.call("success_map", &json!({})).await.expect("passed unwrapped");
    assert_eq!(own, json!({"x": 1}));
    let listed = client.call::<_, Value>("paginated", &json!({})).raw().await.expect("a page");
    let envelope: Value =
        cndt_tokio::from_slice(&listed.envelope.expect("more than data")).expect("a map");
    assert!(envelope["pagination"]["total_pages"].is_u64(), "{envelope}");
    client.disconnect().await;
}

async fn every_type_both_ways(version: &'static str) {
    let server = start(version, &[]).await;
    let client = connect(&server).await;
    let mut nested = json!(null);
    for level in 0..20 {
        nested = json!({"level": level, "inner": [nested]});
    }
    let values = [
        json!(null),
        json!(true),
        json!(false),
        json!([0, 1, 127, 128, 255, 256, 65535, 65536, u32::MAX, 1_u64 << 32, u64::MAX]),
        json!([
            -1,
            -32,
            -33,
            -128,
            -129,
            -32768,
            -32769,
            i32::MIN,
            i64::from(i32::MIN) - 1,
            i64::MIN
        ]),
        json!([0.5, -1.5, 1e300, f64::MIN_POSITIVE, 0.1]),
        json!(["", "ascii", "žluťoučký", "日本語", "🦀", "nul\u{0}inside", "x".repeat(70_000)]),
        json!({"": {}, "empty": [], "key with space": {"deep": [[[]]]}}),
        nested,
    ];
    for value in &values {
        let back: Value = client.call("echo", &json!({"value": value})).await.expect("echo");
        assert_eq!(&back, value);
    }
    for size in [0, 1, 255, 256, 65_536, 5_000_000] {
        let sent: Bytes = (0..size).map(|i: u32| (i % 251) as u8).collect();
        let params = BTreeMap::from([("value", sent.clone())]);
        let back: Bytes = client.call("echo", &params).await.expect("echo");
        assert!(back == sent, "{size} bytes came back changed");
        let blob: Bytes = client.call("blob", &json!({"size": size})).await.expect("blob");
        assert!(blob == sent, "{size} bytes are not as the server makes them");
    }
    let text = "é".repeat(2_500_000);
    let back: String = client.call("echo", &json!({"value": text})).await.expect("echo");
    assert!(back == text, "5 MB of text came back changed");
    client.disconnect().await;
}

async fn errors_of_each_kind(version: &'static str) {
    let server = start(version, &[]).await;
    let client = connect(&server).await;
    let unknown = failure(&client, "nope", json!({})).await;
    assert_eq!(unknown, RpcError::method_not_found("nope"));
    let wrong = failure(&client, "add", json!({"a": 1})).await;
    assert_eq!(wrong.code, ErrorCode::Validation);
    let refused = failure(&client, "create_user", json!({"username": "x"})).await;
    assert_eq!(refused.code, ErrorCode::Validation);
    assert!(refused.details.is_some());
    let boom = failure(&client, "boom", json!({})).await;
    assert_eq!((boom.code, boom.message.as_str()), (ErrorCode::Internal, "Error in boom: boom"));
    let own = failure(&client, "fail", json!({"code": 4711, "message": "mine"})).await;
    assert_eq!((own.code, own.message.as_str()), (ErrorCode::Other(4711), "mine"));
    let denied = failure(&client, "fail", json!({"code": 3003, "message": "no"})).await;
    assert_eq!(denied.code, ErrorCode::PermissionDenied, "the package's own number");
    match client
        .call::<_, u64>("sleep", &json!({"ms": 3000}))
        .timeout(Duration::from_millis(50))
        .await
    {
        Err(CallError::Failed(CallFailure::TimedOut { .. })) => {}
        other => panic!("{other:?}"),
    }
    let sum: i64 = client.call("add", &json!({"a": 1, "b": 2})).await.expect("it lives on");
    assert_eq!(sum, 3);
    client.disconnect().await;
}

async fn what_would_kill_the_peer_is_not_sent(version: &'static str) {
    let server = start(version, &[]).await;
    let client = connect(&server).await;
    let keyed = BTreeMap::from([("value", BTreeMap::from([(7, "seven")]))]);
    let error = client.call::<_, Value>("echo", &keyed).await.expect_err("integer keys");
    assert!(error.to_string().contains("params.value"), "{error}");
    let sum: i64 = client.call("add", &json!({"a": 1, "b": 2})).await.expect("it lives on");
    assert_eq!(sum, 3);
    client.disconnect().await;
}

async fn discovery(version: &'static str) {
    let server = start(version, &[]).await;
    let client = connect(&server).await;
    let methods = client.discover().await.expect("listall");
    let add = methods.iter().find(|method| method.name == "add").expect("it is listed");
    let parameters: Vec<(&str, &str)> =
        add.parameters.iter().map(|(name, kind)| (name.as_str(), kind.as_str())).collect();
    assert_eq!(parameters, [("a", "int"), ("b", "int")]);
    assert_eq!((add.return_type.as_str(), add.requires_auth), ("int", true));
    assert!(methods.iter().any(|method| method.name == "users.list"));
    client.disconnect().await;
}

async fn five_hundred_calls_at_once(version: &'static str) {
    let server = start(version, &[]).await;
    let client = connect(&server).await;
    let tasks: Vec<_> = (0..500_i64)
        .map(|i| {
            let client = client.clone();
            tokio::spawn(
                async move { client.call::<_, i64>("add", &json!({"a": i, "b": i * i})).await },
            )
        })
        .collect();
    for (i, task) in (0..500_i64).zip(tasks) {
        assert_eq!(task.await.expect("no panic").expect("add"), i + i * i);
    }
    client.disconnect().await;
}

async fn messages_and_their_answers(version: &'static str) {
    let server = start(version, &[]).await;
    let client = connect(&server).await;
    let mut messages = client.messages();
    client.send("silent", &json!({})).await.expect("sent");
    client.send("no_such_type", &json!({})).await.expect("sent");
    client.send("greeting", &json!({"name": "World"})).await.expect("sent");
    let answer = messages.next().await.expect("an answer");
    assert_eq!(answer.name.as_str(), "greeting_response");
    let data: Value = cndt_tokio::from_slice(&answer.data).expect("a map");
    assert_eq!(data, json!({"reply": "Hello, World!"}));
    let seen = server.wait_for("message", 2).await;
    assert_eq!(seen[1]["data"], json!({"name": "World"}));
    client.disconnect().await;
}

async fn a_flood_arrives_whole_and_in_order(version: &'static str) {
    let server = start(version, &[]).await;
    let client = connect(&server).await;
    let mut messages = client.messages();
    client.send("flood", &json!({"n": 500})).await.expect("sent");
    for i in 0..500 {
        let message = messages.next().await.expect("one more");
        let data: Value = cndt_tokio::from_slice(&message.data).expect("a map");
        assert_eq!((message.name.as_str(), &data["i"]), ("tick", &json!(i)));
    }
    client.disconnect().await;
}

async fn broadcasts_reach_the_others(version: &'static str) {
    let server = start(version, &[]).await;
    let (first, second) = (connect(&server).await, connect(&server).await);
    let (mut to_first, mut to_second) = (first.messages(), second.messages());
    server.wait_for("connect", 2).await;
    first.send("broadcast_me", &json!({"exclude": true, "n": 1})).await.expect("sent");
    first.send("broadcast_me", &json!({"exclude": false, "n": 2})).await.expect("sent");
    let number = |data: &[u8]| cndt_tokio::from_slice::<Value>(data).expect("a map")["n"].clone();
    assert_eq!(number(&to_second.next().await.expect("news").data), 1);
    assert_eq!(number(&to_second.next().await.expect("news").data), 2);
    assert_eq!(number(&to_first.next().await.expect("news").data), 2, "the first was excluded");
    first.disconnect().await;
    second.disconnect().await;
}

async fn compression_on_and_off_on_either_side(version: &'static str) {
    for options in [&[][..], &["--compression"]] {
        let server = start(version, options).await;
        for ours in [false, true] {
            let settings = descriptor(server.port).enable_compression(ours);
            let client = Client::new(settings).connect().await.expect("connected");
            let text = "compressible ".repeat(20_000);
            let back: String = client.call("echo", &json!({"value": text})).await.expect("echo");
            assert!(back == text, "it came back changed");
            let stats = client.peer().expect("connected").stats();
            assert_eq!(stats.bytes_sent < 20_000, ours, "{stats:?}");
            assert_eq!(stats.bytes_received < 20_000, !options.is_empty(), "{stats:?}");
            client.disconnect().await;
        }
    }
}

async fn heartbeats_every_second(version: &'static str) {
    let server = start(version, &["--heartbeat-interval", "1", "--heartbeat-timeout", "3"]).await;
    let settings = descriptor(server.port)
        .heartbeat_interval(Duration::from_secs(1))
        .heartbeat_timeout(Duration::from_secs(3));
    let client = Client::new(settings).connect().await.expect("connected");
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(client.is_connected(), "{:?}", client.health());
    let sum: i64 = client.call("add", &json!({"a": 1, "b": 2})).await.expect("it lives");
    assert_eq!(sum, 3);
    assert!(client.ping().await.is_ok());
    client.disconnect().await;
}

async fn joining_while_broadcasts_fly(version: &'static str) {
    let server = start(version, &["--tick-ms", "1", "--max-connections", "200"]).await;
    for _ in 0..20 {
        let client = connect(&server).await;
        let mut messages = client.messages();
        let sum: i64 = client.call("add", &json!({"a": 20, "b": 22})).await.expect("add");
        assert_eq!(sum, 42);
        let mut last = None;
        for _ in 0..5 {
            let message = messages.next().await.expect("one more");
            let data: Value = cndt_tokio::from_slice(&message.data).expect("a map");
            let number = data["n"].as_u64().expect("a number");
            assert!(last.is_none_or(|last| number == last + 1), "{last:?} then {number}");
            last = Some(number);
        }
        client.disconnect().await;
    }
}

async fn a_lost_server_ends_calls_at_once_and_is_found_again(version: &'static str) {
    let server = start(version, &[]).await;
    let port = server.port;
    let back = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&back);
    let settings = descriptor(port)
        .reconnect_attempts(0)
        .reconnect_delay(Duration::from_millis(100))
        .reconnect_delay_max(Duration::from_millis(300));
    let client = Client::new(settings)
        .on_reconnect(move |_: ClientHandle| {
            counter.fetch_add(1, Ordering::SeqCst);
            async {}
        })
        .connect()
        .await
        .expect("connected");
    let waiting = {
        let client = client.clone();
        tokio::spawn(async move { client.call::<_, u64>("sleep", &json!({"ms": 60_000})).await })
    };
    server.wait_for("rpc", 1).await;
    drop(server);
    match waiting.await.expect("no panic") {
        Err(CallError::Failed(CallFailure::ConnectionLost { sent: true })) => {}
        other => panic!("{other:?}"),
    }
    let port_text: &'static str = Box::leak(port.to_string().into_boxed_str());
    let options: &'static [&'static str] = Box::leak(Box::new(["--port", port_text]));
    let _again = start(version, options).await;
    for _ in 0..500 {
        if back.load(Ordering::SeqCst) > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let sum: i64 = client.call("add", &json!({"a": 1, "b": 2})).await.expect("connected again");
    assert_eq!(sum, 3);
    client.disconnect().await;
}

for_each_version!(
    a_right_password_opens,
    a_wrong_password_is_refused,
    calls,
    every_type_both_ways,
    errors_of_each_kind,
    what_would_kill_the_peer_is_not_sent,
    discovery,
    five_hundred_calls_at_once,
    messages_and_their_answers,
    a_flood_arrives_whole_and_in_order,
    broadcasts_reach_the_others,
    compression_on_and_off_on_either_side,
    heartbeats_every_second,
    joining_while_broadcasts_fly,
    a_lost_server_ends_calls_at_once_and_is_found_again,
);
