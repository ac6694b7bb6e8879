//! What this side calls and sends.

use alloc::vec::Vec;
use core::time::Duration;

use bytes::{BufMut, BytesMut};

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
        let id = self.admit_call()?;
        self.begin_request(Some(&Id::number(id)), method, params)?;
        self.flush_scratch(Class::Request(id))?;
        self.calls.open(id, self.now, timeout, Awaits::Answer);
        self.note_sent();
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
        self.admit_data()?;
        self.begin_request(None, method, params)?;
        let number = self.last_send.saturating_add(1);
        self.flush_scratch(Class::Message(number))?;
        self.last_send = number;
        self.note_sent();
        Ok(SendId(number))
    }

    /// Calls several methods at once, as one batch. Each has its own outcome.
    ///
    /// # Errors
    /// [`SendError`]: nothing was queued.
    pub fn batch<B: Body>(
        &mut self,
        now: Instant,
        calls: &[(&str, B)],
        timeout: Duration,
    ) -> Result<Vec<CallId>, SendError> {
        self.clock(now);
        let max = self.config.limits.calls_max;
        if calls.len() > max {
            // Waiting would not help.
            let words =
                alloc::format!("{} calls in a batch, limits.calls_max is {max}", calls.len());
            return Err(BodyError::new(words).into());
        }
        let first = self.admit_call()?;
        let count = u64::try_from(calls.len()).unwrap_or(u64::MAX);
        let room = self.config.limits.calls_max.saturating_sub(self.calls.len());
        if calls.len() > room {
            self.blocked = true;
            return Err(SendError::Blocked);
        }
        let mut text = BytesMut::new();
        for (index, (method, params)) in calls.iter().enumerate() {
            text.put_u8(if index == 0 { b'[' } else { b',' });
            let id = first.saturating_add(u64::try_from(index).unwrap_or(u64::MAX));
            self.begin_request(Some(&Id::number(id)), method, params)?;
            text.put_slice(&self.scratch);
        }
        if calls.is_empty() {
            return Ok(Vec::new());
        }
        text.put_u8(b']');
        self.scratch = text;
        self.flush_scratch(Class::Request(first))?;
        let ids = first..first.saturating_add(count);
        for id in ids.clone() {
            self.calls.open(id, self.now, timeout, Awaits::Answer);
            self.note_sent();
        }
        Ok(ids.map(CallId).collect())
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
    fn begin_request<B: Body + ?Sized>(
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
                return Err(crate::message::BodyError::new(words).into());
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
        let written = self.out.write(class, |out| {
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

    fn note_sent(&mut self) {
        self.stats.messages_sent = self.stats.messages_sent.saturating_add(1);
    }

    fn admit_call(&mut self) -> Result<u64, SendError> {
        self.admit_data()?;
        if self.calls.len() >= self.config.limits.calls_max {
            self.blocked = true;
            return Err(SendError::Blocked);
        }
        self.calls.next_id().ok_or(SendError::Exhausted)
    }

    fn admit_data(&mut self) -> Result<(), SendError> {
        if self.phase != Phase::Open {
            return Err(SendError::NotOpen(self.phase()));
        }
        let limits = &self.config.limits;
        let is_full = self.out.data_frames() >= limits.send_queue_frames
            || self.out.bytes() >= limits.send_queue_bytes;
        if is_full {
            self.blocked = true;
            return Err(SendError::Blocked);
        }
        Ok(())
    }

    /// Tells once when there is room again after a refusal, at half.
    pub(super) fn tell_writable(&mut self) {
        let limits = &self.config.limits;
        let has_room = self.out.data_frames() <= limits.send_queue_frames / 2
            && self.out.bytes() <= limits.send_queue_bytes / 2
            && self.calls.len() < limits.calls_max;
        if self.blocked && has_room && self.phase != Phase::Closed {
            self.blocked = false;
            self.events.push(Event::Writable);
        }
    }
}
