//! What keeps one side's haste from becoming the other's trouble: rate limits, and attempts that are
//! repeated with pauses between them. Time and randomness are passed in.
//! What keeps one side's haste, or trouble, from becoming the other's. Time is passed in.
//!
//! - [`breaker`]: leaves alone who keeps failing.
//! - [`TokenBucket`]: so much per second, and so much at once.
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
mod limiter;
mod retry;

pub use backoff::{Backoff, Delays, Jitter};
pub use breaker::{
    BreakerConfig, BreakerMetrics, BreakerState, CircuitBreaker, Counting, Outcome, Permit,
    Rejected, Transition, Why, Window,
};
pub use limiter::{Rate, TokenBucket};
pub use retry::{Retry, RetryBudget, RetryPolicy, RetryShare};
