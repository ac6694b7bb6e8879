//! What a text of the peer does.

use bytes::Bytes;

use super::super::framing::TextError;
use super::super::message::{Id, Incoming, Item, error_code, read};
use super::super::transcode::to_msgpack;
use super::answering::short_error_size;
use super::{Endpoint, PeerEnd, Phase};
use crate::connection::{
    CallFailure, CallId, CloseReason, Delivery, Event, Message, Outcome, Request, Strike,
};
use crate::rpc::{ErrorCode, Reply, RpcError};

const PARSE_ERROR: ErrorCode = ErrorCode::Other(-32700);
const INVALID_REQUEST: ErrorCode = ErrorCode::Other(-32600);

impl Endpoint {
    /// Works off what was received, as long as there is room for what it holds.
    pub(super) fn process(&mut self) {
        while !self.is_saturated() && matches!(self.phase, Phase::Open | Phase::Draining { .. }) {
            match self.decoder.next_text() {
                Ok(Some(text)) => {
                    self.text_began = None;
                    self.stats.frames_received = self.stats.frames_received.saturating_add(1);
                    self.active_at = self.now;
                    self.on_text(&text);
                }
                Ok(None) => {
                    if self.peer_end == PeerEnd::Seen {
                        self.peer_end = PeerEnd::ActedUpon;
                        self.on_peer_end();
                    }
                    break;
                }
                Err(error) => self.on_broken(error),
            }
        }
        if matches!(self.phase, Phase::Ending { .. } | Phase::Closed) {
            self.decoder.buffer().clear();
        }
        self.watch_text();
        self.settle();
    }

    fn on_text(&mut self, text: &Bytes) {
        match read(text, self.config.batch_max) {
            Incoming::Single(item) => self.on_item(item, None, text.len()),
            Incoming::Batch(items) => {
                let reserved = items.iter().filter_map(answered_by).map(short_error_size);
                let reserved = reserved.fold(0, usize::saturating_add);
                let Some(key) = self.begin_batch(reserved) else {
                    let words = "the batch has more items than one text could answer";
                    self.refuse(None, &Id::NULL, &RpcError::new(INVALID_REQUEST, words));
                    return self.strike();
                };
                let size = text.len() / items.len().max(1);
                for item in items {
                    self.on_item(item, Some(key), size);
                }
                self.finish_batch(key);
            }
            Incoming::InvalidBatch(invalid) => {
                self.refuse(None, &invalid.id, &RpcError::new(INVALID_REQUEST, invalid.why));
                self.strike();
            }
        }
    }

    fn on_item(&mut self, item: Item, batch: Option<u64>, size: usize) {
        match item {
            Item::Request { id, method, params } => {
                if !self.is_answerable(&id) {
                    let words = "the id is longer than any answer";
                    self.refuse(batch, &Id::NULL, &RpcError::new(INVALID_REQUEST, words));
                    return self.strike();
                }
                if let Err(error) = self.admit(size) {
                    return self.refuse(batch, &id, &error);
                }
                let id = self.serves.begin(id, batch);
                let request = Request { id, method, params: or_null(params), timestamp: 0 };
                self.deliver(Delivery::Request(request), size);
            }
            Item::Notification { method, params } => {
                if self.admit(size).is_ok() {
                    let message = Message { name: method, data: or_null(params), timestamp: 0 };
                    self.deliver(Delivery::Message(message), size);
                }
            }
            Item::Result { id, result } => {
                self.on_answer(&id, Ok(Reply { data: result, envelope: None }));
            }
            Item::Error { id, number, message, data } => {
                let details = data.and_then(|data| to_msgpack(&data).ok());
                let error = RpcError { code: error_code(number), message, details };
                self.on_answer(&id, Err(CallFailure::Remote(error)));
            }
            Item::Invalid(invalid) => {
                self.refuse(batch, &invalid.id, &RpcError::new(INVALID_REQUEST, invalid.why));
                self.strike();
            }
        }
    }

    fn admit(&mut self, size: usize) -> Result<(), RpcError> {
        if self.phase != Phase::Open {
            return Err(RpcError::connection_error("this side is closing"));
        }
        let limited = match self.intake.admit(self.now, size) {
            Err(wait) => Some(RpcError::rate_limited(wait)),
            Ok(()) if self.serves.len() >= self.config.limits.serves_max => {
                Some(RpcError::rate_limited(None))
            }
            Ok(()) => None,
        };
        match limited {
            None => Ok(()),
            Some(error) => {
                self.stats.rate_limited = self.stats.rate_limited.saturating_add(1);
                Err(error)
            }
        }
    }

    fn deliver(&mut self, delivery: Delivery, size: usize) {
        self.stats.messages_received = self.stats.messages_received.saturating_add(1);
        self.events.push_delivery(delivery, size);
    }

    fn on_answer(&mut self, id: &Id, outcome: Outcome) {
        let known = id.as_number().filter(|number| self.calls.contains(*number));
        // Whoever could not read a request does not know its id. With one call made it is clear which
        // was meant.
        let number = match (known, self.calls.only()) {
            (Some(number), _) => number,
            (None, Some(only)) if id.is_null() && outcome.is_err() => only,
            (None, _) => {
                let was_issued = id.as_number().is_some_and(|id| self.calls.was_issued(id));
                return self.on_stray_answer(was_issued || (id.is_null() && outcome.is_err()));
            }
        };
        if outcome.is_err() {
            self.stats.errors_received = self.stats.errors_received.saturating_add(1);
        }
        self.calls.close(number);
        self.events.push(Event::Finished { call: CallId(number), outcome });
        self.tell_writable();
    }

    fn on_stray_answer(&mut self, may_be_late: bool) {
        if may_be_late && self.calls.late_answer() {
            self.stats.late_answers = self.stats.late_answers.saturating_add(1);
        } else {
            self.strike();
        }
    }

    fn on_broken(&mut self, error: TextError) {
        self.text_began = None;
        let answer = RpcError::new(PARSE_ERROR, alloc::format!("{error}"));
        self.refuse(None, &Id::NULL, &answer);
        if error.is_fatal {
            // Nobody knows where the next text would begin.
            self.lose_calls();
            self.drain(CloseReason::Text(error));
            self.end();
        } else {
            self.strike();
        }
    }

    fn on_peer_end(&mut self) {
        // It cannot answer any more, but it may still read what it asked for.
        self.lose_calls();
        if self.phase == Phase::Open {
            self.drain(CloseReason::Peer);
        }
    }

    fn strike(&mut self) {
        self.stats.strikes = self.stats.strikes.saturating_add(1);
        let outcome = self.strikes.count(self.now, &self.config.limits, Strike::Unreadable);
        if let Err(violation) = outcome
            && matches!(self.phase, Phase::Open | Phase::Draining { .. })
        {
            self.lose_calls();
            self.drain(CloseReason::Violation(violation));
            self.end();
        }
    }
}

/// The id of the answer that an item will have, whatever it is.
fn answered_by(item: &Item) -> Option<&Id> {
    match item {
        Item::Request { id, .. } => Some(id),
        Item::Invalid(invalid) => Some(&invalid.id),
        Item::Notification { .. } | Item::Result { .. } | Item::Error { .. } => None,
    }
}

fn or_null(params: Option<Bytes>) -> Bytes {
    params.unwrap_or(Bytes::from_static(b"null"))
}
