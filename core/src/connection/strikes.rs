//! Counted misuse: survived in small doses, so that a confused peer can be told what is wrong.

use super::event::{Strike, Violation};
use crate::limits::Limits;
use crate::time::Instant;

#[derive(Debug, Default)]
pub(crate) struct Strikes {
    count: u32,
    window_began: Instant,
}

impl Strikes {
    /// Counts one.
    pub(crate) fn count(
        &mut self,
        now: Instant,
        limits: &Limits,
        last: Strike,
    ) -> Result<(), Violation> {
        if now.since(self.window_began) >= limits.strikes_window {
            self.count = 0;
        }
        if self.count == 0 {
            self.window_began = now;
        }
        self.count = self.count.saturating_add(1);
        if self.count < limits.strikes_max {
            return Ok(());
        }
        Err(Violation::TooManyStrikes { count: self.count, within: limits.strikes_window, last })
    }
}
