//! What keeps one side's haste, or trouble, from becoming the other's. Time and randomness are passed
//! in.
//!
//! - [`RetryPolicy`], [`Backoff`], [`RetryBudget`]: what is tried again, when, and how much of it.
//! - [`breaker`]: leaves alone who keeps failing; [`registry`]: many breakers, by name.
//! - [`bulkhead`]: so many at once, and so many that wait.
//! - [`deadline`]: no part takes longer than the whole.
//! - [`TokenBucket`]: so much per second, and so much at once; [`Limiter`]: of messages and bytes.
//!
//! ```
//! use cndt_core::resilience::{Rate, TokenBucket};
//! use cndt_core::time::Instant;
//! use core::time::Duration;
//!
//! let mut bucket = TokenBucket::new(Rate { per_second: 10, burst: 2 })?;
//! let now = Instant::ZERO;
//! assert!(bucket.take(now, 2).is_ok());
//! assert_eq!(bucket.take(now, 1), Err(Duration::from_millis(100)));
//! assert!(bucket.take(now + Duration::from_millis(100), 1).is_ok());
//! # Ok::<(), cndt_core::limits::LimitError>(())
//! ```

mod backoff;
pub mod breaker;
pub mod bulkhead;
pub mod deadline;
mod limiter;
pub mod registry;
mod retry;

pub use backoff::{Backoff, Delays, Jitter};
pub use breaker::{
    BreakerConfig, BreakerMetrics, BreakerState, CircuitBreaker, Counting, Outcome, Permit,
    Rejected, Transition, Why, Window,
};
pub use bulkhead::{Bulkhead, BulkheadConfig, Claim, Entered, Full, Pass, Ticket, TicketId};
pub use deadline::Deadline;
pub use limiter::{Limiter, Rate, TokenBucket};
pub use registry::{BREAKER_NAME_MAX, Breakers, BreakersError, NamedPermit};
pub use retry::{Retry, RetryBudget, RetryPolicy, RetryShare};
