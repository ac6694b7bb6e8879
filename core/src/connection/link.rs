//! What every phase of a connection works with.

use alloc::collections::VecDeque;

use super::config::Config;
use super::encode::Envelope;
use super::event::{CloseReason, Closed, Event, SendError, SendId};
use super::queue::EventQueue;
use super::send_buffer::{Class, Held, SendBuffer};
use super::stats::Stats;
use crate::message::{BodyError, Splices};
use crate::time::Instant;
use crate::wire::{Decoder, Dialect, Flags, Kind};
use bytes::{Bytes, BytesMut};
use core::time::Duration;

/// The peer's end of the stream, which is acted upon only when everything before it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PeerEnd {
    NotSeen,
    Seen,
    ActedUpon,
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) config: Config,
    /// The latest time that was passed in; it never goes back.
    pub(super) now: Instant,
    pub(super) started: Instant,
    /// The dialect that this side has chosen; a server takes the client's.
    pub(super) dialect: Option<Dialect>,
    pub(super) decoder: Decoder,
    /// The largest payload that both sides take.
    pub(super) frame_max: usize,
    /// Whether large payloads are compressed: this side wants to, and the peer can read them.
    pub(super) compression: bool,
    pub(super) out: SendBuffer,
    /// Since when bytes wait of which the transport took none.
    pub(super) waiting_since: Option<Instant>,
    pub(super) events: EventQueue,
    pub(super) stats: Stats,
    pub(super) peer_end: PeerEnd,
    /// The number of the message that was queued last.
    pub(super) last_send: u64,
    /// Whether a command was refused for want of room.
    pub(super) blocked: bool,
    /// When the frame began that is not complete yet.
    pub(super) frame_began: Option<Instant>,
}

impl Link {
    pub(super) fn envelope(
        &self,
        dialect: Dialect,
        kind: Kind,
        flags: Flags,
        correlation: u64,
    ) -> Envelope {
        Envelope {
            dialect,
            kind,
            flags,
            correlation,
            timestamp: self.config.wall.unix_millis(self.now),
            frame_max: self.frame_max,
            compression: self.compression,
        }
    }

    /// Queues a frame behind all others.
    pub(super) fn write(
        &mut self,
        class: Class,
        envelope: Envelope,
        body: impl FnOnce(&mut BytesMut, Option<&mut Splices>) -> Result<(), BodyError>,
    ) -> Result<(), SendError> {
        self.out.write(class, |out, splices| envelope.write_sharing(out, splices, body))?;
        self.watch_output();
        self.stats.frames_sent = self.stats.frames_sent.saturating_add(1);
        Ok(())
    }

    /// Queues a whole frame.
    pub(super) fn push(&mut self, class: Class, frame: &Bytes) {
        self.out.push(class, frame);
        self.watch_output();
    }

    /// Takes back what has not left; see `SendBuffer::take_back`.
    pub(super) fn take_back(&mut self, wanted: impl Fn(Class) -> bool) -> VecDeque<Held> {
        let taken = self.out.take_back(wanted);
        self.watch_output();
        taken
    }

    /// The transport took so many bytes.
    pub(super) fn advance(&mut self, n: usize) {
        self.out.advance(n);
        if n > 0 {
            self.waiting_since = None;
        }
        self.watch_output();
    }

    /// Takes note of how long bytes have been waiting without any being taken.
    fn watch_output(&mut self) {
        if self.out.is_empty() {
            self.waiting_since = None;
        } else {
            self.waiting_since.get_or_insert(self.now);
        }
    }

    /// When a peer that takes nothing is given up.
    pub(super) fn stall_deadline(&self) -> Option<Instant> {
        Some(self.waiting_since? + self.config.limits.stall_max)
    }

    /// Queues a frame of a login in dialect `cndt`, and gives its bytes: they are proven later.
    pub(super) fn write_login(
        &mut self,
        kind: Kind,
        correlation: u64,
        body: impl FnOnce(&mut BytesMut),
    ) -> Bytes {
        let flags = Flags::empty();
        let envelope = Envelope {
            compression: false,
            ..self.envelope(Dialect::Cndt, kind, flags, correlation)
        };
        let mut frame = BytesMut::new();
        // The parts were validated with the configuration, so this frame always fits.
        let _ = envelope.write(&mut frame, |out| {
            body(out);
            Ok(())
        });
        let frame = frame.freeze();
        self.push(Class::Control, &frame);
        self.stats.frames_sent = self.stats.frames_sent.saturating_add(1);
        frame
    }

    /// Queues a frame without payload. A type that the dialect lacks is left out: only peers of the
    /// other dialect could read it.
    pub(super) fn write_empty(
        &mut self,
        dialect: Dialect,
        class: Class,
        kind: Kind,
        correlation: u64,
    ) {
        let envelope = self.envelope(dialect, kind, Flags::empty(), correlation);
        if self.out.write(class, |out, _| envelope.write_empty(out)).is_ok() {
            self.watch_output();
            self.stats.frames_sent = self.stats.frames_sent.saturating_add(1);
        }
    }

    /// Takes the next number for a message.
    pub(super) fn next_send(&mut self) -> SendId {
        self.last_send = self.last_send.saturating_add(1);
        SendId(self.last_send)
    }

    /// Takes note of a frame that has begun and is not complete.
    pub(super) fn watch_frame(&mut self, is_saturated: bool) {
        if self.decoder.buffered() == 0 {
            self.frame_began = None;
        } else if self.frame_began.is_none() || is_saturated {
            // While this side does not read, the time is not the peer's.
            self.frame_began = Some(self.now);
        }
    }

    /// How long the incomplete frame may take, and when that is over.
    pub(super) fn frame_deadline(&self) -> Option<(Duration, Instant)> {
        let began = self.frame_began?;
        let limits = &self.config.limits;
        let length = self.decoder.needed().saturating_add(self.decoder.buffered());
        let seconds = length.checked_div(limits.frame_rate_min).unwrap_or_default();
        let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
        let patience = limits.frame_deadline.saturating_add(Duration::from_secs(seconds));
        Some((patience, began + patience))
    }

    /// Whether answers of so much wait to be written that the peer gets no further ones.
    pub(super) fn is_congested(&self) -> bool {
        self.out.answer_bytes() >= self.config.limits.send_queue_bytes
    }

    /// Whether what was received must wait: for the application, or for the peer to read what it was
    /// answered.
    pub(super) fn is_saturated(&self, awaits_answers: bool) -> bool {
        let limits = &self.config.limits;
        self.events.is_full(limits, || awaits_answers || self.is_congested())
            || self.out.reply_bytes() >= limits.reply_queue_bytes
    }

    /// Tells the driver that the connection is over. The last event.
    pub(super) fn finish(&mut self, reason: CloseReason) {
        let unsent = self.last_send.saturating_sub(self.out.sent_through().number());
        self.out.clear();
        self.waiting_since = None;
        self.decoder.shrink();
        self.events.push(Event::Closed(Closed { reason, unsent }));
    }
}
