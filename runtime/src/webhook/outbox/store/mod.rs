//! The file: tables of redb, and what keeps them together. Everything here blocks.

mod apply;
mod file;
#[cfg(test)]
mod power;
mod read;
mod survey;
mod tables;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::Bytes;
use redb::Database;

use super::config::OutboxLimits;
use super::entry::Place;
use super::error::{Fullness, OutboxError};
use super::record::{Last, Record, RecordError};
use crate::contain::contain;

/// The format of the tables that this version writes, and the newest it reads.
const FORMAT: u64 = 1;

pub(super) struct Store {
    path: PathBuf,
    limits: OutboxLimits,
    file: RwLock<File>,
    /// Held by whoever commits.
    writing: Mutex<()>,
    /// Locked for no longer than it takes to copy.
    totals: Mutex<Totals>,
}

enum File {
    Open(Database),
    /// The operating system failed a write: redb wants the file opened anew.
    Broken,
    Closed,
}

/// What there is, as of the last commit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) pending: u64,
    pub(super) pending_bytes: u64,
    pub(super) dead: u64,
    pub(super) dead_bytes: u64,
    /// Ids of delivered webhooks that are remembered.
    pub(super) known: u64,
    /// Delivered since the file was made.
    pub(super) delivered: u64,
    /// Dead letters that made room for others since the file was made.
    pub(super) dropped: u64,
    /// No serial number is given twice.
    next_serial: u64,
}

/// What a commit changes.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Add { record: Box<Record>, payload: Bytes },
    Delivered { serial: u64 },
    Failed { serial: u64, last: Last, next: Next },
    Retry { id: String, now: u64 },
    RetryDead { now: u64, max: usize },
    Remove { id: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    At(u64),
    Dead,
}

/// What became of a [`Change`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    Added,
    /// It is there, or was delivered.
    Known,
    Full(Fullness),
    /// So many webhooks were changed; nothing if there is none of that name.
    Changed(usize),
}

/// A webhook that is due.
#[derive(Debug, Clone)]
pub(super) struct Letter {
    pub(super) serial: u64,
    pub(super) record: Record,
    pub(super) payload: Bytes,
}

/// What is due, and when the next one will be.
#[derive(Debug, Default)]
pub(super) struct Due {
    pub(super) letters: Vec<Letter>,
    pub(super) next_at: Option<u64>,
}

/// Which of the two lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    Pending,
    Dead,
}

impl Store {
    pub(super) fn open(
        path: PathBuf,
        must_exist: bool,
        limits: OutboxLimits,
    ) -> Result<Self, OutboxError> {
        file::prepare(&path, must_exist)?;
        let opened =
            guarded(|| file::open(&path).and_then(|db| survey::begin(&db).map(|t| (db, t))));
        let (db, totals) = opened.map_err(|fault| fault.at(&path))?;
        Ok(Self::over(db, totals, path, limits))
    }

    fn over(db: Database, totals: Totals, path: PathBuf, limits: OutboxLimits) -> Self {
        Self {
            path,
            limits,
            file: RwLock::new(File::Open(db)),
            writing: Mutex::new(()),
            totals: Mutex::new(totals),
        }
    }

    /// Makes these changes durable, all or none, in this order. Returns after they are.
    pub(super) fn apply(&self, changes: &[Change]) -> Result<Vec<Done>, OutboxError> {
        self.with_file(|db| {
            let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
            let (done, after) = apply::commit(db, &self.limits, self.totals(), changes)?;
            self.publish(after);
            Ok(done)
        })
    }

    /// At most `max` that are due, the longest first, without those whose serial numbers `is_taken`.
    pub(super) fn due(
        &self,
        now: u64,
        max: usize,
        is_taken: impl Fn(u64) -> bool,
    ) -> Result<Due, OutboxError> {
        self.with_file(|db| read::due(db, now, max, &is_taken))
    }

    /// At most `max` of a list, in its order, after `place`.
    pub(super) fn page(
        &self,
        list: List,
        after: Option<Place>,
        max: usize,
    ) -> Result<Vec<(Place, Record)>, OutboxError> {
        self.with_file(|db| read::page(db, list, after, max))
    }

    pub(super) fn find(&self, id: &str) -> Result<Option<(Place, Record, Bytes)>, OutboxError> {
        self.with_file(|db| read::find(db, id))
    }

    pub(super) fn totals(&self) -> Totals {
        *self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, totals: Totals) {
        *self.totals.lock().unwrap_or_else(PoisonError::into_inner) = totals;
    }

    /// Gives the file back.
    pub(super) fn close(&self) {
        let mut file = self.file.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *file, File::Closed);
        if contain(|| drop(before)).is_err() {
            tracing::error!(target: "cndt", path = %self.path.display(), "the outbox did not close");
        }
    }

    fn with_file<T>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, Fault>,
    ) -> Result<T, OutboxError> {
        self.mend()?;
        let fault = {
            let file = self.file.read().unwrap_or_else(PoisonError::into_inner);
            match &*file {
                File::Open(db) => match guarded(|| work(db)) {
                    Ok(value) => return Ok(value),
                    Err(fault) => fault,
                },
                File::Closed => return Err(OutboxError::Closed),
                // Somebody else's write failed just now.
                File::Broken => return Err(Fault::from(redb::Error::PreviousIo).at(&self.path)),
            }
        };
        self.give_up(&fault);
        Err(fault.at(&self.path))
    }

    /// After a failed write nobody knows what is on the disk: only what is read anew counts.
    fn give_up(&self, fault: &Fault) {
        if fault.is_lasting() {
            let mut file = self.file.write().unwrap_or_else(PoisonError::into_inner);
            if matches!(*file, File::Open(_)) {
                let before = std::mem::replace(&mut *file, File::Broken);
                drop(contain(|| drop(before)));
            }
        }
    }

    fn mend(&self) -> Result<(), OutboxError> {
        let is_broken = {
            let file = self.file.read().unwrap_or_else(PoisonError::into_inner);
            matches!(*file, File::Broken)
        };
        if !is_broken {
            return Ok(());
        }
        let mut file = self.file.write().unwrap_or_else(PoisonError::into_inner);
        if matches!(*file, File::Broken) {
            // An outbox that has vanished is not replaced by an empty one.
            file::prepare(&self.path, true)?;
            let path = &self.path;
            let opened =
                guarded(|| file::open(path).and_then(|db| survey::begin(&db).map(|t| (db, t))));
            let (db, totals) = opened.map_err(|fault| fault.at(path))?;
            self.publish(totals);
            *file = File::Open(db);
        }
        Ok(())
    }
}

/// What went wrong, before it is known where.
#[derive(Debug)]
enum Fault {
    Redb(redb::Error),
    Newer(u64),
    Damaged(String),
}

/// Bytes that redb did not expect may make it panic.
fn guarded<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    contain(work).unwrap_or_else(|words| Err(Fault::Damaged(words)))
}

impl Fault {
    fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged(what.into())
    }

    /// Whether the file must be opened anew.
    fn is_lasting(&self) -> bool {
        match self {
            Self::Redb(_) | Self::Damaged(_) => true,
            Self::Newer(_) => false,
        }
    }

    fn at(self, path: &Path) -> OutboxError {
        let path = path.to_owned();
        let error = match self {
            Self::Newer(found) => {
                return OutboxError::NewerFormat { path, found, known: FORMAT };
            }
            Self::Damaged(what) => return OutboxError::Corrupted { path, what },
            Self::Redb(error) => error,
        };
        match error {
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => {
                OutboxError::InUse { path }
            }
            redb::Error::Io(error) if is_damage(&error) => {
                OutboxError::Corrupted { path, what: error.to_string() }
            }
            redb::Error::Io(error) => OutboxError::Io { path, error: Arc::new(error) },
            redb::Error::PreviousIo | redb::Error::DatabaseClosed => {
                let error = Arc::new(io::Error::other("an earlier write failed"));
                OutboxError::Io { path, error }
            }
            other => OutboxError::Corrupted { path, what: other.to_string() },
        }
    }
}

/// What redb calls I/O, but the operating system does not.
fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData)
}

impl<E: Into<redb::Error>> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::Redb(error.into())
    }
}

fn unreadable(serial: u64, error: RecordError) -> Fault {
    match error {
        RecordError::Newer(version) => Fault::Newer(version.into()),
        RecordError::Unreadable(what) => Fault::Damaged(format!("record {serial}: {what}")),
    }
}
