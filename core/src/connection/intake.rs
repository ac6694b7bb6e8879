//! How much the peer may send of what costs this side work.

use core::time::Duration;

use crate::limits::{BYTES_PER_FRAME_MIN, Limits};
use crate::resilience::Limiter;
use crate::time::Instant;
use crate::wire::HEADER_LEN;

/// None admits everything.
#[derive(Debug)]
pub(crate) struct Intake(Option<Limiter>);

impl Intake {
    pub(crate) fn new(limits: &Limits) -> Self {
        if limits.rate_messages.is_none() && limits.rate_bytes.is_none() {
            return Self(None);
        }
        // The rates were validated with the configuration.
        Self(Limiter::new(limits.rate_messages, limits.rate_bytes).ok())
    }

    /// Admits one message or request with so much payload, or tells when it would.
    pub(crate) fn admit(&mut self, now: Instant, payload: usize) -> Result<(), Duration> {
        let Some(limiter) = &mut self.0 else { return Ok(()) };
        let (_, burst) = limiter.bursts();
        let size = u64::try_from(payload.saturating_add(HEADER_LEN)).unwrap_or(u64::MAX);
        // What is larger than the burst takes all of it, or it would never pass.
        let cost = size.max(BYTES_PER_FRAME_MIN).min(burst.unwrap_or(u64::MAX));
        limiter.take(now, 1, cost)
    }
}
