use super::*;
use crate::rpc::{Beside, Page};
use serde_json::{Value, json};

/// The one request that `server` has waiting.
fn only_request(server: &mut Connection) -> Request {
    match &events(server)[..] {
        [Event::Request(request)] => request.clone(),
        other => panic!("{other:?}"),
    }
}

fn only_outcome(client: &mut Connection) -> (CallId, Outcome) {
    match &events(client)[..] {
        [Event::Finished { call, outcome }] => (*call, outcome.clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_call_is_answered_in_both_directions() {
    let (mut a, mut b) = pair();
    for _ in 0..2 {
        let params = json!({"a": 10, "b": 20});
        let call = a.call(at(1), "add", &Typed(&params), TIMEOUT).unwrap();
        pump(at(1), &mut a, &mut b);
        let request = only_request(&mut b);
        assert_eq!(request.method.as_str(), "add");
        assert_eq!(from_slice::<Value>(&request.params).unwrap(), params);
        b.respond(at(1), request.id, &Typed(&30)).unwrap();
        pump(at(1), &mut a, &mut b);
        let (finished, outcome) = only_outcome(&mut a);
        assert_eq!(finished, call);
        assert_eq!(from_slice::<i64>(&outcome.unwrap().data).unwrap(), 30);
        core::mem::swap(&mut a, &mut b);
    }
}

#[test]
fn ids_count_up_from_one() {
    let (mut a, _b) = pair();
    let ids: Vec<u64> =
        (0..3).map(|_| a.call(at(1), "m", &Raw(&[0x80]), TIMEOUT).unwrap().correlation()).collect();
    assert_eq!(ids, [1, 2, 3]);
}

#[test]
fn a_failure_travels_as_the_python_package_writes_it() {
    let (mut a, mut b) = pair();
    a.call(at(1), "nope", &Raw(&[0x80]), TIMEOUT).unwrap();
    pump(at(1), &mut a, &mut b);
    let id = only_request(&mut b).id;
    let details = json!({"hint": 1});
    let error = RpcError::method_not_found("nope").with_details(&details).unwrap();
    b.respond_error(at(1), id, &error).unwrap();
    let bytes = take_output(at(1), &mut b);
    let [answer] = &frames(&bytes)[..] else { panic!() };
    assert_eq!(answer.header.kind, Kind::RpcResponse);
    let fields: Value = from_slice(&answer.payload).unwrap();
    assert_eq!(
        fields,
        json!({"success": true, "result": {
            "success": false, "error": "RPC method not found: nope", "code": 4000,
            "details": {"hint": 1}}})
    );
    a.receive(at(1), &bytes);
    assert_eq!(only_outcome(&mut a).1, Err(CallFailure::Remote(error)));
}

#[test]
fn numbers_of_the_package_are_translated_at_the_boundary() {
    let (mut a, mut b) = pair();
    a.call(at(1), "m", &Raw(&[0x80]), TIMEOUT).unwrap();
    pump(at(1), &mut a, &mut b);
    let id = only_request(&mut b).id;
    b.respond_error(at(1), id, &RpcError::permission_denied("no")).unwrap();
    let bytes = take_output(at(1), &mut b);
    let fields: Value = from_slice(&frames(&bytes)[0].payload).unwrap();
    assert_eq!(fields["result"]["code"], 3003);
    a.receive(at(1), &bytes);
    match only_outcome(&mut a).1 {
        Err(CallFailure::Remote(error)) => assert_eq!(error.code, ErrorCode::PermissionDenied),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_result_that_is_an_envelope_itself_passes_unwrapped() {
    let (mut a, mut b) = pair();
    a.call(at(1), "m", &Raw(&[0x80]), TIMEOUT).unwrap();
    pump(at(1), &mut a, &mut b);
    let id = only_request(&mut b).id;
    let own = json!({"success": true, "data": {"x": 1}, "extra": 2});
    b.respond(at(1), id, &Typed(&own)).unwrap();
    let bytes = take_output(at(1), &mut b);
    let fields: Value = from_slice(&frames(&bytes)[0].payload).unwrap();
    assert_eq!(fields, json!({"success": true, "result": own}));
    a.receive(at(1), &bytes);
    let reply = only_outcome(&mut a).1.unwrap();
    assert_eq!(from_slice::<Value>(&reply.data).unwrap(), json!({"x": 1}));
    assert_eq!(from_slice::<Value>(&reply.envelope.unwrap()).unwrap(), own);
}

#[test]
fn rpc_error_frames_are_understood_as_well() {
    let (mut a, _b) = pair();
    a.call(at(1), "m", &Raw(&[0x80]), TIMEOUT).unwrap();
    let mut payload = BytesMut::new();
    Typed(&json!({"success": false, "error": "bad", "code": 2000})).write(&mut payload).unwrap();
    a.receive(at(1), &frame(Kind::RpcError, Flags::empty(), 1, &payload));
    assert_eq!(only_outcome(&mut a).1, Err(CallFailure::Remote(RpcError::validation("bad"))));
}

#[test]
fn an_unreadable_answer_ends_its_call_and_nothing_else() {
    let (mut a, _b) = pair();
    a.call(at(1), "m", &Raw(&[0x80]), TIMEOUT).unwrap();
    a.receive(at(1), &frame(Kind::RpcResponse, Flags::empty(), 1, &[0xc1]));
    assert!(matches!(only_outcome(&mut a).1, Err(CallFailure::Unreadable(_))));
    assert_eq!(a.phase(), PhaseName::Open);
}

#[test]
fn a_call_times_out_once_and_its_late_answer_is_dropped() {
    let (mut a, mut b) = pair();
    let call = a.call(at(0), "slow", &Raw(&[0x80]), SECOND).unwrap();
    pump(at(0), &mut a, &mut b);
    let id = only_request(&mut b).id;
    assert_eq!(a.next_deadline().unwrap(), Deadline { at: at(1000), why: Timer::Call });
    a.handle_timeout(at(999));
    assert!(events(&mut a).is_empty());
    a.handle_timeout(at(1000));
    assert_eq!(only_outcome(&mut a), (call, Err(CallFailure::TimedOut { after: SECOND })));
    assert!(a.next_deadline().unwrap().at > at(1000));
    b.respond(at(1001), id, &Raw(&[1])).unwrap();
    pump(at(1001), &mut a, &mut b);
    assert!(events(&mut a).is_empty());
    assert_eq!(a.stats().late_answers, 1);
    assert_eq!(a.phase(), PhaseName::Open);
}

#[test]
fn a_cancelled_call_has_no_event_and_is_told_so_once() {
    let (mut a, _b) = pair();
    let call = a.call(at(0), "m", &Raw(&[0x80]), SECOND).unwrap();
    assert!(a.cancel(at(1), call));
    assert!(!a.cancel(at(1), call));
    a.handle_timeout(at(2000));
    assert!(events(&mut a).is_empty());
}

#[test]
fn an_answer_to_a_call_never_made_breaks_the_protocol() {
    let (mut a, _b) = pair();
    a.receive(at(1), &frame(Kind::RpcResponse, Flags::empty(), 1, &[0x80]));
    let end = take_output(at(1), &mut a);
    assert_eq!(kinds(&end), [Kind::Close]);
    a.shutdown_done(at(1));
    assert_eq!(
        closed(&events(&mut a)).reason,
        CloseReason::Violation(Violation::UnknownCall { correlation: 1 })
    );
}

#[test]
fn a_request_id_that_is_in_use_breaks_the_protocol() {
    let mut b = server_with_peer(Config::default());
    b.receive(at(1), &request(7, "m"));
    b.receive(at(1), &request(7, "m"));
    take_output(at(1), &mut b);
    b.shutdown_done(at(1));
    assert_eq!(
        closed(&events(&mut b)).reason,
        CloseReason::Violation(Violation::RequestIdInUse { correlation: 7 })
    );
}

#[test]
fn a_request_is_answered_once() {
    let mut b = server_with_peer(Config::default());
    b.receive(at(1), &request(7, "m"));
    let id = only_request(&mut b).id;
    b.respond(at(1), id, &Raw(&[1])).unwrap();
    assert_eq!(b.respond(at(1), id, &Raw(&[1])), Err(SendError::NoSuchRequest(7)));
    // The id is free again.
    b.receive(at(1), &request(7, "m"));
    assert_eq!(only_request(&mut b).id, id);
}

#[test]
fn a_result_that_cannot_be_sent_leaves_the_request_open_for_an_error() {
    let mut b = server_with_peer(Config::default());
    b.receive(at(1), &request(7, "m"));
    let id = only_request(&mut b).id;
    // A map with an integer key would turn a Python peer into a zombie.
    match b.respond(at(1), id, &Raw(&[0x81, 1, 2])) {
        Err(SendError::Body(error)) => assert!(error.to_string().contains("integer"), "{error}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(b.pending_bytes(), 0);
    b.respond_error(at(1), id, &RpcError::internal("cannot say")).unwrap();
}

#[test]
fn a_broken_request_is_answered_and_counted() {
    let mut b = server_with_peer(Config::default());
    b.receive(at(1), &frame(Kind::RpcRequest, Flags::empty(), 3, &[0x82, 0xa6]));
    let answer = frames(&take_output(at(1), &mut b));
    let fields: Value = from_slice(&answer[0].payload).unwrap();
    assert_eq!(answer[0].header.correlation, 3);
    assert_eq!(fields["result"]["code"], 4001);
    assert_eq!(b.stats().strikes, 1);
    assert_eq!(b.phase(), PhaseName::Open);
}

#[test]
fn too_much_misuse_ends_the_connection() {
    let mut b = server_with_peer(Config::default());
    let unknown = frame(Kind::Unknown(0x77), Flags::empty(), 0, &[]);
    for _ in 0..15 {
        b.receive(at(1), &unknown);
    }
    assert_eq!(b.phase(), PhaseName::Open);
    b.receive(at(1), &unknown);
    b.shutdown_done(at(1));
    take_output(at(1), &mut b);
    b.shutdown_done(at(1));
    assert!(matches!(
        closed(&events(&mut b)).reason,
        CloseReason::Violation(Violation::TooManyStrikes {
            count: 16,
            last: Strike::UnknownKind(0x77),
            ..
        })
    ));
}

#[test]
fn a_lost_connection_ends_every_call_at_once_and_tells_which_never_left() {
    let (mut a, mut b) = pair();
    let first = a.call(at(1), "m", &Raw(&[0x80]), TIMEOUT).unwrap();
    pump(at(1), &mut a, &mut b);
    let second = a.call(at(1), "m", &Raw(&[0x80]), TIMEOUT).unwrap();
    a.send(at(1), "note", &Raw(&[1])).unwrap();
    a.transport_lost(at(1));
    let lost = |sent| Err(CallFailure::ConnectionLost { sent });
    assert_eq!(
        events(&mut a),
        [
            Event::Finished { call: first, outcome: lost(true) },
            Event::Finished { call: second, outcome: lost(false) },
            Event::Closed(Closed { reason: CloseReason::TransportLost, unsent: 1 }),
        ]
    );
    assert_eq!(
        a.call(at(1), "m", &Raw(&[0x80]), TIMEOUT),
        Err(SendError::NotOpen(PhaseName::Closed))
    );
}

#[test]
fn calls_are_bounded_and_room_is_announced() {
    let limits = Limits { calls_max: 2, ..Limits::default() };
    let (mut a, mut b) = pair_with(Config { limits, ..Config::default() }, Config::default());
    let call = a.call(at(1), "m", &Raw(&[0x80]), TIMEOUT).unwrap();
    a.call(at(1), "m", &Raw(&[0x80]), TIMEOUT).unwrap();
    assert_eq!(a.call(at(1), "m", &Raw(&[0x80]), TIMEOUT), Err(SendError::Blocked));
    pump(at(1), &mut a, &mut b);
    assert!(events(&mut a).is_empty());
    a.cancel(at(1), call);
    assert_eq!(events(&mut a), [Event::Writable]);
    a.call(at(1), "m", &Raw(&[0x80]), TIMEOUT).unwrap();
}

#[test]
fn an_acknowledged_message_has_an_outcome() {
    let (mut a, mut b) = pair();
    let call = a.send_acked(at(1), "note", &Raw(&[1]), TIMEOUT).unwrap();
    pump(at(1), &mut a, &mut b);
    assert!(matches!(&events(&mut b)[..], [Event::Message(m)] if m.name.as_str() == "note"));
    let (finished, outcome) = only_outcome(&mut a);
    assert_eq!(finished, call);
    assert!(outcome.is_ok());
}

#[test]
fn a_message_that_cannot_be_read_is_refused_when_an_answer_was_asked_for() {
    let mut b = server_with_peer(Config::default());
    b.receive(at(1), &frame(Kind::Message, Flags::REQUIRES_ACK, 9, &[0xc1]));
    let answer = frames(&take_output(at(1), &mut b));
    assert_eq!((answer[0].header.kind, answer[0].header.correlation), (Kind::Nack, 9));
}

#[test]
fn large_payloads_are_compressed_when_asked_and_read_either_way() {
    let config = Config { compression: true, ..Config::default() };
    let (mut a, mut b) = pair_with(config, Config::default());
    let text = "tick ".repeat(10_000);
    a.send(at(1), "note", &Typed(&text)).unwrap();
    assert!(a.pending_bytes() < 5_000);
    pump(at(1), &mut a, &mut b);
    let [Event::Message(message)] = &events(&mut b)[..] else { panic!() };
    assert_eq!(from_slice::<alloc::string::String>(&message.data).unwrap(), text);
    b.send(at(1), "note", &Typed(&text)).unwrap();
    assert!(b.pending_bytes() > text.len(), "its own setting is off");
}

#[test]
fn a_payload_beyond_the_limit_is_refused_before_it_is_queued() {
    let limits = Limits { frame_max: 8 * 1024, ..Limits::default() };
    let (mut a, _b) = pair_with(Config { limits, ..Config::default() }, Config::default());
    let large = Bytes::from(vec![0; 9000]);
    assert!(matches!(
        a.send(at(1), "note", &Typed(&large)),
        Err(SendError::TooLarge { max: 8192, .. })
    ));
    assert_eq!((a.pending_bytes(), a.sent_through().number()), (0, 0));
    a.send(at(1), "note", &Raw(&[1])).unwrap();
    assert_eq!(kinds(&take_output(at(1), &mut a)), [Kind::Message]);
}

#[test]
fn a_call_that_is_told_not_to_have_left_does_not_leave_later() {
    let (mut a, _b) = pair();
    let id = a.call(at(1), "m", &Raw(&[0x80]), TIMEOUT).unwrap();
    a.send(at(1), "news", &Raw(&[1])).unwrap();
    // The peer reads nothing until the time for an orderly end is over.
    a.close(at(1));
    a.handle_timeout(at(5001));
    let lost = Err(CallFailure::ConnectionLost { sent: false });
    assert_eq!(events(&mut a), [Event::Finished { call: id, outcome: lost }]);
    let leaving = kinds(&take_output(at(5002), &mut a));
    assert!(!leaving.contains(&Kind::RpcRequest), "{leaving:?}");
    assert!(leaving.contains(&Kind::Message), "messages may still make it");
}

#[test]
fn a_reply_tells_what_stands_beside_its_result() {
    let page = Page { total: 95, page: 2, page_size: 10 };
    let beside = Beside {
        message: "fresh".into(),
        metadata: Some(Bytes::from_static(&[0x81, 0xa1, b'k', 7])),
        page: Some(page),
    };
    for netconduit in [true, false] {
        let (mut a, mut b) = if netconduit {
            pair()
        } else {
            let (mut a, mut b) = (cndt_client(Config::default()), both_server(Config::default()));
            pump(Instant::ZERO, &mut a, &mut b);
            events(&mut a);
            events(&mut b);
            (a, b)
        };
        a.call(at(1), "list", &Raw(&[0x80]), TIMEOUT).unwrap();
        pump(at(1), &mut a, &mut b);
        let id = only_request(&mut b).id;
        // A result of its own with a `success` key does not swallow what stands beside it.
        let result = json!({"success": true});
        b.respond_with(at(1), id, &Typed(&result), &beside).unwrap();
        pump(at(1), &mut a, &mut b);
        let reply = only_outcome(&mut a).1.unwrap();
        assert_eq!(from_slice::<Value>(&reply.data).unwrap(), result);
        assert_eq!(reply.message(), Some("fresh"));
        assert_eq!(reply.metadata(), beside.metadata);
        assert_eq!(reply.page(), Some(page));
        let envelope: Value = from_slice(&reply.envelope.unwrap()).unwrap();
        let told = &envelope["pagination"];
        assert_eq!(told["total_pages"], 10);
        assert_eq!(
            (told["has_next"].as_bool(), told["has_prev"].as_bool()),
            (Some(true), Some(true))
        );
    }
}
