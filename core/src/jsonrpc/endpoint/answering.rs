//! What this side is asked, and how it answers.

use alloc::collections::BTreeMap;

use bytes::{BufMut, BytesMut};

use super::super::message::{Id, error_number, write_error, write_result};
use super::super::transcode::to_json;
use super::{Endpoint, Lifetime, Phase};
use crate::connection::send_buffer::Class;
use crate::connection::{CloseReason, Delivery, RequestId, SendError};
use crate::message::Body;
use crate::rpc::RpcError;
use crate::time::Instant;

/// Requests of the peer that have no answer yet, and batches that wait for the last of theirs.
#[derive(Debug, Default)]
pub(super) struct Serves {
    open: BTreeMap<u64, Serve>,
    batches: BTreeMap<u64, Batch>,
    /// Of requests and batches alike.
    next: u64,
    /// Bytes of answers that wait for the others of their batch.
    bytes: usize,
}

#[derive(Debug, Clone)]
struct Serve {
    id: Id,
    batch: Option<u64>,
}

#[derive(Debug)]
struct Batch {
    /// Answers that are still to come.
    left: usize,
    /// Those that are there, with commas between.
    answers: BytesMut,
    /// What is kept free, so that each answer that is to come can at least be a short error.
    reserved: usize,
    /// Whether the application had a part in it. What the peer causes by itself counts as refusals do.
    was_served: bool,
}

impl Serves {
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn begin(&mut self, id: Id, batch: Option<u64>) -> RequestId {
        self.next = self.next.saturating_add(1);
        if let Some(batch) = batch.and_then(|key| self.batches.get_mut(&key)) {
            batch.left = batch.left.saturating_add(1);
            batch.was_served = true;
        }
        self.open.insert(self.next, Serve { id, batch });
        RequestId(self.next)
    }

    /// Whether a delivery may be given out however much waits: it belongs to a batch of which some were
    /// given out, whose answers are bounded together, or it has no answer. Deliveries are given out
    /// in order, so no more than one batch is ever given out in part.
    pub(super) fn goes_on(&self, delivery: &Delivery) -> bool {
        match delivery {
            Delivery::Message(_) => true,
            Delivery::Request(request) => {
                let number = request.id.correlation();
                let batch = self.open.get(&number).and_then(|serve| serve.batch);
                // Batches are numbered along with their requests, so the first one's number is next.
                batch.is_some_and(|key| number > key.saturating_add(1))
            }
        }
    }

    fn begin_batch(&mut self, reserved: usize) -> u64 {
        self.next = self.next.saturating_add(1);
        let batch = Batch { left: 0, answers: BytesMut::new(), reserved, was_served: false };
        self.batches.insert(self.next, batch);
        self.next
    }
}

impl Batch {
    /// How long the answer under this id may be.
    fn room(&self, id: &Id, text_max: usize) -> usize {
        let others = self.reserved.saturating_sub(short_error_size(id));
        let taken = self.answers.len().saturating_add(others).saturating_add(BRACKETS);
        text_max.saturating_sub(taken)
    }
}

/// What stands before an answer in a batch, a bracket or a comma, and what stands behind the last.
const BRACKETS: usize = 2;
/// For errors that are too large as they are.
const NO_ROOM: &str = "no room for the details";

/// What an answer takes in a batch when nothing but its code is told.
pub(super) fn short_error_size(id: &Id) -> usize {
    const AROUND: usize =
        r#",{"jsonrpc":"2.0","error":{"code":-9223372036854775808,"message":""},"id":}"#.len();
    AROUND.saturating_add(NO_ROOM.len()).saturating_add(id.as_json().len())
}

impl Endpoint {
    /// Answers a request of the peer.
    ///
    /// # Errors
    /// [`SendError::NoSuchRequest`] when it is not open (any more). When the result cannot be
    /// written the request stays open, so that it can be answered by an error; so too with
    /// [`SendError::TooLarge`], when it exceeds `limits.frame_max` by itself or together with the
    /// other answers of its batch.
    pub fn respond<B: Body + ?Sized>(
        &mut self,
        now: Instant,
        request: RequestId,
        result: &B,
    ) -> Result<(), SendError> {
        self.clock(now);
        let serve = self.serving(request)?;
        let mut json = BytesMut::new();
        result.write_json(&mut json)?;
        let mut answer = BytesMut::new();
        write_result(&mut answer, &serve.id, &json);
        let max = self.room(serve.batch, &serve.id);
        if answer.len() > max {
            return Err(SendError::TooLarge { length: answer.len(), max });
        }
        self.answer(request, &answer);
        Ok(())
    }

    /// Answers a request of the peer by an error. Its details become `data`. One that is too large
    /// goes out as its code and a few words, for which there is always room.
    ///
    /// # Errors
    /// [`SendError::NoSuchRequest`] when it is not open (any more). When the details cannot be
    /// written the request stays open.
    pub fn respond_error(
        &mut self,
        now: Instant,
        request: RequestId,
        error: &RpcError,
    ) -> Result<(), SendError> {
        self.clock(now);
        let serve = self.serving(request)?;
        let answer = self.error_within(self.room(serve.batch, &serve.id), &serve.id, error)?;
        self.answer(request, &answer);
        self.stats.errors_sent = self.stats.errors_sent.saturating_add(1);
        Ok(())
    }

    fn serving(&self, request: RequestId) -> Result<Serve, SendError> {
        let serve = self.serves.open.get(&request.correlation());
        serve.cloned().ok_or(SendError::NoSuchRequest(request.correlation()))
    }

    /// Whether there is at least room for a short error under this id.
    pub(super) fn is_answerable(&self, id: &Id) -> bool {
        short_error_size(id) <= self.config.limits.frame_max
    }

    /// How long the answer under this id may be.
    fn room(&self, batch: Option<u64>, id: &Id) -> usize {
        let max = self.config.limits.frame_max;
        let batch = batch.and_then(|key| self.serves.batches.get(&key));
        batch.map_or(max, |batch| batch.room(id, max))
    }

    /// The error as it is, or as its code and a few words.
    fn error_within(&self, max: usize, id: &Id, error: &RpcError) -> Result<BytesMut, SendError> {
        let mut answer = BytesMut::new();
        put_error(&mut answer, id, error)?;
        if answer.len() > max {
            answer.clear();
            write_error(&mut answer, id, error_number(error.code), NO_ROOM, None);
        }
        Ok(answer)
    }

    fn answer(&mut self, request: RequestId, answer: &[u8]) {
        let was_saturated = self.is_saturated();
        let Some(serve) = self.serves.open.remove(&request.correlation()) else { return };
        if let Some(key) = serve.batch {
            if let Some(batch) = self.serves.batches.get_mut(&key) {
                batch.left = batch.left.saturating_sub(1);
            }
            self.add_to_batch(key, &serve.id, answer);
            self.finish_batch(key);
        } else {
            self.send_answer(Class::Response, answer);
        }
        if !self.read_on(was_saturated) {
            self.settle();
        }
    }

    /// Answers what is no request, or is refused before anybody has seen it.
    pub(super) fn refuse(&mut self, batch: Option<u64>, id: &Id, error: &RpcError) {
        let id = if self.is_answerable(id) { id } else { &Id::NULL };
        // Its details are our own, and can always be written.
        let answer = self.error_within(self.room(batch, id), id, error).unwrap_or_default();
        match batch {
            Some(key) => self.add_to_batch(key, id, &answer),
            None => self.send_answer(Class::Reply, &answer),
        }
    }

    /// A batch whose items need so many bytes for short errors. `None` if not even these have room.
    pub(super) fn begin_batch(&mut self, reserved: usize) -> Option<u64> {
        let is_fit = reserved.saturating_add(1) <= self.config.limits.frame_max;
        is_fit.then(|| self.serves.begin_batch(reserved))
    }

    fn add_to_batch(&mut self, key: u64, id: &Id, answer: &[u8]) {
        let Some(batch) = self.serves.batches.get_mut(&key) else { return };
        batch.reserved = batch.reserved.saturating_sub(short_error_size(id));
        batch.answers.put_u8(if batch.answers.is_empty() { b'[' } else { b',' });
        batch.answers.put_slice(answer);
        self.serves.bytes = self.serves.bytes.saturating_add(answer.len()).saturating_add(1);
    }

    /// Sends the answers of a batch once all are there. One that wants none gets none.
    pub(super) fn finish_batch(&mut self, key: u64) {
        if self.serves.batches.get(&key).is_none_or(|batch| batch.left > 0) {
            return;
        }
        let Some(batch) = self.serves.batches.remove(&key) else { return };
        let mut answers = batch.answers;
        if answers.is_empty() {
            return;
        }
        self.serves.bytes = self.serves.bytes.saturating_sub(answers.len());
        answers.put_u8(b']');
        let class = if batch.was_served { Class::Response } else { Class::Reply };
        self.send_answer(class, &answers);
    }

    fn send_answer(&mut self, class: Class, answer: &[u8]) {
        self.scratch.clear();
        self.scratch.put_slice(answer);
        self.flush_answer(class);
        if self.config.lifetime == Lifetime::OneAnswer && self.phase == Phase::Open {
            self.drain(CloseReason::Local);
        }
    }
}

fn put_error(out: &mut BytesMut, id: &Id, error: &RpcError) -> Result<(), SendError> {
    let mut data = BytesMut::new();
    if let Some(details) = &error.details {
        to_json(details, &mut data)?;
    }
    let data = (!data.is_empty()).then_some(&data[..]);
    write_error(out, id, error_number(error.code), &error.message, data);
    Ok(())
}
