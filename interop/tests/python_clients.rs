//! Real Python clients of every version against our server.

use std::time::Duration;

use cndt_interop::{PASSWORD, fixture, for_each_version, python_client};
use cndt_tokio::{Dialect, ServerDescriptor, ServerHandle};
use serde_json::{Value, json};

async fn start(descriptor: ServerDescriptor) -> ServerHandle {
    fixture::server(descriptor).start().await.expect("the server starts")
}

async fn run(version: &str, scenario: &str, arguments: Value) -> Value {
    let server = start(fixture::descriptor()).await;
    let facts = python_client(version, server.address().port(), &[], scenario, arguments).await;
    server.stop().await;
    facts
}

async fn a_right_password_opens(version: &str) {
    let facts = run(version, "auth_ok", json!({})).await;
    assert_eq!(facts["server_info"], json!({"name": "rust_server", "version": "9.8.7"}));
    assert_eq!(facts["session_token_length"], 128);
    assert_eq!(facts["session_token_is_hex"], true);
}

async fn a_wrong_password_is_refused_and_others_are_served_on(version: &str) {
    let server = start(fixture::descriptor()).await;
    let port = server.address().port();
    let facts = python_client(version, port, &[], "auth_wrong", json!({})).await;
    assert_eq!(facts["connected"], false);
    assert!(facts["log"].to_string().contains("Invalid password"), "{facts}");
    python_client(version, port, &[], "calls", json!({})).await;
    server.stop().await;
}

async fn calls(version: &str) {
    let wanted = json!([
        ["add", {"a": 10, "b": 20}],
        ["multiply", {"x": 3.5, "y": 2.0}],
        ["greet", {"name": "World"}],
        ["calculate", {"a": 7.0, "b": 2.0, "operation": "divide"}],
    ]);
    let facts = run(version, "calls", json!({"calls": wanted})).await;
    let inner = |n: usize| facts["results"][n]["result"].clone();
    assert_eq!(inner(0), json!({"success": true, "data": 30}));
    assert_eq!(inner(1), json!({"success": true, "data": 7.0}));
    assert_eq!(inner(2), json!({"success": true, "data": "Hello, World!"}));
    assert_eq!(inner(3), json!({"success": true, "data": {"result": 3.5}}));
}

async fn every_type_both_ways(version: &str) {
    // Ours reads 64 levels by default; the next test shows what becomes of a hundred.
    let facts = run(version, "types", json!({"skip": ["deep_100"]})).await;
    assert!(facts["checked"].as_u64() >= Some(60), "{facts}");
}

async fn nesting_beyond_the_limit_is_refused_in_words(version: &str) {
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!([deep]);
    }
    let cases = json!({"cases": {"deep": ["echo", {"value": deep}]}});
    let facts = run(version, "errors", cases).await;
    let error = &facts["errors"]["deep"];
    assert_eq!(error["code"], 4001, "{facts:#}");
    assert!(error["message"].to_string().contains("deeper than 64"), "{error}");
}

async fn errors_of_each_kind(version: &str) {
    let facts = run(version, "errors", json!({})).await;
    let code = |case: &str| facts["errors"][case]["code"].as_i64();
    assert_eq!(code("unknown"), Some(4000), "{facts:#}");
    assert_eq!(facts["errors"]["unknown"]["message"], "RPC method not found: no_such_method");
    assert_eq!(code("missing"), Some(2000));
    assert_eq!(code("wrong_type"), Some(2000));
    assert_eq!(code("model_missing"), Some(2000));
    assert_eq!(code("model_wrong_type"), Some(2000));
    assert_eq!(code("model_refused"), Some(2000));
    assert_eq!(code("handler_failure"), Some(1001));
    assert_eq!(facts["errors"]["handler_failure"]["message"], "Error in boom: boom");
    for (_, error) in facts["errors"].as_object().expect("a map") {
        assert_eq!(error["how"], "result");
    }
}

async fn discovery(version: &str) {
    let facts = run(version, "discover", json!({})).await;
    assert_eq!(facts["discover_equals_listall"], true);
    let add = &facts["methods"]["add"];
    assert_eq!(add["description"], "Add two numbers.");
    assert_eq!(add["parameters"], json!({"a": "int", "b": "int"}));
    assert_eq!(add["return_type"], "int");
    assert_eq!(facts["methods"]["multiply"]["parameters"], json!({"x": "float", "y": "float"}));
    assert_eq!(facts["methods"]["greet"]["return_type"], "str");
}

async fn five_hundred_calls_at_once(version: &str) {
    let facts = run(version, "concurrent", json!({"n": 500})).await;
    assert_eq!(facts["wrong"], 0);
}

async fn messages_and_their_answers(version: &str) {
    let facts = run(version, "messages", json!({})).await;
    assert!(facts["answer"].to_string().contains("Hello, "), "{facts}");
    assert_eq!(facts["unknown_unanswered"], true);
}

async fn messages_from_the_server(version: &str) {
    let facts = run(version, "broadcast_listen", json!({"count": 3})).await;
    let numbers: Vec<&Value> =
        facts["messages"].as_array().expect("a list").iter().map(|m| &m["number"]).collect();
    assert_eq!(numbers, [0, 1, 2]);
}

async fn a_broadcast_leaves_its_sender_out(version: &str) {
    let server = start(fixture::descriptor()).await;
    let port = server.address().port();
    let listen = python_client(
        version,
        port,
        &["--name", "listener"],
        "broadcast_listen",
        json!({"type": "chat", "send": []}),
    );
    let talk = async {
        while server.connection_count() == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        python_client(version, port, &[], "chat", json!({"message": "hello"})).await
    };
    let (heard, said) = tokio::join!(listen, talk);
    assert_eq!(said["own_broadcast_excluded"], true);
    assert_eq!(heard["messages"][0]["message"], "hello");
    server.stop().await;
}

async fn heartbeats_every_second(version: &str) {
    let interval = Duration::from_secs(1);
    let timeout = Duration::from_secs(3);
    let descriptor = fixture::descriptor().heartbeat_interval(interval).heartbeat_timeout(timeout);
    let server = start(descriptor).await;
    let port = server.address().port();
    let facts = python_client(version, port, &[], "heartbeat", json!({"seconds": 5})).await;
    assert_eq!(facts["connected"], true);
    assert_eq!(facts["timeouts"], 0);
    assert!(facts["pongs_received"].as_u64() >= Some(3), "{facts}");
    assert!(facts["pings_received"].as_u64() >= Some(3), "{facts}");
    server.stop().await;
}

async fn compression_on_and_off_on_either_side(version: &str) {
    for ours in [false, true] {
        let server = start(fixture::descriptor().enable_compression(ours)).await;
        let port = server.address().port();
        for options in [&[][..], &["--compression"]] {
            let facts = python_client(version, port, options, "compression", json!({})).await;
            let bytes = |key: &str| facts["compressible"][key].as_u64().expect("a number");
            assert_eq!(bytes("bytes_sent") < 20_000, !options.is_empty(), "{facts:#}");
            assert_eq!(bytes("bytes_received") < 20_000, ours, "{facts:#}");
        }
        server.stop().await;
    }
}

async fn joining_while_broadcasts_fly(version: &str) {
    let server = start(fixture::descriptor()).await;
    let port = server.address().port();
    let sender = server.clone();
    let storm = tokio::spawn(async move {
        for number in 0_u64.. {
            if sender.broadcast("seq", &json!({"n": number})).send().is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    let facts = python_client(version, port, &[], "join_storm", json!({"joins": 30})).await;
    storm.abort();
    assert_eq!((facts["joins"].as_u64(), facts["bad"].as_u64()), (Some(30), Some(0)), "{facts:#}");
    server.stop().await;
}

async fn a_client_comes_back_after_a_restart(version: &str) {
    let server = start(fixture::descriptor()).await;
    let port = server.address().port();
    let client = python_client(version, port, &[], "reconnect", json!({}));
    let restart = async {
        while server.connection_count() == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        server.stop().await;
        start(fixture::descriptor().port(port)).await
    };
    let (facts, again) = tokio::join!(client, restart);
    assert!(facts["events"].to_string().contains("reconnect"), "{facts}");
    again.stop().await;
}

async fn an_idle_client_leaves_and_its_place_is_free(version: &str) {
    let server = start(fixture::descriptor().max_connections(1)).await;
    let port = server.address().port();
    for _ in 0..3 {
        python_client(version, port, &[], "idle_close", json!({"seconds": 0.1})).await;
    }
    server.stop().await;
}

async fn frames_cut_anywhere(version: &str) {
    run(version, "two_calls_one_write", json!({})).await;
}

for_each_version!(
    a_right_password_opens,
    a_wrong_password_is_refused_and_others_are_served_on,
    calls,
    every_type_both_ways,
    nesting_beyond_the_limit_is_refused_in_words,
    errors_of_each_kind,
    discovery,
    five_hundred_calls_at_once,
    messages_and_their_answers,
    messages_from_the_server,
    a_broadcast_leaves_its_sender_out,
    heartbeats_every_second,
    compression_on_and_off_on_either_side,
    joining_while_broadcasts_fly,
    a_client_comes_back_after_a_restart,
    an_idle_client_leaves_and_its_place_is_free,
    frames_cut_anywhere,
);

/// Version 0.1.0 cannot hold a connection, not even with itself: its login is all there is.
#[test]
fn every_version_logs_in_by_the_bytes_that_our_core_accepts() {
    use cndt_tokio::core::auth::{Access, Entropy};
    use cndt_tokio::core::connection::{Config, Connection, Event};
    use cndt_tokio::core::time::Instant;

    for version in ["0.1.0"].iter().chain(&cndt_interop::VERSIONS) {
        let login = cndt_interop::python_login_bytes(version);
        let access = Access::netconduit(PASSWORD);
        let mut server =
            Connection::server(Instant::ZERO, Config::default(), access, Entropy([1; 64]))
                .expect("the defaults are valid");
        server.receive(Instant::ZERO, &login);
        match server.poll_event() {
            Some(Event::Opened(opened)) => {
                assert_eq!(opened.dialect, Some(Dialect::Netconduit));
                assert_eq!(opened.peer_version, "1.2.3");
            }
            other => panic!("{version}: {other:?}"),
        }
    }
}
