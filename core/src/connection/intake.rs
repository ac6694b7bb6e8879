//! How much the peer may send of what costs this side work.

use core::time::Duration;

use crate::limits::{BYTES_PER_FRAME_MIN, Limits};
use crate::resilience::{Rate, TokenBucket};
use crate::time::Instant;
use crate::wire::HEADER_LEN;

#[derive(Debug)]
pub(crate) struct Intake {
    messages: Option<TokenBucket>,
    bytes: Option<(Rate, TokenBucket)>,
}

impl Intake {
    pub(crate) fn new(limits: &Limits) -> Self {
        // The rates were validated with the configuration.
        let bucket = |rate: Rate| TokenBucket::new(rate).ok();
        Self {
            messages: limits.rate_messages.and_then(bucket),
            bytes: limits.rate_bytes.and_then(|rate| Some((rate, bucket(rate)?))),
        }
    }

    /// Admits one message or request with so much payload, or tells when it would.
    pub(crate) fn admit(&mut self, now: Instant, payload: usize) -> Result<(), Duration> {
        if let Some((rate, bytes)) = &mut self.bytes {
            let size = u64::try_from(payload.saturating_add(HEADER_LEN)).unwrap_or(u64::MAX);
            // What is larger than the burst takes all of it, or it would never pass.
            let cost = size.max(BYTES_PER_FRAME_MIN).min(rate.burst);
            let wait = bytes.time_until_allowed(now, cost);
            if !wait.is_zero() {
                return Err(wait);
            }
            if let Some(messages) = &mut self.messages {
                messages.take(now, 1)?;
            }
            return bytes.take(now, cost);
        }
        match &mut self.messages {
            Some(messages) => messages.take(now, 1),
            None => Ok(()),
        }
    }
}
