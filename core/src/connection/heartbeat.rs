//! Pings out, signs of life in.

use core::time::Duration;

use super::config::Config;
use crate::resilience::TokenBucket;
use crate::time::Instant;

#[derive(Debug)]
pub(super) struct Heartbeat {
    interval: Duration,
    timeout: Duration,
    next_ping: Instant,
    last_life: Instant,
    /// When the ping left that has not been answered yet.
    pinged: Option<Instant>,
    /// How often the peer may ping; `None` never happens with valid limits.
    allowance: Option<TokenBucket>,
}

impl Heartbeat {
    pub(super) fn new(now: Instant, config: &Config) -> Self {
        Self {
            interval: config.heartbeat_interval,
            timeout: config.heartbeat_timeout,
            next_ping: now + config.heartbeat_interval,
            last_life: now,
            pinged: None,
            allowance: TokenBucket::new(config.limits.rate_pings).ok(),
        }
    }

    /// Any complete frame is a sign of life (wire fact 13: pongs may wait behind handlers).
    pub(super) fn alive(&mut self, now: Instant) {
        self.last_life = now;
    }

    pub(super) fn next_ping(&self) -> Instant {
        self.next_ping
    }

    pub(super) fn dead_at(&self) -> Instant {
        self.last_life + self.timeout
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) fn postpone(&mut self, now: Instant) {
        self.next_ping = now + self.interval;
    }

    pub(super) fn ping_sent(&mut self, now: Instant) {
        self.next_ping = now + self.interval;
        self.pinged.get_or_insert(now);
    }

    /// The round trip, if a ping was out.
    pub(super) fn pong(&mut self, now: Instant) -> Option<Duration> {
        self.pinged.take().map(|at| now.since(at))
    }

    /// Counts a ping from the peer; false when it is one of a flood.
    pub(super) fn ping_received(&mut self, now: Instant) -> bool {
        self.allowance.as_mut().is_none_or(|allowance| allowance.take(now, 1).is_ok())
    }
}
