use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::connection::{Deadline, RequestId, SendError, Timer};
use crate::message::{Body, Nil, Typed, from_slice};
use crate::rpc::{ErrorCode, RpcError};

const SECOND: Duration = Duration::from_secs(1);

fn at(millis: u64) -> Instant {
    Instant::from_micros(millis * 1000)
}

fn endpoint() -> Endpoint {
    Endpoint::new(Instant::ZERO, EndpointConfig::default()).unwrap()
}

fn with(change: impl FnOnce(&mut EndpointConfig)) -> Endpoint {
    let mut config = EndpointConfig::default();
    change(&mut config);
    Endpoint::new(Instant::ZERO, config).unwrap()
}

fn events(of: &mut Endpoint) -> Vec<Event> {
    core::iter::from_fn(|| of.poll_event()).collect()
}

fn output(now: Instant, of: &mut Endpoint) -> String {
    let bytes: Vec<u8> = of.transmit().flatten().copied().collect();
    of.advance_transmit(now, bytes.len());
    String::from_utf8(bytes).unwrap()
}

fn pump(now: Instant, a: &mut Endpoint, b: &mut Endpoint) {
    loop {
        let (there, back) = (output(now, a), output(now, b));
        if there.is_empty() && back.is_empty() {
            return;
        }
        b.receive(now, there.as_bytes());
        a.receive(now, back.as_bytes());
    }
}

/// Answers as the specification's examples do.
fn serve(server: &mut Endpoint) {
    for event in events(server) {
        let Event::Request(Request { id, method, params, .. }) = event else { continue };
        let params: Value = serde_json::from_slice(&params).unwrap();
        let number = |index: usize, name: &str| {
            params.get(index).or(params.get(name)).and_then(Value::as_i64).unwrap()
        };
        let result = match &*method {
            "subtract" => json!(number(0, "minuend") - number(1, "subtrahend")),
            "sum" => json!(params.as_array().unwrap().iter().flat_map(Value::as_i64).sum::<i64>()),
            "get_data" => json!(["hello", 5]),
            _ => {
                let error = RpcError::new(ErrorCode::MethodNotFound, "Method not found");
                server.respond_error(at(1), id, &error).unwrap();
                continue;
            }
        };
        server.respond(at(1), id, &Typed(&result)).unwrap();
    }
}

use crate::connection::Request;

/// Section 7 of the specification: what is sent, and what comes back. Words of errors are ours.
const EXAMPLES: [(&str, Option<&str>); 15] = [
    (
        r#"{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}"#,
        Some(r#"{"jsonrpc": "2.0", "result": 19, "id": 1}"#),
    ),
    (
        r#"{"jsonrpc": "2.0", "method": "subtract", "params": [23, 42], "id": 2}"#,
        Some(r#"{"jsonrpc": "2.0", "result": -19, "id": 2}"#),
    ),
    (
        r#"{"jsonrpc": "2.0", "method": "subtract", "params": {"subtrahend": 23, "minuend": 42}, "id": 3}"#,
        Some(r#"{"jsonrpc": "2.0", "result": 19, "id": 3}"#),
    ),
    (
        r#"{"jsonrpc": "2.0", "method": "subtract", "params": {"minuend": 42, "subtrahend": 23}, "id": 4}"#,
        Some(r#"{"jsonrpc": "2.0", "result": 19, "id": 4}"#),
    ),
    (r#"{"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]}"#, None),
    (r#"{"jsonrpc": "2.0", "method": "foobar"}"#, None),
    (
        r#"{"jsonrpc": "2.0", "method": "foobar", "id": "1"}"#,
        Some(r#"{"jsonrpc": "2.0", "error": {"code": -32601}, "id": "1"}"#),
    ),
    (
        r#"{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]"#,
        Some(r#"{"jsonrpc": "2.0", "error": {"code": -32700}, "id": null}"#),
    ),
    (
        r#"{"jsonrpc": "2.0", "method": 1, "params": "bar"}"#,
        Some(r#"{"jsonrpc": "2.0", "error": {"code": -32600}, "id": null}"#),
    ),
    (
        r#"[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},{"jsonrpc": "2.0", "method"]"#,
        Some(r#"{"jsonrpc": "2.0", "error": {"code": -32700}, "id": null}"#),
    ),
    ("[]", Some(r#"{"jsonrpc": "2.0", "error": {"code": -32600}, "id": null}"#)),
    ("[1]", Some(r#"[{"jsonrpc": "2.0", "error": {"code": -32600}, "id": null}]"#)),
    (
        "[1,2,3]",
        Some(
            r#"[{"jsonrpc": "2.0", "error": {"code": -32600}, "id": null},
              {"jsonrpc": "2.0", "error": {"code": -32600}, "id": null},
              {"jsonrpc": "2.0", "error": {"code": -32600}, "id": null}]"#,
        ),
    ),
    (
        r#"[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},
         {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]},
         {"jsonrpc": "2.0", "method": "subtract", "params": [42,23], "id": "2"},
         {"foo": "boo"},
         {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},
         {"jsonrpc": "2.0", "method": "get_data", "id": "9"}]"#,
        Some(
            r#"[{"jsonrpc": "2.0", "error": {"code": -32600}, "id": null},
              {"jsonrpc": "2.0", "result": 7, "id": "1"},
              {"jsonrpc": "2.0", "result": 19, "id": "2"},
              {"jsonrpc": "2.0", "error": {"code": -32601}, "id": "5"},
              {"jsonrpc": "2.0", "result": ["hello", 5], "id": "9"}]"#,
        ),
    ),
    (
        r#"[{"jsonrpc": "2.0", "method": "notify_sum", "params": [1,2,4]},
         {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]}]"#,
        None,
    ),
];

/// Without the words of errors, which are everyone's own.
fn bare(mut answer: Value) -> Value {
    if let Value::Array(items) = &mut answer {
        items.iter_mut().for_each(|item| *item = bare(item.take()));
    } else if let Some(error) = answer.get_mut("error").and_then(Value::as_object_mut) {
        error.remove("message");
    }
    answer
}

#[test]
fn the_examples_of_the_specification_hold_in_every_framing_however_they_are_cut() {
    for framing in [Framing::Newline, Framing::Bare, Framing::ContentLength] {
        for (sent, expected) in EXAMPLES {
            let sent =
                if framing == Framing::Newline { sent.replace('\n', " ") } else { sent.into() };
            let mut stream = BytesMut::new();
            framing.write(&mut stream, sent.as_bytes());
            for cut in 0..stream.len() {
                let mut server = endpoint();
                server.receive(at(1), &stream[..cut]);
                serve(&mut server);
                server.receive(at(1), &stream[cut..]);
                serve(&mut server);
                let answer = output(at(1), &mut server);
                let json = match framing {
                    Framing::ContentLength => {
                        answer.split_once("\r\n\r\n").map_or("", |(_, json)| json)
                    }
                    Framing::Newline | Framing::Bare => {
                        answer.strip_suffix('\n').unwrap_or(&answer)
                    }
                };
                let found = (!json.is_empty()).then(|| bare(serde_json::from_str(json).unwrap()));
                let expected = expected.map(|json| serde_json::from_str::<Value>(json).unwrap());
                assert_eq!(found, expected, "{framing}, cut at {cut}: {sent}");
            }
        }
    }
}

#[test]
fn a_broken_line_is_answered_and_the_next_is_served() {
    let mut server = endpoint();
    let good = r#"{"jsonrpc":"2.0","method":"sum","params":[1,2],"id":7}"#;
    server.receive(at(1), format_args_bytes(&["{oops}\n", good, "\n[1}\n", good, "\n"]).as_slice());
    serve(&mut server);
    let answers: Vec<Value> = output(at(1), &mut server)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let codes: Vec<_> = answers.iter().map(|answer| answer["error"]["code"].as_i64()).collect();
    assert_eq!(codes, [Some(-32700), Some(-32700), None, None]);
    assert_eq!(server.stats().strikes, 2);
    assert_eq!(server.phase(), PhaseName::Open);
}

fn format_args_bytes(parts: &[&str]) -> Vec<u8> {
    parts.concat().into_bytes()
}

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
    let _ = vec![0];
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
