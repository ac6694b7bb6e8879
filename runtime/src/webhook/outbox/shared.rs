//! What the handles, the writer and the worker of one outbox share.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::config::OutboxConfig;
use super::error::{EnqueueError, Fullness, OutboxError};
use super::store::{Change, Done, Store};
use crate::watched::Watched;

/// What one transaction takes at most: then those who wait for it do not wait for long.
const BATCH_CHANGES_MAX: usize = 256;
const BATCH_BYTES_MAX: u64 = 8 * 1024 * 1024;

pub(super) struct Shared {
    pub(super) store: Store,
    pub(super) config: OutboxConfig,
    pub(super) state: Watched<State>,
}

#[derive(Default)]
pub(super) struct State {
    queue: VecDeque<Queued>,
    queued_bytes: u64,
    is_writing: bool,
    /// Serial numbers of the webhooks that are being sent.
    pub(super) in_flight: BTreeSet<u64>,
    /// Grows with everything that may make something due, or settled.
    pub(super) turns: u64,
    pub(super) is_closing: bool,
    pub(super) has_sender: bool,
    pub(super) is_delivering: bool,
    pub(super) attempts: u64,
    pub(super) failed: u64,
}

/// Where the writer puts what became of a change.
pub(super) type Slot = Arc<Watched<Option<Result<Done, OutboxError>>>>;

struct Queued {
    change: Change,
    slot: Slot,
}

pub(super) struct Batch {
    pub(super) changes: Vec<Change>,
    pub(super) slots: Vec<Slot>,
}

/// Whether somebody must write what was queued.
pub(super) enum Writer {
    Wanted,
    AtWork,
}

impl State {
    /// Queues a webhook, as far as there is room in memory. How much may wait on the disk is the
    /// store's business.
    pub(super) fn queue_add(
        &mut self,
        change: Change,
        config: &OutboxConfig,
    ) -> Result<(Slot, Writer), EnqueueError> {
        let limits = &config.limits;
        if self.is_closing {
            return Err(OutboxError::Closed.into());
        }
        if self.queue.len() as u64 >= limits.pending_max {
            return Err(EnqueueError::Full(Fullness::Count(limits.pending_max)));
        }
        if self.queued_bytes.saturating_add(change.cost()) > limits.pending_bytes_max {
            return Err(EnqueueError::Full(Fullness::Bytes(limits.pending_bytes_max)));
        }
        Ok(self.queue(change))
    }

    /// Queues what an attempt or an operator changes: no more than there are of those.
    pub(super) fn queue(&mut self, change: Change) -> (Slot, Writer) {
        let slot = Slot::new(Watched::new(None));
        self.queued_bytes = self.queued_bytes.saturating_add(change.cost());
        self.queue.push_back(Queued { change, slot: Arc::clone(&slot) });
        let writer = match self.is_writing {
            true => Writer::AtWork,
            false => Writer::Wanted,
        };
        self.is_writing = true;
        (slot, writer)
    }

    /// What is written next, all in one transaction. `None` ends the writer.
    pub(super) fn next_batch(&mut self) -> Option<Batch> {
        let mut batch = Batch { changes: Vec::new(), slots: Vec::new() };
        let mut bytes = 0_u64;
        while let Some(queued) = self.queue.front() {
            let cost = queued.change.cost();
            let is_full = batch.changes.len() >= BATCH_CHANGES_MAX
                || bytes.saturating_add(cost) > BATCH_BYTES_MAX;
            if is_full && !batch.changes.is_empty() {
                break;
            }
            bytes = bytes.saturating_add(cost);
            self.queued_bytes = self.queued_bytes.saturating_sub(cost);
            if let Some(Queued { change, slot }) = self.queue.pop_front() {
                batch.changes.push(change);
                batch.slots.push(slot);
            }
        }
        self.is_writing = !batch.changes.is_empty();
        self.is_writing.then_some(batch)
    }

    /// Whether nothing is under way any more.
    pub(super) fn is_at_rest(&self) -> bool {
        !self.is_writing && !self.is_delivering && self.in_flight.is_empty()
    }
}

impl Change {
    fn cost(&self) -> u64 {
        match self {
            Self::Add { record, .. } => record.cost(),
            Self::Delivered { .. }
            | Self::Failed { .. }
            | Self::Retry { .. }
            | Self::RetryDead { .. }
            | Self::Remove { .. } => 0,
        }
    }
}
