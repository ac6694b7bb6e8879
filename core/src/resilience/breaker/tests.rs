use super::*;
use alloc::vec::Vec;

fn at(seconds: u64) -> Instant {
    Instant::from_micros(seconds * 1_000_000)
}

fn breaker(change: impl FnOnce(&mut BreakerConfig)) -> CircuitBreaker {
    let mut config = BreakerConfig::default();
    change(&mut config);
    CircuitBreaker::new(config).unwrap()
}

fn call(breaker: &mut CircuitBreaker, now: Instant, outcome: Outcome) {
    let permit = breaker.acquire(now).unwrap();
    breaker.record(now, permit, outcome);
}

fn opened(change: impl FnOnce(&mut BreakerConfig)) -> CircuitBreaker {
    let mut breaker = breaker(change);
    (0..5).for_each(|_| call(&mut breaker, at(0), Outcome::Failure));
    assert_eq!(breaker.state(at(0)), BreakerState::Open);
    breaker
}

fn told(breaker: &mut CircuitBreaker, now: Instant) -> Vec<(BreakerState, Why, Instant)> {
    let next = || breaker.poll_transition(now).map(|told| (told.to, told.why, told.at));
    core::iter::from_fn(next).collect()
}

#[test]
fn five_failures_in_a_row_open_it_for_a_minute_and_three_trials_close_it() {
    let mut breaker = breaker(|_| {});
    (0..4).for_each(|_| call(&mut breaker, at(0), Outcome::Failure));
    call(&mut breaker, at(0), Outcome::Success);
    (0..4).for_each(|_| call(&mut breaker, at(1), Outcome::Failure));
    call(&mut breaker, at(1), Outcome::Ignored);
    assert_eq!(breaker.state(at(1)), BreakerState::Closed);
    call(&mut breaker, at(1), Outcome::Failure);
    let rejected = breaker.acquire(at(21)).unwrap_err();
    assert_eq!(rejected.retry_after, Some(Duration::from_secs(40)));
    assert_eq!(breaker.next_deadline(), Some(at(61)));
    (0..2).for_each(|_| call(&mut breaker, at(70), Outcome::Success));
    assert_eq!(breaker.state(at(70)), BreakerState::HalfOpen);
    call(&mut breaker, at(71), Outcome::Success);
    let expected = [
        (BreakerState::Open, Why::Failures, at(1)),
        (BreakerState::HalfOpen, Why::TimeIsOver, at(61)),
        (BreakerState::Closed, Why::TrialsSucceeded, at(71)),
    ];
    assert_eq!(told(&mut breaker, at(71)), expected);
    let metrics = breaker.metrics();
    assert_eq!((metrics.failure_count, metrics.success_count, metrics.rejected), (9, 4, 1));
    assert_eq!((metrics.ignored_count, metrics.state_transitions, metrics.under_way), (1, 3, 0));
}

#[test]
fn an_abandoned_trial_gives_its_place_back() {
    let mut breaker = opened(|_| {});
    let trial = breaker.acquire(at(60)).unwrap();
    let rejected = breaker.acquire(at(60)).unwrap_err();
    assert_eq!(rejected, Rejected { state: BreakerState::HalfOpen, retry_after: None });
    breaker.release(at(60), trial);
    assert!(breaker.acquire(at(60)).is_ok());
}

#[test]
fn calls_that_were_under_way_tell_nothing_new() {
    let mut breaker = breaker(|_| {});
    let permits: Vec<_> = (0..100).map(|_| breaker.acquire(at(0)).unwrap()).collect();
    let mut permits = permits.into_iter();
    permits.by_ref().take(5).for_each(|permit| breaker.record(at(1), permit, Outcome::Failure));
    let trial = breaker.acquire(at(61)).unwrap();
    for (permit, outcome) in permits.zip([Outcome::Failure, Outcome::Success].iter().cycle()) {
        breaker.record(at(61), permit, *outcome);
    }
    assert_eq!(breaker.state(at(61)), BreakerState::HalfOpen);
    assert!(breaker.acquire(at(61)).is_err(), "late calls give no place back");
    breaker.record(at(62), trial, Outcome::Failure);
    assert_eq!(breaker.next_deadline(), Some(at(122)));
    let metrics = breaker.metrics();
    assert_eq!((metrics.late_count, metrics.under_way), (95, 0));
    assert_eq!((metrics.failure_count, metrics.success_count), (54, 47));
}

#[test]
fn while_trials_fail_the_time_doubles() {
    let mut breaker = opened(|config| config.open_timeout_max = Some(Duration::from_secs(200)));
    for (now, until) in [(60, 180), (180, 380), (380, 580)] {
        call(&mut breaker, at(now), Outcome::Failure);
        assert_eq!(breaker.next_deadline(), Some(at(until)));
    }
    (0..3).for_each(|_| call(&mut breaker, at(600), Outcome::Success));
    (0..5).for_each(|_| call(&mut breaker, at(600), Outcome::Failure));
    assert_eq!(breaker.next_deadline(), Some(at(660)), "having closed it begins anew");
}

#[test]
fn rates_open_it_once_there_are_enough_calls() {
    let mut breaker = breaker(|config| {
        config.counting = Counting::Never;
        config.failure_rate_percent = Some(50);
        config.minimum_calls = 4;
        config.window = Window::Calls(10);
    });
    for outcome in [Outcome::Failure, Outcome::Failure, Outcome::Success] {
        call(&mut breaker, at(0), outcome);
    }
    assert_eq!(breaker.state(at(0)), BreakerState::Closed, "two of three, but three are few");
    call(&mut breaker, at(0), Outcome::Success);
    assert_eq!(told(&mut breaker, at(0)), [(BreakerState::Open, Why::FailureRate, at(0))]);
}

#[test]
fn slow_calls_open_it_and_slow_trials_do_again() {
    let mut breaker = breaker(|config| {
        config.slow_call_duration = Some(Duration::from_secs(2));
        config.minimum_calls = 2;
    });
    for (start, end) in [(0, 1), (1, 3)] {
        let permit = breaker.acquire(at(start)).unwrap();
        breaker.record(at(end), permit, Outcome::Success);
    }
    assert_eq!(told(&mut breaker, at(3)), [(BreakerState::Open, Why::SlowCalls, at(3))]);
    let trial = breaker.acquire(at(63)).unwrap();
    breaker.record(at(65), trial, Outcome::Success);
    assert_eq!(told(&mut breaker, at(65))[1], (BreakerState::Open, Why::TrialFailed, at(65)));
    assert_eq!(breaker.metrics().slow_count, 2);
}

#[test]
fn a_forced_state_stays_until_somebody_changes_it() {
    let mut breaker = opened(|_| {});
    breaker.force_open(at(1));
    assert_eq!(breaker.state(Instant::FAR_FUTURE), BreakerState::ForcedOpen);
    assert_eq!(breaker.acquire(at(9999)).unwrap_err().retry_after, None);
    breaker.force_closed(at(9999));
    (0..50).for_each(|_| call(&mut breaker, at(9999), Outcome::Failure));
    let late = breaker.acquire(at(9999)).unwrap();
    breaker.reset(at(9999));
    assert_eq!(breaker.state(at(9999)), BreakerState::Closed);
    (0..4).for_each(|_| call(&mut breaker, at(9999), Outcome::Failure));
    breaker.record(at(9999), late, Outcome::Failure);
    assert_eq!(breaker.state(at(9999)), BreakerState::Closed, "it began under another state");
    let states: Vec<_> = told(&mut breaker, at(9999)).into_iter().map(|told| told.0).collect();
    use BreakerState::{Closed, ForcedClosed, ForcedOpen, Open};
    assert_eq!(states, [Open, ForcedOpen, ForcedClosed, Closed]);
}

#[test]
fn another_configuration_holds_at_once() {
    let mut breaker = opened(|_| {});
    let wrong = BreakerConfig { success_threshold: 0, ..BreakerConfig::default() };
    let refused = breaker.reconfigure(at(1), wrong).unwrap_err();
    assert_eq!(refused.field, "breaker.success_threshold");
    assert_eq!(breaker.state(at(1)), BreakerState::Open);
    let config = BreakerConfig { failure_threshold: 1, ..BreakerConfig::default() };
    breaker.reconfigure(at(1), config).unwrap();
    call(&mut breaker, at(1), Outcome::Failure);
    assert_eq!(breaker.next_deadline(), Some(at(61)));
}

#[test]
fn transitions_that_nobody_polls_are_counted() {
    let mut breaker = breaker(|_| {});
    for n in 0..10 {
        breaker.force_open(at(n));
        breaker.reset(at(n));
    }
    let metrics = breaker.metrics();
    assert_eq!((metrics.state_transitions, metrics.transitions_dropped), (20, 4));
    assert_eq!(told(&mut breaker, at(10)).len(), 16);
}

#[test]
fn states_are_named_as_people_know_them() {
    let names =
        [BreakerState::Closed, BreakerState::Open, BreakerState::HalfOpen].map(|s| s.name());
    assert_eq!(names, ["closed", "open", "half_open"]);
}

#[test]
fn breakers_that_open_together_do_not_try_together() {
    let span = Duration::from_secs(60);
    let config = BreakerConfig { failure_threshold: 1, ..BreakerConfig::default() };
    let mut sorted: Vec<Duration> = (0..1000_u64)
        .map(|number| {
            let entropy = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut breaker = CircuitBreaker::new(config).unwrap().with_jitter(entropy);
            let permit = breaker.acquire(Instant::ZERO).unwrap();
            breaker.record(Instant::ZERO, permit, Outcome::Failure);
            breaker.acquire(Instant::ZERO).unwrap_err().retry_after.unwrap()
        })
        .collect();
    sorted.sort();
    assert!(sorted[0] >= span / 2 && sorted[999] <= span, "{:?} to {:?}", sorted[0], sorted[999]);
    let (low, middle, high) = (sorted[100], sorted[500], sorted[900]);
    assert!(low < span * 55 / 100 + span / 50 && high > span * 95 / 100 - span / 50);
    assert!(middle > span * 70 / 100 && middle < span * 80 / 100, "{middle:?}");
}
