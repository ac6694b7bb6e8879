//! One connection: a socket, the machine that says what to do with it, and what it is all for.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;

use cndt_core::connection::{Connection, Event};
use cndt_core::time::Instant;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use crate::application::Application;

/// Bytes of one read: few enough that a fast peer does not hold up the others.
const READ_SIZE: usize = 16 * 1024;
/// Pieces of one write. Systems take about a thousand; more than some dozens gain nothing.
const PIECES_MAX: usize = 64;

pub(crate) struct Line {
    stream: TcpStream,
    machine: Connection,
    application: Application,
    /// The poller tells once that a socket is ready; it stays so until the socket says otherwise.
    readable: bool,
    writable: bool,
    /// What the poller was asked to tell. `None`: it does not know the socket.
    interest: Option<Interest>,
}

impl Line {
    pub(crate) fn new(stream: TcpStream, machine: Connection, application: Application) -> Self {
        // The machine collects what can go together, so the system need not wait for more. Only
        // speed depends on it.
        let _ = stream.set_nodelay(true);
        Self { stream, machine, application, readable: false, writable: false, interest: None }
    }

    /// Takes note of what the poller says. What an error is, reading or writing will tell.
    pub(crate) fn note(&mut self, event: &mio::event::Event) {
        self.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        self.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
    }

    /// One bounded round. True when something happened: then another round may find more.
    pub(crate) fn step(&mut self, now: Instant) -> bool {
        let mut progress = self.read(now);
        // Only after reading: an answer that is there already beats its deadline.
        if self.deadline().is_some_and(|at| at <= now) {
            self.machine.handle_timeout(now);
            progress = true;
        }
        progress |= self.take_events(now);
        progress |= self.write(now);
        progress |= self.shut_down(now);
        progress
    }

    fn read(&mut self, now: Instant) -> bool {
        // While the machine has no room, what comes stays in the socket: that slows the peer down.
        if !self.readable || !self.machine.wants_read() {
            return false;
        }
        let buffer = self.machine.read_buffer();
        let start = buffer.len();
        buffer.resize(start + READ_SIZE, 0);
        let outcome = self.stream.read(&mut buffer[start..]);
        // Before anything else: the rest of the room must not pass for received bytes.
        buffer.truncate(start + outcome.as_ref().map_or(0, |count| *count));
        match outcome {
            Ok(0) => self.machine.receive_eof(now),
            Ok(count) => self.machine.received(now, count),
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => self.lose(now, &error),
        }
        self.readable
    }

    fn write(&mut self, now: Instant) -> bool {
        if !self.writable || self.machine.pending_bytes() == 0 {
            return false;
        }
        let pieces: Vec<_> = self.machine.transmit().take(PIECES_MAX).map(IoSlice::new).collect();
        match self.stream.write_vectored(&pieces) {
            Ok(0) => self.lose(now, &ErrorKind::WriteZero.into()),
            // It may have ended anywhere, even within a frame.
            Ok(count) => self.machine.advance_transmit(now, count),
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable = false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => self.lose(now, &error),
        }
        self.writable
    }

    fn shut_down(&mut self, now: Instant) -> bool {
        if !self.machine.wants_shutdown() {
            return false;
        }
        // Only the write half. Whoever drops a socket on which the peer still sends also takes back
        // what the peer has not read yet. An error says that the peer is gone, which is just as well.
        let _ = self.stream.shutdown(Shutdown::Write);
        self.machine.shutdown_done(now);
        true
    }

    /// The transport failed. The machine never learns why, so it is told here.
    pub(crate) fn lose(&mut self, now: Instant, error: &io::Error) {
        eprintln!("{}: {error}", self.application.name());
        self.machine.transport_lost(now);
    }

    fn take_events(&mut self, now: Instant) -> bool {
        let mut progress = false;
        // An application that can be out of room asks `poll_outcome` while it is. Its messages and
        // requests stay in the machine then, `wants_read` turns false, and in the end the peer waits.
        while let Some(event) = self.machine.poll_event() {
            progress = true;
            if let Event::Derive(work) = event {
                // Slow on purpose, and here everyone waits for it. A real loop gives it to a thread,
                // which wakes the poller when it is done. Until then `wants_read` is false.
                self.machine.derived(now, work.run());
            } else if self.application.on_event(now, &mut self.machine, event).is_err() {
                // It cannot say what it has to. Mostly because the connection is closing anyway;
                // then this changes nothing. Otherwise the peer does not read, and is let go.
                self.machine.close(now);
            }
        }
        progress
    }

    /// Asks the poller for what can be used, and for nothing that would only wake the loop up.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let read = self.machine.wants_read().then_some(Interest::READABLE);
        let is_stuck = self.machine.pending_bytes() > 0 && !self.writable;
        let write = is_stuck.then_some(Interest::WRITABLE);
        let wanted = match (read, write) {
            (Some(read), Some(write)) => Some(read | write),
            (read, write) => read.or(write),
        };
        match (std::mem::replace(&mut self.interest, wanted), wanted) {
            (before, after) if before == after => Ok(()),
            (None, Some(after)) => registry.register(&mut self.stream, token, after),
            (Some(_), Some(after)) => registry.reregister(&mut self.stream, token, after),
            (_, None) => registry.deregister(&mut self.stream),
        }
    }

    /// When it wants its turn at the latest.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.machine.next_deadline().map(|deadline| deadline.at)
    }

    /// Asks both sides to finish. What is under way may end, within `limits.drain`.
    pub(crate) fn close(&mut self, now: Instant) {
        self.machine.close(now);
    }

    /// Over, once a step has made no progress any more: until then events may wait.
    pub(crate) fn is_closed(&self) -> bool {
        self.machine.is_closed()
    }

    pub(crate) fn into_application(self) -> Application {
        self.application
    }
}
