use core::time::Duration;

use cndt_core::resilience::{Bulkhead, BulkheadConfig, Claim, Entered, Full, Pass, Ticket};
use cndt_core::time::Instant;

use super::{Choices, Clock, pick};

/// A bulkhead lets in, holds and refuses as its model does, in any order of calls and whatever the
/// clock says: never more than may go, nobody overtaken, nobody forgotten, no place lost.
///
/// The first bytes are the configuration; then each is something to do, with the bytes behind it as
/// its arguments.
///
/// # Panics
/// When the law is broken.
pub fn bulkhead(data: &[u8]) {
    let mut choices = Choices(data);
    let config = BulkheadConfig {
        calls_max: choices.below(5),
        waiting_max: choices.below(6),
        wait_max: Duration::from_micros(u64::from(choices.next()) * 20),
    };
    let made = Bulkhead::new(config);
    let is_sensible = config.calls_max > 0 && !config.wait_max.is_zero();
    assert_eq!(made.is_ok(), is_sensible, "{config:?}: {made:?}");
    let Ok(bulkhead) = made else { return };
    let model = Model { config, now: 0, callers: Vec::new() };
    let clock = Clock::default();
    let mut pair = Pair { bulkhead, model, clock, inside: Vec::new(), waiting: Vec::new() };
    while !choices.is_over() {
        pair.act(&mut choices);
        pair.compare();
    }
    pair.empty(&mut choices);
}

/// The machine and its model, which are told the same.
struct Pair {
    bulkhead: Bulkhead,
    model: Model,
    clock: Clock,
    /// With the places of the callers in the model.
    inside: Vec<(Pass, usize)>,
    waiting: Vec<(Ticket, usize)>,
}

impl Pair {
    fn act(&mut self, choices: &mut Choices<'_>) {
        match choices.below(16) {
            0..=4 => self.enter(),
            5..=7 => drop(self.leave(choices)),
            8 | 9 => drop(self.claim(choices)),
            10 => drop(self.abandon(choices)),
            11 | 12 => self.clock.turn(choices),
            13 | 14 => drop(self.poll()),
            _ => {
                if let Some(at) = self.bulkhead.next_deadline() {
                    self.clock.said = at.as_micros() - u64::from(choices.next() & 1);
                }
            }
        }
    }

    /// What the machine is to be told; the model is told it here.
    fn now(&mut self) -> Instant {
        let now = self.clock.tell();
        self.model.tick(self.clock.latest);
        now
    }

    fn enter(&mut self) {
        let now = self.now();
        let number = self.model.callers.len();
        let expected = self.model.enter();
        match self.bulkhead.enter(now) {
            Ok(Entered::Go(pass)) => {
                assert_eq!(expected, Ok(Fate::Inside), "it should not go");
                self.inside.push((pass, number));
            }
            Ok(Entered::Wait(ticket)) => {
                assert_eq!(expected, Ok(Fate::Waiting), "it should not wait");
                self.waiting.push((ticket, number));
            }
            Err(full) => assert_eq!(expected, Err(full), "it was refused"),
        }
    }

    fn leave(&mut self, choices: &mut Choices<'_>) -> bool {
        let Some((pass, number)) = pick(choices, &mut self.inside) else { return false };
        let now = self.now();
        self.bulkhead.leave(now, pass);
        self.model.go(number);
        true
    }

    fn claim(&mut self, choices: &mut Choices<'_>) -> bool {
        let Some((ticket, number)) = pick(choices, &mut self.waiting) else { return false };
        let now = self.now();
        let fate = self.model.callers[number].fate;
        match self.bulkhead.claim(now, ticket) {
            Claim::Go(pass) => {
                assert!(matches!(fate, Fate::Admitted { .. }), "it went, being {fate:?}");
                self.model.callers[number].fate = Fate::Inside;
                self.inside.push((pass, number));
            }
            Claim::Wait(ticket) => {
                assert_eq!(fate, Fate::Waiting);
                self.waiting.push((ticket, number));
            }
            Claim::Expired => {
                assert!(matches!(fate, Fate::Expired { .. }), "it is out, being {fate:?}");
                self.model.go(number);
            }
        }
        true
    }

    fn abandon(&mut self, choices: &mut Choices<'_>) -> bool {
        let Some((ticket, number)) = pick(choices, &mut self.waiting) else { return false };
        let now = self.now();
        self.bulkhead.abandon(now, ticket);
        self.model.go(number);
        true
    }

    fn poll(&mut self) -> bool {
        let now = self.now();
        let expected = self.model.tell();
        let told = self.bulkhead.poll_decided(now);
        let mut waiting = self.waiting.iter();
        let told = told.map(|id| {
            let holder = waiting.find(|(ticket, _)| ticket.id() == id);
            holder.expect("somebody was named who does not wait").1
        });
        assert_eq!(told, expected, "another one should be woken");
        told.is_some()
    }

    fn compare(&self) {
        let config = &self.model.config;
        assert!(self.inside.len() <= config.calls_max, "more go than may");
        assert_eq!(self.bulkhead.calls(), self.model.taken());
        assert_eq!(self.bulkhead.waiting(), self.model.held());
        assert!(self.bulkhead.waiting() <= config.waiting_max, "more wait than may");
        let deadlines = self.model.callers.iter().filter(|caller| caller.fate == Fate::Waiting);
        let next = deadlines.map(|caller| caller.deadline).min();
        assert_eq!(self.bulkhead.next_deadline().map(Instant::as_micros), next);
        assert!(next.is_none() || self.bulkhead.calls() == config.calls_max, "a place is empty");
    }

    /// When everybody goes, everybody who waited had his turn or his time, and all places are free.
    fn empty(&mut self, choices: &mut Choices<'_>) {
        loop {
            while self.poll() {}
            if !self.leave(choices) && !self.claim(choices) {
                break;
            }
            self.compare();
        }
        assert_eq!((self.bulkhead.calls(), self.bulkhead.waiting()), (0, 0), "a place is lost");
    }
}

/// Everybody who was ever let in or made to wait.
struct Model {
    config: BulkheadConfig,
    now: u64,
    callers: Vec<Caller>,
}

struct Caller {
    deadline: u64,
    fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Waiting,
    Admitted { is_told: bool },
    Expired { is_told: bool },
    Inside,
    Gone,
}

impl Model {
    fn count(&self, fits: impl Fn(Fate) -> bool) -> usize {
        self.callers.iter().filter(|caller| fits(caller.fate)).count()
    }

    fn taken(&self) -> usize {
        self.count(|fate| matches!(fate, Fate::Inside | Fate::Admitted { .. }))
    }

    fn held(&self) -> usize {
        self.count(|fate| matches!(fate, Fate::Waiting | Fate::Expired { is_told: false }))
    }

    fn tick(&mut self, now: u64) {
        self.now = now;
        for caller in &mut self.callers {
            if caller.fate == Fate::Waiting && caller.deadline <= now {
                caller.fate = Fate::Expired { is_told: false };
            }
        }
    }

    fn enter(&mut self) -> Result<Fate, Full> {
        let fate = if self.taken() < self.config.calls_max {
            Fate::Inside
        } else if self.held() < self.config.waiting_max {
            Fate::Waiting
        } else {
            return Err(Full { calls: self.taken(), waiting: self.held() });
        };
        let wait = u64::try_from(self.config.wait_max.as_micros()).expect("it is short");
        self.callers.push(Caller { deadline: self.now + wait, fate });
        Ok(fate)
    }

    fn go(&mut self, number: usize) {
        self.callers[number].fate = Fate::Gone;
        while self.taken() < self.config.calls_max {
            let mut callers = self.callers.iter_mut();
            let Some(next) = callers.find(|caller| caller.fate == Fate::Waiting) else { return };
            next.fate = Fate::Admitted { is_told: false };
        }
    }

    fn tell(&mut self) -> Option<usize> {
        for (untold, told) in [
            (Fate::Admitted { is_told: false }, Fate::Admitted { is_told: true }),
            (Fate::Expired { is_told: false }, Fate::Expired { is_told: true }),
        ] {
            if let Some(place) = self.callers.iter().position(|caller| caller.fate == untold) {
                self.callers[place].fate = told;
                return Some(place);
            }
        }
        None
    }
}
