//! The examples do what they promise.

use cndt_runtime::conformance::examples::{self, Running, program};

#[test]
fn quickstart() {
    examples::quickstart(&program("cndt-tokio", "tokio_quickstart"));
}

#[test]
fn chat() {
    examples::chat(&program("cndt-tokio", "tokio_chat"));
}

#[test]
fn positions() {
    let rounds = ["--players", "100", "--rounds", "40"];
    let running = Running::start(&program("cndt-tokio", "positions"), &rounds);
    assert_eq!(running.next_line(), "100 players are in");
    for round in [20, 40] {
        let told = running.next_after(&format!("round {round}: 100 players, told "));
        assert!(told.starts_with("100, "), "{told}");
    }
    let seen = running.next_after("each of 100 saw at least ");
    assert!(seen.starts_with("100 move; "), "{seen}");
    let (status, rest) = running.finish();
    assert!(status.success() && rest.is_empty(), "{status}: {rest:?}");
}

#[test]
fn relay() {
    let running = Running::start(&program("cndt-tokio", "relay"), &["--rounds", "2"]);
    let mut expected = Vec::new();
    for round in [1, 2] {
        let event = format!(r#"{{"symbol":"EURUSD","ticket":{round}}}"#);
        expected.push(format!("sent trade-{round}: 200 OK"));
        expected.push(format!(r#"told webhook {{"path":"/trades","event":{event}}}"#));
        expected.push(format!("received trade-{round} {event}"));
    }
    expected.push("forged: 401 Unauthorized".to_owned());
    expected.push("2 passed on, 0 left, 0 dead".to_owned());
    let (status, lines) = running.finish();
    assert!(status.success(), "{status}: {lines:?}");
    assert_eq!(lines, expected);
}
