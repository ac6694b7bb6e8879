//! Laws of what answers for permission: each machine does what a plain model of it does, which
//! keeps everything that ever happened and counts anew each time.

mod breaker;
mod bulkhead;
mod limiter;
mod registry;

use cndt_core::time::Instant;

pub use breaker::breaker;
pub use bulkhead::bulkhead;
pub use limiter::limiter;
pub use registry::breakers;

/// Bytes as decisions; when they are used up, all decisions are the simplest.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn next(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// From 0 to below `bound`.
    fn below(&mut self, bound: usize) -> usize {
        usize::from(self.next()) % bound
    }

    fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// A span of microseconds, short or long.
    fn span(&mut self) -> u64 {
        let factor = [1, 7, 60, 1000][self.below(4)];
        u64::from(self.next()) * factor
    }
}

/// A clock that sometimes goes wrong, and what a machine has to make of it.
#[derive(Default)]
struct Clock {
    /// What it says.
    said: u64,
    /// The latest that it said.
    latest: u64,
}

impl Clock {
    fn turn(&mut self, choices: &mut Choices<'_>) {
        let span = choices.span();
        match choices.below(8) {
            0 => self.said = self.said.saturating_sub(span),
            _ => self.said = self.latest + span,
        }
    }

    /// What a machine is told. It knows of no time that it was not told.
    fn tell(&mut self) -> Instant {
        self.latest = self.latest.max(self.said);
        Instant::from_micros(self.said)
    }
}

/// Takes one of them out; `None` if there is none.
fn pick<T>(choices: &mut Choices<'_>, of: &mut Vec<T>) -> Option<T> {
    let place = usize::from(choices.next());
    (!of.is_empty()).then(|| of.remove(place % of.len()))
}
