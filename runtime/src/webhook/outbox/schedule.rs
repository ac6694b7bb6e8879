use std::time::Duration;

use cndt_core::limits::LimitError;
use cndt_core::resilience::Backoff;

/// Attempts that a schedule may have.
const ATTEMPTS_CEILING: usize = 1000;
/// No schedule waits for longer between two attempts: 30 days.
const DELAY_CEILING: Duration = Duration::from_secs(30 * 24 * 3600);

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// How often a webhook of an outbox is sent, when, and after which answers again.
///
/// Another attempt follows no answer at all, and the statuses 408, 425, 429, 500, 502, 503 and 504. Any
/// other answer is final: repeating changes nothing about it. Redirects are not followed.
///
/// ```
/// use cndt_runtime::Backoff;
/// use cndt_runtime::webhook::outbox::Schedule;
/// use std::time::Duration;
///
/// assert_eq!(Schedule::default().attempts_max(), 8);
/// let minute = Duration::from_secs(60);
/// let patient = Schedule::backoff(20, Backoff::exponential(minute, minute * 60))?;
/// assert_eq!(patient.attempts_max(), 20);
/// # Ok::<(), cndt_core::limits::LimitError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    delays: Delays,
    retry_after_max: Duration,
}

#[derive(Debug, Clone, PartialEq)]
enum Delays {
    Listed(Vec<Duration>),
    Backoff { attempts_max: u32, backoff: Backoff },
}

impl Schedule {
    /// One attempt after each of these delays, the first one's included: 1 to 1000 of at most 30 days.
    /// Each but the first is up to a tenth longer, at random, so that deliveries which failed together
    /// do not come back together.
    ///
    /// # Errors
    /// What makes no sense, by its name.
    pub fn listed(delays: impl Into<Vec<Duration>>) -> Result<Self, LimitError> {
        let delays = delays.into();
        if !(1..=ATTEMPTS_CEILING).contains(&delays.len()) {
            return Err(LimitError { field: "schedule", expected: "must have 1 to 1000 delays" });
        }
        if delays.iter().any(|delay| *delay > DELAY_CEILING) {
            let expected = "must have delays of at most 30 days";
            return Err(LimitError { field: "schedule", expected });
        }
        Ok(Self { delays: Delays::Listed(delays), retry_after_max: HOUR })
    }

    /// So many attempts, the first one included and made at once: 1 to 1000. `backoff` tells how long to
    /// wait between them. Decorrelated jitter begins anew each time: it would depend on what was drawn.
    ///
    /// # Errors
    /// What makes no sense, by its name.
    pub fn backoff(attempts_max: u32, backoff: Backoff) -> Result<Self, LimitError> {
        if !(1..=ATTEMPTS_CEILING).contains(&(attempts_max as usize)) {
            let expected = "must have 1 to 1000 attempts";
            return Err(LimitError { field: "schedule", expected });
        }
        backoff.validate()?;
        let delays = Delays::Backoff { attempts_max, backoff };
        Ok(Self { delays, retry_after_max: HOUR })
    }

    /// The longest pause that a receiver can ask for by `Retry-After`; no more than 30 days. An hour.
    #[must_use]
    pub fn retry_after_max(self, retry_after_max: Duration) -> Self {
        Self { retry_after_max: retry_after_max.min(DELAY_CEILING), ..self }
    }

    /// Attempts in all.
    pub fn attempts_max(&self) -> u32 {
        match &self.delays {
            Delays::Listed(delays) => u32::try_from(delays.len()).unwrap_or(u32::MAX),
            Delays::Backoff { attempts_max, .. } => *attempts_max,
        }
    }

    /// The pause after so many attempts, if there is another one. `entropy` is uniformly random.
    pub(super) fn pause(
        &self,
        attempts: u32,
        retry_after: Option<Duration>,
        entropy: u64,
    ) -> Option<Duration> {
        let delay = match &self.delays {
            Delays::Listed(delays) => {
                let delay = *delays.get(usize::try_from(attempts).ok()?)?;
                if attempts == 0 { delay } else { delay + part(delay / 10, entropy) }
            }
            Delays::Backoff { attempts_max, .. } if attempts >= *attempts_max => return None,
            Delays::Backoff { .. } if attempts == 0 => Duration::ZERO,
            Delays::Backoff { backoff, .. } => backoff.delays_after(attempts - 1).draw(entropy),
        };
        Some(delay.max(retry_after.unwrap_or_default().min(self.retry_after_max)))
    }
}

impl Default for Schedule {
    /// Eight attempts over some 28 hours: at once and after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h and 10 h
    /// more.
    fn default() -> Self {
        let first = [Duration::ZERO, 5 * SECOND, 300 * SECOND, 1800 * SECOND];
        let delays = [&first[..], &[2 * HOUR, 5 * HOUR, 10 * HOUR, 10 * HOUR]].concat();
        Self { delays: Delays::Listed(delays), retry_after_max: HOUR }
    }
}

/// Whether another attempt may change this answer.
pub(super) fn may_repeat(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// A random part of a span.
fn part(span: Duration, entropy: u64) -> Duration {
    let micros = (span.as_micros().saturating_add(1)).saturating_mul(u128::from(entropy));
    Duration::from_micros(u64::try_from(micros >> u64::BITS).unwrap_or(u64::MAX)).min(span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_walked_to_its_end() {
        let schedule = Schedule::default();
        let pauses = (0..9).map(|attempts| schedule.pause(attempts, None, 0));
        let seconds: Vec<_> = pauses.map(|pause| pause.map(|pause| pause.as_secs())).collect();
        let listed = [0, 5, 300, 1800, 7200, 18_000, 36_000, 36_000].map(Some);
        assert_eq!(seconds[..8], listed);
        assert_eq!(seconds[8], None);
        let longest = schedule.pause(1, None, u64::MAX).unwrap();
        assert_eq!(longest, Duration::from_millis(5500));
    }

    #[test]
    fn backoff_grows_and_ends() {
        let schedule = Schedule::backoff(3, Backoff::exponential(SECOND, 60 * SECOND)).unwrap();
        let pauses: Vec<_> = (0..4).map(|n| schedule.pause(n, None, u64::MAX)).collect();
        assert_eq!(pauses, [Some(Duration::ZERO), Some(SECOND), Some(2 * SECOND), None]);
    }

    #[test]
    fn the_receiver_is_heard_within_reason() {
        let schedule = Schedule::default();
        let asked = |span| schedule.pause(1, Some(span), 0).unwrap();
        assert_eq!(asked(SECOND), 5 * SECOND);
        assert_eq!(asked(60 * SECOND), 60 * SECOND);
        assert_eq!(asked(Duration::MAX), HOUR);
        assert_eq!(schedule.pause(8, Some(SECOND), 0), None, "it cannot ask for more attempts");
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(Schedule::listed([]).is_err());
        assert!(Schedule::listed([DELAY_CEILING + SECOND]).is_err());
        assert!(Schedule::listed(vec![SECOND; 1001]).is_err());
        assert!(Schedule::backoff(0, Backoff::constant(SECOND)).is_err());
        assert!(Schedule::backoff(1001, Backoff::constant(SECOND)).is_err());
    }
}
