//! The first moments of a Python client.
//!
//! It reads once for the answer to its login and drops whatever came along with AUTH_SUCCESS (wire
//! fact 2). Nothing tells a server when that read has happened, so everything is held back until the
//! client is heard. Most clients have nothing to say at first, so they are asked: a ping that comes
//! too early is dropped whole and does no harm, one that is answered proves that they listen.

use core::time::Duration;

use super::send_buffer::Class;
use crate::time::Instant;

const FIRST_PROBE: Duration = Duration::from_millis(10);
const PROBE_GAP_MAX: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) enum Join {
    Listening,
    Waiting { probe_at: Instant, gap: Duration, give_up_at: Instant },
}

impl Join {
    pub(super) fn listening() -> Self {
        Self::Listening
    }

    pub(super) fn waiting(now: Instant, grace: Duration) -> Self {
        Self::Waiting { probe_at: now + FIRST_PROBE, gap: FIRST_PROBE, give_up_at: now + grace }
    }

    /// The peer was heard. True the first time.
    pub(super) fn heard(&mut self) -> bool {
        let waited = !matches!(self, Self::Listening);
        if waited {
            *self = Self::Listening;
        }
        waited
    }

    pub(super) fn lets_pass(&self, class: Class) -> bool {
        matches!(self, Self::Listening) || !class.is_data()
    }

    /// True when it is time to ask; the next time is twice as far away.
    pub(super) fn probe_is_due(&mut self, now: Instant) -> bool {
        let Self::Waiting { probe_at, gap, .. } = self else { return false };
        if now < *probe_at {
            return false;
        }
        *gap = gap.saturating_mul(2).min(PROBE_GAP_MAX);
        *probe_at = now + *gap;
        true
    }

    /// True when the peer has had its time: it may be one that never answers.
    pub(super) fn gives_up(&mut self, now: Instant) -> bool {
        let over = matches!(self, Self::Waiting { give_up_at, .. } if now >= *give_up_at);
        if over {
            *self = Self::Listening;
        }
        over
    }

    pub(super) fn next(&self) -> Option<Instant> {
        match self {
            Self::Listening => None,
            Self::Waiting { probe_at, give_up_at, .. } => Some((*probe_at).min(*give_up_at)),
        }
    }
}
