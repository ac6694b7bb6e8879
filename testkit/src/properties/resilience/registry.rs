use cndt_core::resilience::{
    BreakerConfig, BreakerState, Breakers, BreakersError, CircuitBreaker, NamedPermit, Outcome,
    Permit,
};
use cndt_core::time::Instant;

use super::breaker::config;
use super::{Choices, Clock, pick};

const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

/// Breakers by name are so many breakers: what is done to one concerns no other, and what is
/// forgotten is what may be.
///
/// The first bytes are the default configuration and the number of names; then each is something to
/// do, with the bytes behind it as its arguments.
///
/// # Panics
/// When the law is broken.
pub fn breakers(data: &[u8]) {
    let mut choices = Choices(data);
    let default = config(&mut choices);
    let names_max = choices.below(6);
    let Ok(breakers) = Breakers::new(default, names_max) else {
        assert!(names_max == 0 || default.validate().is_err());
        return;
    };
    let model = Model { default, names_max, entries: Vec::new() };
    let mut pair = Pair { breakers, model, clock: Clock::default(), permits: Vec::new() };
    while !choices.is_over() {
        pair.act(&mut choices);
        pair.compare();
    }
}

struct Pair {
    breakers: Breakers,
    model: Model,
    clock: Clock,
    permits: Vec<(NamedPermit, Permit)>,
}

impl Pair {
    fn act(&mut self, choices: &mut Choices<'_>) {
        let operation = choices.below(16);
        let name = NAMES[choices.below(NAMES.len())];
        let said = self.clock.tell();
        // All breakers know the latest time that one of them was told.
        let now = Instant::from_micros(self.clock.latest);
        assert!(!self.breakers.reset(said, "nobody"));
        match operation {
            0..=5 => {
                let expected = self.model.entry(name).map(|entry| entry.breaker.acquire(now));
                match (self.breakers.acquire(said, name), expected) {
                    (Ok(named), Some(Ok(permit))) => self.permits.push((named, permit)),
                    (Err(BreakersError::Rejected(told)), Some(Err(rejected))) => {
                        assert_eq!(told, rejected);
                    }
                    (told, expected) => self.is_full(told.map(drop), expected.is_none()),
                }
            }
            6..=9 => {
                let Some((named, permit)) = pick(choices, &mut self.permits) else { return };
                let outcomes = [Outcome::Failure, Outcome::Success, Outcome::Ignored];
                let outcome = outcomes[choices.below(3)];
                let entry = self.model.entry(named.name()).expect("it has a call under way");
                entry.breaker.record(now, permit, outcome);
                self.breakers.record(said, named, outcome);
            }
            10 => {
                let config = config(choices);
                let told = self.breakers.configure(said, name, config);
                if config.validate().is_err() {
                    assert!(matches!(told, Err(BreakersError::Config(_))));
                    return;
                }
                let entry = self.model.entry(name);
                let is_full = entry.is_none();
                if let Some(entry) = entry {
                    entry.breaker.reconfigure(now, config).expect("it makes sense");
                    entry.is_configured = true;
                }
                self.is_full(told, is_full);
            }
            11 => {
                let entry = self.model.entry(name).map(|entry| entry.breaker.force_open(now));
                let told = self.breakers.force_open(said, name);
                self.is_full(told, entry.is_none());
            }
            12 => {
                let entry = self.model.entry(name).map(|entry| entry.breaker.force_closed(now));
                let told = self.breakers.force_closed(said, name);
                self.is_full(told, entry.is_none());
            }
            13 => {
                let is_known = self.model.entries.iter().any(|entry| entry.name == name);
                assert_eq!(self.breakers.reset(said, name), is_known);
                if is_known && let Some(entry) = self.model.entry(name) {
                    entry.breaker.reset(now);
                }
            }
            _ => self.clock.turn(choices),
        }
    }

    fn is_full(&self, told: Result<(), BreakersError>, is_full: bool) {
        let names_max = self.model.names_max;
        let expected =
            if is_full { Err(BreakersError::NamesExhausted { names_max }) } else { Ok(()) };
        assert_eq!(told, expected);
    }

    fn compare(&mut self) {
        let now = Instant::from_micros(self.clock.latest);
        let entries = self.model.entries.iter();
        let mut expected: Vec<_> =
            entries.map(|entry| (entry.name, entry.breaker.state(now))).collect();
        expected.sort_by_key(|(name, _)| *name);
        assert_eq!(self.breakers.states(now).collect::<Vec<_>>(), expected);
        for entry in &mut self.model.entries {
            // What was polled here waits in the registry's own queue.
            while entry.breaker.poll_transition(now).is_some() {}
            let told = self.breakers.metrics(entry.name);
            // A time-out is noticed when the name is used next.
            let mut breaker = entry.breaker.metrics();
            let told = told.expect("it is known");
            assert!(breaker.state_transitions - told.state_transitions <= 1);
            breaker.state_transitions = told.state_transitions;
            assert_eq!(told, breaker);
        }
    }
}

/// The one that was used last stands last.
struct Model {
    default: BreakerConfig,
    names_max: usize,
    entries: Vec<Entry>,
}

struct Entry {
    name: &'static str,
    breaker: CircuitBreaker,
    is_configured: bool,
}

impl Model {
    /// The entry of a name, which is made if there is room, or somebody to make it.
    fn entry(&mut self, name: &str) -> Option<&mut Entry> {
        if let Some(place) = self.entries.iter().position(|entry| entry.name == name) {
            let entry = self.entries.remove(place);
            self.entries.push(entry);
            return self.entries.last_mut();
        }
        if self.entries.len() == self.names_max {
            let place = self.entries.iter().position(|entry| {
                // Only what does not depend on time: an open breaker is not closed by waiting.
                let state = entry.breaker.state(Instant::ZERO);
                !entry.is_configured
                    && state == BreakerState::Closed
                    && entry.breaker.metrics().under_way == 0
            });
            self.entries.remove(place?);
        }
        let name = NAMES.into_iter().find(|known| *known == name)?;
        let breaker = CircuitBreaker::new(self.default).expect("it makes sense");
        self.entries.push(Entry { name, breaker, is_configured: false });
        self.entries.last_mut()
    }
}
