//! One writer at a time: what comes while it waits for the disk goes into its next transaction.

use std::sync::Arc;

use super::error::{EnqueueError, OutboxError};
use super::shared::{Batch, Shared, Slot, Writer};
use super::store::{Change, Done};
use crate::rt::Runtime;

/// Adds a webhook. It is on the disk when this returns.
pub(super) async fn add<R: Runtime>(
    shared: &Arc<Shared>,
    change: Change,
) -> Result<Done, EnqueueError> {
    let config = &shared.config;
    let (slot, writer) = shared.state.update(|state| state.queue_add(change, config))?;
    Ok(written::<R>(shared, slot, writer).await?)
}

/// Makes another change. It is on the disk when this returns.
pub(super) async fn change<R: Runtime>(
    shared: &Arc<Shared>,
    change: Change,
) -> Result<Done, OutboxError> {
    let (slot, writer) = shared.state.update(|state| state.queue(change));
    written::<R>(shared, slot, writer).await
}

async fn written<R: Runtime>(
    shared: &Arc<Shared>,
    slot: Slot,
    writer: Writer,
) -> Result<Done, OutboxError> {
    match writer {
        Writer::Wanted => R::default().spawn(write::<R>(Arc::clone(shared))),
        Writer::AtWork => {}
    }
    slot.until(|done| done.clone()).await
}

async fn write<R: Runtime>(shared: Arc<Shared>) {
    while let Some(Batch { changes, slots }) = shared.state.change(|state| state.next_batch()) {
        let with = Arc::clone(&shared);
        let applied = R::default().run_blocking(move || with.store.apply(&changes)).await;
        match applied {
            Ok(done) => {
                slots.iter().zip(done).for_each(|(slot, done)| tell(slot, Ok(done)));
            }
            Err(error) => slots.iter().for_each(|slot| tell(slot, Err(error.clone()))),
        }
        shared.state.change(|state| state.turns = state.turns.wrapping_add(1));
    }
}

fn tell(slot: &Slot, done: Result<Done, OutboxError>) {
    slot.change(|slot| *slot = Some(done));
}
