//! What has been measured so far.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cndt_tokio::{CallError, DeliveryError};
use hdrhistogram::Histogram;

use crate::exit::Failure;

/// Latencies are kept to so many significant digits.
const DIGITS: u8 = 3;

/// Connections share this many histograms: enough not to wait for each other, few enough for memory.
const SHARDS_MAX: usize = 16;

/// Calls that were answered, with their latencies, and those that were not.
pub(super) struct Tally {
    shards: Vec<Mutex<Histogram<u64>>>,
    calls: AtomicU64,
    errors: AtomicU64,
    first_miss: Mutex<Option<Miss>>,
}

/// Why a call does not count.
#[derive(Debug, Clone)]
pub(super) enum Miss {
    Call(CallError),
    Delivery(DeliveryError),
    /// The answer is not what was asked for.
    Wrong(String),
    /// A message that some did not get in time.
    Undelivered(Duration),
}

impl fmt::Display for Miss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(error) => error.fmt(f),
            Self::Delivery(error) => error.fmt(f),
            Self::Wrong(words) => f.write_str(words),
            Self::Undelivered(after) => {
                write!(f, "a message did not reach every connection within {after:?}")
            }
        }
    }
}

impl Miss {
    /// What the peer said is told as such; the rest in words.
    pub(super) fn into_failure(self) -> Failure {
        match Failure::from(self.clone()) {
            remote @ Failure::Remote(_) => remote,
            _ => Failure::Failed(format!("every call failed; the first: {self}")),
        }
    }
}

impl From<Miss> for Failure {
    fn from(miss: Miss) -> Self {
        match miss {
            Miss::Call(error) => error.into(),
            Miss::Delivery(error) => error.into(),
            Miss::Wrong(_) | Miss::Undelivered(_) => Self::Failed(miss.to_string()),
        }
    }
}

impl Tally {
    pub(super) fn new(connections: usize) -> Result<Self, Failure> {
        let shard = || Histogram::new(DIGITS).map(Mutex::new);
        let shards: Result<_, _> = (0..connections.clamp(1, SHARDS_MAX)).map(|_| shard()).collect();
        Ok(Self {
            shards: shards.map_err(|error| Failure::Failed(error.to_string()))?,
            calls: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            first_miss: Mutex::new(None),
        })
    }

    /// A call on this connection was answered.
    pub(super) fn hit(&self, connection: usize, latency: Duration) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        if let Some(shard) = self.shards.get(connection % self.shards.len()) {
            // It grows as far as it must, so that any time has room.
            let _ = locked(shard).record(nanos);
        }
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// A call was not answered, or wrongly.
    pub(super) fn miss(&self, miss: Miss) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        locked(&self.first_miss).get_or_insert(miss);
    }

    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    pub(super) fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    pub(super) fn first_miss(&self) -> Option<Miss> {
        locked(&self.first_miss).clone()
    }

    /// All latencies, in nanoseconds.
    pub(super) fn latencies(&self) -> Option<Histogram<u64>> {
        let mut all = Histogram::new(DIGITS).ok()?;
        for shard in &self.shards {
            all.add(&*locked(shard)).ok()?;
        }
        Some(all)
    }
}

/// Nothing in here is left half-done by a panic.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
