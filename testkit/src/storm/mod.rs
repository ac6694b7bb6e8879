//! Many clients and a server that goes down and comes back: whether they let it.
//!
//! Clients begin operations independently of each other and stand on the real machines of
//! [`cndt_core::resilience`], asked in the order of the runtime's policies: time-out, retry, breaker,
//! rate, bulkhead. The server does requests one after the other, first come first served, with a
//! queue that is longer than anybody waits for; it does not learn who has given up. That is the
//! worst case: a server that is behind works for nobody, and clients that repeat keep it behind.
//!
//! Time is simulated and a run is a function of its scenario, strategy and seed. Operations begin at
//! the same moments under each strategy.
//!
//! ```
//! use cndt_testkit::storm::{self, Scenario, Strategy};
//!
//! let scenario = Scenario { clients: 100, ..Scenario::default() };
//! let naive = storm::run(&scenario, &Strategy::naive()?, 1)?;
//! let full = storm::run(&scenario, &Strategy::full()?, 1)?;
//! assert!(naive.peak() > 2.0 && full.peak() < 2.0);
//! assert!(full.succeeded() > naive.succeeded());
//! # Ok::<(), cndt_core::limits::LimitError>(())
//! ```

pub mod chart;
mod client;
mod random;
mod report;
mod schedule;
mod server;
mod strategy;
mod timeline;
mod world;

use std::time::Duration;

use cndt_core::limits::LimitError;

pub use report::{Recovery, Report, Second};
pub use schedule::{FLAPPING, Health, Outage, Phase, outages};
pub use strategy::Strategy;

use world::World;

/// Who asks how much of whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scenario<'a> {
    /// Clients. 10,000.
    pub clients: u32,
    /// The mean time between two operations that a client begins. 500 ms.
    pub gap: Duration,
    /// How the server is, and when.
    pub schedule: &'a [Phase],
}

impl Default for Scenario<'_> {
    fn default() -> Self {
        Self { clients: 10_000, gap: Duration::from_millis(500), schedule: FLAPPING }
    }
}

impl Scenario<'_> {
    /// Operations a second, on average.
    pub fn normal(&self) -> u64 {
        let micros = u64::try_from(self.gap.as_micros()).unwrap_or(u64::MAX).max(1);
        u64::from(self.clients) * 1_000_000 / micros
    }

    /// Requests a second that the server can do: half as many again as are normal.
    pub fn capacity(&self) -> u64 {
        self.normal() * 3 / 2
    }

    /// Requests that may wait at the server: what it does in a second and a half, which is longer than
    /// an attempt takes.
    pub fn queue_max(&self) -> u64 {
        self.capacity() * 3 / 2
    }

    /// How long the schedule is.
    pub fn seconds(&self) -> u64 {
        self.schedule.iter().map(|phase| phase.seconds).sum()
    }
}

/// Plays a scenario.
///
/// # Errors
/// A part of the strategy that makes no sense.
pub fn run(scenario: &Scenario<'_>, strategy: &Strategy, seed: u64) -> Result<Report, LimitError> {
    let mut world = World::new(scenario, strategy, seed)?;
    world.play();
    Ok(Report::new(scenario, strategy, world))
}
