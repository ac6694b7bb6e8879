//! The driver's stream: what is read into the machine and written out of it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use cndt_core::connection::PhaseName;
use cndt_core::time::Instant;
use cndt_core::wire::SHARED_MAX;
use futures_io::AsyncWrite;

use super::Driver;
use crate::link::{HANDLERS_MAX, State};
use crate::owner::Owner;
use crate::server::Permit;

/// Writes of one round.
const WRITES_MAX: usize = 16;
/// Pieces of one write. Linux takes 1,024; beyond some dozens nothing is gained.
const SLICES_MAX: usize = 64;
/// The smallest read. It grows while reads fill it. Much smaller ones would fill and drain short
/// receive queues with each read, and use up how often this side may pause its peer.
const READ_MIN: usize = 4 * 1024;
/// A read that brings so many frames need not be larger: they are handled while they are in the caches,
/// and the memory they were read into is used again for the next.
const FRAMES_ENOUGH: u64 = 256;
/// Reads of one round, and bytes that they may bring if they are several. In a buffer of more than
/// `SHARED_MAX`, with what is there of an incomplete frame, small payloads would be copied.
const READS_MAX: usize = 4;
const READS_BYTES_MAX: usize = SHARED_MAX / 4 * 3;

/// While a large payload comes, a read may bring as much as so many others, or so many bytes: the more
/// at a time, the less the system has to do, as long as its caches have room for it. Whoever allows
/// less than usual for one read means it.
const LARGE_READS: usize = 8;
const LARGE_READ_MAX: usize = 1024 * 1024;
const USUAL_READ_MAX: usize = 64 * 1024;

/// How a driver treats its stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// The largest read, in bytes.
    pub(crate) read_max: usize,
}

impl Pace {
    pub(super) fn read_min(self) -> usize {
        READ_MIN.min(self.read_max)
    }

    fn large_max(self) -> usize {
        match self.read_max {
            strict @ ..USUAL_READ_MAX => strict,
            usual => (usual * LARGE_READS).min(LARGE_READ_MAX.max(usual)),
        }
    }
}

/// What has become of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    Nothing,
    Some,
    Filled,
}

impl Driver {
    /// Reads; again while the peer fills the largest reads, so that what came together is answered
    /// together. True when something came of it.
    pub(super) fn read(&mut self, cx: &mut Context<'_>, state: &mut State, now: Instant) -> bool {
        let mut progress = false;
        // What can be handled at once is, before more comes: it is in the caches.
        let has_deliveries = !self.inbox.is_empty() && state.handler_room(&self.inbox) > 0;
        if has_deliveries || self.untold > 0 {
            return progress;
        }
        let is_largest = self.read_size == self.pace.read_max;
        let most = self.pace.large_max().min(self.latest_read.max(self.read_size) * 2);
        let may_be_large = is_largest && most > self.read_size;
        if may_be_large && self.reading && state.connection.wants_read() {
            let size = state.connection.reserve_large(most);
            if size > self.read_size {
                let read = self.read_once(cx, state, now, size);
                return read != Read::Nothing;
            }
        }
        let reads_max = (READS_BYTES_MAX / self.read_size.max(1)).clamp(1, READS_MAX);
        for nth in 0..reads_max {
            if !self.reading || !state.connection.wants_read() {
                return progress;
            }
            if is_largest && nth == 0 {
                // Once for all of them: the incomplete frame at the end of each would be moved.
                state.connection.read_buffer().reserve(self.read_size * reads_max);
            }
            let read = self.read_once(cx, state, now, self.read_size);
            progress |= read != Read::Nothing;
            if !is_largest || read != Read::Filled {
                return progress;
            }
            if state.connection.deliveries_waiting() >= HANDLERS_MAX {
                return progress;
            }
        }
        progress
    }

    fn read_once(
        &mut self,
        cx: &mut Context<'_>,
        state: &mut State,
        now: Instant,
        size: usize,
    ) -> Read {
        let Some(stream) = &mut self.stream else { return Read::Nothing };
        self.permit = match (&self.link.owner, state.connection.phase()) {
            (Owner::Server(server), PhaseName::Handshake) => {
                let permit = server.reserve();
                state.connection.set_vacancy(Permit::vacancy(permit.as_ref()));
                permit
            }
            _ => self.permit.take(),
        };
        let buffer = state.connection.read_buffer();
        let outcome = Pin::new(&mut **stream).poll_read_into(cx, buffer, size);
        let read = match outcome {
            Poll::Ready(Ok(read)) if read >= size => Read::Filled,
            Poll::Ready(Ok(_) | Err(_)) => Read::Some,
            Poll::Pending => Read::Nothing,
        };
        if !self.is_secured
            && let Some(session) = stream.session()
        {
            self.is_secured = true;
            if let Some(binding) = session.binding {
                state.connection.bind_channel(binding);
            }
            state.tls = Some(Arc::new(session.info));
        }
        match outcome {
            Poll::Pending => {}
            Poll::Ready(Ok(0)) => {
                self.reading = false;
                state.connection.receive_eof(now);
            }
            Poll::Ready(Ok(count)) => {
                self.latest_read = count;
                let before = state.connection.stats().frames_received;
                state.connection.received(now, count);
                let frames = state.connection.stats().frames_received.saturating_sub(before);
                self.adapt(read, count, frames);
            }
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Poll::Ready(Err(error)) => self.lost(state, now, error),
        }
        if state.connection.phase() == PhaseName::Handshake {
            if state.connection.stats().frames_received > 0 {
                self.link.note_spoken();
            }
            // Between reads a login in progress takes no one's place.
            self.permit = None;
        }
        read
    }

    /// Chooses the size of the next read by what this one brought.
    fn adapt(&mut self, read: Read, bytes: usize, frames: u64) {
        let size = match read {
            Read::Filled if frames < FRAMES_ENOUGH => self.read_size * 2,
            Read::Filled if frames > FRAMES_ENOUGH * 4 => self.read_size / 2,
            Read::Some if bytes < self.read_size / 4 => self.read_size / 2,
            Read::Filled | Read::Some | Read::Nothing => return,
        };
        self.read_size = size.clamp(self.pace.read_min(), self.pace.read_max);
    }

    /// Writes all that waits, as far as the stream takes it. True when it took something.
    pub(super) fn write(&mut self, cx: &mut Context<'_>, state: &mut State, now: Instant) -> bool {
        let Some(stream) = &mut self.stream else { return false };
        let mut stream = Pin::new(stream);
        let mut progress = false;
        for _ in 0..WRITES_MAX {
            if state.connection.pending_bytes() == 0 {
                break;
            }
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let pieces = state.connection.transmit();
            let count = slices.iter_mut().zip(pieces).map(|(slice, piece)| {
                *slice = IoSlice::new(piece);
            });
            let count = count.count();
            // One piece needs no list of pieces, which costs the system some work of its own.
            let written = match &slices[..count] {
                [only] => stream.as_mut().poll_write(cx, only),
                slices => stream.as_mut().poll_write_vectored(cx, slices),
            };
            match written {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => {
                    let error = io::Error::from(io::ErrorKind::WriteZero);
                    self.lost(state, now, error);
                    return true;
                }
                Poll::Ready(Ok(written)) => {
                    state.connection.advance_transmit(now, written);
                    self.needs_flush = true;
                    progress = true;
                }
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) => {
                    self.lost(state, now, error);
                    return true;
                }
            }
        }
        if progress {
            state.settle_sends(&mut self.wakes);
        }
        if self.needs_flush && state.connection.pending_bytes() == 0 {
            match stream.as_mut().poll_flush(cx) {
                Poll::Pending => return progress,
                Poll::Ready(Ok(())) => self.needs_flush = false,
                Poll::Ready(Err(error)) => {
                    self.lost(state, now, error);
                    return true;
                }
            }
        }
        if state.connection.wants_shutdown() && stream.as_mut().poll_close(cx).is_ready() {
            // Whether the peer still heard it does not matter any more.
            state.connection.shutdown_done(now);
            progress = true;
        }
        progress
    }

    pub(super) fn lost(&mut self, state: &mut State, now: Instant, error: io::Error) {
        self.reading = false;
        state.io_error.get_or_insert_with(|| Arc::new(error));
        state.connection.transport_lost(now);
        // Nothing can come of it; what was read is still delivered.
        self.stream = None;
    }
}
