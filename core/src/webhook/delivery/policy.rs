use alloc::sync::Arc;
use core::time::Duration;

use super::{Dead, Delivery, DeliveryState, millis};
use crate::limits::LimitError;
use crate::resilience::Backoff;

/// Attempts that a schedule may have.
const ATTEMPTS_CEILING: u32 = 1000;
/// No schedule may wait for longer between two attempts: 30 days.
const DELAY_CEILING: Duration = Duration::from_secs(30 * 24 * 3600);

/// How often a webhook is sent, when, and after which answers. Cheap to clone.
#[derive(Debug, Clone, PartialEq)]
pub struct DeliveryPolicy {
    schedule: Schedule,
    elapsed_max: Duration,
    retry_after_max: Duration,
    repeated: Statuses,
}

#[derive(Debug, Clone, PartialEq)]
enum Schedule {
    Drawn { attempts_max: u32, backoff: Backoff },
    Listed { delays: Arc<[Duration]>, spread_percent: u32 },
}

impl DeliveryPolicy {
    /// So many attempts, the first one included: 1 to 1000. The first one is made at once, `backoff`
    /// tells how long to wait between them.
    ///
    /// # Errors
    /// What makes no sense, by its name.
    pub fn new(attempts_max: u32, backoff: Backoff) -> Result<Self, LimitError> {
        ensure_attempts(u64::from(attempts_max))?;
        backoff.validate()?;
        Ok(Self::of(Schedule::Drawn { attempts_max, backoff }))
    }

    /// One attempt after each of these delays, the first one's included: 1 to 1000 of at most 30 days.
    /// Each is made longer at random, by up to `spread_percent` (0 to 100) of a hundred, so that
    /// deliveries which failed together do not come back together.
    ///
    /// # Errors
    /// What makes no sense, by its name.
    pub fn listed(delays: &[Duration], spread_percent: u32) -> Result<Self, LimitError> {
        ensure_attempts(u64::try_from(delays.len()).unwrap_or(u64::MAX))?;
        if delays.iter().any(|delay| *delay > DELAY_CEILING) {
            let expected = "must be at most 30 days each";
            return Err(LimitError { field: "delivery.delays", expected });
        }
        if spread_percent > 100 {
            let expected = "must be from 0 to 100";
            return Err(LimitError { field: "delivery.spread_percent", expected });
        }
        Ok(Self::of(Schedule::Listed { delays: delays.into(), spread_percent }))
    }

    /// What Standard Webhooks recommends: eight attempts over some 28 hours, at once and after 5 s,
    /// 5 min, 30 min, 2 h, 5 h, 10 h and 10 h more, each up to a tenth longer.
    pub fn standard() -> Self {
        let seconds = [0, 5, 300, 1800, 7200, 18_000, 36_000, 36_000];
        let delays = seconds.map(Duration::from_secs).into();
        Self::of(Schedule::Listed { delays, spread_percent: 10 })
    }

    fn of(schedule: Schedule) -> Self {
        Self {
            schedule,
            elapsed_max: Duration::MAX,
            retry_after_max: Duration::from_secs(3600),
            repeated: Statuses::default(),
        }
    }

    /// No attempt begins later than so long after the delivery. Without it there is no such bound.
    #[must_use]
    pub fn with_elapsed_max(self, elapsed_max: Duration) -> Self {
        Self { elapsed_max, ..self }
    }

    /// The longest pause that a receiver can ask for by `Retry-After`. An hour.
    #[must_use]
    pub fn with_retry_after_max(self, retry_after_max: Duration) -> Self {
        Self { retry_after_max, ..self }
    }

    /// The answers after which another attempt is made.
    #[must_use]
    pub fn with_statuses(self, repeated: Statuses) -> Self {
        Self { repeated, ..self }
    }

    /// Attempts in all.
    pub fn attempts_max(&self) -> u32 {
        match &self.schedule {
            Schedule::Drawn { attempts_max, .. } => *attempts_max,
            Schedule::Listed { delays, .. } => u32::try_from(delays.len()).unwrap_or(u32::MAX),
        }
    }

    /// The longest pause that a receiver can ask for.
    pub const fn retry_after_max(&self) -> Duration {
        self.retry_after_max
    }

    /// The answers after which another attempt is made.
    pub const fn statuses(&self) -> &Statuses {
        &self.repeated
    }

    /// A delivery that begins at `now`, in unix milliseconds. A listed delay before the first attempt
    /// is taken as it is.
    pub fn begin(&self, now: u64) -> Delivery {
        let first = match &self.schedule {
            Schedule::Drawn { .. } => Duration::ZERO,
            Schedule::Listed { delays, .. } => delays.first().copied().unwrap_or_default(),
        };
        let next_at = now.saturating_add(millis(first));
        self.resume(DeliveryState { attempts: 0, began_at: now, paused_at: now, next_at })
    }

    /// A delivery that was begun before a restart. An attempt that was under way then counts, and what
    /// became of it is not known: the next one is made when that one was due, which is now.
    pub fn resume(&self, state: DeliveryState) -> Delivery {
        Delivery::of(self.clone(), state)
    }

    /// The pause after so many attempts, if there is another one.
    pub(super) fn delay(&self, attempts: u32, entropy: u64) -> Option<Duration> {
        if attempts >= self.attempts_max() {
            return None;
        }
        match &self.schedule {
            Schedule::Drawn { backoff, .. } => {
                Some(backoff.delays_after(attempts.saturating_sub(1)).draw(entropy))
            }
            Schedule::Listed { delays, spread_percent } => {
                let delay = *delays.get(usize::try_from(attempts).ok()?)?;
                Some(delay.saturating_add(spread(delay, *spread_percent, entropy)))
            }
        }
    }

    pub(super) fn is_over(&self, began_at: u64, at: u64) -> bool {
        at.saturating_sub(began_at) > millis(self.elapsed_max)
    }

    /// Whether another attempt may follow this answer.
    pub(super) fn judge(&self, status: u16) -> Result<(), Dead> {
        match status {
            _ if self.repeated.contains(status) => Ok(()),
            300..=399 => Err(Dead::Redirected(status)),
            410 => Err(Dead::Gone),
            _ => Err(Dead::Refused(status)),
        }
    }
}

/// A random part of so many hundredths of a span.
fn spread(span: Duration, percent: u32, entropy: u64) -> Duration {
    let micros = span.as_micros().saturating_mul(u128::from(percent)) / 100;
    let drawn = (micros.saturating_add(1).saturating_mul(u128::from(entropy))) >> u64::BITS;
    Duration::from_micros(u64::try_from(drawn).unwrap_or(u64::MAX))
}

fn ensure_attempts(count: u64) -> Result<(), LimitError> {
    if (1..=u64::from(ATTEMPTS_CEILING)).contains(&count) {
        return Ok(());
    }
    Err(LimitError { field: "delivery.attempts_max", expected: "must be from 1 to 1000" })
}

/// A set of statuses of HTTP, of those from 400 to 599: others are never repeated.
///
/// ```
/// use cndt_core::webhook::Statuses;
///
/// let statuses = Statuses::default().with(409).without(500);
/// assert!(statuses.contains(503) && statuses.contains(409));
/// assert!(!statuses.contains(500) && !statuses.contains(404));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Statuses {
    /// A bit for each status from 400 and from 500 on.
    client: u128,
    server: u128,
}

impl Default for Statuses {
    /// 408, 425, 429, 500, 502, 503 and 504.
    fn default() -> Self {
        [408, 425, 429, 500, 502, 503, 504].into_iter().fold(Self::none(), Self::with)
    }
}

impl Statuses {
    /// None of them: only a missing answer is repeated.
    pub const fn none() -> Self {
        Self { client: 0, server: 0 }
    }

    /// With this one. Those below 400 or above 599 are left out.
    #[must_use]
    pub fn with(self, status: u16) -> Self {
        let (client, server) = bits(status);
        Self { client: self.client | client, server: self.server | server }
    }

    /// Without this one.
    #[must_use]
    pub fn without(self, status: u16) -> Self {
        let (client, server) = bits(status);
        Self { client: self.client & !client, server: self.server & !server }
    }

    /// Whether it is one of them.
    pub fn contains(&self, status: u16) -> bool {
        let (client, server) = bits(status);
        self.client & client != 0 || self.server & server != 0
    }
}

fn bits(status: u16) -> (u128, u128) {
    let bit = |from: u16| {
        let at = status.checked_sub(from).filter(|at| *at < 100);
        at.map_or(0, |at| 1_u128.checked_shl(u32::from(at)).unwrap_or(0))
    };
    (bit(400), bit(500))
}
