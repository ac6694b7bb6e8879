//! What a peer may cost: each bound, met and exceeded.

use super::*;
use crate::resilience::Rate;
use crate::rpc::Beside;

fn with(change: impl FnOnce(&mut Limits)) -> Config {
    let mut config = Config::default();
    change(&mut config.limits);
    config
}

/// A server of dialect `cndt` with a scripted client.
fn open_server(config: Config) -> Connection {
    let (mut a, mut b) = (cndt_client(Config::default()), both_server(config));
    pump(Instant::ZERO, &mut a, &mut b);
    events(&mut b);
    b
}

fn cndt(kind: Kind, correlation: u64, payload: &[u8]) -> Vec<u8> {
    frame_of(Dialect::Cndt, kind, Flags::empty(), correlation, payload)
}

fn ask(id: u64) -> Vec<u8> {
    cndt(Kind::RpcRequest, id, &request(id, "m")[HEADER_LEN..])
}

fn say() -> Vec<u8> {
    cndt(Kind::Message, 0, &message("m", &[1])[HEADER_LEN..])
}

fn errors(bytes: &[u8]) -> Vec<RpcError> {
    frames(bytes)
        .iter()
        .map(|frame| {
            assert_eq!(frame.header.kind, Kind::RpcError);
            let bounds = 64;
            rpc::read_answer(frame.dialect, frame.header.kind, frame.payload.clone(), bounds)
                .unwrap()
                .unwrap_err()
        })
        .collect()
}

#[test]
fn requests_beyond_the_rate_are_refused_with_the_time_to_wait() {
    let rate = Some(Rate { per_second: 10, burst: 2 });
    let mut b = open_server(with(|limits| limits.rate_messages = rate));
    b.receive(at(0), &[ask(1), ask(2), ask(3)].concat());
    assert_eq!(events(&mut b).len(), 2);
    let refused = errors(&take_output(at(0), &mut b));
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].code, ErrorCode::RateLimited);
    let details: serde_json::Value = from_slice(refused[0].details.as_ref().unwrap()).unwrap();
    assert_eq!(details, serde_json::json!({"retry_after": 0.1}));
    b.receive(at(100), &ask(3));
    assert_eq!(events(&mut b).len(), 1, "it may be asked again");
    assert_eq!(b.stats().rate_limited, 1);
}

#[test]
fn messages_beyond_the_rate_are_dropped_counted_and_refused_where_that_is_asked() {
    let rate = Some(Rate { per_second: 1, burst: 1 });
    let mut b = open_server(with(|limits| limits.rate_messages = rate));
    let payload = &message("m", &[1])[HEADER_LEN..];
    let wants_ack = frame_of(Dialect::Cndt, Kind::Message, Flags::REQUIRES_ACK, 5, payload);
    b.receive(at(0), &[say(), say(), wants_ack].concat());
    assert_eq!(events(&mut b).len(), 1);
    assert_eq!(kinds(&take_output(at(0), &mut b)), [Kind::Nack]);
    assert_eq!((b.stats().rate_limited, b.stats().strikes), (2, 0));
}

#[test]
fn bytes_are_limited_and_every_frame_counts_as_some() {
    let rate = Some(Rate { per_second: 1000, burst: 1000 });
    let mut b = open_server(with(|limits| limits.rate_bytes = rate));
    // Three small frames count 256 each; the fourth does not fit any more.
    b.receive(at(0), &[say(), say(), say(), say()].concat());
    assert_eq!((events(&mut b).len(), b.stats().rate_limited), (3, 1));
    // One that is larger than the burst passes when nothing else has.
    let mut payload = BytesMut::new();
    rpc::write_message(&mut payload, "m", &Typed(&"x".repeat(5000))).unwrap();
    b.receive(at(2000), &cndt(Kind::Message, 0, &payload));
    assert_eq!((events(&mut b).len(), b.stats().rate_limited), (1, 1));
    b.receive(at(2100), &say());
    assert_eq!(b.stats().rate_limited, 2);
}

#[test]
fn answers_and_pings_are_never_limited_by_the_rate() {
    let rate = Some(Rate { per_second: 1, burst: 1 });
    let mut b = open_server(with(|limits| limits.rate_messages = rate));
    for id in 1..=5 {
        b.call(at(0), "m", &Raw(&[0x80]), SECOND).unwrap();
        let mut answer = BytesMut::new();
        rpc::write_result(&mut answer, Dialect::Cndt, &Raw(&[7]), &Beside::default()).unwrap();
        b.receive(at(0), &cndt(Kind::RpcResponse, id, &answer));
        b.receive(at(0), &cndt(Kind::HeartbeatPing, 0, &[]));
    }
    assert_eq!(events(&mut b).len(), 5);
    assert_eq!((b.stats().rate_limited, b.stats().strikes), (0, 0));
}

#[test]
fn requests_that_nobody_answers_do_not_pile_up() {
    let mut b = open_server(with(|limits| limits.serves_max = 3));
    b.receive(at(0), &[ask(1), ask(2), ask(3), ask(4)].concat());
    assert_eq!(events(&mut b).len(), 3);
    let refused = errors(&take_output(at(0), &mut b));
    assert_eq!((refused.len(), refused[0].code), (1, ErrorCode::RateLimited));
    b.respond(at(0), RequestId(2), &Raw(&[1])).unwrap();
    b.receive(at(0), &ask(5));
    assert_eq!(events(&mut b).len(), 1);
}

#[test]
fn a_frame_that_drips_ends_the_connection_in_its_time() {
    let whole = cndt(Kind::Message, 0, &vec![0xc0; 64 * 1024]);
    let mut b = open_server(Config::default());
    // 10 s, and 4 s for 64 KiB at 16 KiB a second; the header alone tells the length.
    b.receive(at(1000), &whole[..10]);
    let deadline = b.next_deadline().unwrap();
    assert_eq!(deadline, Deadline { at: at(11_000), why: Timer::Frame });
    b.receive(at(2000), &whole[10..100]);
    let deadline = b.next_deadline().unwrap();
    assert_eq!(deadline, Deadline { at: at(15_000), why: Timer::Frame });
    for second in 3..15 {
        b.receive(at(second * 1000), &[0xc0]);
        b.handle_timeout(at(second * 1000));
        assert!(!b.is_closed(), "it has its time");
    }
    b.handle_timeout(at(15_000));
    let after = Duration::from_secs(14);
    assert_eq!(closed(&events(&mut b)).reason, CloseReason::FrameTimeout { after });
}

#[test]
fn each_frame_has_a_time_of_its_own() {
    let mut b = open_server(Config::default());
    let whole = say();
    let mut now = 0;
    for _ in 0..5 {
        b.receive(at(now), &whole[..20]);
        now += 9000;
        b.receive(at(now), &whole[20..]);
        b.handle_timeout(at(now));
        assert!(!b.is_closed());
    }
    assert_eq!(b.next_deadline().unwrap().why, Timer::Ping);
}

#[test]
fn a_frame_is_not_late_while_nobody_reads() {
    let mut b = open_server(with(|limits| limits.receive_queue_frames = 1));
    b.receive(at(0), &[say(), say()].concat());
    assert!(!b.wants_read());
    b.receive(at(0), &say()[..20]);
    for second in [20, 40, 60] {
        b.handle_timeout(at(second * 1000));
        take_output(at(second * 1000), &mut b);
        assert!(!b.is_closed(), "it is this side that does not read");
    }
}

#[test]
fn a_peer_that_takes_nothing_is_given_up_in_its_time() {
    let mut b = open_server(Config::default());
    b.send(at(1000), "news", &Raw(&[1])).unwrap();
    b.send(at(2000), "news", &Raw(&[2])).unwrap();
    // Any byte that is taken is progress.
    b.advance_transmit(at(20_000), 1);
    b.handle_timeout(at(49_999));
    assert!(!b.is_closed());
    b.handle_timeout(at(50_000));
    let after = Duration::from_secs(30);
    let events = events(&mut b);
    assert_eq!(closed(&events).reason, CloseReason::Stalled { after });
    assert_eq!(closed(&events).unsent, 2);
}

#[test]
fn a_peer_that_reads_is_never_stalled() {
    let mut b = open_server(Config::default());
    for second in 1..200 {
        b.send(at(second * 1000), "news", &Raw(&[1])).unwrap();
        b.receive(at(second * 1000), &cndt(Kind::HeartbeatPong, 0, &[]));
        b.handle_timeout(at(second * 1000));
        b.advance_transmit(at(second * 1000), 20);
        assert!(!b.is_closed(), "second {second}");
    }
    take_output(at(200_000), &mut b);
    assert_ne!(b.next_deadline().unwrap().why, Timer::Stall);
}

#[test]
fn an_idle_connection_is_closed_in_order() {
    let idle = Some(Duration::from_secs(100));
    let mut b = open_server(with(|limits| limits.idle_timeout = idle));
    for second in [20, 40, 60, 80] {
        b.receive(at(second * 1000), &cndt(Kind::HeartbeatPong, 0, &[]));
        b.handle_timeout(at(second * 1000));
        take_output(at(second * 1000), &mut b);
    }
    let deadline = b.next_deadline().unwrap();
    assert_eq!(deadline, Deadline { at: at(100_000), why: Timer::Idle });
    take_output(at(99_000), &mut b);
    b.handle_timeout(at(100_000));
    assert_eq!(kinds(&take_output(at(100_000), &mut b)), [Kind::Close]);
    b.shutdown_done(at(100_000));
    b.receive_eof(at(100_000));
    let after = Duration::from_secs(100);
    assert_eq!(closed(&events(&mut b)).reason, CloseReason::Idle { after });
}

#[test]
fn acknowledgements_that_nobody_reads_stop_the_reading() {
    let mut b = open_server(Config::default());
    let wants_ack = frame_of(Dialect::Cndt, Kind::HeartbeatPong, Flags::REQUIRES_ACK, 5, &[]);
    let many = wants_ack.repeat(1000);
    for _ in 0..1000 {
        if !b.wants_read() {
            break;
        }
        b.receive(at(0), &many);
    }
    assert!(!b.wants_read() && b.pending_bytes() <= 256 * 1024 + HEADER_LEN);
    let waiting = b.pending_bytes();
    b.advance_transmit(at(1), waiting);
    assert!(b.wants_read(), "once they are read it goes on");
}

#[test]
fn one_side_does_not_flap_as_it_forbids_the_other() {
    let mut b = open_server(with(|limits| limits.receive_queue_frames = 10));
    let mut changes = 0;
    for _ in 0..100 {
        b.receive(at(0), &say().repeat(9));
        events(&mut b);
        changes += take_output(at(0), &mut b).len() / HEADER_LEN;
    }
    assert_eq!(changes, 10, "five pauses, each with its end");
}

#[test]
fn what_waits_counts_as_large_as_it_is_in_memory() {
    let mut payload = BytesMut::new();
    rpc::write_message(&mut payload, "m", &Typed(&"x".repeat(1 << 19))).unwrap();
    let small = crate::wire::deflate(&payload).unwrap();
    let packed = frame_of(Dialect::Cndt, Kind::Message, Flags::COMPRESSED, 0, &small);
    let mut config = Config { compression: true, ..Config::default() };
    config.limits.receive_queue_bytes = 2 << 20;
    let mut b = open_server(config);
    b.receive(at(0), &packed.repeat(100));
    assert_eq!(events(&mut b).len(), 100, "each is taken once there is room");
    b.receive(at(0), &packed.repeat(100));
    assert!(!b.wants_read(), "four of them are enough");
    assert!(b.held_bytes() < 3 << 20);
}

#[test]
fn what_is_under_way_is_not_idle() {
    let idle = Some(Duration::from_secs(5));
    let mut b = open_server(with(|limits| limits.idle_timeout = idle));
    b.receive(at(4000), &ask(1));
    b.handle_timeout(at(9000));
    assert_eq!(b.phase(), PhaseName::Open, "it has not even been taken");
    events(&mut b);
    b.handle_timeout(at(20_000));
    assert_eq!(b.phase(), PhaseName::Open);
    b.respond(at(21_000), RequestId(1), &Raw(&[1])).unwrap();
    take_output(at(21_000), &mut b);
    b.handle_timeout(at(25_999));
    assert_eq!(b.phase(), PhaseName::Open);
    b.handle_timeout(at(26_000));
    assert_eq!(b.phase(), PhaseName::Closing);
}

#[test]
fn a_payload_of_too_many_values_is_refused() {
    let mut b = open_server(with(|limits| limits.elements_max = 100));
    let list = |length: usize| {
        let mut payload = BytesMut::new();
        rpc::write_message(&mut payload, "m", &Typed(&vec![0_u8; length])).unwrap();
        cndt(Kind::Message, 0, &payload)
    };
    b.receive(at(0), &list(100));
    assert_eq!((events(&mut b).len(), b.stats().strikes), (1, 0));
    b.receive(at(0), &list(101));
    assert_eq!((events(&mut b).len(), b.stats().strikes), (0, 1));
}

#[test]
fn a_second_answer_is_a_strike_and_a_late_one_is_not() {
    let (mut a, mut b) = (cndt_client(Config::default()), both_server(Config::default()));
    pump(at(0), &mut a, &mut b);
    events(&mut a);
    let mut result = BytesMut::new();
    rpc::write_result(&mut result, Dialect::Cndt, &Raw(&[7]), &Beside::default()).unwrap();
    let answer = |id: u64| cndt(Kind::RpcResponse, id, &result);
    for _ in 0..3 {
        a.call(at(0), "m", &Raw(&[0x80]), SECOND).unwrap();
    }
    a.receive(at(1), &answer(1));
    assert!(a.cancel(at(1), CallId(2)));
    a.handle_timeout(at(1000));
    assert_eq!(events(&mut a).len(), 2);
    a.receive(at(1001), &[answer(2), answer(3)].concat());
    assert_eq!((a.stats().late_answers, a.stats().strikes), (2, 0));
    a.receive(at(1002), &answer(1));
    assert_eq!((a.stats().late_answers, a.stats().strikes), (2, 1));
    for _ in 0..15 {
        a.receive(at(1003), &answer(3));
    }
    let last = Strike::DuplicateAnswer;
    let within = Duration::from_secs(60);
    let reason = CloseReason::Violation(Violation::TooManyStrikes { count: 16, within, last });
    a.shutdown_done(at(1004));
    a.receive_eof(at(1004));
    assert_eq!(closed(&events(&mut a)).reason, reason);
}

#[test]
fn pause_and_resume_in_turn_is_a_flood() {
    let mut b = open_server(Config::default());
    let both = [cndt(Kind::Pause, 0, &[]), cndt(Kind::Resume, 0, &[])].concat();
    for _ in 0..10 {
        b.receive(at(0), &both);
    }
    assert_eq!(b.stats().strikes, 0);
    b.receive(at(0), &both);
    assert_eq!(b.stats().strikes, 2);
    b.receive(at(1000), &both);
    assert_eq!(b.stats().strikes, 2, "it may calm down");
}

#[test]
fn a_million_pings_get_one_pong_and_an_end() {
    let mut b = open_server(Config::default());
    let many = cndt(Kind::HeartbeatPing, 0, &[]).repeat(1000);
    for _ in 0..1000 {
        b.receive(at(0), &many);
        assert!(b.pending_bytes() <= 2 * HEADER_LEN, "pongs pile up");
    }
    let expected = Strike::PingFlood;
    b.shutdown_done(at(0));
    b.receive_eof(at(0));
    match &closed(&events(&mut b)).reason {
        CloseReason::Violation(Violation::TooManyStrikes { last, .. }) => {
            assert_eq!(*last, expected);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_million_tiny_frames_wait_in_the_transport() {
    let mut b = open_server(Config::default());
    let many = say().repeat(1000);
    let mut taken = 0;
    for _ in 0..1000 {
        if !b.wants_read() {
            break;
        }
        b.receive(at(0), &many);
        taken += 1;
    }
    assert!(taken <= 2, "the queue has room for 1,000");
    assert!(b.pending_bytes() <= HEADER_LEN, "a PAUSE, and nothing else");
}

#[test]
fn garbage_before_login_changes_nothing_but_the_connection_it_came_on() {
    for config in [Config::default(), with(|limits| limits.preauth_frame_max = 1024)] {
        let max = config.limits.preauth_frame_max;
        let too_long =
            frame_of(Dialect::Cndt, Kind::AuthRequest, Flags::empty(), 1, &vec![0; max + 1]);
        let mut b = both_server(config);
        b.receive(at(0), &too_long[..HEADER_LEN]);
        assert!(b.is_closed(), "the header alone decides");
        assert_eq!(b.pending_bytes(), 0);
    }
}

#[test]
fn spans_of_nothing_are_over_at_once() {
    let mut b = open_server(with(|limits| {
        limits.drain = Duration::ZERO;
        limits.linger = Duration::ZERO;
    }));
    b.receive(
        at(1),
        &cndt(Kind::RpcRequest, 1, &{
            let mut payload = BytesMut::new();
            rpc::write_request(&mut payload, "m", &Raw(&[0x80])).unwrap();
            payload
        }),
    );
    b.close(at(2));
    b.handle_timeout(at(2));
    assert!(
        b.next_deadline().is_none_or(|deadline| deadline.at > at(2)),
        "{:?}",
        b.next_deadline()
    );
    assert!(b.is_closed());
}
