//! What this side calls and sends.

use core::time::Duration;

use bytes::BytesMut;

use super::super::framing::Framing;
use super::super::message::{Id, write_request};
use super::{Endpoint, Phase, SCRATCH_MAX};
use crate::connection::calls::Awaits;
use crate::connection::send_buffer::Class;
use crate::connection::{CallId, CloseReason, Event, SendError, SendId};
use crate::message::{Body, BodyError};
use crate::time::Instant;

impl Endpoint {
    /// Calls a method of the peer. [`Event::Finished`] tells how it ended, exactly once. `params`
    /// are an object, a list, or null for none.
    ///
    /// # Errors
    /// [`SendError`]: nothing was queued.
    pub fn call<B: Body + ?Sized>(
        &mut self,
        now: Instant,
        method: &str,
        params: &B,
        timeout: Duration,
    ) -> Result<CallId, SendError> {
        self.clock(now);
        let id = self.admit_calls(1)?;
        self.begin_request(Some(&Id::number(id)), method, params)?;
        self.flush_scratch(Class::Request(id))?;
        let was_saturated = self.is_saturated();
        self.calls.open(id, self.now, timeout, Awaits::Answer);
        self.note_sent();
        self.read_on(was_saturated);
        Ok(CallId(id))
    }

    /// Sends a notification: a call that is not answered.
    ///
    /// # Errors
    /// [`SendError`]: nothing was queued.
    pub fn send<B: Body + ?Sized>(
        &mut self,
        now: Instant,
        method: &str,
        params: &B,
    ) -> Result<SendId, SendError> {
        self.clock(now);
        self.admit_text(0)?;
        self.begin_request(None, method, params)?;
        let number = self.last_send.saturating_add(1);
        self.flush_scratch(Class::Message(number))?;
        self.last_send = number;
        self.note_sent();
        Ok(SendId(number))
    }

    /// Gives a call up: no [`Event::Finished`] follows, its answer will be dropped. The peer is not
    /// told, since the protocol has no word for it. False when it had its outcome already.
    pub fn cancel(&mut self, now: Instant, call: CallId) -> bool {
        self.clock(now);
        let was_open = self.calls.abandon(call.correlation()).is_some();
        self.tell_writable();
        self.settle();
        was_open
    }

    /// Gives the outcome of a call up, but not the call: even when the peer ends, it still leaves, as
    /// notifications do. (One of a batch has the fate of its batch.) Otherwise as [`Endpoint::cancel`].
    pub fn forget(&mut self, now: Instant, call: CallId) -> bool {
        self.clock(now);
        let id = call.correlation();
        let Some(ended) = self.calls.abandon(id) else { return false };
        match ended.awaits {
            Awaits::Answer => self.out.reclass(Class::Request(id), Class::FORGOTTEN),
            Awaits::AnswerInBatch | Awaits::Ack => {}
        }
        self.tell_writable();
        self.settle();
        true
    }

    /// Ends the connection: nothing new begins, what is under way may finish within
    /// `limits.drain`, then the stream is shut down.
    pub fn close(&mut self, now: Instant) {
        self.clock(now);
        if self.phase == Phase::Open {
            self.drain(CloseReason::Local);
        }
        self.settle();
    }

    /// Ends the connection at once.
    pub fn abort(&mut self, now: Instant) {
        self.clock(now);
        self.break_off(CloseReason::Local);
    }

    /// Puts a request together in the scratch buffer.
    pub(super) fn begin_request<B: Body + ?Sized>(
        &mut self,
        id: Option<&Id>,
        method: &str,
        params: &B,
    ) -> Result<(), SendError> {
        let mut json = BytesMut::new();
        params.write_json(&mut json)?;
        let params = match json.first() {
            Some(b'{' | b'[') => Some(&json[..]),
            _ if json == b"null"[..] => None,
            _ => {
                let words = "parameters of JSON-RPC must be an object, a list or null";
                return Err(BodyError::new(words).into());
            }
        };
        self.scratch.clear();
        write_request(&mut self.scratch, id, method, params);
        Ok(())
    }

    /// Frames what was put together, and queues it.
    pub(super) fn flush_scratch(&mut self, class: Class) -> Result<(), SendError> {
        let (length, max) = (self.scratch.len(), self.config.limits.frame_max);
        if length > max {
            return Err(SendError::TooLarge { length, max });
        }
        let framing = self.reply_framing();
        let text = core::mem::take(&mut self.scratch);
        let written = self.out.write(class, |out, _| {
            let before = out.len();
            framing.write(out, &text);
            Ok::<_, SendError>(out.len().saturating_sub(before))
        });
        self.scratch = text;
        if self.scratch.capacity() > SCRATCH_MAX {
            self.scratch = BytesMut::new();
        }
        written?;
        self.stats.frames_sent = self.stats.frames_sent.saturating_add(1);
        self.active_at = self.now;
        self.watch_output();
        Ok(())
    }

    /// A peer that puts nothing between texts reads over the end of a line.
    pub(super) fn reply_framing(&self) -> Framing {
        match (self.config.framing, self.decoder.framing()) {
            (Some(chosen), _) => chosen,
            (None, Some(Framing::ContentLength)) => Framing::ContentLength,
            (None, Some(Framing::Newline | Framing::Bare) | None) => Framing::Newline,
        }
    }

    pub(super) fn note_sent(&mut self) {
        self.stats.messages_sent = self.stats.messages_sent.saturating_add(1);
    }

    /// The id of the first of so many calls.
    pub(super) fn admit_calls(&mut self, count: usize) -> Result<u64, SendError> {
        self.admit_text(count)?;
        if self.calls.len().saturating_add(count) > self.config.limits.calls_max {
            return Err(self.block(count));
        }
        self.calls.next_id().ok_or(SendError::Exhausted)
    }

    /// `calls` is how many the text makes, for which there must be room before it is tried again.
    pub(super) fn admit_text(&mut self, calls: usize) -> Result<(), SendError> {
        if self.phase != Phase::Open {
            return Err(SendError::NotOpen(self.phase()));
        }
        let limits = &self.config.limits;
        let is_full = self.out.data_frames() >= limits.send_queue_frames
            || self.out.bytes() >= limits.send_queue_bytes;
        if is_full { Err(self.block(calls)) } else { Ok(()) }
    }

    fn block(&mut self, calls: usize) -> SendError {
        self.blocked = Some(self.blocked.map_or(calls, |before| before.min(calls)));
        SendError::Blocked
    }

    /// Tells once when there is room again after a refusal: in the queue at half, and for the calls of
    /// the smallest that was refused.
    pub(super) fn tell_writable(&mut self) {
        let Some(calls) = self.blocked else { return };
        let limits = &self.config.limits;
        let has_room = self.out.data_frames() <= limits.send_queue_frames / 2
            && self.out.bytes() <= limits.send_queue_bytes / 2
            && self.calls.len().saturating_add(calls) <= limits.calls_max;
        if has_room && self.phase != Phase::Closed {
            self.blocked = None;
            self.events.push(Event::Writable);
        }
    }
}
