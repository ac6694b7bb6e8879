//! Connections that wait for the next webhook.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use cndt_core::time::Instant;
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;

use super::endpoint::Origin;
use crate::rt::Machine;

/// Connections that wait, whatever they lead to.
const IDLE_MAX: usize = 256;

pub(super) type Sender = SendRequest<Full<Bytes>>;

/// Idle connections of a client, few for each origin, none for long. hyper-util's client has a pool as
/// well, but needs the sockets of tokio beside those of the runtime, and does not tell whether a
/// connection was used before.
pub(super) struct Pool {
    machine: Machine,
    per_origin_max: usize,
    idle_timeout: Duration,
    idle: Mutex<Idle>,
}

struct Idle {
    /// Those that have waited longest first.
    connections: Vec<Parked>,
    is_swept: bool,
}

struct Parked {
    origin: Origin,
    sender: Sender,
    expires: Instant,
}

impl Pool {
    pub(super) fn new(machine: Machine, per_origin_max: usize, idle_timeout: Duration) -> Self {
        let idle = Mutex::new(Idle { connections: Vec::new(), is_swept: false });
        Self { machine, per_origin_max, idle_timeout, idle }
    }

    /// The connection to `origin` that was used last: the others may then expire.
    pub(super) fn take(&self, origin: &Origin) -> Option<Sender> {
        let now = self.machine.now();
        let mut idle = self.lock();
        idle.sweep(now);
        let at = idle.connections.iter().rposition(|parked| parked.origin == *origin)?;
        Some(idle.connections.remove(at).sender)
    }

    /// Keeps a connection whose answer was read to its end.
    pub(super) fn park(self: &Arc<Self>, origin: &Origin, sender: Sender) {
        if self.per_origin_max == 0 || sender.is_closed() {
            return;
        }
        let now = self.machine.now();
        let expires = now + self.idle_timeout;
        let mut idle = self.lock();
        idle.sweep(now);
        let alike = || idle.connections.iter().filter(|parked| parked.origin == *origin).count();
        let oldest = if alike() >= self.per_origin_max {
            idle.connections.iter().position(|parked| parked.origin == *origin)
        } else {
            (idle.connections.len() >= IDLE_MAX).then_some(0)
        };
        if let Some(oldest) = oldest {
            drop(idle.connections.remove(oldest));
        }
        idle.connections.push(Parked { origin: origin.clone(), sender, expires });
        if !std::mem::replace(&mut idle.is_swept, true) {
            drop(idle);
            self.machine.spawn(sweep(Arc::downgrade(self), self.machine, expires));
        }
    }

    // Nothing under this lock panics half way: a poisoned one still holds a whole value.
    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Idle {
    fn sweep(&mut self, now: Instant) {
        self.connections.retain(|parked| parked.expires > now && !parked.sender.is_closed());
    }
}

/// Closes what expires, as long as there is anything.
async fn sweep(pool: Weak<Pool>, machine: Machine, mut next: Instant) {
    loop {
        machine.sleep_until(next).await;
        let Some(pool) = pool.upgrade() else { return };
        let mut idle = pool.lock();
        idle.sweep(machine.now());
        match idle.connections.first() {
            Some(parked) => next = parked.expires,
            None => {
                idle.is_swept = false;
                return;
            }
        }
    }
}
