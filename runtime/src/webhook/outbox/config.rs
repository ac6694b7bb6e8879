use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Schedule;
use crate::error::ConfigError;

/// Where an outbox is kept, and how it delivers.
///
/// ```
/// use cndt_runtime::webhook::outbox::{OutboxConfig, OutboxLimits};
///
/// let limits = OutboxLimits { pending_max: 1_000, ..OutboxLimits::default() };
/// let config = OutboxConfig::new("/var/lib/shop/webhooks.outbox").limits(limits).parallel_max(4);
/// # drop(config);
/// ```
#[derive(Debug, Clone)]
pub struct OutboxConfig {
    pub(super) path: PathBuf,
    pub(super) must_exist: bool,
    pub(super) limits: OutboxLimits,
    pub(super) schedule: Schedule,
    pub(super) parallel_max: usize,
    pub(super) attempt_timeout: Duration,
}

/// How much an outbox holds. Its file is at most a few times as large, and does not shrink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxLimits {
    /// Bytes of one payload. 1 MiB.
    pub payload_max: usize,
    /// Webhooks that wait to be delivered; beyond it none is accepted. 10,000.
    pub pending_max: u64,
    /// Bytes of those, with URLs and headers; beyond it none is accepted. 256 MiB.
    pub pending_bytes_max: u64,
    /// Dead letters that are kept. Beyond it the oldest is dropped, with a warning, and counted:
    /// dead letters must not keep new webhooks out. 10,000.
    pub dead_max: u64,
    /// Bytes of those; likewise. 256 MiB.
    pub dead_bytes_max: u64,
    /// Ids of delivered webhooks that are remembered, the newest ones, so that none of them is accepted
    /// again. 10,000.
    pub delivered_max: u64,
}

impl Default for OutboxLimits {
    fn default() -> Self {
        Self {
            payload_max: 1024 * 1024,
            pending_max: 10_000,
            pending_bytes_max: 256 * 1024 * 1024,
            dead_max: 10_000,
            dead_bytes_max: 256 * 1024 * 1024,
            delivered_max: 10_000,
        }
    }
}

impl OutboxConfig {
    /// An outbox in this file. It is made when it is not there, readable for its owner only; its folder
    /// must exist, on a disk of this machine.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self {
            path: path.as_ref().to_owned(),
            must_exist: false,
            limits: OutboxLimits::default(),
            schedule: Schedule::default(),
            parallel_max: 16,
            attempt_timeout: Duration::from_secs(30),
        }
    }

    /// An outbox that is there: for tools that look into it.
    pub fn existing(path: impl AsRef<Path>) -> Self {
        Self { must_exist: true, ..Self::new(path) }
    }

    /// How much it holds.
    #[must_use]
    pub fn limits(mut self, limits: OutboxLimits) -> Self {
        self.limits = limits;
        self
    }

    /// When attempts are made. It applies to what waits already as well, from its next attempt on.
    #[must_use]
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.schedule = schedule;
        self
    }

    /// Attempts that are under way at once, 1 to 1024, whoever they go to: receivers that do not answer
    /// hold up others for as long as `attempt_timeout`. 16.
    #[must_use]
    pub fn parallel_max(mut self, parallel_max: usize) -> Self {
        self.parallel_max = parallel_max;
        self
    }

    /// What an attempt may take, whatever its sender allows it; one that takes longer is dropped and
    /// counts as unanswered. 30 s.
    #[must_use]
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = timeout;
        self
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let at_least = |field, value: u64| match value {
            0 => Err(ConfigError::new(field, "must be at least 1", value)),
            _ => Ok(()),
        };
        at_least("outbox.payload_max", self.limits.payload_max as u64)?;
        at_least("outbox.pending_max", self.limits.pending_max)?;
        at_least("outbox.pending_bytes_max", self.limits.pending_bytes_max)?;
        at_least("outbox.dead_max", self.limits.dead_max)?;
        at_least("outbox.dead_bytes_max", self.limits.dead_bytes_max)?;
        if !(1..=1024).contains(&self.parallel_max) {
            let expected = "must be from 1 to 1024";
            return Err(ConfigError::new("outbox.parallel_max", expected, self.parallel_max));
        }
        if self.attempt_timeout.is_zero() {
            let expected = "must be longer than nothing";
            return Err(ConfigError::new("outbox.attempt_timeout", expected, "0ns"));
        }
        Ok(())
    }
}
