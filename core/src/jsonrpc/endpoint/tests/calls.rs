//! Calls, and what comes of them.

use super::*;

#[test]
fn both_ends_call_and_each_call_has_one_outcome() {
    let (mut a, mut b) = (endpoint(), endpoint());
    let call = a.call(at(0), "add", &Typed(&json!({"a": 1})), SECOND).unwrap();
    let back = b.call(at(0), "name", &Nil, SECOND).unwrap();
    a.send(at(0), "note", &Typed(&[1, 2])).unwrap();
    pump(at(0), &mut a, &mut b);
    let [Event::Request(request), Event::Message(message)] = &events(&mut b)[..] else { panic!() };
    assert_eq!((&*request.method, &request.params[..]), ("add", &b"{\"a\":1}"[..]));
    assert_eq!((&*message.name, &message.data[..]), ("note", &b"[1,2]"[..]));
    let details = RpcError::validation("no").field("a");
    b.respond_error(at(1), request.id, &details).unwrap();
    let [Event::Request(request)] = &events(&mut a)[..] else { panic!() };
    assert_eq!(&request.params[..], b"null");
    a.respond(at(1), request.id, &Typed(&"ann")).unwrap();
    assert_eq!(a.respond(at(1), request.id, &Nil), Err(SendError::NoSuchRequest(1)));
    pump(at(1), &mut a, &mut b);
    let [Event::Finished { call: ended, outcome: Err(CallFailure::Remote(error)) }] =
        &events(&mut a)[..]
    else {
        panic!()
    };
    assert_eq!((*ended, error.code), (call, ErrorCode::InvalidParams));
    assert_eq!(
        from_slice::<Value>(error.details.as_ref().unwrap()).unwrap(),
        json!({"field": "a"})
    );
    let [Event::Finished { call: ended, outcome: Ok(reply) }] = &events(&mut b)[..] else {
        panic!()
    };
    assert_eq!((*ended, &reply.data[..]), (back, &b"\"ann\""[..]));
}

#[test]
fn parameters_must_have_a_structure() {
    let mut a = endpoint();
    let refused = a.call(at(0), "m", &Typed(&7), SECOND);
    assert!(matches!(refused, Err(SendError::Body(_))), "{refused:?}");
    assert_eq!(a.pending_bytes(), 0);
}

#[test]
fn calls_time_out_and_late_answers_are_dropped() {
    let (mut a, mut b) = (endpoint(), endpoint());
    let call = a.call(at(0), "slow", &Nil, SECOND).unwrap();
    pump(at(0), &mut a, &mut b);
    let [Event::Request(request)] = &events(&mut b)[..] else { panic!() };
    assert_eq!(a.next_deadline(), Some(Deadline { at: at(1000), why: Timer::Call }));
    a.handle_timeout(at(1000));
    let outcome = Err(CallFailure::TimedOut { after: SECOND });
    assert_eq!(events(&mut a), [Event::Finished { call, outcome }]);
    b.respond(at(1001), request.id, &Nil).unwrap();
    pump(at(1001), &mut a, &mut b);
    assert_eq!((events(&mut a).len(), a.stats().late_answers, a.stats().strikes), (0, 1, 0));
    a.receive(at(1002), b"{\"jsonrpc\":\"2.0\",\"result\":1,\"id\":1}");
    a.receive(at(1002), b"{\"jsonrpc\":\"2.0\",\"result\":1,\"id\":\"x\"}");
    assert_eq!(a.stats().strikes, 2);
}

#[test]
fn an_error_without_an_id_belongs_to_the_only_call() {
    let mut a = endpoint();
    let call = a.call(at(0), "m", &Nil, SECOND).unwrap();
    a.receive(at(1), br#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"what?"},"id":null}"#);
    let [Event::Finished { call: ended, outcome: Err(CallFailure::Remote(error)) }] =
        &events(&mut a)[..]
    else {
        panic!()
    };
    assert_eq!((*ended, error.code), (call, ErrorCode::Other(-32700)));
}

#[test]
fn what_is_sent_is_ascii_and_means_the_same() {
    let (mut a, mut b) = (endpoint(), endpoint());
    let value = json!({"ž€𝄞": ["\u{7f}\u{80}\n\"\\", "日本"]});
    a.call(at(0), "ünïcode", &Typed(&value), SECOND).unwrap();
    let sent = output(at(0), &mut a);
    assert!(sent.is_ascii(), "{sent}");
    b.receive(at(0), sent.as_bytes());
    let [Event::Request(request)] = &events(&mut b)[..] else { panic!() };
    assert_eq!(&*request.method, "ünïcode");
    assert_eq!(serde_json::from_slice::<Value>(&request.params).unwrap(), value);
    let mut msgpack = BytesMut::new();
    Typed(&value).write(&mut msgpack).unwrap();
    b.respond(at(0), request.id, &crate::message::Raw(&msgpack)).unwrap();
    let back = output(at(0), &mut b);
    assert!(back.is_ascii(), "{back}");
    assert_eq!(serde_json::from_str::<Value>(&back).unwrap()["result"], value);
}

#[test]
fn an_error_without_an_id_may_belong_to_a_call_that_was_given_up() {
    let mut a = endpoint();
    let given_up = a.call(at(0), "m", &Nil, SECOND).unwrap();
    assert!(a.cancel(at(0), given_up));
    let call = a.call(at(0), "m", &Nil, SECOND).unwrap();
    let unread = br#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"what?"},"id":null}"#;
    a.receive(at(1), unread);
    assert_eq!((events(&mut a), a.stats().late_answers, a.stats().strikes), (Vec::new(), 1, 0));
    // Now it is clear again.
    a.receive(at(2), unread);
    assert!(matches!(&events(&mut a)[..], [Event::Finished { call: ended, .. }] if *ended == call));
}

#[test]
fn a_forgotten_call_goes_on() {
    let (mut a, mut b) = (with(|config| config.limits.calls_max = 1), endpoint());
    for n in 1..=3 {
        let call = a.call(at(0), "m", &Nil, SECOND).unwrap();
        assert!(a.forget(at(0), call) && !a.forget(at(0), call) && !a.cancel(at(0), call));
        assert_eq!((a.calls_open(), a.next_deadline().unwrap().why), (0, Timer::Stall), "call {n}");
    }
    pump(at(0), &mut a, &mut b);
    for event in events(&mut b) {
        let Event::Request(request) = event else { panic!("{event:?}") };
        b.respond(at(1), request.id, &Nil).unwrap();
    }
    pump(at(1), &mut a, &mut b);
    assert_eq!((events(&mut a), a.stats().late_answers, a.stats().strikes), (Vec::new(), 3, 0));
}

#[test]
fn a_forgotten_call_leaves_though_the_peer_has_ended() {
    let mut a = endpoint();
    let forgotten = a.call(at(0), "forgotten", &Nil, SECOND).unwrap();
    assert!(a.forget(at(0), forgotten));
    let lost = a.call(at(0), "lost", &Nil, SECOND).unwrap();
    let items = ["one", "two"].map(|method| BatchItem::Call { method, params: Nil });
    let batch = a.batch(at(0), &items, SECOND).unwrap().calls;
    assert!(a.forget(at(0), batch[0]));
    a.receive_eof(at(1));
    let sent = output(at(1), &mut a);
    let is_sent = ["forgotten", "lost", "one", "two"].map(|method| sent.contains(method));
    assert_eq!(is_sent, [true, false, false, false], "{sent}");
    let unsent = |call| {
        let outcome = Err(CallFailure::ConnectionLost { sent: false });
        Event::Finished { call, outcome }
    };
    assert_eq!(events(&mut a)[..2], [unsent(lost), unsent(batch[1])]);
    assert!(a.wants_shutdown());
}
