use core::time::Duration;

use cndt_core::resilience::{Limiter, Rate};
use cndt_core::time::Instant;

use super::{Choices, Clock};

/// A limiter of messages and bytes takes both or neither, as exact fractions allow, and the time
/// that it names is neither too short nor too long.
///
/// The first bytes are the rates; then come amounts and spans of time.
///
/// # Panics
/// When the law is broken.
pub fn limiter(data: &[u8]) {
    let mut choices = Choices(data);
    let rates = [(); 2].map(|()| {
        let (per_second, burst) = (choices.span() + 1, u64::from(choices.next()) + 1);
        (choices.below(4) > 0).then_some(Rate { per_second, burst })
    });
    let mut limiter = Limiter::new(rates[0], rates[1]).expect("all rates make sense");
    let mut models = rates.map(|rate| rate.map(Model::new));
    let mut clock = Clock::default();
    while !choices.is_over() {
        if choices.below(2) == 0 {
            clock.said = clock.said.saturating_add(choices.span() * choices.span());
        }
        clock.turn(&mut choices);
        let now = clock.tell();
        let amounts = [u64::from(choices.next() & 31), u64::from(choices.next())];
        models.iter_mut().flatten().for_each(|model| model.fill(clock.latest));
        let pairs = || models.iter().zip(amounts);
        let fits = pairs().all(|(model, n)| model.as_ref().is_none_or(|model| model.has(n)));
        let outcome = limiter.take(now, amounts[0], amounts[1]);
        assert_eq!(outcome.is_ok(), fits, "{amounts:?} of {models:?}");
        match outcome {
            Ok(()) => {
                for (model, n) in models.iter_mut().zip(amounts) {
                    model.iter_mut().for_each(|model| model.level -= u128::from(n) * TOKEN);
                }
            }
            Err(Duration::MAX) => {
                let mut rates = rates.iter().zip(amounts);
                assert!(rates.any(|(rate, n)| rate.is_some_and(|rate| n > rate.burst)));
            }
            Err(wait) => {
                let latest = Instant::from_micros(clock.latest);
                let take = |wait| limiter.clone().take(latest + wait, amounts[0], amounts[1]);
                assert!(take(wait).is_ok(), "told to wait too short");
                assert!(take(wait - Duration::from_micros(1)).is_err(), "told to wait too long");
            }
        }
    }
}

/// A bucket in exact millionths of a token.
#[derive(Debug)]
struct Model {
    rate: Rate,
    level: u128,
    now: u64,
}

const TOKEN: u128 = 1_000_000;

impl Model {
    fn new(rate: Rate) -> Self {
        Self { rate, level: u128::from(rate.burst) * TOKEN, now: 0 }
    }

    fn fill(&mut self, now: u64) {
        let earned = u128::from(now - self.now) * u128::from(self.rate.per_second);
        self.level = (self.level + earned).min(u128::from(self.rate.burst) * TOKEN);
        self.now = now;
    }

    fn has(&self, n: u64) -> bool {
        self.level >= u128::from(n) * TOKEN
    }
}
