//! A client's life: connection after connection, until it is closed or given up.

use std::sync::Arc;
use std::time::Duration;

use cndt_core::connection::CloseReason;
use cndt_core::message::auth::{Failure, RefusalCode};

use super::handle::ClientHandle;
use super::shared::{ClientShared, Stage};
use crate::driver::Driver;
use crate::entropy;
use crate::error::ConnectErrorKind;
use crate::net;
use crate::net::dial::{Dialled, Target};
use crate::race::{First, race};
use crate::rt::Runtime;

/// A connection that lasted so long proves that the server is well: attempts count anew.
const STABLE_AFTER: Duration = Duration::from_secs(30);

/// How one connection ended.
struct End {
    reason: CloseReason,
    was_open: bool,
}

/// How a client's life begins.
pub(super) enum Begin {
    /// With a connection. The login is tried once.
    Connected(Box<Driver>),
    /// With nothing: the first connection is made like any other.
    FromNothing,
}

/// Drives connections until none follows.
pub(super) async fn run<R: Runtime>(shared: Arc<ClientShared>, begin: Begin) {
    let mut finish = FinishOnDrop { shared: Arc::clone(&shared), stage: Stage::Closed };
    let reconnects = shared.descriptor.reconnect_enabled;
    let (mut next, insists) = match begin {
        Begin::Connected(driver) => (Next::Connected(driver), false),
        Begin::FromNothing => match try_once::<R>(&shared).await {
            Next::GivenUp if reconnects => (redial::<R>(&shared, Duration::ZERO).await, true),
            next => (next, true),
        },
    };
    loop {
        let driver = match next {
            Next::Connected(driver) => *driver,
            Next::NotWanted => return,
            Next::GivenUp => {
                finish.stage = Stage::Failed;
                return;
            }
        };
        let end = drive(&shared, driver).await;
        if shared.state.read(|state| state.stopping) {
            return;
        }
        let (is_final, wait) = match &end.reason {
            CloseReason::LoginRefused(Failure { code: RefusalCode::Busy, retry_after, .. }) => {
                (false, retry_after.unwrap_or_default())
            }
            CloseReason::LoginRefused(_) | CloseReason::OtherDialect(_) => (true, Duration::ZERO),
            _ => (false, Duration::ZERO),
        };
        let never_logged_in = shared.state.read(|state| state.logins == 0);
        if is_final || (never_logged_in && !(insists && reconnects)) {
            finish.stage = Stage::Failed;
            return;
        }
        if !reconnects {
            return;
        }
        next = redial::<R>(&shared, wait).await;
    }
}

/// Drives one connection; none follows.
pub(super) async fn run_once(shared: Arc<ClientShared>, driver: Driver) {
    let mut finish = FinishOnDrop { shared: Arc::clone(&shared), stage: Stage::Closed };
    let end = drive(&shared, driver).await;
    if !end.was_open {
        finish.stage = Stage::Failed;
    }
}

async fn drive(shared: &Arc<ClientShared>, driver: Driver) -> End {
    let link = Arc::clone(driver.link());
    driver.await;
    let now = shared.machine.now();
    let (reason, io, opened_at) = {
        let locked = link.lock();
        let reason = locked.closed.as_ref().map(|closed| closed.reason.clone());
        (reason, locked.io_error.clone(), locked.opened.as_ref().map(|(_, at)| *at))
    };
    let reason = reason.unwrap_or(CloseReason::TransportLost);
    if let Some(at) = opened_at {
        if now.since(at) >= STABLE_AFTER {
            shared.state.change(|state| state.attempts = 0);
        }
        shared.hooks.disconnect.run((ClientHandle::of(shared), reason.clone())).await;
    } else {
        let failure = ConnectErrorKind::Closed { reason: reason.clone(), io };
        shared.state.change(|state| state.failure = Some(failure));
    }
    End { reason, was_open: opened_at.is_some() }
}

/// What comes of trying to connect.
enum Next {
    Connected(Box<Driver>),
    NotWanted,
    GivenUp,
}

/// Tries until there is a TCP connection, the attempts are used up, or nobody wants it any more.
///
/// The first attempt waits at least as long as the server has asked for.
async fn redial<R: Runtime>(shared: &Arc<ClientShared>, mut at_least: Duration) -> Next {
    let descriptor = &shared.descriptor;
    let attempts = shared.state.read(|state| state.attempts);
    let mut delays = descriptor.reconnect_backoff().delays_after(attempts);
    loop {
        let attempt = shared.state.read(|state| state.attempts);
        let attempts_max = descriptor.reconnect_attempts;
        if attempts_max > 0 && attempt >= attempts_max {
            tracing::error!(target: "cndt", attempts_max, "reconnecting given up");
            return Next::GivenUp;
        }
        let random = entropy::jitter();
        let delay = delays.draw(random).max(std::mem::take(&mut at_least));
        shared.state.change(|state| state.attempts = attempt.saturating_add(1));
        tracing::info!(target: "cndt", attempt = attempt + 1, ?delay, "reconnecting");
        shared.meters.reconnects();
        let machine = shared.machine;
        let sleep = machine.sleep_until(machine.now() + delay);
        if let First::Left(()) = race(stopping(shared), sleep).await {
            return Next::NotWanted;
        }
        match try_once::<R>(shared).await {
            Next::GivenUp => {}
            next => return next,
        }
    }
}

/// Tries once.
async fn try_once<R: Runtime>(shared: &Arc<ClientShared>) -> Next {
    let dialled = match race(stopping(shared), dial::<R>(shared)).await {
        First::Left(()) => return Next::NotWanted,
        First::Right(dialled) => dialled,
    };
    match dialled.and_then(|(stream, remote)| shared.attach(stream, remote)) {
        Ok(driver) => Next::Connected(Box::new(driver)),
        Err(error) => {
            tracing::warn!(target: "cndt", %error, "attempt to connect failed");
            shared.state.change(|state| {
                state.stage = Stage::Offline;
                state.failure = Some(error);
            });
            Next::GivenUp
        }
    }
}

async fn stopping(shared: &ClientShared) {
    shared.state.until(|state| state.stopping.then_some(())).await;
}

/// Makes a connection to the server.
pub(super) async fn dial<R: Runtime>(shared: &ClientShared) -> Result<Dialled, ConnectErrorKind> {
    shared.state.change(|state| state.stage = Stage::Connecting);
    let descriptor = &shared.descriptor;
    let target = Target {
        address: descriptor.target(),
        admits: |_| true,
        ipv6_only: descriptor.use_ipv6,
        tls: shared.tls.as_ref().map(|tls| (tls, descriptor.tls_name())),
        timeout: descriptor.connect_timeout,
    };
    net::dial::dial::<R>(&target).await
}

/// Whoever waits for the client must not wait for ever, not even when the runtime shuts down.
struct FinishOnDrop {
    shared: Arc<ClientShared>,
    stage: Stage,
}

impl Drop for FinishOnDrop {
    fn drop(&mut self) {
        self.shared.finish(std::mem::replace(&mut self.stage, Stage::Closed));
    }
}
