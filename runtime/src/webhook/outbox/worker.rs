//! Sends what is due, and records how it ended.

use std::sync::Arc;
use std::time::Duration;

use cndt_core::resilience::{Backoff, Delays, Jitter};

use super::error::OutboxError;
use super::record::Last;
use super::schedule::may_repeat;
use super::sender::{Attempt, Outcome, Sender};
use super::shared::Shared;
use super::store::{Change, Due, Letter, Next};
use super::writer;
use crate::contain::Contained;
use crate::entropy;
use crate::race::{First, race};
use crate::rt::Runtime;
use crate::telemetry;

/// The calendar may be set while the worker sleeps: it looks again after so long.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// Runs until the outbox closes.
pub(super) async fn deliver<R: Runtime, S: Sender>(shared: Arc<Shared>, sender: Arc<S>) {
    let mut troubles = troubles();
    loop {
        let (turn, is_closing) = shared.state.read(|state| (state.turns, state.is_closing));
        if is_closing {
            break;
        }
        let wake_in = match take_due::<R>(&shared).await {
            Ok(due) => {
                troubles.reset();
                start::<R, S>(&shared, &sender, due)
            }
            Err(error) => {
                tracing::error!(target: "cndt", %error, "the outbox cannot be read");
                // The turn has no say here: others may fail as well, and wake this one each time.
                pause::<R>(&shared, troubles.draw(0)).await;
                continue;
            }
        };
        let sleep = R::default().sleep_until(R::default().now() + wake_in.min(SLEEP_MAX));
        let news =
            shared.state.until(|state| (state.turns != turn || state.is_closing).then_some(()));
        race(news, sleep).await;
    }
    shared.state.change(|state| state.is_delivering = false);
}

/// How long to wait before what failed for want of a disk is tried again: 1 s to 60 s.
fn troubles() -> Delays {
    let backoff = Backoff::exponential(Duration::from_secs(1), SLEEP_MAX);
    Backoff { jitter: Jitter::None, ..backoff }.delays()
}

async fn pause<R: Runtime>(shared: &Shared, span: Duration) {
    let sleep = R::default().sleep_until(R::default().now() + span);
    race(shared.state.until(|state| state.is_closing.then_some(())), sleep).await;
}

async fn take_due<R: Runtime>(shared: &Arc<Shared>) -> Result<Due, OutboxError> {
    // Taken before the file is read: an attempt that ends meanwhile has been recorded by then.
    let taken = shared.state.read(|state| state.in_flight.clone());
    let free = shared.config.parallel_max.saturating_sub(taken.len());
    if free == 0 {
        return Ok(Due::default());
    }
    let now = R::default().unix_millis();
    let with = Arc::clone(shared);
    let read = move || with.store.due(now, free, |serial| taken.contains(&serial));
    R::default().run_blocking(read).await
}

/// Starts the attempts, and tells when the next one is due.
fn start<R: Runtime, S: Sender>(shared: &Arc<Shared>, sender: &Arc<S>, due: Due) -> Duration {
    for letter in due.letters {
        let may_begin = shared.state.update(|state| {
            if !state.is_closing {
                state.in_flight.insert(letter.serial);
                state.attempts = state.attempts.saturating_add(1);
            }
            !state.is_closing
        });
        if !may_begin {
            break;
        }
        R::default().spawn(attempt::<R, S>(Arc::clone(shared), Arc::clone(sender), letter));
    }
    let under_way = shared.state.read(|state| state.in_flight.len());
    match due.next_at {
        Some(at) if under_way < shared.config.parallel_max => {
            Duration::from_millis(at.saturating_sub(R::default().unix_millis()))
        }
        Some(_) | None => SLEEP_MAX,
    }
}

async fn attempt<R: Runtime, S: Sender>(shared: Arc<Shared>, sender: Arc<S>, letter: Letter) {
    let serial = letter.serial;
    let round = letter.record.round.saturating_add(1);
    let id = letter.record.id.clone();
    let outcome = send::<R, S>(&shared, sender, letter).await;
    let change = judge(&shared, serial, round, outcome, R::default().unix_millis());
    report(&shared, &id, &change);
    record::<R>(&shared, change).await;
    shared.state.change(|state| {
        state.in_flight.remove(&serial);
        state.turns = state.turns.wrapping_add(1);
    });
}

fn report(shared: &Shared, id: &str, change: &Change) {
    let Change::Failed { last: Last { status, reason, .. }, next, .. } = change else {
        tracing::debug!(target: "cndt", id, "webhook delivered");
        return telemetry::outbox("delivered");
    };
    shared.state.update(|state| state.failed = state.failed.saturating_add(1));
    match next {
        Next::At(at) => {
            tracing::debug!(target: "cndt", id, ?status, reason, at, "webhook is tried again");
            telemetry::outbox("failed");
        }
        Next::Dead => {
            tracing::warn!(target: "cndt", id, ?status, reason, "webhook is given up");
            telemetry::outbox("dead");
        }
    }
}

async fn send<R: Runtime, S: Sender>(shared: &Shared, sender: Arc<S>, letter: Letter) -> Outcome {
    let Letter { record, payload, .. } = letter;
    let Ok(id) = record.id.parse() else {
        return Outcome::Impossible { reason: "its id is none".into() };
    };
    let attempt = Attempt {
        id,
        url: record.url,
        headers: record.headers,
        content_type: record.content_type,
        payload,
        number: record.attempts.saturating_add(1),
    };
    let sending = Contained(Box::pin(async move { sender.send(attempt).await }));
    let timeout = shared.config.attempt_timeout;
    let sleep = R::default().sleep_until(R::default().now() + timeout);
    match race(sending, sleep).await {
        First::Left(Ok(outcome)) => outcome,
        First::Left(Err(words)) => {
            tracing::error!(target: "cndt", panic = words, "the sender of an outbox panicked");
            Outcome::Unanswered { reason: "the sender panicked".into() }
        }
        First::Right(()) => Outcome::Unanswered { reason: format!("no answer within {timeout:?}") },
    }
}

/// What follows from an outcome.
fn judge(shared: &Shared, serial: u64, round: u32, outcome: Outcome, now: u64) -> Change {
    let (status, reason, retry_after, is_final) = match outcome {
        Outcome::Answered { status: 200..300, .. } => return Change::Delivered { serial },
        Outcome::Answered { status, retry_after } => {
            let reason = format!("answered by status {status}");
            (Some(status), reason, retry_after, !may_repeat(status))
        }
        Outcome::Unanswered { reason } => (None, reason, None, false),
        Outcome::Impossible { reason } => (None, reason, None, true),
    };
    let random = entropy::jitter();
    let pause = shared.config.schedule.pause(round, retry_after, random);
    let next = match pause.filter(|_| !is_final) {
        Some(pause) => Next::At(now.saturating_add(millis(pause))),
        None => Next::Dead,
    };
    Change::Failed { serial, last: Last::new(now, status, &reason), next }
}

/// Rounded up: never earlier than asked for.
pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_micros().div_ceil(1000)).unwrap_or(u64::MAX)
}

/// Until it is recorded, the webhook must not be sent again: it stays taken.
async fn record<R: Runtime>(shared: &Arc<Shared>, change: Change) {
    let mut troubles = troubles();
    loop {
        let error = match writer::change::<R>(shared, change.clone()).await {
            Ok(_) | Err(OutboxError::Closed) => return,
            Err(error) => error,
        };
        tracing::error!(target: "cndt", %error, "the outcome of a webhook cannot be recorded");
        if shared.state.read(|state| state.is_closing) {
            return;
        }
        pause::<R>(shared, troubles.draw(0)).await;
    }
}
