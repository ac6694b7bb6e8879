//! Circuit breakers by name: one for each service that is called, say.
//!
//! A name that was never configured gets the default configuration when it is used first. The
//! number of names is bounded: when there are as many as may be, the breaker makes room that was
//! used least recently among those that are closed, have no call under way and were not configured;
//! its counters go with it. If there is none, the new name is refused. What was configured is never
//! forgotten.
//!
//! ```
//! use cndt_core::resilience::{BreakerConfig, BreakerState, Breakers, Outcome};
//! use cndt_core::time::Instant;
//!
//! let mut breakers = Breakers::default();
//! let now = Instant::ZERO;
//! let config = BreakerConfig { failure_threshold: 1, ..BreakerConfig::default() };
//! breakers.configure(now, "user-service", config)?;
//!
//! let permit = breakers.acquire(now, "user-service")?;
//! breakers.record(now, permit, Outcome::Failure);
//! assert_eq!(breakers.state(now, "user-service"), Some(BreakerState::Open));
//! assert!(breakers.acquire(now, "user-service").is_err());
//! assert!(breakers.acquire(now, "another").is_ok());
//! # Ok::<(), cndt_core::resilience::BreakersError>(())
//! ```

#[cfg(test)]
mod tests;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;

use super::breaker::{
    BreakerConfig, BreakerMetrics, BreakerState, CircuitBreaker, Outcome, Permit, Rejected,
    Transition,
};
use crate::limits::LimitError;
use crate::time::Instant;

/// The longest name, in bytes.
pub const BREAKER_NAME_MAX: usize = 256;
/// The most names that may be allowed.
const NAMES_CEILING: usize = 1_000_000;
/// Transitions that wait to be polled; beyond it the oldest is dropped and counted.
const TRANSITIONS_MAX: usize = 256;

/// Breakers by name; see the [module](self).
#[derive(Debug, Clone)]
pub struct Breakers {
    default: BreakerConfig,
    names_max: usize,
    /// The latest time seen.
    now: Instant,
    entries: BTreeMap<Arc<str>, Entry>,
    /// Who may be forgotten, by when they were used last.
    idle: BTreeMap<u64, Arc<str>>,
    turn: u64,
    transitions: VecDeque<(Arc<str>, Transition)>,
    transitions_dropped: u64,
}

#[derive(Debug, Clone)]
struct Entry {
    breaker: CircuitBreaker,
    origin: Origin,
    last_turn: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Default,
    Configured,
}

/// Leave for one call by the breaker of a name; see [`Permit`].
#[must_use = "the place of a call that is neither reported nor released stays taken"]
#[derive(Debug, PartialEq, Eq)]
pub struct NamedPermit {
    name: Arc<str>,
    permit: Permit,
}

impl NamedPermit {
    /// The name that it was asked for by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// When it was given.
    pub fn begun(&self) -> Instant {
        self.permit.begun()
    }
}

/// Why a name cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BreakersError {
    /// Its breaker refuses the call.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// The configuration makes no sense.
    #[error(transparent)]
    Config(#[from] LimitError),
    /// There are as many names as may be, and all of them are in use.
    #[error("{names_max} names of circuit breakers are in use: allow more, or use fewer")]
    NamesExhausted {
        /// How many there may be.
        names_max: usize,
    },
    /// The name is too long.
    #[error("a circuit breaker's name of {bytes} bytes: it may have {BREAKER_NAME_MAX}")]
    NameTooLong {
        /// How long it is.
        bytes: usize,
    },
}

impl Default for Breakers {
    /// The default configuration for every name, and 1,024 names.
    fn default() -> Self {
        Self::empty(BreakerConfig::DEFAULT, 1024)
    }
}

impl Breakers {
    /// No breakers yet. `default` is for names that are not configured; there may be `names_max`
    /// names; a breaker takes some 300 bytes, and what its window takes.
    ///
    /// # Errors
    /// As [`BreakerConfig::validate`], or a `names_max` that is not from 1 to a million.
    pub fn new(default: BreakerConfig, names_max: usize) -> Result<Self, LimitError> {
        default.validate()?;
        if !(1..=NAMES_CEILING).contains(&names_max) {
            let expected = "must be from 1 to 1000000";
            return Err(LimitError { field: "breakers.names_max", expected });
        }
        Ok(Self::empty(default, names_max))
    }

    fn empty(default: BreakerConfig, names_max: usize) -> Self {
        Self {
            default,
            names_max,
            now: Instant::ZERO,
            entries: BTreeMap::new(),
            idle: BTreeMap::new(),
            turn: 0,
            transitions: VecDeque::new(),
            transitions_dropped: 0,
        }
    }

    /// Gives a name its own configuration, and a closed breaker that has counted nothing. Calls
    /// that are under way do not count any more.
    ///
    /// # Errors
    /// A configuration that makes no sense, or a name that cannot be used. Nothing has changed
    /// then.
    pub fn configure(
        &mut self,
        now: Instant,
        name: &str,
        config: BreakerConfig,
    ) -> Result<(), BreakersError> {
        config.validate()?;
        self.with(now, name, |entry, now| {
            entry.origin = Origin::Configured;
            entry.breaker.reconfigure(now, config)
        })??;
        Ok(())
    }

    /// Allows a call that begins `now`, or refuses it; see [`CircuitBreaker::acquire`].
    ///
    /// # Errors
    /// The breaker refuses it, or the name cannot be used.
    pub fn acquire(&mut self, now: Instant, name: &str) -> Result<NamedPermit, BreakersError> {
        let (name, acquired) = self
            .with_key(now, name, |key, entry, now| (Arc::clone(key), entry.breaker.acquire(now)))?;
        Ok(NamedPermit { name, permit: acquired? })
    }

    /// Takes note of how a call ended; see [`CircuitBreaker::record`].
    pub fn record(&mut self, now: Instant, permit: NamedPermit, outcome: Outcome) {
        let NamedPermit { name, permit } = permit;
        // Its name is there: a breaker with a call under way is not forgotten.
        self.with_known(now, &name, |entry, now| entry.breaker.record(now, permit, outcome));
    }

    /// Gives a permit back whose call was given up; see [`CircuitBreaker::release`].
    pub fn release(&mut self, now: Instant, permit: NamedPermit) {
        self.record(now, permit, Outcome::Ignored);
    }

    /// The state of one breaker; `None` if nobody uses the name.
    pub fn state(&self, now: Instant, name: &str) -> Option<BreakerState> {
        self.entries.get(name).map(|entry| entry.breaker.state(now.max(self.now)))
    }

    /// The states of all breakers, by name.
    pub fn states(&self, now: Instant) -> impl Iterator<Item = (&str, BreakerState)> {
        let now = now.max(self.now);
        self.entries.iter().map(move |(name, entry)| (&**name, entry.breaker.state(now)))
    }

    /// What one breaker has seen; `None` if nobody uses the name.
    pub fn metrics(&self, name: &str) -> Option<BreakerMetrics> {
        self.entries.get(name).map(|entry| entry.breaker.metrics())
    }

    /// Closes one breaker and forgets what it counted; false if nobody uses the name.
    pub fn reset(&mut self, now: Instant, name: &str) -> bool {
        self.with_known(now, name, |entry, now| entry.breaker.reset(now)).is_some()
    }

    /// See [`CircuitBreaker::force_open`]. A name that is new is made.
    ///
    /// # Errors
    /// The name cannot be used.
    pub fn force_open(&mut self, now: Instant, name: &str) -> Result<(), BreakersError> {
        self.with(now, name, |entry, now| entry.breaker.force_open(now))
    }

    /// See [`CircuitBreaker::force_closed`]. A name that is new is made.
    ///
    /// # Errors
    /// The name cannot be used.
    pub fn force_closed(&mut self, now: Instant, name: &str) -> Result<(), BreakersError> {
        self.with(now, name, |entry, now| entry.breaker.force_closed(now))
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no name.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The next change of a state that was not told yet. That the time of an open breaker is over
    /// is told when its name is used next.
    pub fn poll_transition(&mut self) -> Option<(Arc<str>, Transition)> {
        self.transitions.pop_front()
    }

    /// Changes that nobody polled before 256 newer ones.
    pub fn transitions_dropped(&self) -> u64 {
        self.transitions_dropped
    }

    fn with<T>(
        &mut self,
        now: Instant,
        name: &str,
        act: impl FnOnce(&mut Entry, Instant) -> T,
    ) -> Result<T, BreakersError> {
        self.with_key(now, name, |_, entry, now| act(entry, now))
    }

    /// Acts on the breaker of a name, which is made if it is new.
    fn with_key<T>(
        &mut self,
        now: Instant,
        name: &str,
        act: impl FnOnce(&Arc<str>, &mut Entry, Instant) -> T,
    ) -> Result<T, BreakersError> {
        let key = match self.entries.get_key_value(name) {
            Some((key, _)) => Arc::clone(key),
            None => self.add(name)?,
        };
        let names_max = self.names_max;
        let done = self.with_known(now, &key, |entry, now| act(&key, entry, now));
        done.ok_or(BreakersError::NamesExhausted { names_max })
    }

    /// Acts on the breaker of a name that is known, and keeps what depends on it in order.
    fn with_known<T>(
        &mut self,
        now: Instant,
        name: &str,
        act: impl FnOnce(&mut Entry, Instant) -> T,
    ) -> Option<T> {
        self.now = self.now.max(now);
        let now = self.now;
        let key = Arc::clone(self.entries.get_key_value(name)?.0);
        let entry = self.entries.get_mut(name)?;
        let done = act(entry, now);
        while let Some(transition) = entry.breaker.poll_transition(now) {
            if self.transitions.len() >= TRANSITIONS_MAX {
                self.transitions.pop_front();
                self.transitions_dropped = self.transitions_dropped.saturating_add(1);
            }
            self.transitions.push_back((Arc::clone(&key), transition));
        }
        self.idle.remove(&entry.last_turn);
        self.turn = self.turn.saturating_add(1);
        entry.last_turn = self.turn;
        let is_idle = entry.origin == Origin::Default
            && entry.breaker.state(now) == BreakerState::Closed
            && entry.breaker.metrics().under_way == 0;
        if is_idle {
            self.idle.insert(self.turn, key);
        }
        Some(done)
    }

    /// Makes a breaker, if need be in the place of another.
    fn add(&mut self, name: &str) -> Result<Arc<str>, BreakersError> {
        if name.len() > BREAKER_NAME_MAX {
            return Err(BreakersError::NameTooLong { bytes: name.len() });
        }
        let breaker = CircuitBreaker::new(self.default)?;
        if self.entries.len() >= self.names_max {
            let exhausted = BreakersError::NamesExhausted { names_max: self.names_max };
            let (_, oldest) = self.idle.pop_first().ok_or(exhausted)?;
            self.entries.remove(&oldest);
        }
        let key: Arc<str> = Arc::from(name);
        let entry = Entry { breaker, origin: Origin::Default, last_turn: 0 };
        self.entries.insert(Arc::clone(&key), entry);
        Ok(key)
    }
}
