use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cndt_core::connection::{Stats, Vacancy};

use crate::link::Link;
use crate::peer::ConnectionId;

/// Connections that may be logging in at a time. One more is closed at once: whoever has not logged
/// in never takes a place from those who have.
pub const HALF_OPEN_MAX: usize = 128;

/// What a server has done so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct ServerStats {
    /// Clients that are logged in.
    pub connections: usize,
    /// Connections that were taken since the start, logins that failed included.
    pub accepted: u64,
    /// How long the server has been running.
    pub uptime: Duration,
    /// The sum over all connections, past ones included.
    pub traffic: Stats,
}

/// How far a server's life has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Running,
    Stopping,
    Stopped,
}

/// Who is connected.
pub(super) struct Registry {
    pub(super) life: Life,
    pub(super) links: HashMap<ConnectionId, Entry>,
    /// How many of `links` are logged in.
    pub(super) open_count: usize,
    /// Tasks of connections and listeners that have not ended.
    pub(super) tasks: usize,
    pub(super) accepted: u64,
    /// The traffic of connections that have ended.
    pub(super) past: Stats,
}

pub(super) struct Entry {
    pub(super) link: Arc<Link>,
    pub(super) is_open: bool,
}

impl Registry {
    pub(super) fn new() -> Self {
        Self {
            life: Life::Running,
            links: HashMap::new(),
            open_count: 0,
            tasks: 0,
            accepted: 0,
            past: Stats::default(),
        }
    }

    pub(super) fn half_open(&self) -> usize {
        self.links.len() - self.open_count
    }

    pub(super) fn open(&self) -> impl Iterator<Item = &Arc<Link>> {
        self.links.values().filter(|entry| entry.is_open).map(|entry| &entry.link)
    }
}

pub(super) fn add(sum: &mut Stats, stats: &Stats) {
    sum.frames_sent += stats.frames_sent;
    sum.frames_received += stats.frames_received;
    sum.bytes_sent += stats.bytes_sent;
    sum.bytes_received += stats.bytes_received;
    sum.messages_received += stats.messages_received;
    sum.messages_sent += stats.messages_sent;
    sum.strikes += stats.strikes;
    sum.late_answers += stats.late_answers;
    sum.rate_limited += stats.rate_limited;
}

/// A place among the clients that are logged in. Dropping it frees the place.
#[derive(Debug)]
pub(crate) struct Permit(Arc<AtomicUsize>);

impl Permit {
    pub(super) fn reserve(taken: &Arc<AtomicUsize>, max: usize) -> Option<Self> {
        let more = |count: usize| (count < max).then_some(count + 1);
        taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Self(Arc::clone(taken)))
    }

    pub(crate) fn vacancy(permit: Option<&Self>) -> Vacancy {
        match permit {
            Some(_) => Vacancy::Room,
            None => Vacancy::Full,
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
