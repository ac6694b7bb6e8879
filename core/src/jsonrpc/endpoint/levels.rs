//! What can be read of an endpoint at any time without consuming it, and what waits for a time.

use core::time::Duration;

use super::super::framing::Framing;
use super::{Endpoint, PeerEnd, Phase};
use crate::connection::send_buffer::Class;
use crate::connection::{Deadline, PhaseName, SendId, Stats, Timer, Transmit};
use crate::time::Instant;

impl Endpoint {
    /// What is to be written, in order; the same until [`Endpoint::advance_transmit`].
    pub fn transmit(&self) -> Transmit<'_> {
        Transmit::of(self.out.pieces())
    }

    /// How many bytes [`Endpoint::transmit`] would give.
    pub fn pending_bytes(&self) -> usize {
        self.out.bytes()
    }

    /// The first `n` bytes of [`Endpoint::transmit`] were written.
    pub fn advance_transmit(&mut self, now: Instant, n: usize) {
        self.clock(now);
        let was_saturated = self.is_saturated();
        let before = self.out.bytes();
        self.out.advance(n);
        let written = before.saturating_sub(self.out.bytes());
        if written > 0 {
            self.waiting_since = None;
        }
        self.watch_output();
        let count = u64::try_from(written).unwrap_or(u64::MAX);
        self.stats.bytes_sent = self.stats.bytes_sent.saturating_add(count);
        self.tell_writable();
        if !self.read_on(was_saturated) {
            self.settle();
        }
    }

    /// How many notifications and requests wait; see `Connection::deliveries_waiting`.
    pub fn deliveries_waiting(&self) -> usize {
        self.events.frames()
    }

    /// When [`Endpoint::handle_timeout`] wants to be called, and for which timer. `None`: never.
    pub fn next_deadline(&self) -> Option<Deadline> {
        let end = match &self.phase {
            Phase::Draining { until, .. } => Some((*until, Timer::Drain)),
            Phase::Ending { until, .. } => Some((*until, Timer::Linger)),
            Phase::Open => None,
            Phase::Closed => return None,
        };
        let others = [
            (self.calls.next_deadline(), Timer::Call),
            (self.stall_deadline(), Timer::Stall),
            (self.text_deadline().map(|(_, at)| at), Timer::Frame),
            (self.idle_deadline().map(|(_, at)| at), Timer::Idle),
        ];
        let others = others.into_iter().filter_map(|(at, why)| Some((at?, why)));
        let first = others.chain(end).min_by_key(|(at, _)| *at);
        first.map(|(at, why)| Deadline { at, why })
    }

    /// False while the receive queue is full, its reserve included if this side waits for the peer,
    /// while the peer does not read refusals, and after the end: stop reading, and the peer's TCP stops
    /// sending.
    pub fn wants_read(&self) -> bool {
        self.phase != Phase::Closed && self.peer_end == PeerEnd::NotSeen && !self.is_saturated()
    }

    /// Everything is written that ever will be: shut the write half down, then tell by
    /// [`Endpoint::shutdown_done`].
    pub fn wants_shutdown(&self) -> bool {
        matches!(self.phase, Phase::Ending { shut: false, .. }) && self.out.is_empty()
    }

    /// The write half was shut down.
    pub fn shutdown_done(&mut self, now: Instant) {
        self.clock(now);
        if let Phase::Ending { shut, .. } = &mut self.phase {
            *shut = true;
        }
        self.settle();
    }

    /// The phase; never [`PhaseName::Handshake`].
    pub fn phase(&self) -> PhaseName {
        PhaseName::from(&self.phase)
    }

    /// Over: nothing will be read or written any more. Events may still wait.
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// The framing of what is sent.
    pub fn framing(&self) -> Framing {
        self.reply_framing()
    }

    /// Every notification up to this number was handed to the transport as a whole.
    pub fn sent_through(&self) -> SendId {
        self.out.sent_through()
    }

    /// What happened so far. Frames are texts.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Bytes that are held for the peer: received and not yet taken, and waiting to be sent.
    pub fn held_bytes(&self) -> usize {
        let received = self.decoder.buffered().saturating_add(self.events.bytes());
        received.saturating_add(self.out.bytes()).saturating_add(self.serves.bytes())
    }

    /// Own calls without an outcome.
    pub fn calls_open(&self) -> usize {
        self.calls.len()
    }

    pub(super) fn answer_bytes(&self) -> usize {
        self.out.answer_bytes().saturating_add(self.serves.bytes())
    }

    /// Whether what was received must wait: for the application, or for the peer to read what it was
    /// answered.
    pub(super) fn is_saturated(&self) -> bool {
        let limits = &self.config.limits;
        let waits_for_peer = || !self.calls.is_empty() || self.is_congested();
        self.events.is_full(limits, waits_for_peer)
            || self.out.reply_bytes() >= limits.reply_queue_bytes
    }

    pub(super) fn stall_deadline(&self) -> Option<Instant> {
        Some(self.waiting_since? + self.config.limits.stall_max)
    }

    /// How long the incomplete text may take, and when that is over.
    pub(super) fn text_deadline(&self) -> Option<(Duration, Instant)> {
        let began = self.text_began?;
        let limits = &self.config.limits;
        // How long it will be is not known, only how much of it has come.
        let seconds = self.decoder.buffered().checked_div(limits.frame_rate_min);
        let seconds = u64::try_from(seconds.unwrap_or_default()).unwrap_or(u64::MAX);
        let patience = limits.frame_deadline.saturating_add(Duration::from_secs(seconds));
        Some((patience, began + patience))
    }

    pub(super) fn idle_deadline(&self) -> Option<(Duration, Instant)> {
        let after = self.config.limits.idle_timeout.filter(|_| self.phase == Phase::Open)?;
        Some((after, self.active_at + after))
    }

    /// Takes note of a text that has begun and is not complete.
    pub(super) fn watch_text(&mut self) {
        if self.decoder.buffered() == 0 || self.phase == Phase::Closed {
            self.text_began = None;
        } else if self.text_began.is_none() || self.is_saturated() {
            self.text_began = Some(self.now);
        }
    }

    /// Takes note of how long bytes have been waiting without any being taken.
    pub(super) fn watch_output(&mut self) {
        if self.out.is_empty() {
            self.waiting_since = None;
        } else {
            self.waiting_since.get_or_insert(self.now);
        }
    }

    /// Queues an answer that was put together; its size was looked at before.
    pub(super) fn flush_answer(&mut self, class: Class) {
        let framing = self.reply_framing();
        let text = core::mem::take(&mut self.scratch);
        let _ = self.out.write(class, |out, _| {
            let before = out.len();
            framing.write(out, &text);
            Ok::<_, core::convert::Infallible>(out.len().saturating_sub(before))
        });
        self.stats.frames_sent = self.stats.frames_sent.saturating_add(1);
        self.active_at = self.now;
        self.watch_output();
    }
}
