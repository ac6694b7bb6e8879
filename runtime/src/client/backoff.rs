use std::time::Duration;

/// No delay is shorter: even a lucky draw leaves a server time to breathe.
const FLOOR: Duration = Duration::from_millis(100);

/// Exponential backoff with full jitter: a delay is random between nothing and a bound that grows.
/// Without it, all clients of a server that restarts come back in the same moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    pub(crate) base: Duration,
    pub(crate) max: Duration,
    pub(crate) multiplier: f64,
}

impl Backoff {
    /// The delay before attempt number `attempt`, counted from 0. `entropy` is uniformly random.
    pub(crate) fn delay(&self, attempt: u32, entropy: u64) -> Duration {
        let exponent = i32::try_from(attempt).unwrap_or(i32::MAX);
        let bound = self.base.as_secs_f64() * self.multiplier.powi(exponent);
        let bound = bound.min(self.max.as_secs_f64());
        // The upper 53 bits: what an f64 holds exactly.
        let fraction = (entropy >> 11) as f64 / (1_u64 << 53) as f64;
        Duration::from_secs_f64(bound * fraction).max(FLOOR.min(self.max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff =
        Backoff { base: Duration::from_secs(2), max: Duration::from_secs(60), multiplier: 2.0 };

    #[test]
    fn the_bound_doubles_up_to_the_cap() {
        let bounds = [2, 4, 8, 16, 32, 60, 60];
        for (attempt, bound) in (0..).zip(bounds) {
            let longest = BACKOFF.delay(attempt, u64::MAX);
            let bound = Duration::from_secs(bound);
            assert!(longest <= bound && longest > bound * 99 / 100, "{attempt}: {longest:?}");
            assert!(BACKOFF.delay(attempt, u64::MAX / 2) <= bound / 2);
        }
        assert!(BACKOFF.delay(u32::MAX, u64::MAX) <= Duration::from_secs(60));
    }

    #[test]
    fn the_floor_holds() {
        assert_eq!(BACKOFF.delay(0, 0), FLOOR);
        let quick = Backoff { max: Duration::from_millis(5), ..BACKOFF };
        assert_eq!(quick.delay(0, 0), Duration::from_millis(5));
    }
}
