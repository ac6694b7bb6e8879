use core::time::Duration;

use cndt_core::resilience::{
    BreakerConfig, BreakerMetrics, BreakerState, CircuitBreaker, Counting, Outcome, Permit,
    Rejected, Transition, Why, Window,
};
use cndt_core::time::Instant;

use super::{Choices, Clock, pick};

/// A circuit breaker allows, refuses, changes and counts as its model does, in any order of calls
/// and whatever the clock says; configurations are refused that make no sense, and no others.
///
/// The first bytes are the configuration; then each is something to do, with the bytes behind it as
/// its arguments.
///
/// # Panics
/// When the law is broken.
pub fn breaker(data: &[u8]) {
    let mut choices = Choices(data);
    let config = config(&mut choices);
    let made = CircuitBreaker::new(config);
    assert_eq!(made.is_ok(), is_sensible(&config), "{config:?}: {made:?}");
    let Ok(breaker) = made else { return };
    let mut pair =
        Pair { breaker, model: Model::new(config), clock: Clock::default(), permits: Vec::new() };
    while !choices.is_over() {
        pair.act(&mut choices);
        pair.compare(&mut choices);
    }
    while pair.end(&mut choices, Outcome::Ignored) {}
    assert_eq!(pair.breaker.metrics().under_way, 0, "all permits are back");
    while pair.poll() {}
}

pub(super) fn config(choices: &mut Choices<'_>) -> BreakerConfig {
    // Nonsense is rare enough not to waste most schedules.
    let number = |choices: &mut Choices<'_>, most: usize| match choices.next() {
        255 => 0,
        other => 1 + u32::from(other) % most as u32,
    };
    let percent = |choices: &mut Choices<'_>| match choices.next() {
        250.. => 101,
        other => other.min(100),
    };
    let micros = |choices: &mut Choices<'_>| match choices.next() {
        255 => Duration::MAX,
        other => Duration::from_micros(u64::from(other) * 5),
    };
    let window = match choices.below(2) {
        0 => Window::Calls(number(choices, 12) + number(choices, 4)),
        _ => Window::Time(micros(choices)),
    };
    let kinds = choices.next();
    BreakerConfig {
        failure_threshold: number(choices, 5),
        counting: [Counting::InARow, Counting::InWindow, Counting::Never][choices.below(3)],
        window,
        failure_rate_percent: (kinds & 1 == 1).then(|| percent(choices)),
        slow_call_duration: (kinds & 2 == 2).then(|| micros(choices)),
        slow_call_rate_percent: percent(choices),
        minimum_calls: number(choices, 6),
        open_timeout: micros(choices),
        open_timeout_max: (kinds & 4 == 4).then(|| micros(choices).saturating_mul(4)),
        success_threshold: number(choices, 3),
        half_open_calls_max: number(choices, 3),
    }
}

fn is_sensible(config: &BreakerConfig) -> bool {
    let percent = |percent| percent > 0 && percent <= 100;
    let span = |span: Duration| !span.is_zero() && span < Duration::from_secs(366 * 24 * 3600);
    let has_rates = config.failure_rate_percent.is_some() || config.slow_call_duration.is_some();
    let fits_window = match config.window {
        Window::Time(time) => span(time),
        Window::Calls(0) => false,
        Window::Calls(calls) => {
            let can_count = config.failure_threshold <= calls;
            let can_rate = config.minimum_calls <= calls;
            calls <= 10_000
                && (config.counting != Counting::InWindow || can_count)
                && (!has_rates || can_rate)
        }
    };
    fits_window
        && config.failure_threshold > 0
        && config.minimum_calls > 0
        && config.success_threshold > 0
        && config.half_open_calls_max > 0
        && config.failure_rate_percent.is_none_or(percent)
        && percent(config.slow_call_rate_percent)
        && config.slow_call_duration.is_none_or(span)
        && span(config.open_timeout)
        && config.open_timeout_max.is_none_or(|max| span(max) && max >= config.open_timeout)
        && (has_rates || config.counting != Counting::Never)
}

/// The machine and its model, which are told the same.
struct Pair {
    breaker: CircuitBreaker,
    model: Model,
    clock: Clock,
    /// With the places of their calls in the model.
    permits: Vec<(Permit, usize)>,
}

impl Pair {
    fn act(&mut self, choices: &mut Choices<'_>) {
        match choices.below(32) {
            0..=11 => self.acquire(),
            12..=16 => drop(self.end(choices, Outcome::Failure)),
            17..=20 => drop(self.end(choices, Outcome::Success)),
            21 => drop(self.end(choices, Outcome::Ignored)),
            22..=27 => self.clock.turn(choices),
            28 => drop(self.poll()),
            29 => {
                let now = self.clock.tell();
                self.model.tick(self.clock.latest);
                match choices.below(4) {
                    0 => {
                        self.breaker.force_open(now);
                        self.model.force(BreakerState::ForcedOpen);
                    }
                    1 => {
                        self.breaker.force_closed(now);
                        self.model.force(BreakerState::ForcedClosed);
                    }
                    _ => {
                        self.breaker.reset(now);
                        self.model.change(BreakerState::Closed, Why::Reset);
                    }
                }
            }
            30 => {
                let config = config(choices);
                if is_sensible(&config) {
                    let now = self.clock.tell();
                    self.model.tick(self.clock.latest);
                    self.breaker.reconfigure(now, config).expect("it makes sense");
                    self.model.change(BreakerState::Closed, Why::Reset);
                    self.model.config = config;
                }
            }
            _ => {
                if let Some(at) = self.breaker.next_deadline() {
                    self.clock.said = at.as_micros() - u64::from(choices.next() & 1);
                }
            }
        }
    }

    fn acquire(&mut self) {
        let now = self.clock.tell();
        self.model.tick(self.clock.latest);
        let expected = self.model.acquire();
        match self.breaker.acquire(now) {
            Ok(permit) => {
                assert_eq!(permit.begun().as_micros(), self.model.now);
                let call = expected.expect("a call was allowed that may not be made");
                self.permits.push((permit, call));
            }
            Err(rejected) => assert_eq!(Err(rejected), expected, "it was refused"),
        }
    }

    /// Ends some call; false if there is none.
    fn end(&mut self, choices: &mut Choices<'_>, outcome: Outcome) -> bool {
        let Some((permit, call)) = pick(choices, &mut self.permits) else { return false };
        let now = self.clock.tell();
        self.model.tick(self.clock.latest);
        self.breaker.record(now, permit, outcome);
        self.model.end(call, outcome);
        true
    }

    fn poll(&mut self) -> bool {
        let now = self.clock.tell();
        self.model.tick(self.clock.latest);
        let told = self.breaker.poll_transition(now);
        let untold = &mut self.model.untold;
        let expected = (!untold.is_empty()).then(|| untold.remove(0));
        assert_eq!(told, expected, "another transition");
        told.is_some()
    }

    /// Looks at what can be seen without changing anything, now and later.
    fn compare(&mut self, choices: &mut Choices<'_>) {
        let later = self.clock.latest + u64::from(choices.next()) * 5;
        let mut model = self.model.clone();
        for at in [self.model.now, later] {
            model.tick(at);
            let state = self.breaker.state(Instant::from_micros(at));
            assert_eq!(state, model.state, "the state at {at}");
        }
        let until = matches!(self.model.state, BreakerState::Open).then_some(self.model.until);
        assert_eq!(self.breaker.next_deadline().map(Instant::as_micros), until);
        assert_eq!(self.breaker.metrics(), self.model.metrics());
    }
}

#[derive(Debug, Clone)]
struct Model {
    config: BreakerConfig,
    now: u64,
    state: BreakerState,
    /// When an open breaker is open no more.
    until: u64,
    /// Which state this is, counted from the first.
    epoch: usize,
    calls: Vec<Call>,
    /// The calls that ended in time, by number, in the order in which they ended.
    ended: Vec<usize>,
    changes: Vec<Transition>,
    untold: Vec<Transition>,
    dropped: u64,
    rejected: u64,
}

#[derive(Debug, Clone)]
struct Call {
    epoch: usize,
    begun: u64,
    end: Option<End>,
}

#[derive(Debug, Clone, Copy)]
struct End {
    at: u64,
    outcome: Outcome,
    is_slow: bool,
    is_late: bool,
}

impl Model {
    fn new(config: BreakerConfig) -> Self {
        Self {
            config,
            now: 0,
            state: BreakerState::Closed,
            until: 0,
            epoch: 0,
            calls: Vec::new(),
            ended: Vec::new(),
            changes: Vec::new(),
            untold: Vec::new(),
            dropped: 0,
            rejected: 0,
        }
    }

    fn tick(&mut self, now: u64) {
        self.now = now;
        if self.state == BreakerState::Open && self.now >= self.until {
            self.change_at(self.until, BreakerState::HalfOpen, Why::TimeIsOver);
        }
    }

    fn force(&mut self, to: BreakerState) {
        if self.state != to {
            self.change(to, Why::Forced);
        }
    }

    fn change(&mut self, to: BreakerState, why: Why) {
        self.change_at(self.now, to, why);
    }

    fn change_at(&mut self, at: u64, to: BreakerState, why: Why) {
        let from = self.state;
        self.state = to;
        self.epoch += 1;
        if from != to {
            let transition = Transition { from, to, at: Instant::from_micros(at), why };
            self.changes.push(transition);
            self.untold.push(transition);
            if self.untold.len() > 16 {
                self.untold.remove(0);
                self.dropped += 1;
            }
        }
    }

    fn open(&mut self, why: Why) {
        let earlier = self.changes.iter().rev();
        let earlier = earlier
            .take_while(|change| matches!(change.to, BreakerState::Open | BreakerState::HalfOpen))
            .filter(|change| change.to == BreakerState::Open)
            .count();
        let mut span = self.config.open_timeout;
        let longest = self.config.open_timeout_max.unwrap_or(span);
        for _ in 0..earlier {
            span = (span * 2).min(longest);
        }
        self.until = self.now + u64::try_from(span.as_micros()).expect("it is short");
        self.change(BreakerState::Open, why);
    }

    fn acquire(&mut self) -> Result<usize, Rejected> {
        let under_way = self.calls.iter().filter(|call| call.end.is_none());
        let trials = under_way.filter(|call| call.epoch == self.epoch).count();
        let has_room = trials < self.config.half_open_calls_max as usize;
        let retry_after = match self.state {
            BreakerState::Closed | BreakerState::ForcedClosed => return Ok(self.begin()),
            BreakerState::HalfOpen if has_room => return Ok(self.begin()),
            BreakerState::HalfOpen | BreakerState::ForcedOpen => None,
            BreakerState::Open => Some(Duration::from_micros(self.until - self.now)),
        };
        self.rejected += 1;
        Err(Rejected { state: self.state, retry_after })
    }

    fn begin(&mut self) -> usize {
        self.calls.push(Call { epoch: self.epoch, begun: self.now, end: None });
        self.calls.len() - 1
    }

    fn end(&mut self, number: usize, outcome: Outcome) {
        let call = &mut self.calls[number];
        let elapsed = Duration::from_micros(self.now - call.begun);
        let is_slow = self.config.slow_call_duration.is_some_and(|slow| elapsed >= slow);
        let is_late = call.epoch != self.epoch;
        call.end = Some(End { at: self.now, outcome, is_slow, is_late });
        if is_late || outcome == Outcome::Ignored {
            return;
        }
        self.ended.push(number);
        match self.state {
            BreakerState::Closed => {
                if let Some(why) = self.why_open() {
                    self.open(why);
                }
            }
            BreakerState::HalfOpen => {
                let trials = self.ends();
                if trials.iter().any(|end| end.outcome == Outcome::Failure || end.is_slow) {
                    self.open(Why::TrialFailed);
                } else if trials.len() >= self.config.success_threshold as usize {
                    self.change(BreakerState::Closed, Why::TrialsSucceeded);
                }
            }
            BreakerState::ForcedClosed => {}
            BreakerState::Open | BreakerState::ForcedOpen => panic!("no call can begin here"),
        }
    }

    /// What has ended in time under this state.
    fn ends(&self) -> Vec<End> {
        let calls = self.ended.iter().map(|number| &self.calls[*number]);
        let calls = calls.filter(|call| call.epoch == self.epoch);
        calls.filter_map(|call| call.end).collect()
    }

    fn why_open(&self) -> Option<Why> {
        let config = &self.config;
        let ends = self.ends();
        let failed = |end: &&End| end.outcome == Outcome::Failure;
        let window: Vec<&End> = match config.window {
            Window::Calls(calls) => ends.iter().rev().take(calls as usize).collect(),
            Window::Time(span) => {
                let step = u64::try_from(span.as_micros()).expect("it is short").div_ceil(60);
                // Sixty steps, the present one included.
                ends.iter().filter(|end| end.at / step + 60 > self.now / step).collect()
            }
        };
        let failures = window.iter().copied().filter(failed).count();
        let slow = window.iter().filter(|end| end.is_slow).count();
        let counted = match config.counting {
            Counting::InARow => ends.iter().rev().take_while(failed).count(),
            Counting::InWindow => failures,
            Counting::Never => 0,
        };
        if counted >= config.failure_threshold as usize {
            return Some(Why::Failures);
        }
        let is_enough = window.len() >= config.minimum_calls as usize;
        let reaches = |part: usize, percent: u8| {
            is_enough && part * 100 >= window.len() * usize::from(percent)
        };
        if config.failure_rate_percent.is_some_and(|percent| reaches(failures, percent)) {
            return Some(Why::FailureRate);
        }
        let is_slow = reaches(slow, config.slow_call_rate_percent);
        (config.slow_call_duration.is_some() && is_slow).then_some(Why::SlowCalls)
    }

    fn metrics(&self) -> BreakerMetrics {
        let ends = || self.calls.iter().filter_map(|call| call.end);
        let judged = || ends().filter(|end| end.outcome != Outcome::Ignored);
        let of = |outcome| ends().filter(|end| end.outcome == outcome).count() as u64;
        BreakerMetrics {
            success_count: of(Outcome::Success),
            failure_count: of(Outcome::Failure),
            ignored_count: of(Outcome::Ignored),
            slow_count: judged().filter(|end| end.is_slow).count() as u64,
            late_count: judged().filter(|end| end.is_late).count() as u64,
            rejected: self.rejected,
            under_way: self.calls.iter().filter(|call| call.end.is_none()).count() as u64,
            state_transitions: self.changes.len() as u64,
            transitions_dropped: self.dropped,
        }
    }
}
