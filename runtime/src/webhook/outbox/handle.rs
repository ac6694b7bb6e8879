use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use cndt_core::webhook::MessageId;
use serde::Serialize;

use super::config::OutboxConfig;
use super::enqueue::{Enqueue, Shareholder};
use super::entry::{Entry, OutboxStats, Place};
use super::error::OutboxError;
use super::sender::Sender;
use super::shared::{Shared, State};
use super::store::{Change, Done, List, Store};
use super::{worker, writer};
use crate::rt::Runtime;
use crate::watched::Watched;

/// Entries that one page has at most.
const PAGE_MAX: usize = 1000;
/// Dead letters that one transaction revives.
const RETRY_BATCH: usize = 256;

/// Webhooks on disk, each sent until it is delivered or dead. Clones share one file.
///
/// When the last one is dropped, it sends nothing more, as after [`Outbox::close`], but nobody waits.
pub struct Outbox<R> {
    owner: Arc<Owner>,
    runtime: PhantomData<R>,
}

struct Owner(Arc<Shared>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.state.change(|state| state.is_closing = true);
    }
}

impl<R> Clone for Outbox<R> {
    fn clone(&self) -> Self {
        Self { owner: Arc::clone(&self.owner), runtime: PhantomData }
    }
}

impl<R> std::fmt::Debug for Outbox<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox").field("path", &self.owner.0.config.path).finish_non_exhaustive()
    }
}

impl<R: Runtime> Outbox<R> {
    /// Opens an outbox, and sends nothing yet: it can be listed and changed. What a process left when
    /// it died is put right; everything is read once and checked, which takes time on a large file.
    ///
    /// # Errors
    /// A setting that makes no sense; a file that is missing, damaged, in use, or of a newer format.
    pub async fn open(config: OutboxConfig) -> Result<Self, OutboxError> {
        config.validate()?;
        let OutboxConfig { path, must_exist, limits, .. } = config.clone();
        let opening = move || Store::open(path, must_exist, limits);
        let store = R::default().run_blocking(opening).await?;
        let shared = Shared { store, config, state: Watched::new(State::default()) };
        Ok(Self { owner: Arc::new(Owner(Arc::new(shared))), runtime: PhantomData })
    }

    /// Sends from now on, beginning with what is due since long ago.
    ///
    /// # Errors
    /// When it does already, or is closed.
    pub fn start(&self, sender: impl Sender) -> Result<(), OutboxError> {
        self.shared().state.update(|state| {
            if state.is_closing {
                return Err(OutboxError::Closed);
            }
            if std::mem::replace(&mut state.has_sender, true) {
                return Err(OutboxError::Started);
            }
            state.is_delivering = true;
            Ok(())
        })?;
        R::default().spawn(worker::deliver::<R, _>(Arc::clone(self.shared()), Arc::new(sender)));
        Ok(())
    }

    /// Accepts a webhook with a JSON payload: await it. Once that is done, it is on the disk, and will
    /// be sent at least once, whatever happens to the process.
    pub fn enqueue(&self, url: impl Into<String>, payload: &impl Serialize) -> Enqueue<R> {
        let payload = serde_json::to_vec(payload).map(Bytes::from);
        let payload = payload.map_err(|error| error.to_string());
        self.enqueueing(url.into(), "application/json".into(), payload)
    }

    /// Accepts a webhook with any bytes as its payload.
    pub fn enqueue_bytes(
        &self,
        url: impl Into<String>,
        content_type: impl Into<String>,
        payload: impl Into<Bytes>,
    ) -> Enqueue<R> {
        self.enqueueing(url.into(), content_type.into(), Ok(payload.into()))
    }

    fn enqueueing(
        &self,
        url: String,
        content_type: String,
        payload: Result<Bytes, String>,
    ) -> Enqueue<R> {
        let shared = Shareholder(Arc::clone(self.shared()));
        let (headers, id, runtime) = (Vec::new(), None, PhantomData);
        Enqueue { shared, url, payload, content_type, headers, id, runtime }
    }

    /// Webhooks that wait, by when they are due: the first ones, or those after a place. At most
    /// `max`, and never more than 1000.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub async fn pending(
        &self,
        after: Option<Place>,
        max: usize,
    ) -> Result<Vec<Entry>, OutboxError> {
        self.page(List::Pending, after, max).await
    }

    /// Dead letters, the oldest first; see [`Outbox::pending`].
    ///
    /// # Errors
    /// What is wrong with the file.
    pub async fn dead(&self, after: Option<Place>, max: usize) -> Result<Vec<Entry>, OutboxError> {
        self.page(List::Dead, after, max).await
    }

    async fn page(
        &self,
        list: List,
        after: Option<Place>,
        max: usize,
    ) -> Result<Vec<Entry>, OutboxError> {
        let shared = Arc::clone(self.shared());
        let read = move || shared.store.page(list, after, max.min(PAGE_MAX));
        let page = R::default().run_blocking(read).await?;
        page.into_iter().map(|(place, record)| self.entry(place, record)).collect()
    }

    fn entry(&self, place: Place, record: super::record::Record) -> Result<Entry, OutboxError> {
        Entry::new(place, record).ok_or_else(|| OutboxError::Corrupted {
            path: self.shared().config.path.clone(),
            what: "a webhook has an id that is none".into(),
        })
    }

    /// A webhook that waits or is dead, and its payload.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub async fn find(&self, id: &MessageId) -> Result<Option<(Entry, Bytes)>, OutboxError> {
        let (shared, id) = (Arc::clone(self.shared()), id.as_str().to_owned());
        let found = R::default().run_blocking(move || shared.store.find(&id)).await?;
        let Some((place, record, payload)) = found else { return Ok(None) };
        Ok(Some((self.entry(place, record)?, payload)))
    }

    /// Makes a webhook due now, dead or not; its schedule begins anew. Tells whether there is one.
    /// There is no limit to this: what is retried was accepted before.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub async fn retry(&self, id: &MessageId) -> Result<bool, OutboxError> {
        let now = R::default().unix_millis();
        let change = Change::Retry { id: id.as_str().to_owned(), now };
        Ok(self.change(change).await? > 0)
    }

    /// Makes all dead letters due now, and tells how many there were.
    ///
    /// # Errors
    /// What is wrong with the file; some may have been retried then.
    pub async fn retry_all(&self) -> Result<u64, OutboxError> {
        // Those that die again meanwhile are left alone.
        let all = self.shared().store.totals().dead;
        let mut count = 0_u64;
        while count < all {
            let left = usize::try_from(all - count).unwrap_or(usize::MAX);
            let now = R::default().unix_millis();
            let change = Change::RetryDead { now, max: left.min(RETRY_BATCH) };
            match self.change(change).await? {
                0 => break,
                retried => count = count.saturating_add(retried as u64),
            }
        }
        Ok(count)
    }

    /// Takes a webhook out, dead or not, and tells whether there was one. An attempt that is under way
    /// goes on. Its id can be used again.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub async fn remove(&self, id: &MessageId) -> Result<bool, OutboxError> {
        Ok(self.change(Change::Remove { id: id.as_str().to_owned() }).await? > 0)
    }

    async fn change(&self, change: Change) -> Result<usize, OutboxError> {
        if self.shared().state.read(|state| state.is_closing) {
            return Err(OutboxError::Closed);
        }
        match writer::change::<R>(self.shared(), change).await? {
            Done::Changed(count) => Ok(count),
            Done::Added | Done::Known | Done::Full(_) => Ok(0),
        }
    }

    /// What there is, and what was done.
    pub fn stats(&self) -> OutboxStats {
        let totals = self.shared().store.totals();
        self.shared().state.read(|state| OutboxStats {
            pending: totals.pending,
            pending_bytes: totals.pending_bytes,
            dead: totals.dead,
            dead_bytes: totals.dead_bytes,
            in_flight: state.in_flight.len() as u64,
            delivered: totals.delivered,
            dropped: totals.dropped,
            attempts: state.attempts,
            failed: state.failed,
        })
    }

    /// Waits until nothing is pending: each webhook is delivered or dead. That may take as long as the
    /// schedule.
    ///
    /// # Errors
    /// When the outbox is closed before that.
    pub async fn drained(&self) -> Result<(), OutboxError> {
        let shared = self.shared();
        let look = |state: &State| match shared.store.totals().pending {
            0 if state.in_flight.is_empty() => Some(Ok(())),
            _ if state.is_closing => Some(Err(OutboxError::Closed)),
            _ => None,
        };
        shared.state.until(look).await
    }

    /// Accepts and begins nothing more, waits for the attempts under way, which is no longer than
    /// `attempt_timeout`, and gives the file back. What is pending stays there.
    pub async fn close(&self) {
        let shared = self.shared();
        shared.state.change(|state| state.is_closing = true);
        shared.state.until(|state| state.is_at_rest().then_some(())).await;
        let with = Arc::clone(shared);
        R::default().run_blocking(move || with.store.close()).await;
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.owner.0
    }
}
