use cndt_core::webhook::MessageId;

use super::record::{Last, Record, State};

/// A webhook in an outbox, without its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// Its id, the same for each attempt.
    pub id: MessageId,
    /// Where it goes.
    pub url: String,
    /// Bytes of its payload.
    pub payload_size: u64,
    /// When it was accepted. This and all times are in unix milliseconds.
    pub created_at: u64,
    /// Attempts that were made and recorded.
    pub attempts: u32,
    /// How the last one ended.
    pub last: Option<LastAttempt>,
    /// Whether it waits or is dead.
    pub state: EntryState,
    /// Where it stands in its list: the next page begins there.
    pub place: Place,
}

/// What an [`Entry`] waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryState {
    /// Its next attempt.
    Pending {
        /// When that is due.
        next_at: u64,
    },
    /// Somebody who retries or removes it.
    Dead {
        /// When it was given up.
        at: u64,
    },
}

/// An attempt that did not deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastAttempt {
    /// When it ended, in unix milliseconds.
    pub at: u64,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// What went wrong, in words; at most 512 bytes.
    pub reason: String,
}

/// A place in a list of entries. Lists change: a place stays good even when its entry is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(pub(super) u64, pub(super) u64);

/// What there is, and what was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct OutboxStats {
    /// Webhooks that wait or are being sent.
    pub pending: u64,
    /// Their bytes, with URLs and headers.
    pub pending_bytes: u64,
    /// Dead letters.
    pub dead: u64,
    /// Their bytes.
    pub dead_bytes: u64,
    /// Attempts that are under way.
    pub in_flight: u64,
    /// Delivered since the file was made.
    pub delivered: u64,
    /// Dead letters that were dropped to make room, since the file was made.
    pub dropped: u64,
    /// Attempts since it was opened.
    pub attempts: u64,
    /// Those of them that did not deliver.
    pub failed: u64,
}

impl Entry {
    /// `None` when the id is none: the file was written by something else.
    pub(super) fn new(place: Place, record: Record) -> Option<Self> {
        let Record { id, url, payload_size, created_at, attempts, last, state, .. } = record;
        let last = last.map(|Last { at, status, reason }| LastAttempt { at, status, reason });
        let state = match state {
            State::Pending { next_at } => EntryState::Pending { next_at },
            State::Dead { at } => EntryState::Dead { at },
        };
        let id = id.parse().ok()?;
        Some(Self { id, url, payload_size, created_at, attempts, last, state, place })
    }
}
