//! What can be read of a connection at any time without consuming it.

use super::event::{Deadline, PhaseName, SendId};
use super::link::PeerEnd;
use super::open::Open;
use super::phase::Phase;
use super::shared::Format;
use super::stats::Stats;
use super::{Connection, send_buffer};
use crate::time::Instant;
use crate::wire::Dialect;

impl Connection {
    /// What is to be written, in order; the same until [`Connection::advance_transmit`].
    pub fn transmit(&self) -> Transmit<'_> {
        Transmit { pieces: self.link.out.pieces() }
    }

    /// How many bytes [`Connection::transmit`] would give.
    pub fn pending_bytes(&self) -> usize {
        self.link.out.bytes()
    }

    /// The first `n` bytes of [`Connection::transmit`] were written.
    pub fn advance_transmit(&mut self, now: Instant, n: usize) {
        self.clock(now);
        let was_saturated = self.is_saturated();
        let before = self.link.out.bytes();
        self.link.advance(n);
        let written = before.saturating_sub(self.link.out.bytes());
        let count = u64::try_from(written).unwrap_or(u64::MAX);
        self.link.stats.bytes_sent = self.link.stats.bytes_sent.saturating_add(count);
        if let Some(open) = self.phase.open_mut() {
            open.release(&mut self.link);
            open.tell_writable(&mut self.link);
        }
        if !self.read_on(was_saturated) {
            self.settle();
        }
    }

    /// When [`Connection::handle_timeout`] wants to be called, and for which timer. `None`: never.
    pub fn next_deadline(&self) -> Option<Deadline> {
        self.phase.next_deadline(&self.link)
    }

    /// False while the receive queue is full, its reserve included if this side waits for the peer
    /// ([`Limits::receive_reserve_bytes`](crate::limits::Limits::receive_reserve_bytes)), while the peer
    /// does not read acknowledgements and refusals, while a login waits for keys or a refusal for its
    /// time, and after the end: stop reading, and the peer's TCP stops sending.
    pub fn wants_read(&self) -> bool {
        self.phase.wants_read() && self.link.peer_end == PeerEnd::NotSeen && !self.is_saturated()
    }

    /// Everything is written that ever will be: shut the write half down, then tell by
    /// [`Connection::shutdown_done`].
    pub fn wants_shutdown(&self) -> bool {
        self.phase.wants_shutdown(&self.link)
    }

    /// The write half was shut down.
    pub fn shutdown_done(&mut self, now: Instant) {
        self.clock(now);
        self.phase.shutdown_done();
        self.settle();
    }

    /// The phase.
    pub fn phase(&self) -> PhaseName {
        self.phase.name()
    }

    /// Over: nothing will be read or written any more. Events may still wait.
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// Whether the peer has asked this side to pause.
    pub fn is_paused_by_peer(&self) -> bool {
        self.phase.open().is_some_and(Open::is_paused_by_peer)
    }

    /// Every message up to this number was handed to the transport as a whole.
    pub fn sent_through(&self) -> SendId {
        self.link.out.sent_through()
    }

    /// What happened so far.
    pub fn stats(&self) -> Stats {
        self.link.stats
    }

    /// The dialect; `None` on a server until the first bytes have come.
    pub fn dialect(&self) -> Option<Dialect> {
        self.link.dialect.or(self.link.decoder.dialect())
    }

    /// How frames for this peer are written; `None` before login.
    pub fn format(&self) -> Option<Format> {
        self.phase.open().map(|open| open.format(&self.link))
    }

    /// Bytes that are held for the peer: received and not yet taken by the application, and waiting
    /// to be sent.
    pub fn held_bytes(&self) -> usize {
        let received = self.link.decoder.buffered().saturating_add(self.link.events.bytes());
        let held = self.phase.open().map_or(0, Open::held_bytes);
        received.saturating_add(self.link.out.bytes()).saturating_add(held)
    }

    /// How many messages and requests wait: for [`Connection::poll_event`], or beyond the room of whoever
    /// took them.
    pub fn deliveries_waiting(&self) -> usize {
        self.link.events.frames()
    }

    /// Own calls without an outcome.
    pub fn calls_open(&self) -> usize {
        self.phase.open().map_or(0, Open::calls_open)
    }
}

/// What is to be written, piece by piece. See [`Connection::transmit`].
#[derive(Debug, Clone)]
pub struct Transmit<'a> {
    pieces: send_buffer::Pieces<'a>,
}

impl<'a> Transmit<'a> {
    #[cfg(feature = "jsonrpc")]
    pub(crate) fn of(pieces: send_buffer::Pieces<'a>) -> Self {
        Self { pieces }
    }
}

impl<'a> Iterator for Transmit<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.pieces.next()
    }
}
