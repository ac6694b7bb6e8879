use super::*;
use alloc::vec::Vec;

const NOW: Instant = Instant::ZERO;

fn breakers(names_max: usize) -> Breakers {
    let default = BreakerConfig { failure_threshold: 1, ..BreakerConfig::default() };
    Breakers::new(default, names_max).unwrap()
}

fn call(breakers: &mut Breakers, name: &str, outcome: Outcome) {
    let permit = breakers.acquire(NOW, name).unwrap();
    breakers.record(NOW, permit, outcome);
}

fn names(breakers: &Breakers) -> Vec<&str> {
    breakers.states(NOW).map(|(name, _)| name).collect()
}

#[test]
fn the_least_recently_used_makes_room() {
    let mut breakers = breakers(3);
    for name in ["a", "b", "c", "a"] {
        call(&mut breakers, name, Outcome::Success);
    }
    call(&mut breakers, "d", Outcome::Success);
    assert_eq!(names(&breakers), ["a", "c", "d"]);
    assert_eq!(breakers.metrics("b"), None);
}

#[test]
fn what_is_in_use_open_forced_or_configured_stays() {
    let mut breakers = breakers(4);
    let permit = breakers.acquire(NOW, "used").unwrap();
    call(&mut breakers, "open", Outcome::Failure);
    breakers.force_closed(NOW, "forced").unwrap();
    breakers.configure(NOW, "configured", BreakerConfig::default()).unwrap();
    let exhausted = BreakersError::NamesExhausted { names_max: 4 };
    assert_eq!(breakers.acquire(NOW, "new").unwrap_err(), exhausted);
    breakers.release(NOW, permit);
    call(&mut breakers, "new", Outcome::Success);
    assert_eq!(names(&breakers), ["configured", "forced", "new", "open"]);
    assert!(breakers.reset(NOW, "open"));
    call(&mut breakers, "newer", Outcome::Success);
    assert_eq!(names(&breakers), ["configured", "forced", "newer", "open"]);
}

#[test]
fn each_name_has_its_own_state_and_configuration() {
    let mut breakers = breakers(10);
    breakers.configure(NOW, "patient", BreakerConfig::default()).unwrap();
    call(&mut breakers, "patient", Outcome::Failure);
    call(&mut breakers, "hasty", Outcome::Failure);
    assert_eq!(breakers.state(NOW, "patient"), Some(BreakerState::Closed));
    assert_eq!(breakers.state(NOW, "hasty"), Some(BreakerState::Open));
    assert_eq!(breakers.state(NOW, "nobody"), None);
    assert!(!breakers.reset(NOW, "nobody"));
    let (name, transition) = breakers.poll_transition().unwrap();
    assert_eq!((&*name, transition.to), ("hasty", BreakerState::Open));
    assert_eq!(breakers.poll_transition(), None);
}

#[test]
fn nonsense_is_refused() {
    let field = |names_max| Breakers::new(BreakerConfig::default(), names_max).unwrap_err().field;
    assert_eq!((field(0), field(1_000_001)), ("breakers.names_max", "breakers.names_max"));
    let long = "x".repeat(257);
    let mut breakers = breakers(1);
    let too_long = BreakersError::NameTooLong { bytes: 257 };
    assert_eq!(breakers.acquire(NOW, &long).unwrap_err(), too_long);
    let wrong = BreakerConfig { minimum_calls: 0, ..BreakerConfig::default() };
    assert!(matches!(breakers.configure(NOW, "a", wrong), Err(BreakersError::Config(_))));
    assert!(breakers.is_empty());
}

#[test]
fn transitions_that_nobody_polls_are_counted() {
    let mut breakers = breakers(2);
    for _ in 0..150 {
        breakers.force_open(NOW, "a").unwrap();
        breakers.reset(NOW, "a");
    }
    assert_eq!(breakers.transitions_dropped(), 300 - 256);
}
