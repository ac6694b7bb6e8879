//! Numbers and words for operators. One test in one process: recorders and subscribers are global.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use cndt_tokio::{Client, ClientDescriptor, Params, Server, ServerDescriptor};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};

/// What a recorder has seen: by name with labels, how much or how often.
fn numbers(snapshotter: &Snapshotter) -> BTreeMap<String, f64> {
    let mut found = BTreeMap::new();
    for (key, _, _, value) in snapshotter.snapshot().into_vec() {
        let (_, key) = key.into_parts();
        let mut labels: Vec<_> =
            key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        labels.sort();
        let value = match value {
            DebugValue::Counter(count) => count as f64,
            DebugValue::Gauge(level) => level.into_inner(),
            DebugValue::Histogram(values) => values.len() as f64,
        };
        found.insert(format!("{} {}", key.name(), labels.join(",")), value);
    }
    found
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn operators_are_told() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    recorder.install().expect("the only recorder");
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();

    let descriptor = ServerDescriptor::new("secret")
        .host("127.0.0.1")
        .port(0)
        .password_iterations(4096)
        .half_open_max(4);
    let server = Server::new(descriptor)
        .rpc("double", |Params((n,)): Params<(i64,)>| async move {
            tracing::info!("inside of a handler");
            n * 2
        })
        .rpc("panics", || async {
            if true {
                panic!("on purpose");
            }
        })
        .start()
        .await
        .expect("a free port");
    let port = server.address().port();
    let descriptor =
        ClientDescriptor::new("127.0.0.1", port, "secret").password_iterations_min(4096);
    let mut wrong = descriptor.clone().reconnect_enabled(false);
    wrong.password = "wrong".into();
    Client::new(wrong).connect().await.expect_err("a wrong password");
    let client = Client::new(descriptor.name("ann")).connect().await.expect("a server");
    for n in 0..3 {
        let doubled: i64 = client.call("double", &(n,)).await.expect("a result");
        assert_eq!(doubled, n * 2);
    }
    client.call::<_, ()>("double", &("x",)).await.expect_err("no number");
    client.call::<_, ()>("panics", &()).await.expect_err("a panic");
    client.call::<_, ()>("whatever-a-stranger-writes", &()).await.expect_err("no method");
    client.ping().await.expect("an answer");
    client.disconnect().await;
    server.stop().await;

    let numbers = numbers(&snapshotter);
    let served = |rest: &str| format!("rpc.server.call.duration {rest}");
    let made = |rest: &str| format!("rpc.client.call.duration {rest}");
    for (name, expected) in [
        (served("rpc.method=double,rpc.system.name=cndt"), 3.0),
        (served("error.type=VALIDATION,rpc.method=double,rpc.system.name=cndt"), 1.0),
        (served("error.type=INTERNAL,rpc.method=panics,rpc.system.name=cndt"), 1.0),
        (served("error.type=METHOD_NOT_FOUND,rpc.method=_OTHER,rpc.system.name=cndt"), 1.0),
        (made("rpc.method=double,rpc.system.name=cndt"), 3.0),
        (made("error.type=INTERNAL,rpc.method=panics,rpc.system.name=cndt"), 1.0),
        ("cndt.connections.opened role=server".into(), 1.0),
        ("cndt.connections.opened role=client".into(), 1.0),
        ("cndt.connections.active role=server".into(), 0.0),
        ("cndt.connections.closed reason=peer,role=server".into(), 1.0),
        ("cndt.connections.closed reason=local,role=client".into(), 1.0),
        ("cndt.logins.failed reason=login_rejected,role=server".into(), 1.0),
        ("cndt.logins.failed reason=login_refused,role=client".into(), 1.0),
        ("cndt.messages.received role=server".into(), 6.0),
        ("cndt.messages.sent role=client".into(), 6.0),
        ("cndt.round_trip role=client".into(), 1.0),
        ("cndt.handlers.failed cause=panicked,kind=method".into(), 1.0),
    ] {
        assert_eq!(numbers.get(&name), Some(&expected), "{name} in {numbers:#?}");
    }
    let sent = numbers["cndt.bytes.sent role=client"];
    assert!(sent > 0.0 && numbers["cndt.bytes.received role=server"] == sent, "{numbers:#?}");

    let log = String::from_utf8(log.0.lock().expect("no panic").clone()).expect("text");
    for words in [
        "listening",
        "login refused",
        "client connected",
        "name=\"ann\"",
        "call{connection=",
        "method=double}: telemetry: inside of a handler",
        "handler failed",
        "client disconnected",
        "server stopped",
    ] {
        assert!(log.contains(words), "{words:?} in\n{log}");
    }
    assert!(!log.contains("secret"), "{log}");
}
