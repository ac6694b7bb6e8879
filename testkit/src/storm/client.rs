use std::time::Duration;

use cndt_core::limits::LimitError;
use cndt_core::resilience::{
    BreakerState, Bulkhead, BulkheadConfig, CircuitBreaker, Entered, Outcome, Pass, Permit,
    RetryBudget, TokenBucket,
};
use cndt_core::time::Instant;

use super::Strategy;
use super::random::Random;

/// One client: the machines of one policy, asked in the order in which a policy asks them.
#[derive(Debug)]
pub(super) struct Client {
    /// When operations begin: the same under each strategy.
    pub(super) arrivals: Random,
    pub(super) entropy: Random,
    pub(super) budget: Option<RetryBudget>,
    breaker: Option<CircuitBreaker>,
    bucket: Option<TokenBucket>,
    bulkhead: Option<Bulkhead>,
    pub(super) succeeded_at: Option<Instant>,
}

/// An attempt's places in the machines.
#[derive(Debug, Default)]
pub(super) struct Inside {
    permit: Option<Permit>,
    pass: Option<Pass>,
}

/// Why an attempt does not leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    Open,
    Limited(Duration),
    Full,
}

impl Client {
    pub(super) fn new(strategy: &Strategy, seed: u64, number: u64) -> Result<Self, LimitError> {
        let bulkhead = strategy.calls_max.map(|calls_max| {
            Bulkhead::new(BulkheadConfig { calls_max, waiting_max: 0, ..BulkheadConfig::default() })
        });
        let mut entropy = Random::new(seed, number * 2 + 1);
        let breaker = strategy.breaker.map(CircuitBreaker::new).transpose()?;
        Ok(Self {
            arrivals: Random::new(seed, number * 2),
            budget: strategy.share.map(RetryBudget::new).transpose()?,
            breaker: breaker.map(|breaker| breaker.with_jitter(entropy.next())),
            entropy,
            bucket: strategy.rate.map(TokenBucket::new).transpose()?,
            bulkhead: bulkhead.transpose()?,
            succeeded_at: None,
        })
    }

    /// An operation begins.
    pub(super) fn begin(&mut self) {
        if let Some(budget) = &mut self.budget {
            budget.deposit(1);
        }
    }

    /// Whether there is a repetition left.
    pub(super) fn may_repeat(&mut self, now: Instant) -> bool {
        self.budget.as_mut().is_none_or(|budget| budget.withdraw(now))
    }

    /// Lets an attempt through: the breaker, the rate, the bulkhead.
    pub(super) fn enter(&mut self, now: Instant) -> Result<Inside, Held> {
        if let Some(breaker) = &mut self.breaker
            && breaker.state(now) == BreakerState::Open
        {
            return Err(Held::Open);
        }
        if let Some(bucket) = &mut self.bucket {
            bucket.take(now, 1).map_err(Held::Limited)?;
        }
        let mut inside = Inside::default();
        if let Some(bulkhead) = &mut self.bulkhead {
            match bulkhead.enter(now) {
                Ok(Entered::Go(pass)) => inside.pass = Some(pass),
                Ok(Entered::Wait(ticket)) => {
                    bulkhead.abandon(now, ticket);
                    return Err(Held::Full);
                }
                Err(_) => return Err(Held::Full),
            }
        }
        match self.breaker.as_mut().map(|breaker| breaker.acquire(now)).transpose() {
            Ok(permit) => Ok(Inside { permit, ..inside }),
            Err(_) => {
                self.leave(now, inside, Outcome::Ignored);
                Err(Held::Open)
            }
        }
    }

    /// An attempt has ended.
    pub(super) fn leave(&mut self, now: Instant, inside: Inside, outcome: Outcome) {
        if let (Some(breaker), Some(permit)) = (&mut self.breaker, inside.permit) {
            breaker.record(now, permit, outcome);
        }
        if let (Some(bulkhead), Some(pass)) = (&mut self.bulkhead, inside.pass) {
            bulkhead.leave(now, pass);
        }
    }
}
