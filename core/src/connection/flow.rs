//! Who has asked whom to pause, and what may be sent meanwhile.
//!
//! Two questions, two fields: one shared flag cannot tell "I paused you" from "you paused me".

use super::send_buffer::Class;
use crate::resilience::{Rate, TokenBucket};
use crate::time::Instant;
use crate::wire::Dialect;

/// How often this side pauses its peer and lets it go on: half of what it grants by default, since a
/// network that stalls may press the changes of two seconds into one. A pause that is left out does no
/// harm: a full queue stops reading.
const OWN_CHANGES: Rate = Rate { per_second: 10, burst: 10 };

#[derive(Debug)]
pub(super) struct Flow {
    dialect: Dialect,
    peer_paused_us: Option<Instant>,
    we_paused_peer: bool,
    /// A Python peer that is paused answers nothing for 30 s, not even pings, unless it has told by
    /// its own RESUME that it goes on (wire fact 14).
    peer_may_stall: bool,
    /// How often the peer may change its mind; `None` never happens with valid limits.
    changes: Option<TokenBucket>,
    own_changes: Option<TokenBucket>,
}

impl Flow {
    pub(super) fn new(dialect: Dialect, changes: Rate) -> Self {
        Self {
            dialect,
            peer_paused_us: None,
            we_paused_peer: false,
            peer_may_stall: false,
            changes: TokenBucket::new(changes).ok(),
            own_changes: TokenBucket::new(OWN_CHANGES).ok(),
        }
    }

    /// Counts a PAUSE or RESUME of the peer; false when it is one of a flood.
    pub(super) fn change_received(&mut self, now: Instant) -> bool {
        self.changes.as_mut().is_none_or(|changes| changes.take(now, 1).is_ok())
    }

    pub(super) fn paused_by_peer(&self) -> Option<Instant> {
        self.peer_paused_us
    }

    /// True when this changes something.
    pub(super) fn pause_received(&mut self, now: Instant) -> bool {
        if self.peer_paused_us.is_some() {
            return false;
        }
        self.peer_paused_us = Some(now);
        true
    }

    /// True when something may be sent now that was held back.
    pub(super) fn resume_received(&mut self) -> bool {
        let stalled = core::mem::take(&mut self.peer_may_stall);
        self.peer_paused_us.take().is_some() || stalled
    }

    /// Whether the peer is to be told to pause, now that the receive queue has grown.
    pub(super) fn pauses(&mut self, now: Instant, is_filled: impl FnOnce() -> bool) -> bool {
        if self.we_paused_peer || !is_filled() {
            return false;
        }
        // The resume that must follow is paid for as well.
        if self.own_changes.as_mut().is_none_or(|changes| changes.take(now, 2).is_err()) {
            return false;
        }
        self.we_paused_peer = true;
        self.peer_may_stall = self.dialect == Dialect::Netconduit;
        true
    }

    /// Whether the peer is to be told to go on, now that the receive queue has shrunk.
    pub(super) fn resumes(&mut self, is_drained: impl FnOnce() -> bool) -> bool {
        if !self.we_paused_peer || !is_drained() {
            return false;
        }
        self.we_paused_peer = false;
        self.peer_may_stall = false;
        true
    }

    /// Whether a frame of this class may go out now.
    pub(super) fn lets_pass(&self, class: Class) -> bool {
        match class {
            Class::Control | Class::Pong | Class::Response | Class::Reply => true,
            Class::Ping => !self.peer_may_stall,
            Class::Request(_) | Class::Message(_) | Class::Droppable(_) => {
                self.peer_paused_us.is_none() && !self.peer_may_stall
            }
        }
    }
}
