//! Limits on size, number, time and misuse.

use super::*;

#[test]
fn bounds_hold() {
    let request = br#"{"jsonrpc":"2.0","method":"m","id":1}"#;
    let mut server = with(|config| config.limits.serves_max = 2);
    server.receive(at(1), &request.repeat(4));
    assert_eq!((events(&mut server).len(), server.stats().rate_limited), (2, 2));
    assert_eq!(output(at(1), &mut server).matches("6000").count(), 2);
    let mut server = with(|config| config.limits.receive_queue_frames = 3);
    server.receive(at(1), &request.repeat(10));
    assert!(!server.wants_read());
    assert_eq!(events(&mut server).len(), 10, "what waits is taken up as there is room");
    let mut server = with(|config| config.limits.frame_max = 2048);
    server.receive(at(1), "[".repeat(64).as_bytes());
    server.receive(at(1), " ".repeat(4096).as_bytes());
    assert!(server.wants_shutdown() || server.pending_bytes() > 0, "too large is the end");
    assert!(output(at(1), &mut server).contains("-32700"));
    server.shutdown_done(at(1));
    server.handle_timeout(at(2000));
    assert!(matches!(
        events(&mut server).last(),
        Some(Event::Closed(Closed { reason: CloseReason::Text(_), .. }))
    ));
    let mut client = with(|config| config.limits.calls_max = 1);
    let call = client.call(at(1), "m", &Nil, SECOND).unwrap();
    assert_eq!(client.call(at(1), "m", &Nil, SECOND), Err(SendError::Blocked));
    output(at(1), &mut client);
    assert!(client.cancel(at(1), call) && !client.cancel(at(1), call));
    assert_eq!(events(&mut client), [Event::Writable]);
}

#[test]
fn a_text_that_drips_and_a_peer_that_does_not_read_are_given_up() {
    let mut server = endpoint();
    server.receive(at(0), b"{\"jsonrpc\"");
    assert_eq!(server.next_deadline(), Some(Deadline { at: at(10_000), why: Timer::Frame }));
    server.handle_timeout(at(10_000));
    assert!(matches!(
        &events(&mut server)[..],
        [Event::Closed(Closed { reason: CloseReason::FrameTimeout { .. }, .. })]
    ));
    let mut server = endpoint();
    server.receive(at(0), b"{oops}\n");
    assert_eq!(server.next_deadline(), Some(Deadline { at: at(30_000), why: Timer::Stall }));
    server.handle_timeout(at(30_000));
    assert!(matches!(
        &events(&mut server)[..],
        [Event::Closed(Closed { reason: CloseReason::Stalled { .. }, .. })]
    ));
}

#[test]
fn misuse_ends_at_last() {
    let mut server = endpoint();
    server.receive(at(0), "{oops}\n".repeat(16).as_bytes());
    assert_eq!(output(at(0), &mut server).matches("-32700").count(), 16);
    server.shutdown_done(at(0));
    server.receive_eof(at(0));
    assert!(matches!(
        &events(&mut server)[..],
        [Event::Closed(Closed { reason: CloseReason::Violation(_), .. })]
    ));
}
