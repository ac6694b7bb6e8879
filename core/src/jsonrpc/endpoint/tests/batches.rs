//! Batches, in both roles.

use alloc::string::ToString;

use super::*;

fn call<B>(method: &str, params: B) -> BatchItem<'_, B> {
    BatchItem::Call { method, params }
}

fn notification<B>(method: &str, params: B) -> BatchItem<'_, B> {
    BatchItem::Notification { method, params }
}

#[test]
fn a_batch_goes_out_together_and_its_answers_come_as_they_like() {
    let (mut a, mut b) = (endpoint(), endpoint());
    let calls = [("one", json!([1])), ("two", json!([2]))];
    let calls: Vec<_> = calls.iter().map(|(method, params)| call(method, Typed(params))).collect();
    let ids = a.batch(at(0), &calls, SECOND).unwrap().calls;
    pump(at(0), &mut a, &mut b);
    let requests: Vec<RequestId> = events(&mut b)
        .iter()
        .map(|event| match event {
            Event::Request(request) => request.id,
            other => panic!("{other:?}"),
        })
        .collect();
    b.respond(at(1), requests[1], &Typed(&22)).unwrap();
    assert_eq!(b.pending_bytes(), 0, "answers of a batch wait for each other");
    assert!(b.held_bytes() > 0);
    b.respond(at(1), requests[0], &Typed(&11)).unwrap();
    pump(at(1), &mut a, &mut b);
    let ended: Vec<_> = events(&mut a)
        .into_iter()
        .map(|event| match event {
            Event::Finished { call, outcome } => (call, outcome.unwrap().data),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ended, [(ids[1], "22".into()), (ids[0], "11".into())]);
    assert_eq!(a.batch::<Nil>(at(1), &[], SECOND), Ok(QueuedBatch::default()));
    assert_eq!(a.stats().messages_sent, 2);
    let mut small = with(|config| config.limits.calls_max = 1);
    let refused = small.batch(at(1), &[call("m", Nil), call("m", Nil)], SECOND);
    assert!(matches!(refused, Err(SendError::Body(_))), "no room will ever do: {refused:?}");
}

#[test]
fn a_batch_is_unsent_as_a_whole() {
    let mut a = endpoint();
    let sent = a.call(at(0), "m", &Nil, SECOND).unwrap();
    a.advance_transmit(at(0), 1);
    let unsent = a.batch(at(0), &[call("m", Nil), call("m", Nil)], SECOND).unwrap().calls;
    a.transport_lost(at(1));
    let lost = |call, sent| {
        let outcome = Err(CallFailure::ConnectionLost { sent });
        Event::Finished { call, outcome }
    };
    let expected = [lost(sent, true), lost(unsent[0], false), lost(unsent[1], false)];
    assert_eq!(events(&mut a)[..3], expected);
}

#[test]
fn batches_that_are_refused_do_not_pile_up() {
    let mut server = with(|config| {
        config.limits.serves_max = 1;
        config.limits.reply_queue_bytes = 1024;
    });
    let batch = br#"[{"jsonrpc":"2.0","method":"m","id":1},{"jsonrpc":"2.0","method":"m","id":2}]"#;
    server.receive(at(0), batch);
    let taken = events(&mut server).len();
    for _ in 0..1000 {
        if server.wants_read() {
            server.receive(at(0), batch);
        }
    }
    assert!(server.held_bytes() < 4096, "{} bytes", server.held_bytes());
    assert_eq!((taken, server.wants_read()), (1, false));
}

#[test]
fn what_waits_in_a_batch_is_counted_as_long_as_it_waits() {
    let mut server = endpoint();
    let batch = br#"[{"jsonrpc":"2.0","method":"m","id":1},{"jsonrpc":"2.0","method":"m","id":2}]"#;
    let requests = |server: &mut Endpoint| {
        server.receive(at(0), batch);
        let all = events(server);
        let [Event::Request(one), Event::Request(two)] = &all[..] else { panic!("{all:?}") };
        (one.id, two.id)
    };
    let (one, _) = requests(&mut server);
    server.respond(at(0), one, &Nil).unwrap();
    let held = server.held_bytes();
    for _ in 0..100 {
        let (one, two) = requests(&mut server);
        server.respond(at(0), one, &Nil).unwrap();
        server.respond(at(0), two, &Nil).unwrap();
        output(at(0), &mut server);
    }
    assert_eq!(server.held_bytes(), held);
}

#[test]
fn notifications_in_a_batch_have_no_outcome() {
    let (mut a, mut b) = (endpoint(), endpoint());
    let items = [
        notification("log", Typed(&[1])),
        call("one", Typed(&[2])),
        notification("log", Typed(&[3])),
        call("two", Typed(&[4])),
    ];
    let sent = a.batch(at(0), &items, SECOND).unwrap();
    assert_eq!((sent.calls.len(), sent.last, a.stats().messages_sent), (2, None, 4));
    pump(at(0), &mut a, &mut b);
    let heard: Vec<_> = events(&mut b)
        .into_iter()
        .map(|event| match event {
            Event::Request(request) => {
                b.respond(at(1), request.id, &Typed(&*request.method)).unwrap();
                request.params
            }
            Event::Message(message) => message.data,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(heard, ["[1]", "[2]", "[3]", "[4]"]);
    pump(at(1), &mut a, &mut b);
    let outcome = |call, method: &str| {
        let data = alloc::format!("{method:?}").into();
        Event::Finished { call, outcome: Ok(Reply { data, envelope: None }) }
    };
    let expected = [outcome(sent.calls[0], "one"), outcome(sent.calls[1], "two")];
    assert_eq!(events(&mut a), expected);
}

#[test]
fn a_batch_of_notifications_alone_expects_nothing() {
    let (mut a, mut b) = (endpoint(), endpoint());
    a.send(at(0), "before", &Nil).unwrap();
    let items = [notification("log", Nil), notification("log", Nil)];
    let sent = a.batch(at(0), &items, SECOND).unwrap();
    assert_eq!((sent.calls.len(), sent.last), (0, Some(SendId(3))));
    assert_eq!(a.send(at(0), "behind", &Nil), Ok(SendId(4)));
    assert_eq!((a.calls_open(), a.next_deadline().map(|next| next.why)), (0, Some(Timer::Stall)));
    pump(at(0), &mut a, &mut b);
    assert_eq!(a.sent_through(), SendId(4));
    assert_eq!((events(&mut b).len(), b.pending_bytes()), (4, 0));
    // They need no room for calls, and count as unsent when they do not leave.
    let mut full = with(|config| config.limits.calls_max = 1);
    full.call(at(0), "m", &Nil, SECOND).unwrap();
    full.advance_transmit(at(0), usize::MAX);
    full.batch(at(0), &items, SECOND).unwrap();
    full.transport_lost(at(1));
    let all = events(&mut full);
    let Some(Event::Closed(closed)) = all.last() else { panic!("{all:?}") };
    assert_eq!(closed.unsent, 2);
}

#[test]
fn a_batch_is_told_when_there_is_room_for_all_of_it() {
    let (mut a, mut b) = (with(|config| config.limits.calls_max = 4), endpoint());
    for _ in 0..3 {
        a.call(at(0), "m", &Nil, SECOND).unwrap();
    }
    let items = [call("m", Nil), notification("m", Nil), call("m", Nil), call("m", Nil)];
    assert_eq!(a.batch(at(0), &items, SECOND), Err(SendError::Blocked));
    pump(at(0), &mut a, &mut b);
    let requests: Vec<_> = events(&mut b)
        .into_iter()
        .filter_map(
            |event| if let Event::Request(request) = event { Some(request.id) } else { None },
        )
        .collect();
    for (n, request) in requests.into_iter().enumerate() {
        b.respond(at(1), request, &Nil).unwrap();
        pump(at(1), &mut a, &mut b);
        let told = events(&mut a).contains(&Event::Writable);
        assert_eq!(told, n == 1, "after {} answers", n + 1);
    }
    assert!(a.batch(at(1), &items, SECOND).is_ok());
    // A call that is refused as well needs less.
    let _ = a.call(at(1), "m", &Nil, SECOND).unwrap();
    assert_eq!(a.batch(at(1), &items, SECOND), Err(SendError::Blocked));
    assert_eq!(a.call(at(1), "m", &Nil, SECOND), Err(SendError::Blocked));
    a.advance_transmit(at(1), usize::MAX);
    assert!(a.cancel(at(1), CallId(4)));
    assert_eq!(events(&mut a), [Event::Writable]);
}

/// The answer to a batch, each item by its id.
fn answers(text: &str) -> Vec<(String, Value)> {
    let Value::Array(items) = serde_json::from_str(text).unwrap() else { panic!("{text}") };
    items.into_iter().map(|item| (item["id"].to_string(), item)).collect()
}

#[test]
fn the_answers_of_a_batch_fit_into_one_text_together() {
    let max = 1024;
    let mut server = with(|config| config.limits.frame_max = max);
    let ids = [json!(1), json!("two"), json!(3), json!("f".repeat(100)), json!(null)];
    let requests: Vec<Value> = ids
        .iter()
        .map(|id| json!({"jsonrpc": "2.0", "method": "m", "id": id}))
        .chain([json!(1)])
        .collect();
    server.receive(at(0), json!(requests).to_string().as_bytes());
    let asked: Vec<_> = events(&mut server)
        .into_iter()
        .map(|event| match event {
            Event::Request(request) => request.id,
            other => panic!("{other:?}"),
        })
        .collect();
    // Alone it would fit; but then the others could not be answered.
    let refused = server.respond(at(0), asked[0], &Typed(&"x".repeat(600)));
    let Err(SendError::TooLarge { length, max: room }) = refused else { panic!("{refused:?}") };
    assert!(length < max && room < max, "{length} bytes, room for {room}");
    server.respond(at(0), asked[0], &Typed(&"x".repeat(room - 50))).unwrap();
    // An error is told in short, whatever it says; and there is always room for it.
    for (request, words) in asked[1..].iter().zip(["a", "no", "no", "no"]) {
        let error = RpcError::new(ErrorCode::Other(i64::MIN), words.repeat(400));
        server.respond_error(at(0), *request, &error).unwrap();
    }
    let text = output(at(0), &mut server);
    assert!(text.trim_end().len() <= max, "{} bytes", text.len());
    let found = answers(&text);
    let mut expected: Vec<String> = ids.iter().map(Value::to_string).collect();
    expected.push("null".into());
    let mut answered: Vec<String> = found.iter().map(|(id, _)| id.clone()).collect();
    expected.sort();
    answered.sort();
    assert_eq!(answered, expected, "each has one answer");
    let number = |id: &str| found.iter().find(|(found, _)| found == id).map(|(_, item)| item);
    assert_eq!(number("3").unwrap()["error"]["code"], i64::MIN);
    assert_eq!((server.held_bytes(), server.phase()), (0, PhaseName::Open));
}

#[test]
fn what_could_not_even_be_refused_in_one_text_is_refused_as_a_whole() {
    let mut server = with(|config| config.limits.frame_max = 1024);
    server.receive(at(0), alloc::format!("[{}]", ["1"; 30].join(",")).as_bytes());
    let long = json!({"jsonrpc": "2.0", "method": "m", "id": "x".repeat(960)});
    server.receive(at(0), long.to_string().as_bytes());
    let invalid = json!({"jsonrpc": "1.0", "id": "x".repeat(960)});
    server.receive(at(0), invalid.to_string().as_bytes());
    assert_eq!((events(&mut server).len(), server.stats().strikes), (0, 3));
    let text = output(at(0), &mut server);
    let answers: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), 3, "{text}");
    for answer in &answers {
        assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(-32600), &json!(null)));
    }
    // As many as can be refused are.
    let fit = alloc::format!("[{}]", ["1"; 9].join(","));
    server.receive(at(0), fit.as_bytes());
    let text = output(at(0), &mut server);
    assert!(text.len() <= 1025 && self::answers(&text).len() == 9, "{text}");
}
