//! What permission costs, on one thread.
#![allow(missing_docs, reason = "criterion's macros generate undocumented items")]

use std::hint::black_box;
use std::time::Duration;

use cndt_core::resilience::{
    BreakerConfig, Breakers, Bulkhead, BulkheadConfig, CircuitBreaker, Claim, Counting, Entered,
    Limiter, Outcome, Rate, Window,
};
use cndt_core::time::Instant;
use criterion::{Criterion, criterion_group, criterion_main};

/// A microsecond goes by from one call to the next.
#[derive(Default)]
struct Clock(u64);

impl Clock {
    fn next(&mut self) -> Instant {
        self.0 += 1;
        Instant::from_micros(self.0)
    }
}

fn breakers(criterion: &mut Criterion) {
    let rate = BreakerConfig {
        counting: Counting::Never,
        failure_rate_percent: Some(50),
        window: Window::Calls(10_000),
        ..BreakerConfig::default()
    };
    let in_time = BreakerConfig { window: Window::Time(Duration::from_millis(1)), ..rate };
    for (name, config) in [
        ("breaker, in a row", BreakerConfig::default()),
        ("breaker, 10,000 calls", rate),
        ("breaker, window of time", in_time),
    ] {
        let Ok(mut breaker) = CircuitBreaker::new(config) else { return };
        let mut clock = Clock::default();
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| {
                let now = clock.next();
                if let Ok(permit) = breaker.acquire(black_box(now)) {
                    breaker.record(now, permit, Outcome::Success);
                }
            });
        });
        assert_eq!(breaker.metrics().rejected, 0);
    }
    let mut many = Breakers::default();
    let names: Vec<_> = (0..1000).map(|number| format!("service-{number}")).collect();
    let mut clock = Clock::default();
    let mut turn = names.iter().cycle();
    criterion.bench_function("breaker, one of 1,000 names", |bencher| {
        bencher.iter(|| {
            let (now, Some(name)) = (clock.next(), turn.next()) else { return };
            if let Ok(permit) = many.acquire(now, black_box(name)) {
                many.record(now, permit, Outcome::Success);
            }
        });
    });
}

fn limiters(criterion: &mut Criterion) {
    let rate = |per_second| Some(Rate::per_second(per_second));
    let Ok(mut limiter) = Limiter::new(rate(1_000_000), rate(1_000_000_000)) else { return };
    let mut clock = Clock::default();
    criterion.bench_function("limiter, messages and bytes", |bencher| {
        bencher.iter(|| {
            let _ = black_box(limiter.take(clock.next(), 1, black_box(512)));
        });
    });
}

fn bulkheads(criterion: &mut Criterion) {
    let config = BulkheadConfig { calls_max: 32, waiting_max: 1000, ..BulkheadConfig::default() };
    let Ok(mut bulkhead) = Bulkhead::new(config) else { return };
    let mut clock = Clock::default();
    criterion.bench_function("bulkhead, enter and leave", |bencher| {
        bencher.iter(|| {
            if let Ok(Entered::Go(pass)) = bulkhead.enter(clock.next()) {
                bulkhead.leave(clock.next(), black_box(pass));
            }
        });
    });
    let now = Instant::ZERO;
    let Ok(mut bulkhead) = Bulkhead::new(config) else { return };
    let mut passes = Vec::new();
    while let Ok(Entered::Go(pass)) = bulkhead.enter(now) {
        passes.push(pass);
        if passes.len() == config.calls_max {
            break;
        }
    }
    let mut tickets = std::collections::VecDeque::new();
    while tickets.len() < 900
        && let Ok(Entered::Wait(ticket)) = bulkhead.enter(now)
    {
        tickets.push_back(ticket);
    }
    criterion.bench_function("bulkhead, through a queue of 900", |bencher| {
        bencher.iter(|| {
            if let Ok(Entered::Wait(ticket)) = bulkhead.enter(now) {
                tickets.push_back(ticket);
            }
            passes.pop().into_iter().for_each(|pass| bulkhead.leave(now, pass));
            while bulkhead.poll_decided(now).is_some() {
                let Some(ticket) = tickets.pop_front() else { return };
                if let Claim::Go(pass) = bulkhead.claim(now, ticket) {
                    passes.push(pass);
                }
            }
        });
    });
    assert_eq!(tickets.len(), 900);
}

criterion_group!(resilience, breakers, limiters, bulkheads);
criterion_main!(resilience);
