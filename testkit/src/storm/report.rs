use std::time::Duration;

use super::schedule::{Outage, outages};
use super::world::World;
use super::{Scenario, Strategy};

/// What happened in one second of simulated time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Second {
    /// Operations that clients began.
    pub operations: u64,
    /// Attempts that reached the server's machine: what is offered to it.
    pub offered: u64,
    /// Those of them that were not the first of their operation.
    pub repeated: u64,
    /// Attempts that clients held back themselves.
    pub held: u64,
    /// Attempts that the server turned away.
    pub refused: u64,
    /// Attempts that were not answered in time.
    pub timed_out: u64,
    /// Requests that the server did, those that nobody waited for any more included.
    pub served: u64,
    /// Operations that succeeded: goodput.
    pub succeeded: u64,
}

/// How one outage went.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recovery {
    /// When, and how the server was.
    pub outage: Outage,
    /// Attempts offered for each operation, while it lasted.
    pub during: f64,
    /// The same in the ten seconds after it, or until the next outage.
    pub after: f64,
    /// How long it took from its end until goodput was at 95 % of what is normal, on the average of
    /// three seconds. None: it did not get there before the next outage.
    pub recovered_after: Option<Duration>,
}

/// What came of a strategy.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Its name.
    pub name: &'static str,
    /// Operations a second when nothing is wrong.
    pub normal: u64,
    /// Second by second.
    pub seconds: Vec<Second>,
    /// Outage by outage.
    pub recoveries: Vec<Recovery>,
    /// Operations that came to an end.
    pub ended: u64,
    /// Clients for which nothing has succeeded since the last outage.
    pub left_behind: u64,
}

impl Report {
    pub(super) fn new(scenario: &Scenario<'_>, strategy: &Strategy, world: World<'_>) -> Self {
        let normal = scenario.normal();
        let outages = outages(scenario.schedule);
        let last = outages.last().map_or(0, |outage| outage.ended) * 1_000_000;
        let is_left =
            |at: &Option<cndt_core::time::Instant>| at.is_none_or(|at| at.as_micros() < last);
        let left = world.clients.iter().filter(|client| is_left(&client.succeeded_at)).count();
        let recoveries = outages.iter().map(|outage| recovery(*outage, &world.seconds, normal));
        Self {
            name: strategy.name,
            normal,
            recoveries: recoveries.collect(),
            ended: world.ended,
            left_behind: left as u64,
            seconds: world.seconds,
        }
    }

    /// The most attempts that were offered in one second.
    pub fn offered_peak(&self) -> u64 {
        self.seconds.iter().map(|second| second.offered).max().unwrap_or(0)
    }

    /// The most attempts of any one second, as a multiple of what is normal.
    pub fn peak(&self) -> f64 {
        ratio(self.offered_peak(), self.normal)
    }

    /// Attempts offered for each operation, over the whole time.
    pub fn amplification(&self) -> f64 {
        amplification(&self.seconds)
    }

    /// The share of the operations that succeeded in the end, of those that ended.
    pub fn succeeded(&self) -> f64 {
        ratio(self.seconds.iter().map(|second| second.succeeded).sum(), self.ended)
    }

    /// The share of the server's work that nobody waited for any more.
    pub fn wasted(&self) -> f64 {
        let sum = |of: fn(&Second) -> u64| self.seconds.iter().map(of).sum::<u64>();
        let (served, succeeded) = (sum(|second| second.served), sum(|second| second.succeeded));
        ratio(served.saturating_sub(succeeded), served)
    }
}

fn recovery(outage: Outage, seconds: &[Second], normal: u64) -> Recovery {
    let part = |from: u64, to: u64| {
        let to = usize::try_from(to).unwrap_or(usize::MAX).min(seconds.len());
        seconds.get(usize::try_from(from).unwrap_or(usize::MAX)..to).unwrap_or_default()
    };
    let well = part(outage.ended, outage.next).windows(3).position(|three| {
        let succeeded = three.iter().map(|second| second.succeeded).sum::<u64>();
        succeeded * 100 >= normal * 3 * 95
    });
    Recovery {
        outage,
        during: amplification(part(outage.began, outage.ended)),
        after: amplification(part(outage.ended, outage.next.min(outage.ended + 10))),
        recovered_after: well.map(|seconds| Duration::from_secs(seconds as u64)),
    }
}

fn amplification(seconds: &[Second]) -> f64 {
    let sum = |of: fn(&Second) -> u64| seconds.iter().map(of).sum::<u64>();
    ratio(sum(|second| second.offered), sum(|second| second.operations))
}

fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}
