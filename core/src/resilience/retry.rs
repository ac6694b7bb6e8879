use core::time::Duration;

use super::{Backoff, Rate, TokenBucket};
use crate::limits::LimitError;
use crate::time::Instant;

/// More attempts than these make no sense for an operation that somebody waits for.
const ATTEMPTS_CEILING: u32 = 1000;

/// How often an operation is tried, and when.
///
/// ```
/// use cndt_core::resilience::{Backoff, RetryPolicy};
/// use cndt_core::time::Instant;
/// use core::time::Duration;
///
/// let second = Duration::from_secs(1);
/// let mut retry = RetryPolicy::new(3, Backoff::constant(second))?.begin(Instant::ZERO);
/// // Each failure asks when to try again. Random bits are only used where there is jitter.
/// let now = Instant::ZERO + second;
/// assert_eq!(retry.failed(now, None, 0), Some(now + second));
/// // The peer may know better.
/// assert_eq!(retry.failed(now, Some(second * 5), 0), Some(now + second * 5));
/// assert_eq!(retry.failed(now, None, 0), None, "three attempts were made");
/// # Ok::<(), cndt_core::limits::LimitError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    attempts_max: u32,
    elapsed_max: Duration,
    attempt_timeout: Duration,
    backoff: Backoff,
}

impl RetryPolicy {
    /// One attempt, and no other.
    pub const NEVER: Self = Self {
        attempts_max: 1,
        elapsed_max: Duration::MAX,
        attempt_timeout: Duration::MAX,
        backoff: Backoff::constant(Duration::ZERO),
    };

    /// So many attempts, the first one included: 1 to 1000. `backoff` tells how long to wait between
    /// them.
    ///
    /// # Errors
    /// What makes no sense, by its name.
    pub fn new(attempts_max: u32, backoff: Backoff) -> Result<Self, LimitError> {
        if !(1..=ATTEMPTS_CEILING).contains(&attempts_max) {
            let expected = "must be from 1 to 1000";
            return Err(LimitError { field: "retry.attempts_max", expected });
        }
        backoff.validate()?;
        Ok(Self { attempts_max, backoff, ..Self::NEVER })
    }

    /// No attempt begins later than so long after the first. Without it there is no such bound.
    #[must_use]
    pub const fn elapsed_max(self, elapsed_max: Duration) -> Self {
        Self { elapsed_max, ..self }
    }

    /// What a single attempt may take. Without it, as long as is left of the whole.
    ///
    /// # Errors
    /// When it is nothing.
    pub fn attempt_timeout(self, attempt_timeout: Duration) -> Result<Self, LimitError> {
        if attempt_timeout.is_zero() {
            let expected = "must be longer than nothing";
            return Err(LimitError { field: "retry.attempt_timeout", expected });
        }
        Ok(Self { attempt_timeout, ..self })
    }

    /// Whether an operation may be tried more than once at all.
    pub const fn repeats(&self) -> bool {
        self.attempts_max > 1
    }

    /// How long an attempt may take for which so much time is left.
    pub fn attempt_within(&self, left: Duration) -> Duration {
        self.attempt_timeout.min(left)
    }

    /// An operation whose first attempt begins now.
    pub const fn begin(self, now: Instant) -> Retry {
        Retry { policy: self, delays: self.backoff.delays(), began: now, attempts: 1 }
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::NEVER
    }
}

/// The attempts of one operation. Made by [`RetryPolicy::begin`].
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    policy: RetryPolicy,
    delays: super::Delays,
    began: Instant,
    /// Those begun so far.
    attempts: u32,
}

impl Retry {
    /// The attempt under way failed in a way that allows another: when that one begins, or `None`
    /// when there is none left.
    ///
    /// `retry_after` is what the peer asked for: the next attempt does not begin earlier. `entropy` is
    /// uniformly random.
    pub fn failed(
        &mut self,
        now: Instant,
        retry_after: Option<Duration>,
        entropy: u64,
    ) -> Option<Instant> {
        if self.attempts >= self.policy.attempts_max {
            return None;
        }
        let delay = self.delays.draw(entropy).max(retry_after.unwrap_or_default());
        let at = now + delay;
        if at.since(self.began) > self.policy.elapsed_max {
            return None;
        }
        self.attempts = self.attempts.saturating_add(1);
        Some(at)
    }

    /// Attempts begun so far, the one under way included.
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The policy.
    pub const fn policy(&self) -> &RetryPolicy {
        &self.policy
    }
}

/// How much of the traffic may be repetitions.
///
/// It holds for one client. Of many clients that fail together each repeats what it has saved up, and
/// goes on at the pace of its reserve: where those are as many as the operations of a second, give
/// them no reserve and let them save next to nothing.
///
/// ```
/// use cndt_core::resilience::{RetryBudget, RetryShare};
/// use cndt_core::time::Instant;
///
/// // One of ten thousand clients, each with an operation a second.
/// let share = RetryShare { saved_max: 1, reserve: None, ..RetryShare::default() };
/// let mut budget = RetryBudget::new(share)?;
/// budget.deposit(1000);
/// assert!(budget.withdraw(Instant::ZERO));
/// assert!(!budget.withdraw(Instant::ZERO), "no more than one was saved up");
/// # Ok::<(), cndt_core::limits::LimitError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RetryShare {
    /// Repetitions for a hundred operations, 0 to 1000.
    pub percent: u32,
    /// Repetitions of that share that may be saved up, 1 to a million: a burst of failures after a
    /// long time without one is no licence for a burst of repetitions.
    pub saved_max: u32,
    /// What is allowed beside that share, so that a client with little traffic may repeat at all.
    /// None: nothing.
    pub reserve: Option<Rate>,
}

impl Default for RetryShare {
    /// 20 of a hundred, ten of them at once, and one a second beside them, ten at once.
    fn default() -> Self {
        let reserve = Some(Rate { per_second: 1, burst: 10 });
        Self { percent: 20, saved_max: 10, reserve }
    }
}

/// Keeps repetitions a share of the operations, so that clients do not add to the load of a server
/// that fails because of its load.
///
/// Of so many operations it allows at most `percent` of a hundred, and what the reserve grants;
/// within any span of time, `saved_max` more.
///
/// ```
/// use cndt_core::resilience::{Rate, RetryBudget, RetryShare};
/// use cndt_core::time::Instant;
///
/// let reserve = Some(Rate { per_second: 1, burst: 1 });
/// let mut budget = RetryBudget::new(RetryShare { percent: 10, saved_max: 10, reserve })?;
/// let now = Instant::ZERO;
/// budget.deposit(20);
/// let allowed = (0..100).filter(|_| budget.withdraw(now)).count();
/// assert_eq!(allowed, 3, "a tenth of twenty, and the reserve");
/// # Ok::<(), cndt_core::limits::LimitError>(())
/// ```
#[derive(Debug, Clone)]
pub struct RetryBudget {
    percent: u64,
    /// In hundredths of a repetition.
    saved: u64,
    saved_max: u64,
    reserve: Option<TokenBucket>,
}

/// The most repetitions that may be saved up.
const SAVED_CEILING: u32 = 1_000_000;

impl RetryBudget {
    /// A budget with a full reserve.
    ///
    /// # Errors
    /// The field that makes no sense.
    pub fn new(share: RetryShare) -> Result<Self, LimitError> {
        if share.percent > 1000 {
            return Err(LimitError { field: "retry.percent", expected: "must be from 0 to 1000" });
        }
        if !(1..=SAVED_CEILING).contains(&share.saved_max) {
            let expected = "must be from 1 to 1000000";
            return Err(LimitError { field: "retry.saved_max", expected });
        }
        Ok(Self {
            percent: share.percent.into(),
            saved: 0,
            saved_max: u64::from(share.saved_max).saturating_mul(100),
            reserve: share.reserve.map(TokenBucket::new).transpose()?,
        })
    }

    /// So many operations were begun, not counting repetitions.
    pub fn deposit(&mut self, operations: u64) {
        let share = self.percent.saturating_mul(operations);
        self.saved = self.saved.saturating_add(share).min(self.saved_max);
    }

    /// Whether it may be repeated now; if so, that is spent.
    pub fn withdraw(&mut self, now: Instant) -> bool {
        match self.saved.checked_sub(100) {
            Some(left) => {
                self.saved = left;
                true
            }
            None => self.reserve.as_mut().is_some_and(|reserve| reserve.take(now, 1).is_ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn nonsense_is_refused_by_name() {
        let field = |attempts_max, delay| {
            RetryPolicy::new(attempts_max, Backoff::constant(delay)).unwrap_err().field
        };
        assert_eq!(field(0, SECOND), "retry.attempts_max");
        assert_eq!(field(1001, SECOND), "retry.attempts_max");
        assert_eq!(field(3, Duration::MAX), "backoff.max");
        let refused = RetryPolicy::NEVER.attempt_timeout(Duration::ZERO).unwrap_err();
        assert_eq!(refused.field, "retry.attempt_timeout");
        let share = RetryShare { percent: 1001, ..RetryShare::default() };
        assert_eq!(RetryBudget::new(share).unwrap_err().field, "retry.percent");
        for saved_max in [0, 1_000_001] {
            let share = RetryShare { saved_max, ..RetryShare::default() };
            assert_eq!(RetryBudget::new(share).unwrap_err().field, "retry.saved_max");
        }
    }

    #[test]
    fn nothing_begins_after_the_time_is_over() {
        let policy =
            RetryPolicy::new(9, Backoff::constant(SECOND)).unwrap().elapsed_max(3 * SECOND);
        let at = |seconds| Instant::ZERO + seconds * SECOND;
        let mut retry = policy.begin(at(0));
        assert_eq!(retry.failed(at(0), None, 0), Some(at(1)));
        assert_eq!(retry.failed(at(2), None, 0), Some(at(3)));
        assert_eq!(retry.failed(at(3), None, 0), None);
        assert_eq!(retry.attempts(), 3);
        let mut asked = policy.begin(at(0));
        assert_eq!(asked.failed(at(0), Some(4 * SECOND), 0), None, "the peer wants more");
    }

    proptest! {
        #[test]
        fn there_are_never_more_attempts_than_allowed(
            attempts_max in 1_u32..50,
            failures in 0_u32..100,
            entropy: u64,
        ) {
            let backoff = Backoff::exponential(SECOND, 9 * SECOND);
            let policy = RetryPolicy::new(attempts_max, backoff).unwrap();
            let mut retry = policy.begin(Instant::ZERO);
            let mut now = Instant::ZERO;
            let mut begun = 1;
            for _ in 0..failures {
                if let Some(at) = retry.failed(now, None, entropy) {
                    prop_assert!(at >= now);
                    (now, begun) = (at, begun + 1);
                }
            }
            prop_assert_eq!(begun, attempts_max.min(failures + 1));
            prop_assert_eq!(begun, retry.attempts());
        }

        #[test]
        fn repetitions_never_exceed_their_share(
            percent in 0_u32..=200,
            saved_max in 1_u32..50,
            reserve in proptest::option::of((1_u64..20, 1_u64..20)),
            steps in proptest::collection::vec((0_u64..3_000_000, any::<bool>()), 1..400),
        ) {
            let (per_second, burst) = reserve.unwrap_or((0, 0));
            let reserve = reserve.map(|(per_second, burst)| Rate { per_second, burst });
            let share = RetryShare { percent, saved_max, reserve };
            let mut budget = RetryBudget::new(share).unwrap();
            let (mut now, mut begun, mut repeated) = (0_u64, 0_u64, 0_u64);
            for (pause, fails) in steps {
                now += pause;
                begun += 1;
                budget.deposit(1);
                if fails && budget.withdraw(Instant::from_micros(now)) {
                    repeated += 1;
                }
                let share = begun * u64::from(percent) / 100;
                let beside = burst + now * per_second / 1_000_000;
                prop_assert!(repeated <= share + beside, "{repeated} of {begun}");
            }
            let now = Instant::from_micros(now);
            budget.deposit(u64::MAX);
            let at_once = (0..100).filter(|_| budget.withdraw(now)).count() as u64;
            let saved = if percent == 0 { 0 } else { u64::from(saved_max) };
            prop_assert!((saved..=saved + burst).contains(&at_once), "{at_once} at once");
        }
    }
}
