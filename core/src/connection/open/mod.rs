//! A connection after login: frames in, frames out, the same for both roles.

mod frames;
mod sending;

use alloc::collections::{BTreeSet, VecDeque};
use core::time::Duration;

use super::calls::{Awaits, Calls};
use super::event::{CallFailure, CallId, CloseReason, Deadline, Event, Timer};
use super::flow::Flow;
use super::heartbeat::Heartbeat;
use super::intake::Intake;
use super::join::Join;
use super::link::Link;
use super::pending::Pending;
use super::send_buffer::{Class, Held};
use super::shared::Format;
use super::strikes::Strikes;
use crate::resilience::TokenBucket;
use crate::time::Instant;
use crate::wire::{Dialect, Kind};

#[derive(Debug)]
pub(super) struct Open {
    dialect: Dialect,
    calls: Calls,
    /// Requests of the peer that have not been answered.
    serves: Pending<()>,
    flow: Flow,
    heartbeat: Heartbeat,
    join: Join,
    strikes: Strikes,
    intake: Intake,
    /// How often the peer may cancel; `None` never happens with valid limits.
    cancels: Option<TokenBucket>,
    /// When something other than a heartbeat was last sent or received.
    active_at: Instant,
    /// Where in the stream the latest message or request ended.
    delivered_to: u64,
    /// Nothing new begins any more.
    is_leaving: bool,
    /// Messages and calls that may not go out yet, in order.
    held: VecDeque<Held>,
    held_bytes: usize,
}

/// Whether new requests of the peer are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Serving,
    Draining,
}

/// What a frame means for the phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Stay,
    PeerCloses,
}

impl Open {
    pub(super) fn new(link: &Link, dialect: Dialect) -> Self {
        Self {
            dialect,
            calls: Calls::new(),
            serves: Pending::new(),
            flow: Flow::new(dialect, link.config.limits.rate_pauses),
            heartbeat: Heartbeat::new(link.now, &link.config),
            join: Join::listening(),
            strikes: Strikes::default(),
            intake: Intake::new(&link.config.limits),
            cancels: TokenBucket::new(link.config.limits.rate_cancels).ok(),
            active_at: link.now,
            delivered_to: link.decoder.offset(),
            is_leaving: false,
            held: VecDeque::new(),
            held_bytes: 0,
        }
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub(super) fn format(&self, link: &Link) -> Format {
        Format { dialect: self.dialect, compression: link.compression }
    }

    pub(super) fn calls_open(&self) -> usize {
        self.calls.len()
    }

    /// Whether a call has no outcome yet, which may come any time.
    pub(super) fn awaits_answers(&self) -> bool {
        !self.calls.is_empty()
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    pub(super) fn is_paused_by_peer(&self) -> bool {
        self.flow.paused_by_peer().is_some()
    }

    /// Nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.calls.is_empty() && self.serves.is_empty() && self.held.is_empty()
    }

    /// Holds everything back until the peer is known to listen (wire fact 2).
    pub(super) fn wait_for_peer(&mut self, link: &Link) {
        self.join = Join::waiting(link.now, link.config.limits.join_grace);
    }

    // Time

    /// Does what is due. The reason to end, if there is one.
    pub(super) fn on_timeout(&mut self, link: &mut Link) -> Option<CloseReason> {
        let now = link.now;
        while let Some((id, call)) = self.calls.pop_due(now) {
            let outcome = Err(CallFailure::TimedOut { after: call.timeout });
            link.events.push(Event::Finished { call: CallId(id), outcome });
            if call.awaits == Awaits::Answer {
                self.tell_cancelled(link, id);
            }
        }
        self.tell_writable(link);
        if link.is_saturated(self.awaits_answers()) {
            // Not a sign of death: this side is the one that does not read.
            self.heartbeat.alive(now);
            link.watch_frame(true);
        }
        if let Some((after, _)) = link.frame_deadline().filter(|(_, at)| now >= *at) {
            return Some(CloseReason::FrameTimeout { after });
        }
        if now >= self.heartbeat.dead_at() {
            return Some(CloseReason::HeartbeatTimeout { after: self.heartbeat.timeout() });
        }
        if link.stall_deadline().is_some_and(|at| now >= at) {
            return Some(CloseReason::Stalled { after: link.config.limits.stall_max });
        }
        let pause_max = link.config.limits.pause_max;
        if self.flow.paused_by_peer().is_some_and(|since| now >= since + pause_max) {
            return Some(CloseReason::PausedTooLong { after: pause_max });
        }
        if now >= self.heartbeat.next_ping() {
            self.ping(link);
            link.decoder.shrink();
            link.out.shrink();
            link.events.shrink();
            self.calls.shrink();
            self.serves.shrink();
        }
        if self.join.probe_is_due(now) {
            link.write_empty(self.dialect, Class::Ping, Kind::HeartbeatPing, 0);
        }
        if self.join.gives_up(now) {
            self.release(link);
        }
        if let Some((after, _)) = self.idle_deadline(link).filter(|(_, at)| now >= *at) {
            // Heartbeats may wait: they are no business of anyone's.
            let nothing_waits = link.out.is_quiet() && !link.events.has_deliveries();
            if self.is_idle() && nothing_waits && link.frame_began.is_none() {
                return Some(CloseReason::Idle { after });
            }
            self.active_at = now;
        }
        None
    }

    fn idle_deadline(&self, link: &Link) -> Option<(Duration, Instant)> {
        let after = link.config.limits.idle_timeout.filter(|_| !self.is_leaving)?;
        Some((after, self.active_at + after))
    }

    pub(super) fn next_deadline(&self, link: &Link) -> Deadline {
        let pause_max = link.config.limits.pause_max;
        let mut first = Deadline { at: self.heartbeat.next_ping(), why: Timer::Ping };
        let others = [
            (Some(self.heartbeat.dead_at()), Timer::PeerDead),
            (self.calls.next_deadline(), Timer::Call),
            (self.flow.paused_by_peer().map(|since| since + pause_max), Timer::Pause),
            (self.join.next(), Timer::JoinProbe),
            (link.frame_deadline().map(|(_, at)| at), Timer::Frame),
            (link.stall_deadline(), Timer::Stall),
            (self.idle_deadline(link).map(|(_, at)| at), Timer::Idle),
        ];
        for (at, why) in others {
            if let Some(at) = at.filter(|at| *at < first.at) {
                first = Deadline { at, why };
            }
        }
        first
    }

    // Ends

    /// From now on being idle is what is wanted.
    pub(super) fn leave(&mut self) {
        self.is_leaving = true;
    }

    /// Tells the peer that this side takes nothing new, or that it has heard so.
    pub(super) fn announce_close(&self, link: &mut Link, reason: &CloseReason) {
        let kind = if *reason == CloseReason::Peer { Kind::CloseAck } else { Kind::Close };
        link.write_empty(self.dialect, Class::Control, kind, 0);
    }

    /// Gives every open call its outcome: the connection is lost to it.
    pub(super) fn lose_calls(&mut self, link: &mut Link) {
        let held = self.held.iter().map(|held| held.class);
        let unsent: BTreeSet<u64> =
            link.out.unwritten().chain(held).filter_map(Class::request).collect();
        for id in self.calls.drain() {
            let outcome = Err(CallFailure::ConnectionLost { sent: !unsent.contains(&id) });
            link.events.push(Event::Finished { call: CallId(id), outcome });
        }
        // What is told not to have been sent must not leave after all.
        drop(link.take_back(|class| class.request().is_some()));
    }

    /// What the application sent by itself and nobody has begun to write stays here: it is reported
    /// as unsent, so it must not leave after all.
    pub(super) fn drop_unsent_data(&mut self, link: &mut Link) {
        self.held.clear();
        self.held_bytes = 0;
        drop(link.take_back(Class::is_data));
    }
}
