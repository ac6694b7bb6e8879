//! How it ends, and what is told of it.

use super::*;

#[test]
fn whoever_ends_still_gets_what_it_asked_for() {
    let mut server = endpoint();
    server.receive(at(1), br#"{"jsonrpc":"2.0","method":"sum","params":[2,3],"id":1}"#);
    server.receive_eof(at(1));
    assert_eq!(server.phase(), PhaseName::Closing);
    serve(&mut server);
    assert!(output(at(1), &mut server).contains("\"result\":5"));
    assert!(server.wants_shutdown());
    server.shutdown_done(at(1));
    let all = events(&mut server);
    let [Event::Closed(closed)] = &all[..] else { panic!("{all:?}") };
    assert_eq!(closed.reason, CloseReason::Peer);
    // A notification, and gone at once.
    let mut server = endpoint();
    server.receive(at(1), br#"{"jsonrpc":"2.0","method":"log"}"#);
    server.receive_eof(at(1));
    assert!(matches!(&events(&mut server)[..], [Event::Message(_)]));
    server.shutdown_done(at(1));
    assert!(server.is_closed());
}

#[test]
fn one_answer_may_be_all() {
    let mut server = with(|config| config.lifetime = Lifetime::OneAnswer);
    let request = |id: u32| {
        alloc::format!("{{\"jsonrpc\":\"2.0\",\"method\":\"sum\",\"params\":[1],\"id\":{id}}}")
    };
    server.receive(at(1), request(1).as_bytes());
    serve(&mut server);
    assert_eq!(server.phase(), PhaseName::Closing);
    server.receive(at(1), request(2).as_bytes());
    let answers = output(at(1), &mut server);
    assert!(answers.contains("\"id\":1") && answers.contains("closing"), "{answers}");
    server.receive_eof(at(1));
    server.shutdown_done(at(1));
    assert!(server.is_closed());
}

#[test]
fn what_did_not_leave_is_told() {
    let mut a = endpoint();
    let call = a.call(at(0), "m", &Nil, SECOND).unwrap();
    a.send(at(0), "n", &Nil).unwrap();
    a.transport_lost(at(1));
    let outcome = Err(CallFailure::ConnectionLost { sent: false });
    let closed = Closed { reason: CloseReason::TransportLost, unsent: 1 };
    assert_eq!(events(&mut a), [Event::Finished { call, outcome }, Event::Closed(closed)]);
    assert_eq!(a.send(at(1), "n", &Nil), Err(SendError::NotOpen(PhaseName::Closed)));
}

#[test]
fn nothing_follows_the_end() {
    let mut a = with(|config| config.limits.calls_max = 1);
    a.call(at(0), "m", &Nil, SECOND).unwrap();
    assert_eq!(a.call(at(0), "m", &Nil, SECOND), Err(SendError::Blocked));
    a.abort(at(0));
    a.handle_timeout(at(1));
    a.advance_transmit(at(1), 0);
    assert!(matches!(events(&mut a)[..], [Event::Finished { .. }, Event::Closed(_)]));
}

#[test]
fn nothing_stalls_where_nothing_waits() {
    let mut a = endpoint();
    a.call(at(0), "m", &Nil, SECOND * 60).unwrap();
    a.receive(at(28_000), br#"{"jsonrpc":"2.0","method":"m","id":1}"#);
    a.receive_eof(at(28_000));
    assert_eq!(a.pending_bytes(), 0, "the call was taken back");
    assert_eq!(a.next_deadline(), Some(Deadline { at: at(33_000), why: Timer::Drain }));
    a.handle_timeout(at(30_000));
    assert_eq!(a.phase(), PhaseName::Closing, "the request may still be answered");
}

#[test]
fn an_end_without_patience_is_over_at_once() {
    for drain in [Duration::ZERO, SECOND] {
        let mut a = with(|config| {
            (config.limits.drain, config.limits.linger) = (drain, Duration::ZERO);
            config.limits.idle_timeout = Some(SECOND);
        });
        a.call(at(0), "m", &Nil, SECOND * 60).unwrap();
        a.close(at(0));
        a.handle_timeout(at(0) + drain);
        assert_eq!(a.next_deadline(), None);
        let mut idle = with(|config| {
            (config.limits.drain, config.limits.linger) = (drain, Duration::ZERO);
            config.limits.idle_timeout = Some(SECOND);
        });
        idle.handle_timeout(at(1000));
        assert_eq!(idle.next_deadline(), None);
        assert!(idle.is_closed());
    }
}
