//! What all operations of one policy share, and the places that they hold in it.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use cndt_core::resilience::bulkhead::TicketId;
use cndt_core::resilience::{
    BreakerMetrics, BreakerState, CircuitBreaker, Claim, Entered, Outcome, Pass, Permit, Rejected,
    Ticket, Transition,
};
use cndt_core::time::Instant;

use super::PolicyMetrics;
use super::config::Parts;
use crate::rt::Machine;

/// Changes of the breaker's state that are kept.
const TRANSITIONS_MAX: usize = 16;

pub(super) struct Gate {
    machine: Machine,
    /// For the log.
    name: Box<str>,
    state: Mutex<State>,
}

struct State {
    parts: Parts,
    /// Who waits at the bulkhead. Bounded by its queue.
    waiting: BTreeMap<TicketId, Waker>,
    transitions: VecDeque<Transition>,
    counts: PolicyMetrics,
}

/// Why an attempt is not begun.
pub(super) enum Refused {
    Open(Rejected),
    Limited(Duration),
    Full { calls: usize, waiting: usize },
}

impl Gate {
    pub(super) fn new(machine: Machine, name: &str, parts: Parts) -> Self {
        let state = State {
            parts,
            waiting: BTreeMap::new(),
            transitions: VecDeque::new(),
            counts: PolicyMetrics::default(),
        };
        Self { machine, name: name.into(), state: Mutex::new(state) }
    }

    // No user code runs under this lock, so a poisoned one still holds a whole value.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something to the machines, tells of changes, and wakes whoever's turn has come.
    fn with<T>(&self, act: impl FnOnce(&mut State, Instant) -> T) -> T {
        let now = self.machine.now();
        let mut woken = Vec::new();
        let mut changed = Vec::new();
        let done = {
            let mut state = self.lock();
            let done = act(&mut state, now);
            let State { parts, waiting, transitions, .. } = &mut *state;
            if let Some(bulkhead) = &mut parts.bulkhead {
                while let Some(id) = bulkhead.poll_decided(now) {
                    woken.extend(waiting.remove(&id));
                }
            }
            if let Some(breaker) = &mut parts.breaker {
                while let Some(transition) = breaker.poll_transition(now) {
                    if transitions.len() == TRANSITIONS_MAX {
                        transitions.pop_front();
                    }
                    transitions.push_back(transition);
                    changed.push(transition);
                }
            }
            done
        };
        woken.into_iter().for_each(Waker::wake);
        for Transition { from, to, why, .. } in changed {
            let name = &*self.name;
            tracing::info!(target: "cndt", name, %from, %to, ?why, "circuit breaker");
        }
        done
    }

    /// An operation begins: its first attempt.
    pub(super) fn begin(&self) {
        self.with(|state, _| {
            state.counts.operations += 1;
            state.parts.budget.deposit(1);
        });
    }

    /// Whether an attempt that reached the other side may be repeated.
    pub(super) fn may_repeat(&self) -> bool {
        self.with(|state, now| state.parts.budget.withdraw(now))
    }

    pub(super) fn repeated(&self) {
        self.with(|state, _| state.counts.repetitions += 1);
    }

    pub(super) fn timed_out(&self) {
        self.with(|state, _| state.counts.timed_out += 1);
    }

    /// Lets an attempt through: the breaker, the rate, then a place, for which it may wait.
    pub(super) async fn enter(&self) -> Result<Inside<'_>, Refused> {
        let entered = self.with(|state, now| state.enter(now))?;
        let place = match entered {
            None => Place { gate: self, pass: None },
            Some(Entered::Go(pass)) => Place { gate: self, pass: Some(pass) },
            Some(Entered::Wait(ticket)) => self.wait(ticket).await?,
        };
        // Asked once more: it may have opened meanwhile. Only now, so that it judges the other side
        // without the time that was spent in line.
        let permit = self.with(|state, now| {
            let acquired = state.parts.breaker.as_mut().map(|breaker| breaker.acquire(now));
            acquired.transpose().map_err(Refused::Open)
        })?;
        Ok(Inside { place, permit, otherwise: None })
    }

    async fn wait(&self, ticket: Ticket) -> Result<Place<'_>, Refused> {
        let mut waiting = Waiting { gate: self, ticket: Some(ticket) };
        let expires = self.with(|state, now| {
            let bulkhead = state.parts.bulkhead.as_ref();
            now + bulkhead.map_or(Duration::ZERO, |bulkhead| bulkhead.config().wait_max)
        });
        let mut sleep = Some(self.machine.sleep_until(expires));
        poll_fn(|cx| {
            let Some(ticket) = waiting.ticket.take() else { return Poll::Pending };
            // It only wakes: what has become of the ticket, the bulkhead knows.
            if sleep.as_mut().is_some_and(|sleep| sleep.as_mut().poll(cx).is_ready()) {
                sleep = None;
            }
            let id = ticket.id();
            let claim = self.with(|state, now| {
                let claim = state.parts.bulkhead.as_mut()?.claim(now, ticket);
                match &claim {
                    Claim::Wait(_) => {
                        state.waiting.insert(id, cx.waker().clone());
                    }
                    Claim::Go(_) | Claim::Expired => {
                        state.waiting.remove(&id);
                    }
                }
                Some(claim)
            });
            match claim {
                Some(Claim::Wait(ticket)) => {
                    waiting.ticket = Some(ticket);
                    Poll::Pending
                }
                Some(Claim::Go(pass)) => Poll::Ready(Ok(Place { gate: self, pass: Some(pass) })),
                Some(Claim::Expired) | None => Poll::Ready(Err(self.with(|state, _| state.full()))),
            }
        })
        .await
    }

    pub(super) fn breaker<T>(
        &self,
        act: impl FnOnce(&mut CircuitBreaker, Instant) -> T,
    ) -> Option<T> {
        self.with(|state, now| state.parts.breaker.as_mut().map(|breaker| act(breaker, now)))
    }

    pub(super) fn transitions(&self) -> Vec<Transition> {
        self.with(|state, _| state.transitions.iter().copied().collect())
    }

    pub(super) fn metrics(&self) -> PolicyMetrics {
        self.with(|state, now| {
            let State { parts, counts, .. } = state;
            let breaker = parts.breaker.as_ref();
            let bulkhead = parts.bulkhead.as_ref();
            PolicyMetrics {
                state: breaker.map_or(BreakerState::Closed, |breaker| breaker.state(now)),
                breaker: breaker.map_or_else(BreakerMetrics::default, |breaker| breaker.metrics()),
                waiting: bulkhead.map_or(0, |bulkhead| bulkhead.waiting()),
                ..*counts
            }
        })
    }
}

impl State {
    fn enter(&mut self, now: Instant) -> Result<Option<Entered>, Refused> {
        if let Some(breaker) = &mut self.parts.breaker
            && let Some(rejected) = refusal(breaker, now)
        {
            return Err(Refused::Open(rejected));
        }
        if let Some(bucket) = &mut self.parts.bucket {
            bucket.take(now, 1).map_err(|wait| {
                self.counts.limited += 1;
                Refused::Limited(wait)
            })?;
        }
        let Some(bulkhead) = &mut self.parts.bulkhead else { return Ok(None) };
        bulkhead.enter(now).map(Some).map_err(|_| self.full())
    }

    fn full(&mut self) -> Refused {
        self.counts.full += 1;
        let bulkhead = self.parts.bulkhead.as_ref();
        let (calls, waiting) =
            bulkhead.map_or((0, 0), |bulkhead| (bulkhead.calls(), bulkhead.waiting()));
        Refused::Full { calls, waiting }
    }
}

/// A refusal that is certain before anything was waited for; the breaker counts it.
fn refusal(breaker: &mut CircuitBreaker, now: Instant) -> Option<Rejected> {
    match breaker.state(now) {
        BreakerState::Open | BreakerState::ForcedOpen => breaker.acquire(now).err(),
        BreakerState::Closed | BreakerState::HalfOpen | BreakerState::ForcedClosed => None,
    }
}

/// A place in line; given up when dropped.
struct Waiting<'a> {
    gate: &'a Gate,
    ticket: Option<Ticket>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        self.gate.with(|state, now| {
            state.waiting.remove(&ticket.id());
            if let Some(bulkhead) = &mut state.parts.bulkhead {
                bulkhead.abandon(now, ticket);
            }
        });
    }
}

/// A place at the bulkhead; left when dropped.
struct Place<'a> {
    gate: &'a Gate,
    pass: Option<Pass>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Some(pass) = self.pass.take() else { return };
        self.gate.with(|state, now| {
            if let Some(bulkhead) = &mut state.parts.bulkhead {
                bulkhead.leave(now, pass);
            }
        });
    }
}

/// An attempt under way. Dropped without an outcome, it tells nothing of the other side, unless that
/// had its time.
pub(super) struct Inside<'a> {
    place: Place<'a>,
    permit: Option<Permit>,
    /// From when on a drop means that the other side was too slow.
    otherwise: Option<Instant>,
}

impl Inside<'_> {
    /// If it is dropped from then on, the other side has failed.
    pub(super) fn expires(&mut self, at: Instant) {
        self.otherwise = Some(at);
    }

    pub(super) fn ended(mut self, outcome: Outcome) {
        self.record(outcome);
    }

    fn record(&mut self, outcome: Outcome) {
        let Some(permit) = self.permit.take() else { return };
        self.place.gate.with(|state, now| {
            if let Some(breaker) = &mut state.parts.breaker {
                breaker.record(now, permit, outcome);
            }
        });
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        let now = self.place.gate.machine.now();
        let was_slow = self.otherwise.is_some_and(|at| now >= at);
        self.record(if was_slow { Outcome::Failure } else { Outcome::Ignored });
    }
}
