//! Calls that nobody wants any more, and what the other side does about it.

use super::*;
use crate::resilience::Rate;
use crate::rpc::RpcError;

fn cndt_pair(server: Config) -> (Connection, Connection) {
    let (mut a, mut b) = (cndt_client(Config::default()), both_server(server));
    pump(Instant::ZERO, &mut a, &mut b);
    events(&mut a);
    events(&mut b);
    (a, b)
}

fn ask(a: &mut Connection) -> CallId {
    a.call(at(1), "slow", &Raw(&[0x80]), SECOND).unwrap()
}

fn the_request(b: &mut Connection) -> RequestId {
    match &events(b)[..] {
        [Event::Request(request)] => request.id,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_cancelled_request_ends_on_the_other_side_too() {
    let (mut a, mut b) = cndt_pair(Config::default());
    let call = ask(&mut a);
    pump(at(1), &mut a, &mut b);
    let id = the_request(&mut b);
    assert!(a.cancel(at(2), call));
    assert_eq!(kinds(&take_output(at(2), &mut a)), [Kind::Cancel]);
    b.receive(at(2), &frame_of(Dialect::Cndt, Kind::Cancel, Flags::empty(), 1, &[]));
    assert_eq!(events(&mut b), [Event::Cancelled(id)]);
    assert_eq!(b.respond(at(3), id, &Raw(&[1])), Err(SendError::NoSuchRequest(1)));
    let answer = frames(&take_output(at(3), &mut b));
    assert_eq!((answer.len(), answer[0].header.kind), (1, Kind::RpcError));
    let error =
        rpc::read_answer(Dialect::Cndt, Kind::RpcError, answer[0].payload.clone(), 64).unwrap();
    assert_eq!(error, Err(RpcError::cancelled()));
    a.receive(at(3), &frame_of(Dialect::Cndt, Kind::RpcError, Flags::empty(), 1, &[0x80]));
    assert!(events(&mut a).is_empty(), "a cancelled call has no outcome");
    assert_eq!((a.stats().late_answers, a.stats().strikes), (1, 0));
}

#[test]
fn a_request_that_nobody_has_seen_yet_is_never_seen() {
    let (mut a, mut b) = cndt_pair(Config::default());
    let (first, _second) = (ask(&mut a), ask(&mut a));
    pump(at(1), &mut a, &mut b);
    a.cancel(at(2), first);
    pump(at(2), &mut a, &mut b);
    assert_eq!(the_request(&mut b).correlation(), 2);
}

#[test]
fn a_call_that_times_out_is_cancelled_as_well() {
    let (mut a, mut b) = cndt_pair(Config::default());
    ask(&mut a);
    pump(at(1), &mut a, &mut b);
    let id = the_request(&mut b);
    a.handle_timeout(at(1001));
    assert!(matches!(&events(&mut a)[..], [Event::Finished { outcome: Err(_), .. }]));
    pump(at(1001), &mut a, &mut b);
    assert_eq!(events(&mut b), [Event::Cancelled(id)]);
    assert!(events(&mut a).is_empty());
}

#[test]
fn a_word_that_comes_too_late_does_nothing() {
    let (mut a, mut b) = cndt_pair(Config::default());
    let call = ask(&mut a);
    pump(at(1), &mut a, &mut b);
    let id = the_request(&mut b);
    b.respond(at(2), id, &Raw(&[1])).unwrap();
    a.cancel(at(2), call);
    pump(at(2), &mut a, &mut b);
    assert!(events(&mut a).is_empty() && events(&mut b).is_empty());
    assert_eq!((a.stats().late_answers, b.stats().frames_sent), (1, 3));
}

#[test]
fn what_is_held_back_needs_no_word() {
    let (mut a, mut b) = cndt_pair(Config::default());
    a.receive(at(1), &frame_of(Dialect::Cndt, Kind::Pause, Flags::empty(), 0, &[]));
    let call = ask(&mut a);
    a.cancel(at(1), call);
    a.receive(at(2), &frame_of(Dialect::Cndt, Kind::Resume, Flags::empty(), 0, &[]));
    pump(at(2), &mut a, &mut b);
    assert!(events(&mut b).is_empty());
    assert_eq!(a.stats().frames_sent, 3, "the login, and the call that was held");
}

#[test]
fn a_forgotten_call_goes_on() {
    let (mut a, mut b) = cndt_pair(Config::default());
    let call = ask(&mut a);
    assert!(a.forget(at(1), call) && !a.forget(at(1), call));
    pump(at(1), &mut a, &mut b);
    let id = the_request(&mut b);
    b.respond(at(2), id, &Raw(&[1])).unwrap();
    pump(at(2), &mut a, &mut b);
    assert!(events(&mut a).is_empty());
    assert_eq!(a.stats().late_answers, 1);
}

#[test]
fn an_acknowledgement_cannot_be_cancelled_on_the_wire() {
    let (mut a, _b) = cndt_pair(Config::default());
    let call = a.send_acked(at(1), "note", &Raw(&[1]), SECOND).unwrap();
    a.cancel(at(1), call);
    assert_eq!(kinds(&take_output(at(1), &mut a)), [Kind::Message]);
}

#[test]
fn cancelling_at_once_does_not_evade_the_bound_on_open_requests() {
    let mut config = Config::default();
    config.limits.rate_cancels = Rate { per_second: 1, burst: 3 };
    let (_, mut b) = cndt_pair(config);
    let mut payload = BytesMut::new();
    rpc::write_request(&mut payload, "slow", &Raw(&[0x80])).unwrap();
    for id in 1..=5 {
        b.receive(at(1), &frame_of(Dialect::Cndt, Kind::RpcRequest, Flags::empty(), id, &payload));
        assert_eq!(the_request(&mut b).correlation(), id);
        b.receive(at(1), &frame_of(Dialect::Cndt, Kind::Cancel, Flags::empty(), id, &[]));
        let cancelled = events(&mut b).len();
        assert_eq!(cancelled, usize::from(id <= 3), "{id}");
    }
    assert_eq!((b.stats().rate_limited, b.stats().strikes), (2, 0));
    // They are still open, and are answered as ever.
    for id in [4, 5] {
        b.respond(at(2), RequestId(id), &Raw(&[1])).unwrap();
    }
}
