use core::time::Duration;

use crate::limits::LimitError;
use crate::time::Instant;

/// One token in the bucket's own unit. With microseconds as time, a rate of one token a second adds
/// exactly one unit per microsecond, so nothing is ever rounded away.
const TOKEN: u64 = 1_000_000;

/// How much is allowed in the long run, and how much at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    /// What a second allows, on average. At least 1.
    pub per_second: u64,
    /// What may come at once after a rest. At least 1.
    pub burst: u64,
}

impl Rate {
    /// So much per second, and as much at once.
    pub const fn per_second(per_second: u64) -> Self {
        Self { per_second, burst: per_second }
    }

    /// Checks both numbers.
    ///
    /// # Errors
    /// One that is 0, or too large to count with: beyond 10^12.
    pub fn validate(self) -> Result<(), LimitError> {
        const MAX: u64 = 1_000_000_000_000;
        let expected = "must be from 1 to 10^12";
        for (value, field) in [(self.per_second, "rate.per_second"), (self.burst, "rate.burst")] {
            if !(1..=MAX).contains(&value) {
                return Err(LimitError { field, expected });
            }
        }
        Ok(())
    }
}

/// A token bucket: starts full, fills with time, never beyond its burst. In any span of time it
/// grants at most `per_second` × span + `burst`.
#[derive(Debug, Clone)]
pub struct TokenBucket {
    rate: Rate,
    /// In units of a millionth of a token.
    level: u64,
    filled_at: Instant,
}

impl TokenBucket {
    /// A full bucket.
    ///
    /// # Errors
    /// As [`Rate::validate`].
    pub fn new(rate: Rate) -> Result<Self, LimitError> {
        rate.validate()?;
        Ok(Self { rate, level: rate.burst.saturating_mul(TOKEN), filled_at: Instant::ZERO })
    }

    /// Takes `n` tokens, or none and tells how long it takes until they are there;
    /// `Duration::MAX` if they never are, because they exceed the burst.
    ///
    /// A time before an earlier one counts as that one.
    ///
    /// # Errors
    /// The time to wait.
    pub fn take(&mut self, now: Instant, n: u64) -> Result<(), Duration> {
        self.fill(now);
        let wanted = n.saturating_mul(TOKEN);
        match self.level.checked_sub(wanted) {
            Some(left) => {
                self.level = left;
                Ok(())
            }
            None => Err(self.time_until(n)),
        }
    }

    /// How long it takes until `n` tokens are there, as of the last call.
    fn time_until(&self, n: u64) -> Duration {
        if n > self.rate.burst {
            return Duration::MAX;
        }
        let missing = n.saturating_mul(TOKEN).saturating_sub(self.level);
        Duration::from_micros(missing.div_ceil(self.rate.per_second))
    }

    /// How long it takes from `now` until `n` tokens are there; zero if they are.
    pub fn time_until_allowed(&mut self, now: Instant, n: u64) -> Duration {
        self.fill(now);
        self.time_until(n)
    }

    fn fill(&mut self, now: Instant) {
        if now <= self.filled_at {
            return;
        }
        let elapsed = now.as_micros().saturating_sub(self.filled_at.as_micros());
        self.filled_at = now;
        let full = self.rate.burst.saturating_mul(TOKEN);
        self.level =
            self.level.saturating_add(elapsed.saturating_mul(self.rate.per_second)).min(full);
    }
}

/// Two buckets as one: so many messages, and so many bytes. Either may be without a limit.
///
/// ```
/// use cndt_core::resilience::{Limiter, Rate};
/// use cndt_core::time::Instant;
/// use core::time::Duration;
///
/// let messages = Some(Rate::per_second(100));
/// let mut limiter = Limiter::new(messages, Some(Rate::per_second(1000)))?;
/// let now = Instant::ZERO;
/// assert!(limiter.take(now, 1, 900).is_ok());
/// // A message is free, so many bytes are not: nothing is taken.
/// assert_eq!(limiter.take(now, 1, 200), Err(Duration::from_millis(100)));
/// assert!(limiter.take(now, 99, 100).is_ok());
/// # Ok::<(), cndt_core::limits::LimitError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Limiter {
    messages: Option<TokenBucket>,
    bytes: Option<TokenBucket>,
}

impl Limiter {
    /// Two full buckets; `None` is without a limit.
    ///
    /// # Errors
    /// As [`Rate::validate`].
    pub fn new(messages: Option<Rate>, bytes: Option<Rate>) -> Result<Self, LimitError> {
        let bucket = |rate: Option<Rate>| rate.map(TokenBucket::new).transpose();
        Ok(Self { messages: bucket(messages)?, bytes: bucket(bytes)? })
    }

    /// Takes so many messages with so many bytes in all, or nothing and tells how long it takes
    /// until both are allowed; `Duration::MAX` if they never are, because they exceed a burst.
    ///
    /// # Errors
    /// The time to wait.
    pub fn take(&mut self, now: Instant, messages: u64, bytes: u64) -> Result<(), Duration> {
        let wait = self.time_until_allowed(now, messages, bytes);
        if !wait.is_zero() {
            return Err(wait);
        }
        if let Some(bucket) = &mut self.messages {
            bucket.take(now, messages)?;
        }
        self.bytes.as_mut().map_or(Ok(()), |bucket| bucket.take(now, bytes))
    }

    /// How long it takes from `now` until so many messages with so many bytes are allowed; zero if
    /// they are.
    pub fn time_until_allowed(&mut self, now: Instant, messages: u64, bytes: u64) -> Duration {
        let wait = |bucket: &mut Option<TokenBucket>, n| {
            bucket.as_mut().map_or(Duration::ZERO, |bucket| bucket.time_until_allowed(now, n))
        };
        wait(&mut self.messages, messages).max(wait(&mut self.bytes, bytes))
    }

    /// What may come at once of messages and of bytes; `None` is without a limit.
    pub fn bursts(&self) -> (Option<u64>, Option<u64>) {
        let burst = |bucket: &Option<TokenBucket>| bucket.as_ref().map(|b| b.rate.burst);
        (burst(&self.messages), burst(&self.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    #[test]
    fn nonsense_is_refused_by_name() {
        let field = |rate| TokenBucket::new(rate).unwrap_err().field;
        assert_eq!(field(Rate { per_second: 0, burst: 1 }), "rate.per_second");
        assert_eq!(field(Rate { per_second: 1, burst: 0 }), "rate.burst");
        assert_eq!(field(Rate::per_second(u64::MAX)), "rate.per_second");
    }

    #[test]
    fn what_exceeds_the_burst_is_never_allowed() {
        let mut bucket = TokenBucket::new(Rate { per_second: 5, burst: 2 }).unwrap();
        assert_eq!(bucket.take(Instant::FAR_FUTURE, 3), Err(Duration::MAX));
        assert_eq!(bucket.time_until_allowed(Instant::FAR_FUTURE, 2), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn no_span_of_time_grants_more_than_its_share(
            per_second in 1_u64..2000,
            burst in 1_u64..50,
            steps in proptest::collection::vec((0_u64..400_000, 0_u64..20, any::<bool>()), 1..80),
        ) {
            let mut bucket = TokenBucket::new(Rate { per_second, burst }).unwrap();
            // The plain model: exact fractions, as a number of millionths.
            let mut model = u128::from(burst) * 1_000_000;
            let (mut now, mut granted) = (0_u64, Vec::new());
            for (step, n, goes_back) in steps {
                let asked_at = if goes_back { now.saturating_sub(step) } else { now + step };
                let before = now;
                now = now.max(asked_at);
                let earned = u128::from(now - before) * u128::from(per_second);
                model = (model + earned).min(u128::from(burst) * 1_000_000);
                let expected = model >= u128::from(n) * 1_000_000;
                let outcome = bucket.take(Instant::from_micros(asked_at), n);
                prop_assert_eq!(outcome.is_ok(), expected);
                match outcome {
                    Ok(()) => {
                        model -= u128::from(n) * 1_000_000;
                        granted.push((now, n));
                    }
                    Err(wait) if n <= burst => {
                        let then = Instant::from_micros(now) + wait;
                        let early = Instant::from_micros(now) + (wait - Duration::from_micros(1));
                        prop_assert!(bucket.clone().take(then, n).is_ok(), "told to wait too short");
                        prop_assert!(bucket.clone().take(early, n).is_err(), "told to wait too long");
                    }
                    Err(wait) => prop_assert_eq!(wait, Duration::MAX),
                }
            }
            for (first, (start, _)) in granted.iter().enumerate() {
                let mut sum = 0;
                for (at, n) in &granted[first..] {
                    sum += u128::from(*n);
                    let share = u128::from(at - start) * u128::from(per_second) / 1_000_000;
                    prop_assert!(sum <= share + u128::from(burst) + 1);
                }
            }
        }
    }
}
