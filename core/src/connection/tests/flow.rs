use super::*;

fn pause() -> Vec<u8> {
    frame(Kind::Pause, Flags::empty(), 0, &[])
}

fn resume() -> Vec<u8> {
    frame(Kind::Resume, Flags::empty(), 0, &[])
}

#[test]
fn a_paused_side_sends_only_control_frames_and_answers() {
    let mut b = server_with_peer(Config::default());
    b.send(at(1), "before", &Raw(&[1])).unwrap();
    b.receive(at(1), &pause());
    assert!(b.is_paused_by_peer());
    b.send(at(1), "after", &Raw(&[2])).unwrap();
    b.call(at(1), "m", &Raw(&[0x80]), TIMEOUT).unwrap();
    b.receive(at(1), &request(1, "m"));
    let [Event::Request(asked)] = &events(&mut b)[..] else { panic!() };
    b.respond(at(1), asked.id, &Raw(&[3])).unwrap();
    b.receive(at(1), &frame(Kind::HeartbeatPing, Flags::empty(), 0, &[]));
    assert_eq!(kinds(&take_output(at(1), &mut b)), [Kind::RpcResponse, Kind::HeartbeatPong]);
    assert_eq!(b.sent_through().number(), 0);

    b.receive(at(2), &resume());
    assert!(!b.is_paused_by_peer());
    let released = frames(&take_output(at(2), &mut b));
    let kinds: Vec<Kind> = released.iter().map(|frame| frame.header.kind).collect();
    assert_eq!(kinds, [Kind::Message, Kind::Message, Kind::RpcRequest]);
    let first = rpc::read_message(released[0].payload.clone(), 64).unwrap();
    assert_eq!(first.name.as_str(), "before");
    assert_eq!(b.sent_through().number(), 2);
}

#[test]
fn a_frame_that_has_begun_to_leave_is_finished_in_spite_of_a_pause() {
    let mut b = server_with_peer(Config::default());
    b.send(at(1), "one", &Raw(&[1])).unwrap();
    b.send(at(1), "two", &Raw(&[2])).unwrap();
    let all: Vec<u8> = b.transmit().flatten().copied().collect();
    b.advance_transmit(at(1), 5);
    b.receive(at(1), &pause());
    let mut written = all[..5].to_vec();
    written.extend(take_output(at(1), &mut b));
    assert_eq!(frames(&written).len(), 1);
    b.receive(at(1), &resume());
    written.extend(take_output(at(1), &mut b));
    assert_eq!(written, all);
}

#[test]
fn a_call_that_ends_while_it_is_held_back_is_never_made() {
    let mut b = server_with_peer(Config::default());
    b.receive(at(1), &pause());
    let call = b.call(at(1), "m", &Raw(&[0x80]), TIMEOUT).unwrap();
    b.cancel(at(1), call);
    b.receive(at(1), &resume());
    assert!(take_output(at(1), &mut b).is_empty());
}

#[test]
fn a_call_that_is_forgotten_is_made_in_spite_of_a_pause() {
    for pause_first in [true, false] {
        let mut b = server_with_peer(Config::default());
        if pause_first {
            b.receive(at(1), &pause());
        }
        let call = b.call(at(1), "m", &Raw(&[0x80]), TIMEOUT).unwrap();
        assert!(b.forget(at(1), call));
        let acked = b.send_acked(at(1), "n", &Raw(&[0x80]), TIMEOUT).unwrap();
        assert!(b.forget(at(1), acked));
        b.receive(at(1), &pause());
        assert!(take_output(at(1), &mut b).is_empty());
        b.receive(at(1), &resume());
        let sent = kinds(&take_output(at(1), &mut b));
        assert_eq!(sent, [Kind::RpcRequest, Kind::Message], "paused first: {pause_first}");
    }
}

#[test]
fn a_pause_without_end_ends_the_connection() {
    let mut b = server_with_peer(Config::default());
    b.receive(at(0), &pause());
    // A peer that is alive otherwise does not change that.
    b.receive(at(50_000), &frame(Kind::HeartbeatPong, Flags::empty(), 0, &[]));
    b.handle_timeout(at(59_999));
    assert!(!b.is_closed());
    b.handle_timeout(at(60_000));
    assert!(matches!(closed(&events(&mut b)).reason, CloseReason::PausedTooLong { .. }));
}

#[test]
fn a_full_inbox_pauses_the_peer_and_a_drained_one_lets_it_go_on() {
    let limits = Limits { receive_queue_frames: 10, ..Limits::default() };
    let mut b = server_with_peer(Config { limits, ..Config::default() });
    for _ in 0..7 {
        b.receive(at(1), &message("m", &[1]));
    }
    assert!(take_output(at(1), &mut b).is_empty());
    b.receive(at(1), &message("m", &[1]));
    assert_eq!(kinds(&take_output(at(1), &mut b)), [Kind::Pause]);
    for _ in 0..4 {
        b.receive(at(1), &message("m", &[1]));
    }
    assert!(!b.wants_read(), "the queue is full, two more wait in the decoder");

    let mut got = 0;
    let mut told = Vec::new();
    while b.poll_event().is_some() {
        got += 1;
        told.extend(kinds(&take_output(at(1), &mut b)));
    }
    assert_eq!(got, 12, "nothing is lost");
    assert_eq!(told, [Kind::Resume]);
    assert!(b.wants_read());
}

#[test]
fn a_python_peer_that_is_paused_is_not_asked_anything_until_it_goes_on() {
    let limits = Limits { receive_queue_frames: 10, ..Limits::default() };
    let mut b = server_with_peer(Config { limits, ..Config::default() });
    for _ in 0..8 {
        b.receive(at(1), &message("m", &[1]));
    }
    assert_eq!(kinds(&take_output(at(1), &mut b)), [Kind::Pause]);
    b.call(at(1), "m", &Raw(&[0x80]), TIMEOUT).unwrap();
    b.handle_timeout(at(30_000));
    assert!(take_output(at(30_000), &mut b).is_empty(), "neither request nor ping");
    b.receive(at(30_000), &resume());
    assert_eq!(kinds(&take_output(at(30_000), &mut b)), [Kind::RpcRequest]);
}

#[test]
fn outcomes_pass_messages_that_nobody_has_room_for() {
    let (mut a, mut b) = pair();
    let call = a.call(at(1), "m", &Raw(&[0x80]), TIMEOUT).unwrap();
    pump(at(1), &mut a, &mut b);
    let [Event::Request(asked)] = &events(&mut b)[..] else { panic!() };
    b.send(at(1), "first", &Raw(&[1])).unwrap();
    b.respond(at(1), asked.id, &Raw(&[2])).unwrap();
    pump(at(1), &mut a, &mut b);
    assert!(matches!(a.poll_outcome(), Some(Event::Finished { call: c, .. }) if c == call));
    assert_eq!(a.poll_outcome(), None);
    assert!(matches!(a.poll_event(), Some(Event::Message(_))));
}

#[test]
fn a_peer_that_does_not_read_its_answers_gets_no_further_ones() {
    let limits = Limits { send_queue_bytes: 1000, ..Limits::default() };
    let mut b = server_with_peer(Config { limits, ..Config::default() });
    b.receive(at(1), &request(1, "m"));
    b.receive(at(1), &request(2, "m"));
    let Some(Event::Request(first)) = b.poll_event() else { panic!() };
    let big = Bytes::from(vec![0; 2000]);
    b.respond(at(1), first.id, &Typed(&big)).unwrap();
    assert_eq!(b.poll_event(), None);
    take_output(at(1), &mut b);
    assert!(matches!(b.poll_event(), Some(Event::Request(_))));
}

#[test]
fn the_send_queue_is_bounded_in_frames_and_bytes_and_room_is_announced() {
    let limits = Limits { send_queue_frames: 4, send_queue_bytes: 10_000, ..Limits::default() };
    let (mut a, _b) = pair_with(Config { limits, ..Config::default() }, Config::default());
    for _ in 0..4 {
        a.send(at(1), "m", &Raw(&[1])).unwrap();
    }
    assert_eq!(a.send(at(1), "m", &Raw(&[1])), Err(SendError::Blocked));
    let one = a.pending_bytes() / 4;
    a.advance_transmit(at(1), one);
    assert_eq!(a.poll_event(), None, "room is worth a wake-up at half");
    a.advance_transmit(at(1), one);
    assert_eq!(events(&mut a), [Event::Writable]);
    take_output(at(1), &mut a);

    let big = Bytes::from(vec![0; 20_000]);
    a.send(at(1), "m", &Typed(&big)).expect("one large frame may wait alone");
    assert_eq!(a.send(at(1), "m", &Raw(&[1])), Err(SendError::Blocked));
}

#[test]
fn pings_keep_their_interval_and_any_frame_is_a_sign_of_life() {
    let config = Config {
        heartbeat_interval: SECOND,
        heartbeat_timeout: Duration::from_secs(3),
        ..Config::default()
    };
    let mut b = server_with_peer(config);
    assert_eq!(b.next_deadline().unwrap(), Deadline { at: at(1000), why: Timer::Ping });
    b.handle_timeout(at(1000));
    assert_eq!(kinds(&take_output(at(1000), &mut b)), [Kind::HeartbeatPing]);
    b.receive(at(1250), &frame(Kind::HeartbeatPong, Flags::empty(), 0, &[]));
    assert_eq!(events(&mut b), [Event::Pong { round_trip: Duration::from_millis(250) }]);
    b.receive(at(2500), &message("m", &[1]));
    // Bytes that do not make a frame are no sign of life.
    b.receive(at(5000), &message("m", &[1])[..10]);
    for second in 2..=5 {
        b.handle_timeout(at(second * 1000));
    }
    assert!(!b.is_closed());
    b.handle_timeout(at(5500));
    assert!(matches!(closed(&events(&mut b)).reason, CloseReason::HeartbeatTimeout { .. }));
}

#[test]
fn a_flood_of_pings_is_answered_once_at_a_time_and_ends() {
    let mut b = server_with_peer(Config::default());
    let ping = frame(Kind::HeartbeatPing, Flags::empty(), 0, &[]);
    for _ in 0..90 {
        b.receive(at(1), &ping);
    }
    assert_eq!(kinds(&take_output(at(1), &mut b)), [Kind::HeartbeatPong]);
    for _ in 0..100 {
        b.receive(at(1), &ping);
    }
    assert_ne!(b.phase(), PhaseName::Open);
}

#[test]
fn closing_finishes_what_is_under_way() {
    let (mut a, mut b) = pair();
    let call = a.call(at(1), "m", &Raw(&[0x80]), TIMEOUT).unwrap();
    pump(at(1), &mut a, &mut b);
    let [Event::Request(asked)] = &events(&mut b)[..] else { panic!() };
    b.close(at(1));
    assert_eq!(b.send(at(1), "m", &Raw(&[1])), Err(SendError::NotOpen(PhaseName::Closing)));
    pump(at(1), &mut a, &mut b);
    assert_eq!(a.phase(), PhaseName::Closing);
    assert!(!b.wants_shutdown(), "a request is still open");
    b.respond(at(2), asked.id, &Raw(&[2])).unwrap();
    pump(at(2), &mut a, &mut b);
    assert!(b.wants_shutdown() && a.wants_shutdown());
    b.shutdown_done(at(2));
    a.shutdown_done(at(2));
    let of_a = events(&mut a);
    assert!(matches!(&of_a[0], Event::Finished { call: c, outcome: Ok(_) } if *c == call));
    assert_eq!(closed(&of_a).reason, CloseReason::Peer);
    assert_eq!(closed(&events(&mut b)).reason, CloseReason::Local);
}

#[test]
fn closing_does_not_wait_for_ever() {
    let mut b = server_with_peer(Config::default());
    b.receive(at(0), &request(1, "m"));
    events(&mut b);
    b.close(at(0));
    take_output(at(0), &mut b);
    assert_eq!(b.next_deadline().unwrap(), Deadline { at: at(5000), why: Timer::Drain });
    b.handle_timeout(at(5000));
    assert!(b.wants_shutdown());
    b.shutdown_done(at(5000));
    assert_eq!(closed(&events(&mut b)).reason, CloseReason::Local);
}

#[test]
fn a_request_that_comes_while_closing_is_refused_in_words() {
    let mut b = server_with_peer(Config::default());
    b.receive(at(0), &request(1, "m"));
    b.close(at(0));
    b.receive(at(0), &request(2, "m"));
    let all = frames(&take_output(at(0), &mut b));
    assert_eq!((all[1].header.kind, all[1].header.correlation), (Kind::RpcResponse, 2));
    let fields: serde_json::Value = from_slice(&all[1].payload).unwrap();
    assert_eq!(fields["result"]["code"], 5000);
}

#[test]
fn an_eof_lets_answers_out_that_were_asked_for() {
    let mut b = server_with_peer(Config::default());
    b.receive(at(0), &request(1, "m"));
    let call = b.call(at(0), "m", &Raw(&[0x80]), TIMEOUT).unwrap();
    take_output(at(0), &mut b);
    b.receive_eof(at(0));
    let all = events(&mut b);
    let [Event::Request(asked), Event::Finished { call: lost, outcome }] = &all[..] else {
        panic!("{all:?}")
    };
    assert_eq!((lost, outcome), (&call, &Err(CallFailure::ConnectionLost { sent: true })));
    b.respond(at(0), asked.id, &Raw(&[1])).unwrap();
    assert_eq!(kinds(&take_output(at(0), &mut b)), [Kind::RpcResponse]);
    assert!(b.wants_shutdown());
    b.shutdown_done(at(0));
    assert_eq!(closed(&events(&mut b)).reason, CloseReason::Peer);
}

#[test]
fn what_came_before_an_eof_is_delivered_even_to_a_slow_application() {
    let limits = Limits { receive_queue_frames: 2, ..Limits::default() };
    let mut b = server_with_peer(Config { limits, ..Config::default() });
    for _ in 0..5 {
        b.receive(at(0), &message("m", &[1]));
    }
    b.receive_eof(at(0));
    let messages = (0..5).filter(|_| matches!(b.poll_event(), Some(Event::Message(_)))).count();
    assert_eq!(messages, 5);
    take_output(at(0), &mut b);
    b.shutdown_done(at(0));
    assert_eq!(closed(&events(&mut b)).reason, CloseReason::Peer);
}

#[test]
fn an_idle_end_of_the_peer_needs_no_waiting() {
    let mut b = server_with_peer(Config::default());
    b.receive_eof(at(0));
    assert!(b.wants_shutdown());
    b.shutdown_done(at(0));
    assert_eq!(closed(&events(&mut b)).reason, CloseReason::Peer);
    assert!(b.is_closed());
}

#[test]
fn unsent_messages_are_told() {
    let (mut a, _b) = pair();
    for _ in 0..3 {
        a.send(at(1), "m", &Raw(&[1])).unwrap();
    }
    let one = a.pending_bytes() / 3;
    a.advance_transmit(at(1), one + 1);
    assert_eq!(a.sent_through().number(), 1);
    a.abort(at(1));
    assert_eq!(*closed(&events(&mut a)), Closed { reason: CloseReason::Local, unsent: 2 });
    assert_eq!(a.sent_through().number(), 1, "it outlives the connection");
}

#[test]
fn a_broadcast_is_shared_and_ordered_with_everything_else() {
    let (mut a, mut b) = pair();
    let encode = |dialect| {
        let text = "x".repeat(2000);
        let format = Format { dialect, compression: false };
        SharedMessage::encode(format, 9, "news", &Typed(&text), &Limits::default()).unwrap()
    };
    let news = encode(Dialect::Netconduit);
    a.send(at(1), "first", &Raw(&[1])).unwrap();
    assert_eq!(a.send_shared(at(1), &news, Overflow::Refuse).unwrap().number(), 2);
    a.send(at(1), "last", &Raw(&[1])).unwrap();
    pump(at(1), &mut a, &mut b);
    let names: Vec<_> = events(&mut b)
        .into_iter()
        .map(|event| match event {
            Event::Message(message) => message.name.to_string(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(names, ["first", "news", "last"]);
    assert!(matches!(
        a.send_shared(at(1), &encode(Dialect::Cndt), Overflow::Refuse),
        Err(SendError::FormatMismatch { .. })
    ));
}

#[test]
fn time_never_goes_back_inside() {
    let (mut a, _b) = pair();
    a.handle_timeout(at(10_000));
    a.call(at(1), "m", &Raw(&[0x80]), SECOND).unwrap();
    assert_eq!(a.next_deadline().unwrap().at, at(11_000));
}
