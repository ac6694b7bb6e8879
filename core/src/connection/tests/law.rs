//! Laws that hold for any bytes and any order of calls.

use super::*;
use alloc::format;
use alloc::string::String;
use proptest::prelude::*;

/// What a connection did: its events and everything it wrote.
#[derive(Debug, PartialEq)]
struct Trace {
    events: String,
    output: Vec<u8>,
    phase: PhaseName,
}

fn run(pieces: &[&[u8]]) -> Trace {
    let mut connection = server(Config::default());
    let mut trace = Trace { events: String::new(), output: Vec::new(), phase: PhaseName::Closed };
    for piece in pieces {
        connection.receive(at(1), piece);
        while let Some(event) = connection.poll_event() {
            trace.events.push_str(&format!("{event:?}\n"));
        }
    }
    trace.output = take_output(at(1), &mut connection);
    trace.phase = connection.phase();
    trace
}

fn script() -> Vec<u8> {
    let mut all = login_bytes();
    all.extend(frame(Kind::HeartbeatPong, Flags::empty(), 0, &[]));
    all.extend(message("first", &[1]));
    all.extend(request(1, "m"));
    all.extend(frame(Kind::Unknown(0x55), Flags::REQUIRES_ACK, 4, &[9, 9]));
    all.extend(frame(Kind::Message, Flags::REQUIRES_ACK, 9, &[0xc1]));
    all.extend(request(2, "m"));
    all.extend(frame(Kind::Close, Flags::empty(), 0, &[]));
    all
}

#[test]
fn bytes_mean_the_same_however_they_are_cut() {
    let all = script();
    let whole = run(&[&all]);
    assert!(whole.events.contains("first") && whole.events.contains("Request"));
    let singles: Vec<&[u8]> = all.chunks(1).collect();
    assert_eq!(run(&singles), whole);
    for cut in 0..all.len() {
        let (head, tail) = all.split_at(cut);
        assert_eq!(run(&[head, tail]), whole, "cut at {cut}");
    }
}

/// Something a driver or an application may do.
#[derive(Debug, Clone)]
enum Act {
    Receive(Vec<u8>),
    Frame(u16, u16, u64, Vec<u8>),
    Eof,
    Lost,
    Wait(u64),
    Call(u64),
    Cancel(u64),
    Respond(u64),
    Send,
    Ping,
    Write(usize),
    Poll,
    PollOutcome,
    ShutdownDone,
    Close,
    Abort,
}

fn act() -> impl Strategy<Value = Act> {
    let payload = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        Just(message("m", &[1])[HEADER_LEN..].to_vec()),
        Just(request(1, "m")[HEADER_LEN..].to_vec()),
    ];
    prop_oneof![
        1 => proptest::collection::vec(any::<u8>(), 0..60).prop_map(Act::Receive),
        9 => (0_u16..18, prop_oneof![Just(0_u16), any::<u16>()], 0_u64..6, payload)
            .prop_map(|(kind, flags, id, payload)| Act::Frame(kind, flags, id, payload)),
        1 => Just(Act::Eof),
        1 => Just(Act::Lost),
        3 => (0_u64..100_000).prop_map(Act::Wait),
        3 => (0_u64..2000).prop_map(Act::Call),
        1 => (0_u64..6).prop_map(Act::Cancel),
        2 => (0_u64..6).prop_map(Act::Respond),
        3 => Just(Act::Send),
        1 => Just(Act::Ping),
        4 => (0_usize..300).prop_map(Act::Write),
        4 => Just(Act::Poll),
        1 => Just(Act::PollOutcome),
        1 => Just(Act::ShutdownDone),
        1 => Just(Act::Close),
        1 => Just(Act::Abort),
    ]
}

fn raw_frame(kind: u16, flags: u16, id: u64, payload: &[u8]) -> Vec<u8> {
    let mut all = frame(Kind::Unknown(kind), Flags::empty(), id, payload);
    all[8..10].copy_from_slice(&flags.to_be_bytes());
    all
}

/// Plays acts on a server that has been logged in to, and checks the rules after each.
fn play(acts: &[Act]) {
    let mut connection = server_with_peer(Config::default());
    let mut now = 1_u64;
    let mut open_calls = alloc::collections::BTreeSet::new();
    let mut issued = 0;
    let mut over = false;
    for act in acts {
        let moment = at(now);
        match act {
            Act::Receive(bytes) => connection.receive(moment, bytes),
            Act::Frame(kind, flags, id, payload) => {
                connection.receive(moment, &raw_frame(*kind, *flags, *id, payload));
            }
            Act::Eof => connection.receive_eof(moment),
            Act::Lost => connection.transport_lost(moment),
            Act::Wait(millis) => {
                now += millis;
                connection.handle_timeout(at(now));
                if let Some(deadline) = connection.next_deadline() {
                    assert!(deadline.at > at(now), "{deadline:?} is not after {now} ms");
                }
            }
            Act::Call(millis) => {
                let timeout = Duration::from_millis(*millis);
                if let Ok(call) = connection.call(moment, "m", &Raw(&[0x80]), timeout) {
                    issued += 1;
                    assert_eq!(call.correlation(), issued);
                    assert!(open_calls.insert(call));
                }
            }
            Act::Cancel(id) => {
                let was_open = connection.cancel(moment, CallId(*id));
                if was_open {
                    assert!(open_calls.remove(&CallId(*id)), "cancelled twice");
                }
            }
            Act::Respond(id) => {
                let _ = connection.respond(moment, RequestId(*id), &Raw(&[0xc3]));
            }
            Act::Send => {
                let _ = connection.send(moment, "m", &Raw(&[1]));
            }
            Act::Ping => connection.ping(moment),
            Act::Write(n) => connection.advance_transmit(moment, *n),
            Act::Poll | Act::PollOutcome => {
                let event = match act {
                    Act::Poll => connection.poll_event(),
                    _ => connection.poll_outcome(),
                };
                match event {
                    Some(Event::Finished { call, .. }) => {
                        assert!(open_calls.remove(&call), "a second outcome for {call:?}");
                    }
                    Some(Event::Closed(_)) => {
                        assert!(!over, "a second end");
                        over = true;
                    }
                    Some(_) | None => {}
                }
            }
            Act::ShutdownDone => connection.shutdown_done(moment),
            Act::Close => connection.close(moment),
            Act::Abort => connection.abort(moment),
        }
        if connection.is_closed() {
            assert_eq!(connection.next_deadline(), None);
            assert_eq!(connection.pending_bytes(), 0);
            assert!(!connection.wants_read() && !connection.wants_shutdown());
        }
    }
    connection.abort(at(now));
    let rest = events(&mut connection);
    for (index, event) in rest.iter().enumerate() {
        match event {
            Event::Finished { call, .. } => assert!(open_calls.remove(call)),
            Event::Closed(_) => {
                assert!(!over, "a second end");
                over = true;
                assert_eq!(index + 1, rest.len(), "the end comes last");
            }
            _ => {}
        }
    }
    assert!(over, "no end");
    assert!(open_calls.is_empty(), "calls without an outcome: {open_calls:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_acts_keeps_the_rules(acts in proptest::collection::vec(act(), 0..60)) {
        play(&acts);
    }

    #[test]
    fn any_bytes_mean_the_same_however_they_are_cut(
        tail in proptest::collection::vec(any::<u8>(), 0..200),
        flip in any::<prop::sample::Index>(),
        value in any::<u8>(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let mut all = script();
        let place = flip.index(all.len());
        all[place] ^= value;
        all.extend(tail);
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(all.len())).collect();
        places.sort_unstable();
        let mut pieces: Vec<&[u8]> = Vec::new();
        let mut from = 0;
        for place in places {
            pieces.push(&all[from..place]);
            from = place;
        }
        pieces.push(&all[from..]);
        prop_assert_eq!(run(&pieces), run(&[&all]));
    }
}
