//! Two ends and the pipes between them.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use cndt_core::connection::{CallFailure, CallId, Event, Outcome, PhaseName, RequestId, SendError};
use cndt_core::jsonrpc::{BatchItem, Endpoint, EndpointConfig, Framing};
use cndt_core::message::Typed;
use cndt_core::rpc::{ErrorCode, RpcError};
use cndt_core::time::Instant;
use serde_json::{Value, json};

const NOW: Instant = Instant::ZERO;
/// Longer than anything here lasts.
const SPAN: Duration = Duration::from_secs(60);

/// Every call is answered as the other side answered it, every notification arrives once and in order,
/// and both sides end in order, whatever is sent when and however it is cut.
///
/// The first byte chooses the framings; then two bytes each are something to do, and how much.
///
/// # Panics
/// When the law is broken.
pub fn json_session(data: &[u8]) {
    let Some((start, rest)) = data.split_first() else { return };
    use Framing::{Bare, ContentLength, Newline};
    let framings = [
        (None, None),
        (Some(Newline), Some(Newline)),
        (Some(Bare), Some(Bare)),
        (Some(ContentLength), Some(ContentLength)),
        (Some(Newline), None),
        (None, Some(Bare)),
    ];
    let (one, two) = framings[usize::from(*start) % framings.len()];
    let is_tight = start & 64 == 64;
    let mut sides = [Side::new(one, is_tight), Side::new(two, is_tight)];
    for act in rest.chunks_exact(2).take(2000) {
        let (who, what) = (usize::from(act[0] & 1), act[0] >> 1);
        let [one, two] = &mut sides;
        let (me, other) = if who == 0 { (one, two) } else { (two, one) };
        me.act(what, act[1], other);
    }
    come_to_rest(&mut sides);
    for side in &sides {
        assert!(side.waiting.is_empty(), "calls without an outcome: {:?}", side.waiting);
    }
    assert_eq!(sides[0].sent, sides[1].heard, "notifications of one side");
    assert_eq!(sides[1].sent, sides[0].heard, "notifications of the other side");
    sides[0].endpoint.close(NOW);
    come_to_rest(&mut sides);
    for side in &sides {
        assert!(side.endpoint.is_closed(), "{:?}", side.endpoint.phase());
        let stats = side.endpoint.stats();
        assert_eq!(
            (stats.strikes, stats.late_answers),
            (0, side.late),
            "misuse among honest peers"
        );
    }
}

struct Side {
    endpoint: Endpoint,
    /// Bytes on their way to the other side.
    pipe: VecDeque<u8>,
    has_ended: bool,
    next: u64,
    waiting: BTreeMap<CallId, u64>,
    /// What was asked of this side, by the caller's own number.
    asked: Vec<(RequestId, u64)>,
    /// What this side answered.
    answers: BTreeMap<u64, Result<Value, RpcError>>,
    sent: u64,
    heard: u64,
    late: u64,
}

impl Side {
    fn new(framing: Option<Framing>, is_tight: bool) -> Self {
        let mut config = EndpointConfig { framing, ..EndpointConfig::default() };
        if is_tight {
            config.limits.receive_queue_frames = 2;
            config.limits.send_queue_frames = 4;
            config.limits.send_queue_bytes = 600;
            config.limits.calls_max = 8;
        }
        Self {
            endpoint: Endpoint::new(NOW, config).expect("the limits make sense"),
            pipe: VecDeque::new(),
            has_ended: false,
            next: 0,
            waiting: BTreeMap::new(),
            asked: Vec::new(),
            answers: BTreeMap::new(),
            sent: 0,
            heard: 0,
            late: 0,
        }
    }

    fn act(&mut self, what: u8, argument: u8, other: &mut Self) {
        match what % 8 {
            0 => {
                let params = json!({ "n": self.next + 1, "": words(argument) });
                let called = self.endpoint.call(NOW, &words(argument), &Typed(&params), SPAN);
                self.called(called.map(|call| vec![call]));
            }
            1 => {
                self.batch(argument);
            }
            2 => {
                let params = json!([self.sent + 1, words(argument)]);
                match self.endpoint.send(NOW, "n", &Typed(&params)) {
                    Ok(_) => self.sent += 1,
                    Err(error) => assert_eq!(error, SendError::Blocked),
                }
            }
            3 => self.answer(argument),
            4 => {
                self.poll(other);
            }
            5 if argument > 150 => {
                let call = self.waiting.keys().next().copied();
                let how = if argument > 200 { Endpoint::cancel } else { Endpoint::forget };
                if let Some(call) = call.filter(|call| how(&mut self.endpoint, NOW, *call)) {
                    // Its answer will come all the same.
                    self.waiting.remove(&call);
                    self.late += 1;
                }
            }
            _ => {
                self.write(usize::from(argument) * 4);
                self.carry(usize::from(argument), other);
            }
        }
    }

    /// A few items; some bits tell which are notifications.
    fn batch(&mut self, argument: u8) {
        let (mut calls, mut sends) = (0, 0);
        let params: Vec<Value> = (0..argument % 6)
            .map(|index| match argument >> (index % 4 + 4) & 1 {
                0 => {
                    calls += 1;
                    json!({ "n": self.next + calls })
                }
                _ => {
                    sends += 1;
                    json!([self.sent + sends])
                }
            })
            .collect();
        let items: Vec<_> = params
            .iter()
            .map(|params| match params {
                Value::Object(_) => BatchItem::Call { method: "m", params: Typed(params) },
                _ => BatchItem::Notification { method: "n", params: Typed(params) },
            })
            .collect();
        let queued = self.endpoint.batch(NOW, &items, SPAN).map(|queued| queued.calls);
        if queued.is_ok() {
            self.sent += sends;
        }
        self.called(queued);
    }

    fn called(&mut self, called: Result<Vec<CallId>, SendError>) {
        match called {
            Ok(calls) => {
                for call in calls {
                    self.next += 1;
                    self.waiting.insert(call, self.next);
                }
            }
            Err(error) => assert_eq!(error, SendError::Blocked),
        }
    }

    fn answer(&mut self, argument: u8) {
        if self.asked.is_empty() {
            return;
        }
        let (id, number) = self.asked.swap_remove(usize::from(argument) % self.asked.len());
        let answer = match argument % 4 {
            0 => {
                let code = ErrorCode::Other(40_000 + i64::from(argument));
                let error = RpcError::new(code, words(argument));
                let error = error.with_details(&[argument]).expect("a list can be written");
                self.endpoint.respond_error(NOW, id, &error).expect("it is open");
                Err(error)
            }
            _ => {
                let result = json!([number, words(argument)]);
                self.endpoint.respond(NOW, id, &Typed(&result)).expect("it is open");
                Ok(result)
            }
        };
        self.answers.insert(number, answer);
    }

    /// Hands bytes to the transport.
    fn write(&mut self, most: usize) -> bool {
        let n = most.min(self.endpoint.pending_bytes());
        self.pipe.extend(self.endpoint.transmit().flatten().take(n));
        self.endpoint.advance_transmit(NOW, n);
        n > 0
    }

    /// Takes bytes from the transport on the other side, as far as it reads.
    fn carry(&mut self, most: usize, other: &mut Self) -> bool {
        if !other.endpoint.wants_read() {
            return false;
        }
        let bytes: Vec<u8> = self.pipe.drain(..most.min(self.pipe.len())).collect();
        other.endpoint.receive(NOW, &bytes);
        !bytes.is_empty()
    }

    fn poll(&mut self, other: &mut Self) -> bool {
        match self.endpoint.poll_event() {
            None => return false,
            Some(Event::Request(request)) => {
                let params: Value = serde_json::from_slice(&request.params).expect("it is JSON");
                let number = params["n"].as_u64().expect("each has its number");
                if let Some(text) = params.get("") {
                    assert_eq!(*text, *request.method, "the method is something else");
                }
                self.asked.push((request.id, number));
            }
            Some(Event::Message(message)) => {
                self.heard += 1;
                let params: Value = serde_json::from_slice(&message.data).expect("it is JSON");
                assert_eq!(params[0], self.heard, "out of order");
            }
            Some(Event::Finished { call, outcome }) => {
                let number = self.waiting.remove(&call).expect("an outcome without its call");
                check_answer(&outcome, other.answers.get(&number).expect("nobody answered"));
            }
            Some(Event::Writable) => {}
            Some(Event::Closed(_)) => assert!(self.endpoint.is_closed()),
            Some(event) => panic!("{event:?} has no meaning here"),
        }
        true
    }
}

fn check_answer(outcome: &Outcome, expected: &Result<Value, RpcError>) {
    match (outcome, expected) {
        (Ok(reply), Ok(value)) => {
            let found: Value = serde_json::from_slice(&reply.data).expect("it is JSON");
            assert_eq!(found, *value, "the result is something else");
        }
        (Err(CallFailure::Remote(found)), Err(error)) => assert_eq!(found, error),
        _ => panic!("{outcome:?} instead of {expected:?}"),
    }
}

/// Some words, with all that must be escaped.
fn words(argument: u8) -> String {
    let pieces = ["a", "\"", "\\", "\n", "\0", "é", "\u{7f}", "𝄞"];
    (0..8).filter(|bit| argument >> bit & 1 == 1).map(|bit| pieces[bit]).collect()
}

/// Both sides answer what they are asked, and everything arrives.
fn come_to_rest(sides: &mut [Side; 2]) {
    let mut is_moving = true;
    while is_moving {
        is_moving = false;
        for who in 0..2 {
            let [one, two] = &mut *sides;
            let (me, other) = if who == 0 { (one, two) } else { (two, one) };
            while me.poll(other) {
                is_moving = true;
            }
            while !me.asked.is_empty() && me.endpoint.phase() != PhaseName::Closed {
                me.answer(3);
                is_moving = true;
            }
            is_moving |= me.write(usize::MAX);
            is_moving |= me.carry(usize::MAX, other);
            if me.endpoint.wants_shutdown() {
                me.endpoint.shutdown_done(NOW);
                me.has_ended = true;
                is_moving = true;
            }
            if me.has_ended && me.pipe.is_empty() && other.endpoint.wants_read() {
                other.endpoint.receive_eof(NOW);
                is_moving = true;
            }
        }
    }
}
