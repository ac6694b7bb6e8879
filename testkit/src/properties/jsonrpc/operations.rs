//! One end of a connection in the hands of an application that makes every mistake there is.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use cndt_core::connection::{CallFailure, CallId, Event, PhaseName, RequestId, SendError, Timer};
use cndt_core::jsonrpc::{BatchItem, Endpoint, EndpointConfig, Lifetime};
use cndt_core::message::{Raw, Typed};
use cndt_core::rpc::{ErrorCode, RpcError};
use cndt_core::time::Instant;
use serde_json::Value;

use super::endpoint::texts;
use super::framing_of;

/// What a peer may say, so that few bytes get far.
const SAID: [&str; 14] = [
    r#"{"jsonrpc":"2.0","method":"m","id":7}"#,
    r#"{"jsonrpc":"2.0","method":"m","params":[1],"id":"x"}"#,
    r#"{"jsonrpc":"2.0","method":"n"}"#,
    r#"[{"jsonrpc":"2.0","method":"m","id":1},{"jsonrpc":"2.0","method":"m","id":2}]"#,
    r#"[{"jsonrpc":"2.0","method":"m","id":1},1,{"jsonrpc":"2.0","method":"n"}]"#,
    r#"{"jsonrpc":"2.0","result":true,"id":1}"#,
    r#"{"jsonrpc":"2.0","result":[],"id":2}"#,
    r#"[{"jsonrpc":"2.0","result":1,"id":3},{"jsonrpc":"2.0","result":1,"id":2}]"#,
    r#"{"jsonrpc":"2.0","error":{"code":-32601,"message":"?","data":{"a":1}},"id":1}"#,
    r#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"?"},"id":null}"#,
    r#"{"jsonrpc":"1.0"}"#,
    "[]",
    "{oops}\n",
    r#"{"jsonrpc":"2.0","#,
];

/// A text and its headers; what waits for the application, and for the peer. Each bound may be exceeded
/// by one text or its answers, which is some 34 KiB in all with the limits below.
const HELD_MAX: usize = 40 * 1024;

/// Anything may be done to an endpoint at any time: it answers by values, never by a panic. Each call
/// has one outcome, and it is true whether it was sent; after `handle_timeout` the next deadline lies
/// later; what is held for the peer is bounded, and so is each text; the end comes once and last.
///
/// The first byte chooses the endpoint; then each byte is something to do, with the bytes behind it as
/// its arguments.
///
/// # Panics
/// When the law is broken.
pub fn json_operations(data: &[u8]) {
    let Some((start, mut rest)) = data.split_first() else { return };
    let mut hands = Hands::new(*start);
    while let Some((operation, arguments)) = rest.split_first() {
        rest = hands.act(*operation, arguments);
        hands.look();
    }
    hands.endpoint.abort(hands.now);
    hands.look();
    while hands.poll(true) {}
    // Nothing wakes it up again.
    hands.endpoint.handle_timeout(hands.now + Duration::from_secs(3600));
    hands.endpoint.advance_transmit(hands.now, 1);
    while hands.poll(true) {}
    assert_eq!(hands.ends, 1, "there is one end");
    assert!(hands.calls.is_empty(), "calls without an outcome: {:?}", hands.calls);
    hands.check_output();
}

struct Hands {
    endpoint: Endpoint,
    config: EndpointConfig,
    /// Receives only when asked to, as a driver should.
    is_polite: bool,
    now: Instant,
    /// Calls without an outcome, and where in the output their request begins.
    calls: BTreeMap<CallId, u64>,
    issued: Vec<CallId>,
    cancelled: BTreeSet<CallId>,
    /// Calls that were told not to have been sent.
    unsent: BTreeSet<u64>,
    requests: Vec<(RequestId, bool)>,
    errors: u64,
    sends: u64,
    received: u64,
    taken: Vec<u8>,
    /// What had been taken when the open calls were given up.
    taken_at_loss: Option<u64>,
    ends: usize,
}

impl Hands {
    fn new(start: u8) -> Self {
        let mut config = EndpointConfig { framing: framing_of(start), ..EndpointConfig::default() };
        let limits = &mut config.limits;
        limits.frame_max = 1024;
        limits.depth_max = 8;
        limits.receive_queue_frames = 4;
        limits.receive_queue_bytes = 2048;
        limits.receive_reserve_bytes = 4096;
        limits.send_queue_frames = 8;
        limits.send_queue_bytes = 2048;
        limits.reply_queue_bytes = 512;
        limits.calls_max = 4;
        limits.serves_max = 4;
        limits.strikes_max = 4;
        config.batch_max = 4;
        if start & 4 == 4 {
            config.lifetime = Lifetime::OneAnswer;
        }
        if start & 8 == 8 {
            (limits.drain, limits.linger) = (Duration::ZERO, Duration::ZERO);
        }
        if start & 16 == 16 {
            limits.idle_timeout = Some(Duration::from_millis(3000));
        }
        if start & 32 == 32 {
            limits.strikes_max = 10_000;
        }
        let endpoint = Endpoint::new(Instant::ZERO, config.clone()).expect("the limits make sense");
        Self {
            endpoint,
            config,
            is_polite: start & 64 == 0,
            now: Instant::ZERO,
            calls: BTreeMap::new(),
            issued: Vec::new(),
            cancelled: BTreeSet::new(),
            unsent: BTreeSet::new(),
            requests: Vec::new(),
            errors: 0,
            sends: 0,
            received: 0,
            taken: Vec::new(),
            taken_at_loss: None,
            ends: 0,
        }
    }

    /// Does one thing and gives the bytes that it did not need.
    fn act<'a>(&mut self, operation: u8, arguments: &'a [u8]) -> &'a [u8] {
        let (argument, rest) = arguments.split_first().map_or((0, arguments), |(a, r)| (*a, r));
        let now = self.now;
        let span = Duration::from_millis(u64::from(argument) * 40);
        match operation % 21 {
            0 => {
                let (bytes, rest) = rest.split_at(usize::from(argument).min(rest.len()));
                self.receive(bytes);
                return rest;
            }
            1 | 2 => self.receive(SAID[usize::from(argument) % SAID.len()].as_bytes()),
            3 => {
                let said = SAID[usize::from(argument) % SAID.len()];
                (0..64).for_each(|_| self.receive(said.as_bytes()));
            }
            4 => {
                self.now = now + span;
                self.endpoint.handle_timeout(self.now);
                if let Some(next) = self.endpoint.next_deadline() {
                    assert!(next.at > self.now, "{next:?} is still due at {:?}", self.now);
                }
            }
            5 => {
                let before = self.before();
                let method = ["m", "", "é\u{7}"][usize::from(argument) % 3];
                match self.endpoint.call(now, method, &Typed(&[argument]), span) {
                    Ok(call) => self.called(&[call], before),
                    Err(error) => self.check_refusal(&error),
                }
            }
            6 => {
                self.batch(argument);
            }
            7 => match self.endpoint.send(now, "n", &Typed(&[argument; 9])) {
                Ok(id) => {
                    self.sends += 1;
                    assert_eq!(id.number(), self.sends, "numbers count up");
                }
                Err(error) => self.check_refusal(&error),
            },
            8 => self.check_misuse(argument),
            9 => self.give_up(argument, Endpoint::cancel),
            20 => self.give_up(argument, Endpoint::forget),
            10 | 11 => self.respond(argument, &Typed(&"r".repeat(usize::from(argument) * 5))),
            // Not a value at all, and one that JSON does not have.
            12 => self.respond(argument, &Raw(&[])),
            13 => self.respond_error(argument),
            14 => {
                self.poll(argument & 1 == 0);
            }
            15 => while self.poll(argument & 1 == 0) {},
            16 | 17 => self.advance(argument),
            18 if argument > 250 => self.endpoint.shutdown_done(now),
            18 if self.endpoint.wants_shutdown() => self.endpoint.shutdown_done(now),
            19 if argument > 250 => self.endpoint.receive_eof(now),
            19 if argument > 245 => self.endpoint.close(now),
            19 if argument > 243 => self.endpoint.transport_lost(now),
            19 if argument > 241 => self.endpoint.abort(now),
            _ => {}
        }
        rest
    }

    /// Up to six items; some bits tell which are notifications.
    fn batch(&mut self, argument: u8) {
        let (before, params) = (self.before(), Raw(&[0x90]));
        let items: Vec<_> = (0..argument % 7)
            .map(|index| match argument >> (index % 4 + 4) & 1 {
                0 => BatchItem::Call { method: "m", params },
                _ => BatchItem::Notification { method: "n", params },
            })
            .collect();
        let calls = items.iter().filter(|item| item.is_call()).count();
        match self.endpoint.batch(self.now, &items, Duration::from_millis(u64::from(argument) * 40))
        {
            Ok(queued) => {
                assert_eq!(queued.calls.len(), calls);
                self.called(&queued.calls, before);
                if calls == 0 {
                    let numbered = queued.last.map_or(self.sends, |last| last.number());
                    self.sends += items.len() as u64;
                    assert_eq!(numbered, self.sends, "numbers count up");
                }
            }
            Err(SendError::Body(error)) => {
                assert!(calls > self.config.limits.calls_max, "{error}");
            }
            Err(error) => self.check_refusal(&error),
        }
    }

    fn give_up(&mut self, argument: u8, how: impl FnOnce(&mut Endpoint, Instant, CallId) -> bool) {
        if let Some(call) = self.issued.get(usize::from(argument)).copied()
            && how(&mut self.endpoint, self.now, call)
        {
            assert!(self.calls.remove(&call).is_some(), "{call:?} had its outcome");
            self.cancelled.insert(call);
        }
    }

    fn receive(&mut self, bytes: &[u8]) {
        if !self.is_polite || self.endpoint.wants_read() {
            self.endpoint.receive(self.now, bytes);
            self.received += bytes.len() as u64;
        }
    }

    /// Where in the output the next text begins, and the phase.
    fn before(&self) -> (u64, PhaseName) {
        ((self.taken.len() + self.endpoint.pending_bytes()) as u64, self.endpoint.phase())
    }

    fn called(&mut self, calls: &[CallId], (begin, phase): (u64, PhaseName)) {
        // Not the phase now: what was received and had to wait may have ended it.
        assert_eq!(phase, PhaseName::Open);
        for call in calls {
            assert!(self.issued.last().is_none_or(|last| last < call), "{call:?} was there before");
            self.issued.push(*call);
            self.calls.insert(*call, begin);
        }
    }

    fn check_refusal(&self, error: &SendError) {
        let is_open = self.endpoint.phase() == PhaseName::Open;
        match error {
            SendError::Blocked => assert!(is_open),
            SendError::NotOpen(phase) => assert_eq!(*phase, self.endpoint.phase()),
            other => panic!("{other}"),
        }
    }

    /// What cannot be sent leaves everything as it was.
    fn check_misuse(&mut self, argument: u8) {
        let (pending, open) = (self.endpoint.pending_bytes(), self.endpoint.calls_open());
        let span = Duration::from_secs(1);
        let refused = match argument % 4 {
            0 => self.endpoint.call(self.now, "m", &Typed(&argument), span).map(drop),
            1 => self.endpoint.send(self.now, "m", &Typed(&[" ".repeat(1024)])).map(drop),
            2 => {
                let call = BatchItem::Call { method: "m", params: Raw(&[0xc0]) };
                let unfit = BatchItem::Notification { method: "m", params: Raw(&[0xc1]) };
                self.endpoint.batch(self.now, &[call, unfit], span).map(drop)
            }
            _ => self.endpoint.send(self.now, "m", &Raw(&[])).map(drop),
        };
        assert!(refused.is_err());
        assert_eq!(self.endpoint.pending_bytes(), pending);
        assert_eq!(self.endpoint.calls_open(), open);
    }

    fn respond<B: cndt_core::message::Body>(&mut self, argument: u8, result: &B) {
        let Some((id, was_answered)) = self.requests.get(usize::from(argument) % 32).copied()
        else {
            return;
        };
        let answer = self.endpoint.respond(self.now, id, result);
        self.answered(argument, was_answered, &answer);
    }

    fn respond_error(&mut self, argument: u8) {
        let Some((id, was_answered)) = self.requests.get(usize::from(argument) % 32).copied()
        else {
            return;
        };
        let mut error = RpcError::new(ErrorCode::Internal, "no\n");
        if argument > 128 {
            error = error.with_details(&argument).expect("a number can be written");
        }
        let answer = self.endpoint.respond_error(self.now, id, &error);
        self.errors += u64::from(answer.is_ok());
        self.answered(argument, was_answered, &answer);
    }

    fn answered(&mut self, argument: u8, was_answered: bool, answer: &Result<(), SendError>) {
        match answer {
            Ok(()) => {
                assert!(!was_answered, "a request was answered twice");
                self.requests[usize::from(argument) % 32].1 = true;
            }
            Err(SendError::NoSuchRequest(_)) => {
                let is_over = self.endpoint.phase() != PhaseName::Open;
                assert!(was_answered || is_over, "a request is lost");
            }
            Err(SendError::Body(_) | SendError::TooLarge { .. }) => {
                assert!(!was_answered, "an answered request is still there");
            }
            Err(other) => panic!("{other}"),
        }
    }

    fn advance(&mut self, argument: u8) {
        let pending: Vec<u8> = self.endpoint.transmit().flatten().copied().collect();
        assert_eq!(pending.len(), self.endpoint.pending_bytes());
        // More than there is does no harm.
        let n =
            if argument > 250 { usize::MAX } else { pending.len() * usize::from(argument) / 250 };
        self.endpoint.advance_transmit(self.now, n);
        self.taken.extend_from_slice(&pending[..n.min(pending.len())]);
    }

    fn poll(&mut self, all: bool) -> bool {
        let event = if all { self.endpoint.poll_event() } else { self.endpoint.poll_outcome() };
        // What could not be taken in before the end may be passed over by it.
        let is_delivery = matches!(event, Some(Event::Request(_) | Event::Message(_)));
        assert!(self.ends == 0 || event.is_none() || is_delivery, "{event:?} after the end");
        match event {
            None => return false,
            Some(Event::Request(request)) => {
                let is_new = self.requests.iter().all(|(id, _)| *id != request.id);
                assert!(is_new, "{:?} was there before", request.id);
                self.requests.push((request.id, false));
            }
            Some(Event::Finished { call, outcome }) => {
                assert!(!self.cancelled.contains(&call), "{call:?} was cancelled");
                let begin = self.calls.remove(&call).expect("an outcome without its call");
                if let Err(CallFailure::ConnectionLost { sent }) = outcome {
                    let taken = self.taken_at_loss.expect("it is not over");
                    assert_eq!(
                        sent,
                        taken > begin,
                        "{call:?} began at {begin}, {taken} were taken"
                    );
                    if !sent {
                        self.unsent.insert(call.correlation());
                    }
                }
            }
            Some(Event::Closed(closed)) => {
                self.ends += 1;
                let left = self.sends - self.endpoint.sent_through().number();
                assert_eq!(closed.unsent, left);
            }
            Some(Event::Message(_) | Event::Writable) => {}
            Some(other) => panic!("{other:?} has no meaning here"),
        }
        // An event makes room, in which more may be read.
        self.look();
        true
    }

    /// What holds at any time.
    fn look(&mut self) {
        let endpoint = &self.endpoint;
        if endpoint.phase() != PhaseName::Open && endpoint.calls_open() == 0 {
            self.taken_at_loss.get_or_insert(self.taken.len() as u64);
        }
        assert!(endpoint.calls_open() <= self.calls.len(), "calls that nobody made");
        assert!(endpoint.calls_open() <= self.config.limits.calls_max);
        assert!(endpoint.sent_through().number() <= self.sends);
        let stats = endpoint.stats();
        assert_eq!(stats.bytes_sent, self.taken.len() as u64);
        assert_eq!(stats.bytes_received, self.received);
        assert_eq!(stats.errors_sent, self.errors);
        if let Some(next) = endpoint.next_deadline() {
            let waits = next.why != Timer::Stall || endpoint.pending_bytes() > 0;
            assert!(waits, "nothing waits that could stall");
        } else {
            assert!(endpoint.phase() != PhaseName::Closing, "an end waits for ever");
        }
        if self.is_polite {
            assert!(endpoint.held_bytes() <= HELD_MAX, "{} bytes", endpoint.held_bytes());
        }
        if endpoint.is_closed() {
            assert_eq!(endpoint.pending_bytes(), 0, "bytes after the end");
            assert!(!endpoint.wants_read() && !endpoint.wants_shutdown());
        }
    }

    /// What was taken are whole texts, but for the last; what was told not to have been sent is not
    /// there, and nothing was sent twice.
    fn check_output(&self) {
        let mut called = BTreeSet::new();
        for text in texts(&self.taken).0 {
            assert!(text.len() <= self.config.limits.frame_max, "{} bytes", text.len());
            let value: Value = serde_json::from_slice(text).expect("it is JSON");
            let items = match value {
                Value::Array(items) => items,
                single => vec![single],
            };
            for item in items.iter().filter(|item| item.get("method").is_some()) {
                let Some(id) = item["id"].as_u64() else { continue };
                assert!(called.insert(id), "{id} was sent twice");
                assert!(!self.unsent.contains(&id), "{id} was sent after all");
            }
        }
    }
}
