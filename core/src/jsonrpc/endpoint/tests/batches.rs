//! Batches, in both roles.

use super::*;

#[test]
fn a_batch_goes_out_together_and_its_answers_come_as_they_like() {
    let (mut a, mut b) = (endpoint(), endpoint());
    let calls = [("one", json!([1])), ("two", json!([2]))];
    let calls: Vec<_> = calls.iter().map(|(method, params)| (*method, Typed(params))).collect();
    let ids = a.batch(at(0), &calls, SECOND).unwrap();
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
    assert_eq!(a.batch::<Nil>(at(1), &[], SECOND), Ok(Vec::new()));
    assert_eq!(a.stats().messages_sent, 2);
    let mut small = with(|config| config.limits.calls_max = 1);
    let refused = small.batch(at(1), &[("m", Nil), ("m", Nil)], SECOND);
    assert!(matches!(refused, Err(SendError::Body(_))), "no room will ever do: {refused:?}");
}

#[test]
fn a_batch_is_unsent_as_a_whole() {
    let mut a = endpoint();
    let sent = a.call(at(0), "m", &Nil, SECOND).unwrap();
    a.advance_transmit(at(0), 1);
    let unsent = a.batch(at(0), &[("m", Nil), ("m", Nil)], SECOND).unwrap();
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
