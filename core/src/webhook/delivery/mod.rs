use core::time::Duration;

mod policy;
#[cfg(test)]
mod tests;

pub use policy::{DeliveryPolicy, Statuses};

/// The attempts to deliver one webhook. Made by [`DeliveryPolicy::begin`], or after a restart by
/// [`DeliveryPolicy::resume`].
///
/// Time is the calendar's, in unix milliseconds, because a delivery may outlive its process. A clock
/// that is set back delays nothing: [`Delivery::due_in`] never tells more than the pause that was
/// drawn. A clock that is set ahead makes attempts come early, and deliveries expire.
///
/// ```
/// use cndt_core::resilience::Backoff;
/// use cndt_core::webhook::{Attempted, Dead, DeliveryPolicy, Next};
/// use core::time::Duration;
///
/// let policy = DeliveryPolicy::new(3, Backoff::constant(Duration::from_secs(1)))?;
/// let now = 1_700_000_000_000;
/// let mut delivery = policy.begin(now);
/// assert_eq!(delivery.next_attempt(), Next::At(now));
///
/// assert_eq!(delivery.attempt(now), Ok(1));
/// let busy = Attempted::Answered { status: 503, retry_after: Some(Duration::from_secs(5)) };
/// assert_eq!(delivery.failed(now, busy, 0), Next::At(now + 5_000));
///
/// assert_eq!(delivery.attempt(now + 5_000), Ok(2));
/// let gone = Attempted::Answered { status: 410, retry_after: None };
/// assert_eq!(delivery.failed(now + 5_100, gone, 0), Next::Dead(Dead::Gone));
/// # Ok::<(), cndt_core::limits::LimitError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    policy: DeliveryPolicy,
    state: DeliveryState,
    end: Option<End>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Delivered,
    Dead(Dead),
}

/// What must be kept of a delivery to go on with it after a restart, beside its id, its body and where
/// it goes. Plain numbers, for whatever they are stored in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeliveryState {
    /// Attempts that were begun, one that was under way included.
    pub attempts: u32,
    /// When the delivery began, in unix milliseconds.
    pub began_at: u64,
    /// When the pause before the next attempt began, in unix milliseconds.
    pub paused_at: u64,
    /// When the next attempt is due, in unix milliseconds.
    pub next_at: u64,
}

/// How an attempt ended that did not deliver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Attempted {
    /// There was an answer.
    Answered {
        /// Its status.
        status: u16,
        /// What its header `Retry-After` asks for, as a span from now on.
        retry_after: Option<Duration>,
    },
    /// There was none: no connection, none in time, or one that was cut.
    Unanswered,
    /// Nothing was sent, and nothing will be by repeating: the URL, say, leads where none may.
    Impossible,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Next {
    /// An attempt, at this time in unix milliseconds.
    At(u64),
    /// Nothing: it is delivered.
    Delivered,
    /// Nothing: it will not be.
    Dead(Dead),
}

/// Why a webhook is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Dead {
    /// The answer is final: a status that is not in the policy's list.
    #[error("it was refused with status {0}")]
    Refused(u16),
    /// A redirect. None is followed: it would take the signature, and what is signed, elsewhere.
    #[error("it was redirected with status {0}; redirects are not followed, so correct the URL")]
    Redirected(u16),
    /// 410: the receiver wants no more webhooks at this URL.
    #[error("its receiver is gone (status 410); send nothing more there")]
    Gone,
    /// All attempts were made.
    #[error("all attempts were made")]
    Exhausted,
    /// The next attempt would have begun too late.
    #[error("its time is over")]
    Expired,
    /// It cannot be sent at all.
    #[error("it cannot be sent")]
    Impossible,
}

impl Delivery {
    pub(super) fn of(policy: DeliveryPolicy, state: DeliveryState) -> Self {
        Self { policy, state, end: None }
    }

    /// What comes next, and when.
    pub fn next_attempt(&self) -> Next {
        match self.end {
            None => Next::At(self.state.next_at),
            Some(End::Delivered) => Next::Delivered,
            Some(End::Dead(why)) => Next::Dead(why),
        }
    }

    /// How long to wait for the next attempt; nothing if it is due.
    pub fn due_in(&self, now: u64) -> Duration {
        let DeliveryState { paused_at, next_at, .. } = self.state;
        Duration::from_millis(next_at.saturating_sub(now.max(paused_at)))
    }

    /// Begins an attempt, and tells which one it is, from 1. It counts from now on: store the state
    /// before anything is sent, so that a process which dies of an attempt does not repeat it for ever.
    ///
    /// # Errors
    /// Why there is none any more: [`Dead::Exhausted`] and [`Dead::Expired`] also after a restart;
    /// [`Dead::Exhausted`] for one that is delivered.
    pub fn attempt(&mut self, now: u64) -> Result<u32, Dead> {
        match self.end {
            None => {}
            Some(End::Delivered) => return Err(Dead::Exhausted),
            Some(End::Dead(why)) => return Err(why),
        }
        let spent = if self.state.attempts >= self.policy.attempts_max() {
            Some(Dead::Exhausted)
        } else if self.policy.is_over(self.state.began_at, now) {
            Some(Dead::Expired)
        } else {
            None
        };
        if let Some(why) = spent {
            self.end = Some(End::Dead(why));
            return Err(why);
        }
        self.state.attempts = self.state.attempts.saturating_add(1);
        Ok(self.state.attempts)
    }

    /// The attempt delivered.
    pub fn succeeded(&mut self) -> Next {
        self.end.get_or_insert(End::Delivered);
        self.next_attempt()
    }

    /// The attempt did not deliver. `entropy` is uniformly random.
    pub fn failed(&mut self, now: u64, how: Attempted, entropy: u64) -> Next {
        if self.end.is_none() {
            match self.after(now, how, entropy) {
                Ok(next_at) => {
                    self.state.paused_at = now;
                    self.state.next_at = next_at;
                }
                Err(why) => self.end = Some(End::Dead(why)),
            }
        }
        self.next_attempt()
    }

    fn after(&self, now: u64, how: Attempted, entropy: u64) -> Result<u64, Dead> {
        let asked = match how {
            Attempted::Impossible => return Err(Dead::Impossible),
            Attempted::Unanswered => Duration::ZERO,
            Attempted::Answered { status, retry_after } => {
                self.policy.judge(status)?;
                retry_after.unwrap_or_default()
            }
        };
        let delay = self.policy.delay(self.state.attempts, entropy).ok_or(Dead::Exhausted)?;
        let delay = delay.max(asked.min(self.policy.retry_after_max()));
        let next_at = now.saturating_add(millis(delay));
        if self.policy.is_over(self.state.began_at, next_at) {
            return Err(Dead::Expired);
        }
        Ok(next_at)
    }

    /// What to store.
    pub const fn state(&self) -> DeliveryState {
        self.state
    }

    /// Attempts that were begun.
    pub const fn attempts(&self) -> u32 {
        self.state.attempts
    }

    /// The policy.
    pub const fn policy(&self) -> &DeliveryPolicy {
        &self.policy
    }
}

/// Rounded up: never earlier than asked for.
fn millis(span: Duration) -> u64 {
    let whole = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let rest = span.subsec_nanos() % 1_000_000;
    whole.saturating_add(u64::from(rest > 0))
}
