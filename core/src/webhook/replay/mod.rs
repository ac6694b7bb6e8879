//! Memory of deliveries, bounded in number and in time.

#[cfg(test)]
mod tests;

use alloc::collections::{BTreeMap, BTreeSet};
use core::fmt;
use core::time::Duration;

use sha2::{Digest, Sha256};

use super::Tolerance;
use crate::limits::LimitError;

/// Ids that a guard can be told to remember at most.
const IDS_CEILING: usize = 10_000_000;
/// Old ids that one call forgets: more than it adds, and few enough not to be noticed.
const FORGOTTEN_PER_CALL: usize = 4;

/// Half of a SHA-256. Ids of any length take the same room, and two that are alike cannot be found.
type Key = [u8; 16];

/// How much a [`ReplayGuard`] remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReplayLimits {
    /// Ids, from 1 to 10^7. Each takes some 150 bytes.
    pub ids_max: usize,
    /// For how long, in whole seconds. At least twice the tolerance: what is dated as far ahead as is
    /// allowed stays acceptable for that long.
    pub window: Duration,
}

impl Default for ReplayLimits {
    /// 100,000 ids for ten minutes.
    fn default() -> Self {
        Self { ids_max: 100_000, window: Duration::from_secs(600) }
    }
}

/// Remembers which deliveries came, so that none is handled twice.
///
/// Ask it only about what has been [verified](super::Keys::verify), or strangers can fill it. An id
/// is forgotten when everything that was signed with it is out of tolerance; a request that is signed
/// with an id and a timestamp is then handled at most once, even if the clock is set back. Where no
/// timestamp is signed, or the tolerance is off, it only finds repetitions within its window. Keep one
/// guard for each sender, since two senders may use the same ids.
///
/// Each call costs a hash and O(log n). When the memory is full, what is new is refused.
///
/// ```
/// use cndt_core::webhook::{ReplayError, ReplayGuard, ReplayLimits, Settlement, Tolerance};
///
/// let mut guard = ReplayGuard::new(ReplayLimits::default(), Tolerance::default())?;
/// let now = 1_700_000_000;
/// let first = guard.begin(now, "msg_1")?;
/// assert_eq!(guard.begin(now, "msg_1"), Err(ReplayError::InProgress));
///
/// // The handler fails: when the sender tries again, that is no replay.
/// guard.settle(first, Settlement::Forgotten);
/// let second = guard.begin(now + 5, "msg_1")?;
/// guard.settle(second, Settlement::Kept);
/// assert_eq!(guard.begin(now + 10, "msg_1"), Err(ReplayError::Replayed));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ReplayGuard {
    ids_max: usize,
    window: u64,
    ids: BTreeMap<Key, Seen>,
    by_age: BTreeSet<(u64, Key)>,
    tickets: u64,
    /// Until when an id that was forgotten might have been needed. The clock has passed it, unless
    /// it is set back.
    forgotten_until: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    /// The last time that the id came.
    at: u64,
    ticket: u64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    InProgress,
    Kept,
}

/// A delivery that is being handled. Give it back to [`ReplayGuard::settle`]: one that is lost counts
/// as in progress until the window is over.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a delivery that is not settled blocks its own repetition"]
pub struct Ticket {
    key: Key,
    number: u64,
}

/// How a delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Settlement {
    /// It was handled: the same id is a replay.
    Kept,
    /// It was not: the same id is welcome.
    Forgotten,
}

/// Why a delivery is not to be handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// It was handled before. An honest sender has missed the answer: tell it success once more.
    #[error("the delivery was handled before")]
    Replayed,
    /// It is being handled now. Nobody knows how that ends: let the sender try again later.
    #[error("the delivery is being handled")]
    InProgress,
    /// No room. Let the sender try again later; if this is no attack, raise `ids_max`.
    #[error("{max} deliveries are remembered, which is the limit")]
    Full {
        /// `ids_max`.
        max: usize,
    },
    /// The clock was set back to a time of which ids are forgotten already.
    #[error("the clock was set back; new deliveries are taken {wait} s from now")]
    ClockWentBack {
        /// Seconds, at most the window.
        wait: u64,
    },
}

impl ReplayGuard {
    /// An empty memory for requests that are verified with this tolerance.
    ///
    /// # Errors
    /// No ids or more than 10^7, no window or one that is shorter than twice the tolerance.
    pub fn new(limits: ReplayLimits, tolerance: Tolerance) -> Result<Self, LimitError> {
        if !(1..=IDS_CEILING).contains(&limits.ids_max) {
            return Err(LimitError { field: "ids_max", expected: "must be from 1 to 10^7" });
        }
        let window = limits.window.as_secs();
        let needed = match tolerance {
            Tolerance::Within(span) => span.as_secs().saturating_mul(2).max(1),
            Tolerance::Off => 1,
        };
        if window < needed {
            let expected = "must be at least twice the tolerance, and a second";
            return Err(LimitError { field: "window", expected });
        }
        Ok(Self {
            ids_max: limits.ids_max,
            window,
            ids: BTreeMap::new(),
            by_age: BTreeSet::new(),
            tickets: 0,
            forgotten_until: None,
        })
    }

    /// A delivery is about to be handled. `now` is the time that it was verified at.
    ///
    /// # Errors
    /// The reason not to. An id that is refused as known is remembered anew: it may have come with a
    /// later timestamp, and would be fresh for longer.
    pub fn begin(&mut self, now: u64, id: &str) -> Result<Ticket, ReplayError> {
        self.forget_old(now);
        let key = key_of(id);
        if let Some(seen) = self.ids.get_mut(&key) {
            if now <= seen.at.saturating_add(self.window) {
                let (before, state) = (seen.at, seen.state);
                seen.at = before.max(now);
                self.by_age.remove(&(before, key));
                self.by_age.insert((before.max(now), key));
                return Err(match state {
                    State::InProgress => ReplayError::InProgress,
                    State::Kept => ReplayError::Replayed,
                });
            }
            let at = seen.at;
            self.forget(at, key);
        }
        if let Some(until) = self.forgotten_until.filter(|until| now <= *until) {
            let wait = until.saturating_sub(now).saturating_add(1);
            return Err(ReplayError::ClockWentBack { wait });
        }
        if self.ids.len() >= self.ids_max {
            return Err(ReplayError::Full { max: self.ids_max });
        }
        self.tickets = self.tickets.wrapping_add(1);
        let number = self.tickets;
        self.ids.insert(key, Seen { at: now, ticket: number, state: State::InProgress });
        self.by_age.insert((now, key));
        Ok(Ticket { key, number })
    }

    /// The delivery has been handled, or has failed. What is no longer remembered is let be.
    pub fn settle(&mut self, ticket: Ticket, settlement: Settlement) {
        let Some(seen) = self.ids.get_mut(&ticket.key) else { return };
        if seen.ticket != ticket.number {
            return;
        }
        match settlement {
            Settlement::Kept => seen.state = State::Kept,
            Settlement::Forgotten => {
                let at = seen.at;
                self.ids.remove(&ticket.key);
                self.by_age.remove(&(at, ticket.key));
            }
        }
    }

    /// [`ReplayGuard::begin`] and [`Settlement::Kept`] in one, for handlers that cannot fail.
    ///
    /// # Errors
    /// As [`ReplayGuard::begin`].
    pub fn check(&mut self, now: u64, id: &str) -> Result<(), ReplayError> {
        let ticket = self.begin(now, id)?;
        self.settle(ticket, Settlement::Kept);
        Ok(())
    }

    /// How many ids are remembered.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    fn forget_old(&mut self, now: u64) {
        for _ in 0..FORGOTTEN_PER_CALL {
            match self.by_age.first() {
                Some((at, key)) if now > at.saturating_add(self.window) => self.forget(*at, *key),
                Some(_) | None => break,
            }
        }
    }

    fn forget(&mut self, at: u64, key: Key) {
        self.ids.remove(&key);
        self.by_age.remove(&(at, key));
        self.forgotten_until = self.forgotten_until.max(Some(at.saturating_add(self.window)));
    }
}

impl fmt::Debug for ReplayGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayGuard")
            .field("ids", &self.ids.len())
            .field("ids_max", &self.ids_max)
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}

fn key_of(id: &str) -> Key {
    let mut key = Key::default();
    for (byte, digest) in key.iter_mut().zip(Sha256::digest(id.as_bytes())) {
        *byte = digest;
    }
    key
}
