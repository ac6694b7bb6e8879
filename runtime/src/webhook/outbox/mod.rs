//! Webhooks that outlive the process: a queue on disk, each sent until it is delivered or dead.
//!
//! ```
//! use cndt_tokio::Outbox;
//! use cndt_tokio::webhook::outbox::{Attempt, OutboxConfig, Outcome};
//! use serde_json::json;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("webhooks.outbox");
//! let outbox = Outbox::open(OutboxConfig::new(path)).await?;
//! outbox.start(|attempt: Attempt| async move {
//!     println!("attempt {} of {} to {}", attempt.number, attempt.id, attempt.url);
//!     Outcome::Answered { status: 200, retry_after: None }
//! })?;
//!
//! // Once this returns, the webhook is on the disk. By its id it is accepted once.
//! let order = json!({"order": 7});
//! outbox.enqueue("https://example.com/hook", &order).id("order-7".parse()?).await?;
//! outbox.drained().await?;
//! assert_eq!(outbox.stats().delivered, 1);
//! outbox.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! # What is promised
//!
//! - Nothing that was accepted is lost, whenever the process is killed or the power fails: it is
//!   synced to the disk before `enqueue` returns. It is delivered at least once, or it is a dead letter.
//! - A process that dies between sending and recording sends again: receivers see a webhook more than
//!   once, with the same id, and the same bytes. Webhooks are not kept in order.
//! - The schedule goes on where it was, by the calendar: what fell due meanwhile is sent at once. A
//!   calendar that is set back delays attempts by as much.
//! - An id is accepted once, as long as the webhook is there, and for the next 10,000 deliveries
//!   (`delivered_max`).
//!
//! # Dead letters
//!
//! A webhook is given up after its last attempt, and at once by an answer that repeating does not
//! change, such as 410. It stays as a dead letter, to be looked at, retried or removed by hand:
//!
//! ```
//! # use cndt_tokio::webhook::outbox::{OutboxConfig, OutboxError};
//! # async fn example() -> Result<(), OutboxError> {
//! // Without a sender it only shows what is there.
//! let outbox = cndt_tokio::Outbox::open(OutboxConfig::existing("webhooks.outbox")).await?;
//! let mut last = None;
//! loop {
//!     let page = outbox.dead(last, 100).await?;
//!     let Some(end) = page.last() else { break };
//!     last = Some(end.place);
//!     for entry in page {
//!         println!("{} to {}: {:?}", entry.id, entry.url, entry.last);
//!     }
//! }
//! let count = outbox.retry_all().await?;
//! println!("{count} will be sent by the process that sends");
//! outbox.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! # The file
//!
//! One process has it open at a time, for looking as well. URLs, headers and payloads are stored as they
//! are, readable for the file's owner only; keys are not stored, credentials in URLs and in the usual
//! headers are refused. The disk must be the machine's own: sync over a network often promises more
//! than it does. When a write fails, the file is opened and checked anew before the next one.

mod config;
mod enqueue;
mod entry;
mod error;
mod handle;
mod record;
mod schedule;
mod sender;
mod shared;
mod store;
mod worker;
mod writer;

pub use config::{OutboxConfig, OutboxLimits};
pub use enqueue::{Enqueue, Enqueued};
pub use entry::{Entry, EntryState, LastAttempt, OutboxStats, Place};
pub use error::{EnqueueError, Fullness, OutboxError};
pub use handle::Outbox;
pub use schedule::Schedule;
pub use sender::{Attempt, Outcome, Sender};
