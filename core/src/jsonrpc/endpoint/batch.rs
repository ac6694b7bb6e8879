//! Batches that this side sends.

use alloc::vec::Vec;
use core::time::Duration;

use bytes::{BufMut, BytesMut};

use super::super::message::Id;
use super::Endpoint;
use crate::connection::calls::Awaits;
use crate::connection::send_buffer::Class;
use crate::connection::{CallId, SendError, SendId};
use crate::message::{Body, BodyError};
use crate::time::Instant;

/// One item of a batch that this side sends. `params` are an object, a list, or null for none.
#[derive(Debug, Clone, Copy)]
pub enum BatchItem<'a, B> {
    /// A call, with an outcome of its own.
    Call {
        /// What to call.
        method: &'a str,
        /// With what.
        params: B,
    },
    /// A call that wants no answer.
    Notification {
        /// What to call.
        method: &'a str,
        /// With what.
        params: B,
    },
}

impl<B> BatchItem<'_, B> {
    /// Whether it has an outcome.
    pub fn is_call(&self) -> bool {
        match self {
            Self::Call { .. } => true,
            Self::Notification { .. } => false,
        }
    }
}

/// A batch that was queued.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueuedBatch {
    /// Its calls, in order.
    pub calls: Vec<CallId>,
    /// Its last notification, if it makes no calls. Otherwise their outcomes tell whether it left: the
    /// notifications have no numbers then, and do not count as unsent.
    pub last: Option<SendId>,
}

impl Endpoint {
    /// Sends several calls and notifications at once, as one batch. Without calls there will be no
    /// answer, as there is none to a batch without items, which is not sent at all.
    ///
    /// # Errors
    /// [`SendError`]: nothing was queued. More calls than `limits.calls_max` are never sent;
    /// [`SendError::Blocked`] means that there is no room for all of them now.
    pub fn batch<B: Body>(
        &mut self,
        now: Instant,
        items: &[BatchItem<'_, B>],
        timeout: Duration,
    ) -> Result<QueuedBatch, SendError> {
        self.clock(now);
        let count = items.iter().filter(|item| item.is_call()).count();
        let max = self.config.limits.calls_max;
        if count > max {
            // Waiting would not help.
            let words = alloc::format!("{count} calls in a batch, limits.calls_max is {max}");
            return Err(BodyError::new(words).into());
        }
        if count == 0 {
            return self.notifications(items);
        }
        let first = self.admit_calls(count)?;
        let ids = first..first.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        self.write_batch(items, ids.clone())?;
        self.flush_scratch(Class::Request(first))?;
        let was_saturated = self.is_saturated();
        for id in ids.clone() {
            self.calls.open(id, self.now, timeout, Awaits::AnswerInBatch);
        }
        items.iter().for_each(|_| self.note_sent());
        self.read_on(was_saturated);
        Ok(QueuedBatch { calls: ids.map(CallId).collect(), last: None })
    }

    fn notifications<B: Body>(
        &mut self,
        items: &[BatchItem<'_, B>],
    ) -> Result<QueuedBatch, SendError> {
        self.admit_text(0)?;
        if items.is_empty() {
            return Ok(QueuedBatch::default());
        }
        self.write_batch(items, 0..0)?;
        let count = u64::try_from(items.len()).unwrap_or(u64::MAX);
        let last = self.last_send.saturating_add(count);
        self.flush_scratch(Class::Message(last))?;
        self.last_send = last;
        items.iter().for_each(|_| self.note_sent());
        Ok(QueuedBatch { calls: Vec::new(), last: Some(SendId(last)) })
    }

    /// Puts the whole together in the scratch buffer.
    fn write_batch<B: Body>(
        &mut self,
        items: &[BatchItem<'_, B>],
        mut ids: impl Iterator<Item = u64>,
    ) -> Result<(), SendError> {
        let mut text = BytesMut::new();
        for item in items {
            text.put_u8(if text.is_empty() { b'[' } else { b',' });
            match item {
                BatchItem::Call { method, params } => {
                    let id = ids.next().map(Id::number);
                    self.begin_request(id.as_ref(), method, params)?;
                }
                BatchItem::Notification { method, params } => {
                    self.begin_request(None, method, params)?;
                }
            }
            text.put_slice(&self.scratch);
        }
        text.put_u8(b']');
        self.scratch = text;
        Ok(())
    }
}
