//! Bulkheads: so many calls at once, so many that wait for their turn, and the others are refused.
//!
//! Whoever enters goes at once, or gets a [`Ticket`] and waits in the order of arrival.
//! [`Bulkhead::poll_decided`] names the waiters whose turn has come, or whose time is over: wake
//! them, and each learns by [`Bulkhead::claim`] which of both it is. A ticket can be abandoned at
//! any moment, also after its turn has come: then the place goes to the next.
//!
//! ```
//! use cndt_core::resilience::{Bulkhead, BulkheadConfig, Claim, Entered};
//! use cndt_core::time::Instant;
//!
//! let config = BulkheadConfig { calls_max: 1, waiting_max: 1, ..BulkheadConfig::default() };
//! let mut bulkhead = Bulkhead::new(config)?;
//! let now = Instant::ZERO;
//! let Ok(Entered::Go(pass)) = bulkhead.enter(now) else { panic!("there is room") };
//! let Ok(Entered::Wait(ticket)) = bulkhead.enter(now) else { panic!("one may wait") };
//! assert!(bulkhead.enter(now).is_err());
//!
//! bulkhead.leave(now, pass);
//! assert_eq!(bulkhead.poll_decided(now), Some(ticket.id()));
//! let Claim::Go(pass) = bulkhead.claim(now, ticket) else { panic!("its turn has come") };
//! bulkhead.leave(now, pass);
//! # Ok::<(), cndt_core::limits::LimitError>(())
//! ```
//!
//! Places that are neither left nor abandoned stay taken. Times may go back; one before an earlier
//! one counts as that one. Every operation takes logarithmic time.

#[cfg(test)]
mod tests;

use alloc::collections::{BTreeMap, BTreeSet};
use core::time::Duration;

use crate::limits::LimitError;
use crate::time::Instant;

/// The most that may be configured of each.
const CEILING: usize = 1_000_000;
/// The longest that may be waited: a year.
const WAIT_CEILING: Duration = Duration::from_secs(365 * 24 * 3600);

/// How many may go, and how many wait how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BulkheadConfig {
    /// Calls at once, from 1 to a million. 32.
    pub calls_max: usize,
    /// Calls that wait for a place, up to a million. 128. 0: nobody waits.
    pub waiting_max: usize,
    /// How long a call waits at most, from a microsecond to a year. 10 s.
    pub wait_max: Duration,
}

impl Default for BulkheadConfig {
    fn default() -> Self {
        Self { calls_max: 32, waiting_max: 128, wait_max: Duration::from_secs(10) }
    }
}

impl BulkheadConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// The first that is out of its range, as `bulkhead.NAME`.
    pub fn validate(&self) -> Result<(), LimitError> {
        let calls = (1..=CEILING).contains(&self.calls_max);
        let waiting = self.waiting_max <= CEILING;
        let wait = (Duration::from_micros(1)..=WAIT_CEILING).contains(&self.wait_max);
        for (is_fit, field, expected) in [
            (calls, "bulkhead.calls_max", "must be from 1 to 1000000"),
            (waiting, "bulkhead.waiting_max", "must be at most 1000000"),
            (wait, "bulkhead.wait_max", "must be from a microsecond to a year"),
        ] {
            if !is_fit {
                return Err(LimitError { field, expected });
            }
        }
        Ok(())
    }
}

/// A place among the calls. Hand it back by [`Bulkhead::leave`].
#[must_use = "a place that is not left stays taken"]
#[derive(Debug, PartialEq, Eq)]
pub struct Pass(());

/// A place among those who wait. Turn it in by [`Bulkhead::claim`] or [`Bulkhead::abandon`].
#[must_use = "a ticket that is neither claimed nor abandoned takes a place when its turn comes"]
#[derive(Debug, PartialEq, Eq)]
pub struct Ticket(TicketId);

impl Ticket {
    /// Whom to wake when [`Bulkhead::poll_decided`] names it.
    pub fn id(&self) -> TicketId {
        self.0
    }
}

/// Names a ticket. Who came later has the greater one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TicketId(u64);

/// What became of a call that wanted to enter.
#[derive(Debug, PartialEq, Eq)]
pub enum Entered {
    /// It goes.
    Go(Pass),
    /// It waits.
    Wait(Ticket),
}

/// What became of a call that waited.
#[derive(Debug, PartialEq, Eq)]
pub enum Claim {
    /// Its turn has come.
    Go(Pass),
    /// It has not.
    Wait(Ticket),
    /// It has waited for `wait_max`, and is out.
    Expired,
}

/// All places are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{calls} calls are under way and {waiting} wait: try again later, or allow more")]
pub struct Full {
    /// Calls that are under way.
    pub calls: usize,
    /// Calls that wait.
    pub waiting: usize,
}

/// One bulkhead; see the [module](self).
#[derive(Debug, Clone)]
pub struct Bulkhead {
    config: BulkheadConfig,
    /// The latest time seen.
    now: Instant,
    next_id: u64,
    /// Places that are taken, those of admitted tickets included.
    calls: usize,
    /// When each that waits has waited long enough: the first is always the next.
    waiting: BTreeMap<TicketId, Instant>,
    /// Tickets whose turn has come and that were not claimed.
    admitted: BTreeSet<TicketId>,
    /// Those of them that nobody was told of.
    admitted_untold: BTreeSet<TicketId>,
    /// Tickets whose time is over and that nobody was told of. They take places of waiters, so that
    /// they are bounded.
    expired_untold: BTreeSet<TicketId>,
}

impl Bulkhead {
    /// An empty one.
    ///
    /// # Errors
    /// As [`BulkheadConfig::validate`].
    pub fn new(config: BulkheadConfig) -> Result<Self, LimitError> {
        config.validate()?;
        Ok(Self {
            config,
            now: Instant::ZERO,
            next_id: 0,
            calls: 0,
            waiting: BTreeMap::new(),
            admitted: BTreeSet::new(),
            admitted_untold: BTreeSet::new(),
            expired_untold: BTreeSet::new(),
        })
    }

    /// Lets a call in, lets it wait, or refuses it.
    ///
    /// # Errors
    /// All places are taken, those for waiting too.
    pub fn enter(&mut self, now: Instant) -> Result<Entered, Full> {
        self.advance(now);
        // While anyone waits all places are taken, so that nobody is overtaken.
        if self.calls < self.config.calls_max {
            self.calls = self.calls.saturating_add(1);
            return Ok(Entered::Go(Pass(())));
        }
        let waiting = self.waiting();
        if waiting >= self.config.waiting_max {
            return Err(Full { calls: self.calls, waiting });
        }
        let id = TicketId(self.next_id);
        self.next_id = self.next_id.saturating_add(1);
        self.waiting.insert(id, self.now + self.config.wait_max);
        Ok(Entered::Wait(Ticket(id)))
    }

    /// A call has ended: its place goes to whoever waits longest.
    pub fn leave(&mut self, now: Instant, pass: Pass) {
        let Pass(()) = pass;
        self.advance(now);
        self.vacate();
    }

    /// Turns a ticket into a place, if its turn has come.
    pub fn claim(&mut self, now: Instant, ticket: Ticket) -> Claim {
        self.advance(now);
        if self.admitted.remove(&ticket.0) {
            self.admitted_untold.remove(&ticket.0);
            Claim::Go(Pass(()))
        } else if self.waiting.contains_key(&ticket.0) {
            Claim::Wait(ticket)
        } else {
            self.expired_untold.remove(&ticket.0);
            Claim::Expired
        }
    }

    /// Gives a ticket up, whatever has become of it.
    pub fn abandon(&mut self, now: Instant, ticket: Ticket) {
        self.advance(now);
        self.waiting.remove(&ticket.0);
        self.expired_untold.remove(&ticket.0);
        if self.admitted.remove(&ticket.0) {
            self.admitted_untold.remove(&ticket.0);
            self.vacate();
        }
    }

    /// Names a waiter whose turn has come or whose time is over, once. Ask until there is none,
    /// after each operation and at [`Bulkhead::next_deadline`].
    pub fn poll_decided(&mut self, now: Instant) -> Option<TicketId> {
        self.advance(now);
        self.admitted_untold.pop_first().or_else(|| self.expired_untold.pop_first())
    }

    /// When the time of the next waiter is over.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.waiting.first_key_value().map(|(_, deadline)| *deadline)
    }

    /// What was configured.
    pub fn config(&self) -> &BulkheadConfig {
        &self.config
    }

    /// Calls that are under way, those included whose turn has come and that have not claimed it.
    pub fn calls(&self) -> usize {
        self.calls
    }

    /// Calls that wait, those included whose time is over and that nobody was told of.
    pub fn waiting(&self) -> usize {
        self.waiting.len().saturating_add(self.expired_untold.len())
    }

    /// Takes out those whose time is over. All wait equally long, so that the first is over first.
    fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
        while let Some(first) = self.waiting.first_entry()
            && *first.get() <= self.now
        {
            let (id, _) = first.remove_entry();
            self.expired_untold.insert(id);
        }
    }

    fn vacate(&mut self) {
        match self.waiting.pop_first() {
            // The place changes hands.
            Some((id, _)) => {
                self.admitted.insert(id);
                self.admitted_untold.insert(id);
            }
            None => self.calls = self.calls.saturating_sub(1),
        }
    }
}
