use std::time::Duration;

use cndt_core::limits::LimitError;
use cndt_core::resilience::{Deadline, Outcome, Retry};
use cndt_core::time::Instant;

use super::client::{Client, Held, Inside};
use super::report::Second;
use super::server::{Reply, Server};
use super::timeline::Timeline;
use super::{Scenario, Strategy};

/// There and back again, in microseconds.
const ROUND_TRIP: u64 = 10_000;

/// Everything under one strategy.
pub(super) struct World<'a> {
    strategy: &'a Strategy,
    /// Between operations of one client, in microseconds.
    gap: u64,
    pub(super) clients: Vec<Client>,
    server: Server,
    operations: Vec<Option<Operation>>,
    unused: Vec<u32>,
    timeline: Timeline<Event>,
    pub(super) seconds: Vec<Second>,
    pub(super) ended: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A client wants something.
    Arrival(u32),
    /// The next attempt of an operation.
    Attempt(u32),
    /// The attempt under way is over.
    End(u32, How),
}

/// What a client sees of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum How {
    Answered,
    Busy,
    Unreachable,
    TimedOut,
}

struct Operation {
    client: u32,
    retry: Retry,
    deadline: Deadline,
    inside: Inside,
    /// Attempts that have left.
    sent: u32,
}

impl<'a> World<'a> {
    pub(super) fn new(
        scenario: &Scenario<'_>,
        strategy: &'a Strategy,
        seed: u64,
    ) -> Result<Self, LimitError> {
        let seconds = scenario.seconds();
        let clients = (0..u64::from(scenario.clients))
            .map(|number| Client::new(strategy, seed, number))
            .collect::<Result<Vec<_>, _>>()?;
        let capacity = scenario.capacity();
        let queue_max = usize::try_from(scenario.queue_max()).unwrap_or(usize::MAX);
        let mut world = Self {
            strategy,
            gap: u64::try_from(scenario.gap.as_micros()).unwrap_or(u64::MAX).max(1),
            clients,
            server: Server::new(scenario.schedule, capacity, queue_max),
            operations: Vec::new(),
            unused: Vec::new(),
            timeline: Timeline::new(seconds * 1_000_000),
            seconds: vec![Second::default(); usize::try_from(seconds).unwrap_or(0)],
            ended: 0,
        };
        for number in 0..scenario.clients {
            world.plan_arrival(0, number);
        }
        Ok(world)
    }

    /// Until time is over.
    pub(super) fn play(&mut self) {
        while let Some((micros, event)) = self.timeline.next() {
            let now = Instant::from_micros(micros);
            match event {
                Event::Arrival(client) => {
                    self.plan_arrival(micros, client);
                    self.begin(now, client);
                }
                Event::Attempt(operation) => self.attempt(now, operation),
                Event::End(operation, how) => self.end(now, operation, how),
            }
        }
    }

    fn plan_arrival(&mut self, now: u64, client: u32) {
        let Some(state) = self.clients.get_mut(client as usize) else { return };
        let at = now.saturating_add(state.arrivals.exponential(self.gap));
        self.timeline.plan(at, Event::Arrival(client));
    }

    fn second(&mut self, now: Instant) -> &mut Second {
        // Nothing is planned beyond the end.
        &mut self.seconds[(now.as_micros() / 1_000_000) as usize]
    }

    fn begin(&mut self, now: Instant, client: u32) {
        self.second(now).operations += 1;
        self.clients[client as usize].begin();
        let operation = Operation {
            client,
            retry: self.strategy.retry.begin(now),
            deadline: Deadline::after(now, self.strategy.timeout),
            inside: Inside::default(),
            sent: 0,
        };
        let number = self.unused.pop().unwrap_or_else(|| {
            self.operations.push(None);
            (self.operations.len() - 1) as u32
        });
        self.operations[number as usize] = Some(operation);
        self.attempt(now, number);
    }

    fn attempt(&mut self, now: Instant, number: u32) {
        let Some(operation) = &mut self.operations[number as usize] else { return };
        match self.clients[operation.client as usize].enter(now) {
            Ok(inside) => operation.inside = inside,
            Err(held) => {
                self.second(now).held += 1;
                return match held {
                    Held::Limited(wait) => self.repeat(now, number, Some(wait), Spends::Nothing),
                    Held::Open | Held::Full => self.give_up(number),
                };
            }
        }
        operation.sent += 1;
        let is_repeated = operation.sent > 1;
        let after = operation.retry.policy().attempt_within(operation.deadline.left(now));
        let expires = (now + after).as_micros();
        let second = self.second(now);
        second.offered += 1;
        second.repeated += u64::from(is_repeated);
        let micros = now.as_micros();
        let reply = self.server.offer(micros);
        let heard = match reply {
            Reply::Done { at } => {
                if let Some(second) = self.seconds.get_mut((at / 1_000_000) as usize) {
                    second.served += 1;
                }
                Some((at + ROUND_TRIP, How::Answered))
            }
            Reply::Busy => Some((micros + ROUND_TRIP, How::Busy)),
            Reply::Unreachable => Some((micros + ROUND_TRIP, How::Unreachable)),
            Reply::Lost => None,
        };
        let (at, how) = heard.filter(|(at, _)| *at < expires).unwrap_or((expires, How::TimedOut));
        self.timeline.plan(at, Event::End(number, how));
    }

    fn end(&mut self, now: Instant, number: u32, how: How) {
        let Some(operation) = &mut self.operations[number as usize] else { return };
        let client = &mut self.clients[operation.client as usize];
        let inside = std::mem::take(&mut operation.inside);
        // As the runtime classifies the errors of calls.
        let health = match how {
            How::Answered => Outcome::Success,
            How::Busy => Outcome::Ignored,
            How::Unreachable | How::TimedOut => Outcome::Failure,
        };
        client.leave(now, inside, health);
        match how {
            How::Answered => {
                client.succeeded_at = Some(now);
                self.second(now).succeeded += 1;
                self.give_up(number);
            }
            How::Busy => {
                self.second(now).refused += 1;
                self.repeat(now, number, None, Spends::Budget);
            }
            How::Unreachable => {
                self.second(now).refused += 1;
                self.repeat(now, number, None, Spends::Budget);
            }
            How::TimedOut => {
                self.second(now).timed_out += 1;
                self.repeat(now, number, None, Spends::Budget);
            }
        }
    }

    /// Plans the next attempt, if there is one.
    fn repeat(&mut self, now: Instant, number: u32, wait: Option<Duration>, spends: Spends) {
        let Some(operation) = &mut self.operations[number as usize] else { return };
        let client = &mut self.clients[operation.client as usize];
        let next = operation.retry.failed(now, wait, client.entropy.next());
        let next = next.filter(|at| Deadline::at(*at) < operation.deadline);
        match next {
            Some(at) if spends == Spends::Nothing || client.may_repeat(now) => {
                self.timeline.plan(at.as_micros(), Event::Attempt(number));
            }
            Some(_) | None => self.give_up(number),
        }
    }

    fn give_up(&mut self, number: u32) {
        self.operations[number as usize] = None;
        self.unused.push(number);
        self.ended += 1;
    }
}

/// Whether a repetition is one that the budget is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spends {
    Budget,
    Nothing,
}
