use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cndt_core::connection::{CloseReason, LoginRejection, Stats, Vacancy};
use cndt_core::time::Instant;

use super::admission::{Admission, Refusal, Source};
use crate::descriptor::ServerDescriptor;
use crate::error::ServeError;

use crate::link::Link;
use crate::peer::{ConnectionId, Peer};

/// After one client was cut off for want of memory, the next has so long to drain.
const SHED_PAUSE: Duration = Duration::from_millis(100);

/// What a server has done so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct ServerStats {
    /// Clients that are logged in.
    pub connections: usize,
    /// Connections that were taken since the start, logins that failed included.
    pub accepted: u64,
    /// Connections that were closed before they could begin to log in; see
    /// [`Refusal`](super::Refusal).
    pub refused: u64,
    /// Silent connections that had to go for newer ones.
    pub evicted: u64,
    /// Clients that were cut off because all together held too much memory.
    pub shed: u64,
    /// Bytes that wait for or on behalf of clients at the moment.
    pub held_bytes: usize,
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
    pub(super) refused: u64,
    pub(super) evicted: u64,
    pub(super) shed: u64,
    /// When the next may be cut off for want of memory.
    pub(super) next_shed: Instant,
    pub(super) admission: Admission,
    /// Those who are logging in, oldest first.
    pub(super) half_open: BTreeMap<u64, Arc<Link>>,
    /// The traffic of connections that have ended.
    pub(super) past: Stats,
    /// Those who are logged in, oldest first, until somebody comes or goes: broadcasts go through them
    /// again and again.
    roster: Option<Arc<[Peer]>>,
}

pub(super) struct Entry {
    pub(super) link: Arc<Link>,
    pub(super) is_open: bool,
    source: Option<Source>,
    /// Its key among the half-open.
    order: u64,
}

impl Registry {
    pub(super) fn new(descriptor: &ServerDescriptor) -> Self {
        Self {
            life: Life::Running,
            links: HashMap::new(),
            open_count: 0,
            tasks: 0,
            accepted: 0,
            refused: 0,
            evicted: 0,
            shed: 0,
            next_shed: Instant::ZERO,
            admission: Admission::new(descriptor),
            half_open: BTreeMap::new(),
            past: Stats::default(),
            roster: None,
        }
    }

    /// Takes a connection in that is about to log in. Gives the one that has to go for it, if any.
    pub(super) fn take(
        &mut self,
        now: Instant,
        link: &Arc<Link>,
        half_open_max: usize,
    ) -> Result<Option<Arc<Link>>, ServeError> {
        if self.life != Life::Running {
            return Err(ServeError::Stopped);
        }
        let source = self.admission.source(link.remote.map(|remote| remote.ip()));
        let mut evicted = None;
        let admitted = self.admission.begin(now, source).and_then(|()| {
            if self.half_open.len() < half_open_max {
                return Ok(());
            }
            // Whoever is silent has the least to lose, and the newest always gets its chance.
            let mut silent = self.half_open.iter().filter(|(_, link)| !link.has_spoken());
            let order = silent.next().map(|(order, _)| *order);
            evicted = order.and_then(|order| self.half_open.remove(&order));
            if evicted.is_some() {
                return Ok(());
            }
            self.admission.end(source);
            Err(Refusal::HalfOpen(half_open_max))
        });
        if let Err(refusal) = admitted {
            self.refused += 1;
            return Err(refusal.into());
        }
        self.evicted += u64::from(evicted.is_some());
        let order = self.accepted;
        self.accepted += 1;
        self.half_open.insert(order, Arc::clone(link));
        let entry = Entry { link: Arc::clone(link), is_open: false, source, order };
        self.links.insert(link.id, entry);
        Ok(evicted)
    }

    /// It is logged in.
    pub(super) fn opened(&mut self, id: ConnectionId) {
        if let Some(entry) = self.links.get_mut(&id) {
            entry.is_open = true;
            self.open_count += 1;
            self.roster = None;
            self.half_open.remove(&entry.order);
            self.admission.end(entry.source);
        }
    }

    /// It is over. Tells whether it was logged in.
    pub(super) fn closed(
        &mut self,
        now: Instant,
        id: ConnectionId,
        stats: &Stats,
        reason: Option<&CloseReason>,
    ) -> Option<bool> {
        let entry = self.links.remove(&id)?;
        self.past.add(stats);
        if entry.is_open {
            self.open_count -= 1;
            self.roster = None;
            return Some(true);
        }
        self.half_open.remove(&entry.order);
        self.admission.end(entry.source);
        if let Some(CloseReason::LoginRejected(LoginRejection::WrongPassword)) = reason {
            self.admission.failed(now, entry.source);
        }
        Some(false)
    }

    /// Whoever holds the most, if somebody may be cut off by now.
    pub(super) fn shed(&mut self, now: Instant) -> Option<Arc<Link>> {
        if now < self.next_shed {
            return None;
        }
        self.next_shed = now + SHED_PAUSE;
        let links = self.links.values().map(|entry| &entry.link);
        let largest = links.max_by_key(|link| link.held_bytes())?;
        self.shed += 1;
        Some(Arc::clone(largest))
    }

    /// Those who are logged in.
    pub(super) fn roster(&mut self) -> Arc<[Peer]> {
        let Self { roster, links, .. } = self;
        let listed = roster.get_or_insert_with(|| {
            let mut open: Vec<_> = links.values().filter(|entry| entry.is_open).collect();
            open.sort_unstable_by_key(|entry| entry.order);
            open.into_iter().map(|entry| Peer::new(Arc::clone(&entry.link))).collect()
        });
        Arc::clone(listed)
    }
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
