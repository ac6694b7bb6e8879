//! One CNDT connection, client or server: bytes and time in, bytes, deadlines and events out.
//!
//! The role matters in the handshake and nowhere else: after it both sides call, serve, send and
//! ping alike. See the crate's documentation for the contract and a whole driver.
//!
//! ```
//! use cndt_core::auth::{Credentials, Entropy, UserName};
//! use cndt_core::connection::{Config, Connection, PhaseName};
//! use cndt_core::time::Instant;
//!
//! let mine = Credentials::new(UserName::default(), "secret")?;
//! let random = Entropy([7; 64]); // from the operating system, of course
//! let client =
//!     Connection::client(Instant::ZERO, Config::default(), mine, random)?;
//! assert_eq!(client.phase(), PhaseName::Handshake);
//! // The login is already waiting to be written.
//! assert_eq!(client.transmit().count(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub(crate) mod calls;
mod config;
mod encode;
mod event;
mod flow;
mod handshake;
mod heartbeat;
pub(crate) mod intake;
mod join;
mod levels;
mod link;
mod open;
pub(crate) mod pending;
mod phase;
pub(crate) mod queue;
pub(crate) mod send_buffer;
mod shared;
mod stats;
pub(crate) mod strikes;
mod taking;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use core::time::Duration;

use bytes::BytesMut;

pub use config::{Config, IDENTITY_MAX};
pub use event::{
    CallFailure, CallId, CloseReason, Closed, Deadline, Delivery, Event, LoginFault,
    LoginRejection, Message, Opened, Outcome, PhaseName, Request, RequestId, SendError, SendId,
    Strike, Timer, Violation,
};
pub use handshake::Vacancy;
pub use levels::Transmit;
pub use queue::Deliveries;
pub use shared::{Format, Overflow, SharedMessage};
pub use stats::{RoundTrips, Stats};

use crate::auth::scram::Keys;
use crate::auth::{Access, Credentials, Entropy};
use crate::limits::LimitError;
use crate::message::Body;
use crate::rpc::{Beside, RpcError};
use crate::time::Instant;
use crate::wire::{Decoder, Dialect, Dialects, Frame};
use handshake::{ClientLogin, Handshake, ServerLogin};
use link::{Link, PeerEnd};
use open::{Mode, Open, Step};
use phase::Phase;
use send_buffer::SendBuffer;

/// Steps of one time-out: from open to draining, to ending, to closed.
const STEPS_MAX: usize = 4;
/// Room that is made for one read.
const READ_ROOM: usize = 4096;

/// One connection as a state machine.
///
/// Inputs are infallible and may come at any time; bytes may be cut anywhere. `now` is the caller's
/// monotonic clock; a time before one that was passed in earlier counts as that one. A command may make
/// room for what was received and had to wait, so there may be events after it as after an input.
#[derive(Debug)]
pub struct Connection {
    link: Link,
    phase: Phase,
}

impl Connection {
    /// A client's side. Its login is queued at once; [`Event::Derive`] may follow.
    ///
    /// # Errors
    /// A configuration value that makes no sense.
    pub fn client(
        now: Instant,
        config: Config,
        credentials: Credentials,
        entropy: Entropy,
    ) -> Result<Self, LimitError> {
        let mut link = Self::link(now, config, Some(credentials.dialect()))?;
        let login = ClientLogin::begin(&mut link, credentials, &entropy);
        let handshake = Handshake::client(&link, login);
        Ok(Self { link, phase: Phase::Handshake(Box::new(handshake)) })
    }

    /// A server's side; it learns the dialect from the first bytes.
    ///
    /// # Errors
    /// A configuration value that makes no sense.
    pub fn server(
        now: Instant,
        config: Config,
        access: Access,
        entropy: Entropy,
    ) -> Result<Self, LimitError> {
        let link = Self::link(now, config, None)?;
        let handshake = Handshake::server(&link, ServerLogin::new(access, entropy));
        Ok(Self { link, phase: Phase::Handshake(Box::new(handshake)) })
    }

    fn link(now: Instant, config: Config, dialect: Option<Dialect>) -> Result<Link, LimitError> {
        config.validate()?;
        Ok(Link {
            now,
            started: now,
            dialect,
            decoder: Decoder::new(Dialects::BOTH, config.limits.preauth_frame_max),
            frame_max: config.limits.frame_max,
            compression: config.compression,
            config,
            out: SendBuffer::default(),
            waiting_since: None,
            events: queue::EventQueue::default(),
            stats: Stats::default(),
            peer_end: PeerEnd::NotSeen,
            last_send: 0,
            blocked: false,
            frame_began: None,
        })
    }

    // Inputs

    /// Bytes from the peer.
    pub fn receive(&mut self, now: Instant, bytes: &[u8]) {
        self.link.decoder.push(bytes);
        self.received(now, bytes.len());
    }

    /// Where a driver may append received bytes itself, to save a copy; tell how many by
    /// [`Connection::received`]. Some spare capacity is there; reserve more as you like.
    pub fn read_buffer(&mut self) -> &mut BytesMut {
        let buffer = self.link.decoder.buffer();
        buffer.reserve(READ_ROOM);
        buffer
    }

    /// Makes room in [`Connection::read_buffer`] for one large read if a large payload is coming, one of
    /// more than 16 KiB: for as many bytes as it may share memory with, `max` at most. Tells how many;
    /// 0 if none is coming, and then a read of the usual size does.
    pub fn reserve_large(&mut self, max: usize) -> usize {
        self.link.decoder.reserve_large(max)
    }

    /// Nothing is to be done before more comes: gives the read buffer back if nothing is in it. For
    /// drivers, before they wait; most connections wait most of the time.
    pub fn rest(&mut self) {
        self.link.decoder.rest();
    }

    /// `n` bytes were appended to [`Connection::read_buffer`].
    pub fn received(&mut self, now: Instant, n: usize) {
        self.clock(now);
        let count = u64::try_from(n).unwrap_or(u64::MAX);
        self.link.stats.bytes_received = self.link.stats.bytes_received.saturating_add(count);
        self.process();
    }

    /// The peer will send nothing more. What it sent before is still worked off.
    pub fn receive_eof(&mut self, now: Instant) {
        self.clock(now);
        if self.link.peer_end == PeerEnd::NotSeen {
            self.link.peer_end = PeerEnd::Seen;
        }
        self.process();
    }

    /// The transport failed: nothing can be read or written any more. What was read before is still
    /// delivered.
    pub fn transport_lost(&mut self, now: Instant) {
        self.clock(now);
        self.process();
        self.step(|phase, link| phase.break_off(link, CloseReason::TransportLost));
    }

    /// Does what is due at `now`; afterwards the next deadline lies later. Harmless when nothing is.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.clock(now);
        // What is due may lead to something that is due at once, if a span is configured as nothing.
        for _ in 0..STEPS_MAX {
            self.step(Phase::on_timeout);
            self.settle();
            if self.next_deadline().is_none_or(|deadline| deadline.at > self.link.now) {
                break;
            }
        }
    }

    // Commands

    /// Hands in the keys that [`Event::Derive`] asked for, and goes on with the login. False, and
    /// nothing happens, when these were not asked for or come too late.
    pub fn derived(&mut self, now: Instant, keys: Keys) -> bool {
        self.clock(now);
        let Phase::Handshake(handshake) = &self.phase else { return false };
        if !handshake.awaits(&keys) {
            return false;
        }
        self.step(|phase, link| match phase {
            Phase::Handshake(handshake) => {
                Phase::Handshake(Box::new(handshake.derived(link, keys)))
            }
            other @ (Phase::Open(_) | Phase::Draining(_) | Phase::Ending(_) | Phase::Closed) => {
                other
            }
        });
        self.process();
        true
    }

    /// Calls a method of the peer. [`Event::Finished`] tells how it ended, exactly once.
    ///
    /// # Errors
    /// [`SendError`]: nothing was queued.
    pub fn call<B: Body + ?Sized>(
        &mut self,
        now: Instant,
        method: &str,
        params: &B,
        timeout: Duration,
    ) -> Result<CallId, SendError> {
        self.clock(now);
        let was_saturated = self.is_saturated();
        let (open, link) = self.sending()?;
        let call = open.call(link, method, params, timeout)?;
        self.read_on(was_saturated);
        Ok(call)
    }

    /// Gives a call up: no [`Event::Finished`] follows, its answer will be dropped. In dialect `cndt`
    /// the peer is told, so that it can stop working on it. False when the call had its outcome
    /// already, or never was.
    pub fn cancel(&mut self, now: Instant, call: CallId) -> bool {
        self.give_up(now, |open, link| open.cancel(link, call.correlation()))
    }

    /// Gives the outcome of a call up, but not the call: the peer is not told. Otherwise as
    /// [`Connection::cancel`].
    pub fn forget(&mut self, now: Instant, call: CallId) -> bool {
        self.give_up(now, |open, link| open.forget(link, call.correlation()))
    }

    fn give_up(&mut self, now: Instant, how: impl FnOnce(&mut Open, &mut Link) -> bool) -> bool {
        self.clock(now);
        let Some(open) = self.phase.open_mut() else { return false };
        let was_open = how(open, &mut self.link);
        self.settle();
        was_open
    }

    /// Answers a request of the peer.
    ///
    /// # Errors
    /// [`SendError::NoSuchRequest`] when it is not open (any more). When the result cannot be
    /// written the request stays open, so that it can be answered by an error.
    pub fn respond<B: Body + ?Sized>(
        &mut self,
        now: Instant,
        id: RequestId,
        result: &B,
    ) -> Result<(), SendError> {
        self.respond_with(now, id, result, &Beside::default())
    }

    /// Answers a request of the peer, with something beside the result.
    ///
    /// # Errors
    /// As [`Connection::respond`].
    pub fn respond_with<B: Body + ?Sized>(
        &mut self,
        now: Instant,
        id: RequestId,
        result: &B,
        beside: &Beside,
    ) -> Result<(), SendError> {
        self.answer(now, id, |open, link| open.respond(link, id.correlation(), result, beside))
    }

    /// Answers a request of the peer by an error.
    ///
    /// # Errors
    /// As [`Connection::respond`].
    pub fn respond_error(
        &mut self,
        now: Instant,
        id: RequestId,
        error: &RpcError,
    ) -> Result<(), SendError> {
        self.answer(now, id, |open, link| open.respond_error(link, id.correlation(), error))
    }

    fn answer(
        &mut self,
        now: Instant,
        id: RequestId,
        write: impl FnOnce(&mut Open, &mut Link) -> Result<(), SendError>,
    ) -> Result<(), SendError> {
        self.clock(now);
        let was_saturated = self.is_saturated();
        let open = self.phase.open_mut().ok_or(SendError::NoSuchRequest(id.correlation()))?;
        write(open, &mut self.link)?;
        self.read_on(was_saturated);
        Ok(())
    }

    /// Sends a message. [`Connection::sent_through`] tells when it was handed to the transport.
    ///
    /// Once either side is closing, this is refused as [`SendError::NotOpen`], while requests that
    /// are under way may still be answered.
    ///
    /// # Errors
    /// [`SendError`]: nothing was queued.
    pub fn send<B: Body + ?Sized>(
        &mut self,
        now: Instant,
        name: &str,
        data: &B,
    ) -> Result<SendId, SendError> {
        self.clock(now);
        let (open, link) = self.sending()?;
        open.send(link, name, data)
    }

    /// Sends a message and asks for an acknowledgement: [`Event::Finished`] tells whether it came.
    /// The Python package never acknowledges (wire fact 10): such a call times out there.
    ///
    /// # Errors
    /// [`SendError`]: nothing was queued.
    pub fn send_acked<B: Body + ?Sized>(
        &mut self,
        now: Instant,
        name: &str,
        data: &B,
        timeout: Duration,
    ) -> Result<CallId, SendError> {
        self.clock(now);
        let was_saturated = self.is_saturated();
        let (open, link) = self.sending()?;
        let call = open.send_acked(link, name, data, timeout)?;
        self.read_on(was_saturated);
        Ok(call)
    }

    /// Sends a message that was encoded once for many connections. `overflow` tells what happens if
    /// there is no room.
    ///
    /// # Errors
    /// [`SendError`]: nothing was queued.
    pub fn send_shared(
        &mut self,
        now: Instant,
        message: &SharedMessage,
        overflow: Overflow,
    ) -> Result<SendId, SendError> {
        self.clock(now);
        let (open, link) = self.sending()?;
        let sent = open.send_shared(link, message, overflow);
        if overflow == Overflow::Disconnect && sent == Err(SendError::Blocked) {
            self.step(|phase, link| phase.break_off(link, CloseReason::TooSlow));
        }
        sent
    }

    /// Pings the peer; [`Event::Pong`] follows. Pings go out by themselves as configured, too.
    pub fn ping(&mut self, now: Instant) {
        self.clock(now);
        if let Some(open) = self.phase.open_mut() {
            open.ping(&mut self.link);
        }
    }

    /// What the TLS session beneath exports for channel binding; see [`Config::channel_binding`]. For
    /// servers, whose TLS handshake is a part of the connection's: it must come before the first
    /// byte. False, and nothing happens, after that.
    pub fn bind_channel(&mut self, exported: [u8; 32]) -> bool {
        let is_fresh = self.link.stats.bytes_received == 0 && self.link.stats.frames_sent == 0;
        if is_fresh {
            self.link.config.channel_binding = Some(exported);
        }
        is_fresh
    }

    /// Whether a login that arrives from now on finds room. Servers only; no effect after login.
    pub fn set_vacancy(&mut self, value: Vacancy) {
        if let Phase::Handshake(handshake) = &mut self.phase {
            handshake.set_vacancy(value);
        }
    }

    /// Ends the connection: nothing new begins, what is under way may finish within
    /// `limits.drain`, then the stream is shut down.
    pub fn close(&mut self, now: Instant) {
        self.clock(now);
        self.step(|phase, link| match phase {
            Phase::Open(open) => Phase::drain(link, open, CloseReason::Local),
            Phase::Handshake(_) => phase.break_off(link, CloseReason::Local),
            Phase::Draining(_) | Phase::Ending(_) | Phase::Closed => phase,
        });
        self.settle();
    }

    /// Ends the connection at once. Calls get their outcome, what is unsent is told.
    pub fn abort(&mut self, now: Instant) {
        self.clock(now);
        self.step(|phase, link| phase.break_off(link, CloseReason::Local));
    }

    // Machinery

    fn clock(&mut self, now: Instant) {
        self.link.now = self.link.now.max(now);
    }

    fn step(&mut self, transition: impl FnOnce(Phase, &mut Link) -> Phase) {
        let phase = core::mem::replace(&mut self.phase, Phase::Closed);
        self.phase = transition(phase, &mut self.link);
    }

    /// Works off what was received, as long as there is room for what it holds.
    fn process(&mut self) {
        while !self.is_saturated() && self.interprets() && self.phase.wants_read() {
            match self.link.decoder.next_frame() {
                Ok(Some(frame)) => {
                    self.link.frame_began = None;
                    let count = &mut self.link.stats.frames_received;
                    *count = count.saturating_add(1);
                    // Each frame has its whole effect before the next is looked at: it must not
                    // matter which of them came together.
                    self.take(frame);
                }
                Ok(None) => {
                    if self.link.peer_end == PeerEnd::Seen {
                        self.link.peer_end = PeerEnd::ActedUpon;
                        self.step(Phase::on_peer_end);
                    }
                    break;
                }
                Err(error) => {
                    let reason = CloseReason::Wire(error);
                    self.step(|phase, link| match phase {
                        Phase::Open(open) => Phase::fail(link, open, reason),
                        Phase::Draining(draining) => Phase::fail(link, draining.open, reason),
                        Phase::Handshake(_) | Phase::Ending(_) | Phase::Closed => {
                            phase.break_off(link, reason)
                        }
                    });
                }
            }
        }
        if !self.interprets() {
            // After the end nothing that comes in means anything.
            self.link.decoder.buffer().clear();
        }
        self.link.watch_frame(self.is_saturated());
        self.settle();
    }

    /// Most frames leave an open connection open: those do not move its phase.
    fn take(&mut self, frame: Frame) {
        match &mut self.phase {
            Phase::Open(open) => {
                let step = open.on_frame(&mut self.link, frame, Mode::Serving);
                if step != Ok(Step::Stay) {
                    self.step(|phase, link| phase.on_step(link, step).settle(link));
                }
            }
            Phase::Handshake(_) | Phase::Draining(_) | Phase::Ending(_) | Phase::Closed => {
                self.step(|phase, link| phase.on_frame(link, frame).settle(link));
            }
        }
    }

    fn interprets(&self) -> bool {
        !matches!(self.phase, Phase::Ending(_) | Phase::Closed)
    }

    fn settle(&mut self) {
        self.step(Phase::settle);
    }

    fn sending(&mut self) -> Result<(&mut Open, &mut Link), SendError> {
        let name = self.phase.name();
        match &mut self.phase {
            Phase::Open(open) => Ok((open, &mut self.link)),
            Phase::Handshake(_) | Phase::Draining(_) | Phase::Ending(_) | Phase::Closed => {
                Err(SendError::NotOpen(name))
            }
        }
    }
}
