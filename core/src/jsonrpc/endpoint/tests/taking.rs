//! What may begin while much waits, however it is taken.

use alloc::string::ToString;

use super::*;
use crate::connection::Deliveries;

/// How an application comes by its requests.
#[derive(Debug)]
enum Taking {
    OneByOne,
    Together(Deliveries),
}

impl Taking {
    fn each() -> [Self; 2] {
        [Self::OneByOne, Self::Together(Deliveries::default())]
    }

    /// Whether nothing was taken that has not begun.
    fn is_empty(&self) -> bool {
        match self {
            Self::OneByOne => true,
            Self::Together(inbox) => inbox.is_empty(),
        }
    }

    /// The next request that may begin.
    fn next(&mut self, server: &mut Endpoint) -> Option<RequestId> {
        loop {
            let event = match self {
                Self::OneByOne => server.poll_event()?,
                Self::Together(inbox) => {
                    server.take_deliveries(3, inbox);
                    if server.may_begin(1, inbox) == 0 {
                        return None;
                    }
                    inbox.pop()?.into()
                }
            };
            if let Event::Request(request) = event {
                return Some(request.id);
            }
        }
    }
}

fn batch(count: usize) -> String {
    let request = json!({"jsonrpc": "2.0", "method": "m", "id": 1});
    let notification = json!({"jsonrpc": "2.0", "method": "m"});
    json!([&request, &notification].repeat(count)).to_string()
}

const LONE: &[u8] = br#"{"jsonrpc":"2.0","method":"m","id":"lone"}"#;

#[test]
fn a_batch_does_not_wait_for_its_own_answers() {
    for mut taking in Taking::each() {
        let mut server = with(|config| config.limits.send_queue_bytes = 4096);
        server.receive(at(0), LONE);
        if let Taking::Together(inbox) = &mut taking {
            // What is taken while something is there is never all of it.
            assert!(server.take_deliveries(3, inbox));
        }
        server.receive(at(0), batch(20).as_bytes());
        server.receive(at(0), LONE);
        let lone = taking.next(&mut server).unwrap();
        server.respond(at(0), lone, &Nil).unwrap();
        output(at(0), &mut server);
        for _ in 1..20 {
            let request =
                taking.next(&mut server).unwrap_or_else(|| panic!("no rest comes, {taking:?}"));
            server.respond(at(0), request, &Typed(&"x".repeat(1000))).unwrap();
        }
        let last = taking.next(&mut server).unwrap();
        assert_eq!(server.pending_bytes(), 0);
        assert_eq!(taking.next(&mut server), None, "nothing else begins while so much waits");
        assert!(taking.is_empty(), "nothing else is taken, either");
        server.respond(at(0), last, &Nil).unwrap();
        assert_eq!(taking.next(&mut server), None, "nor while the peer has not read it");
        assert_eq!(output(at(0), &mut server).matches("result").count(), 20);
        assert!(taking.next(&mut server).is_some());
    }
}

#[test]
fn the_rest_of_a_batch_waits_for_a_peer_that_does_not_read() {
    for mut taking in Taking::each() {
        let mut server = with(|config| config.limits.send_queue_bytes = 4096);
        server.receive(at(0), LONE);
        server.receive(at(0), batch(2).as_bytes());
        let lone = taking.next(&mut server).unwrap();
        assert!(taking.next(&mut server).is_some());
        server.respond(at(0), lone, &Typed(&"x".repeat(4096))).unwrap();
        assert_eq!(taking.next(&mut server), None);
        output(at(0), &mut server);
        assert!(taking.next(&mut server).is_some());
    }
}

#[test]
fn however_many_batches_there_are_their_answers_do_not_pile_up() {
    const MAX: usize = 4096;
    for mut taking in Taking::each() {
        let mut server = with(|config| {
            config.limits.send_queue_bytes = MAX;
            config.limits.frame_max = MAX;
        });
        for _ in 0..50 {
            server.receive(at(0), batch(4).as_bytes());
        }
        // Of each batch the last answer is a long time coming.
        let (mut begun, mut last) = (0, Vec::new());
        loop {
            while let Some(request) = taking.next(&mut server) {
                begun += 1;
                if begun % 4 == 0 {
                    last.push(request);
                } else {
                    server.respond(at(0), request, &Typed(&"x".repeat(1000))).unwrap();
                }
                let held = server.answer_bytes();
                assert!(held < MAX + MAX, "{held} bytes, {begun} begun, {taking:?}");
            }
            if last.is_empty() {
                break;
            }
            for request in last.drain(..) {
                server.respond(at(0), request, &Nil).unwrap();
            }
            output(at(0), &mut server);
        }
        assert_eq!(begun, 200, "all of them are answered in the end");
    }
}

/// A queue of four, and four more in reserve.
fn small() -> Endpoint {
    with(|config| {
        config.limits.receive_queue_frames = 4;
        config.limits.receive_reserve_bytes = 4096;
        config.limits.send_queue_bytes = 1000;
    })
}

const TICK: &[u8] = b"{\"jsonrpc\":\"2.0\",\"method\":\"tick\"}\n";

#[test]
fn an_answer_is_read_behind_what_nobody_takes() {
    let mut client = small();
    let call = client.call(at(0), "m", &Nil, SECOND).unwrap();
    client.receive(at(0), &TICK.repeat(6));
    client.receive(at(0), b"{\"jsonrpc\":\"2.0\",\"result\":1,\"id\":1}\n");
    let Some(Event::Finished { call: ended, outcome: Ok(_) }) = client.poll_outcome() else {
        panic!()
    };
    assert_eq!((ended, client.deliveries_waiting()), (call, 6));
    assert!(!client.wants_read(), "nothing is awaited any more");
    assert_eq!(events(&mut client).len(), 6);
    assert!(client.wants_read());

    client.call(at(0), "m", &Nil, SECOND).unwrap();
    client.receive(at(0), &TICK.repeat(20));
    assert_eq!((client.deliveries_waiting(), client.wants_read()), (8, false));
}

#[test]
fn whoever_begins_to_wait_reads_on() {
    let call = |params| BatchItem::Call { method: "m", params };
    let begin: [&dyn Fn(&mut Endpoint); 3] = [
        &|end| assert!(end.call(at(0), "m", &Nil, SECOND).is_ok()),
        &|end| assert!(end.batch(at(0), &[call(Nil)], SECOND).is_ok()),
        &|end| assert!(end.respond(at(0), RequestId(1), &Typed(&"x".repeat(1000))).is_ok()),
    ];
    for begin in begin {
        let mut end = small();
        end.receive(at(0), LONE);
        assert_eq!(events(&mut end).len(), 1);
        end.receive(at(0), &TICK.repeat(6));
        assert_eq!((end.deliveries_waiting(), end.wants_read()), (4, false));
        begin(&mut end);
        assert_eq!((end.deliveries_waiting(), end.wants_read()), (6, true));
    }
}
