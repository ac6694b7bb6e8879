//! A connection after login: frames in, frames out, the same for both roles.

use alloc::collections::{BTreeSet, VecDeque};
use core::time::Duration;

use bytes::{Bytes, BytesMut};

use super::calls::Calls;
use super::event::{
    CallFailure, CallId, CloseReason, Deadline, Event, Message, Outcome, PhaseName, Request,
    RequestId, SendError, SendId, Strike, Timer, Violation,
};
use super::flow::{Flow, Tell};
use super::heartbeat::Heartbeat;
use super::join::Join;
use super::link::Link;
use super::send_buffer::{Class, Held};
use super::shared::SharedMessage;
use super::strikes::Strikes;
use crate::message::{Body, MessageError, MessageErrorKind, rpc};
use crate::rpc::{ErrorCode, Reply, RpcError};
use crate::wire::{Dialect, Flags, Frame, InflateLimits, Kind, inflate};

#[derive(Debug)]
pub(super) struct Open {
    dialect: Dialect,
    calls: Calls,
    /// Requests of the peer that have not been answered.
    serves: BTreeSet<u64>,
    flow: Flow,
    heartbeat: Heartbeat,
    join: Join,
    strikes: Strikes,
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

/// What is to be called or sent; the parts of a frame that differ between the commands.
#[derive(Debug, Clone, Copy)]
struct Outgoing {
    class: Class,
    kind: Kind,
    flags: Flags,
    correlation: u64,
}

impl Open {
    pub(super) fn new(link: &Link, dialect: Dialect) -> Self {
        Self {
            dialect,
            calls: Calls::new(),
            serves: BTreeSet::new(),
            flow: Flow::new(dialect),
            heartbeat: Heartbeat::new(link.now, &link.config),
            join: Join::listening(),
            strikes: Strikes::default(),
            held: VecDeque::new(),
            held_bytes: 0,
        }
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub(super) fn calls_open(&self) -> usize {
        self.calls.len()
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

    // Commands

    pub(super) fn call<B: Body + ?Sized>(
        &mut self,
        link: &mut Link,
        method: &str,
        params: &B,
        timeout: Duration,
    ) -> Result<CallId, SendError> {
        let id = self.admit_call(link)?;
        let out = Outgoing {
            class: Class::Request(id),
            kind: Kind::RpcRequest,
            flags: Flags::empty(),
            correlation: id,
        };
        self.queue(link, out, |buffer| rpc::write_request(buffer, method, params))?;
        self.calls.open(id, link.now, timeout);
        Ok(CallId(id))
    }

    pub(super) fn send<B: Body + ?Sized>(
        &mut self,
        link: &mut Link,
        name: &str,
        data: &B,
    ) -> Result<SendId, SendError> {
        self.admit_data(link)?;
        let number = link.last_send.saturating_add(1);
        let out = Outgoing {
            class: Class::Message(number),
            kind: Kind::Message,
            flags: Flags::empty(),
            correlation: 0,
        };
        self.queue(link, out, |buffer| rpc::write_message(buffer, name, data))?;
        Ok(link.next_send())
    }

    pub(super) fn send_acked<B: Body + ?Sized>(
        &mut self,
        link: &mut Link,
        name: &str,
        data: &B,
        timeout: Duration,
    ) -> Result<CallId, SendError> {
        let id = self.admit_call(link)?;
        let out = Outgoing {
            class: Class::Request(id),
            kind: Kind::Message,
            flags: Flags::REQUIRES_ACK,
            correlation: id,
        };
        self.queue(link, out, |buffer| rpc::write_message(buffer, name, data))?;
        self.calls.open(id, link.now, timeout);
        Ok(CallId(id))
    }

    pub(super) fn send_shared(
        &mut self,
        link: &mut Link,
        message: &SharedMessage,
    ) -> Result<SendId, SendError> {
        if message.dialect() != self.dialect {
            let (frame, connection) = (message.dialect(), self.dialect);
            return Err(SendError::DialectMismatch { frame, connection });
        }
        self.admit_data(link)?;
        let number = link.next_send();
        let class = Class::Message(number.number());
        let frame = message.frame().clone();
        link.stats.messages_sent = link.stats.messages_sent.saturating_add(1);
        link.stats.frames_sent = link.stats.frames_sent.saturating_add(1);
        if self.must_hold(class) {
            self.hold(Held { class, bytes: frame });
        } else {
            link.out.push(class, frame);
        }
        Ok(number)
    }

    pub(super) fn cancel(&mut self, link: &mut Link, id: u64) -> bool {
        let was_open = self.calls.close(id).is_some();
        self.tell_writable(link);
        was_open
    }

    pub(super) fn respond<B: Body + ?Sized>(
        &mut self,
        link: &mut Link,
        id: u64,
        result: &B,
    ) -> Result<(), SendError> {
        if !self.serves.contains(&id) {
            return Err(SendError::NoSuchRequest(id));
        }
        let dialect = self.dialect;
        let envelope = link.envelope(dialect, Kind::RpcResponse, Flags::empty(), id);
        link.write(Class::Response, envelope, |out| rpc::write_result(out, dialect, result))?;
        self.serves.remove(&id);
        Ok(())
    }

    pub(super) fn respond_error(
        &mut self,
        link: &mut Link,
        id: u64,
        error: &RpcError,
    ) -> Result<(), SendError> {
        if !self.serves.contains(&id) {
            return Err(SendError::NoSuchRequest(id));
        }
        self.write_error(link, id, error)?;
        self.serves.remove(&id);
        Ok(())
    }

    fn write_error(&self, link: &mut Link, id: u64, error: &RpcError) -> Result<(), SendError> {
        let dialect = self.dialect;
        let envelope = link.envelope(dialect, rpc::error_kind(dialect), Flags::empty(), id);
        link.write(Class::Response, envelope, |out| {
            rpc::write_error(out, dialect, error);
            Ok(())
        })
    }

    pub(super) fn ping(&mut self, link: &mut Link) {
        // A ping that may not go out now is left out: the next one comes in time.
        if self.flow.lets_pass(Class::Ping) {
            link.write_empty(self.dialect, Class::Ping, Kind::HeartbeatPing, 0);
            self.heartbeat.ping_sent(link.now);
        } else {
            self.heartbeat.postpone(link.now);
        }
    }

    // Frames

    pub(super) fn on_frame(
        &mut self,
        link: &mut Link,
        frame: &Frame,
        mode: Mode,
    ) -> Result<Step, Violation> {
        self.heartbeat.alive(link.now);
        if self.join.heard() {
            self.release(link);
        }
        let header = &frame.header;
        let taken = match header.kind {
            Kind::RpcResponse | Kind::RpcError => self.on_answer(link, frame).map(|()| true),
            Kind::RpcRequest => self.on_request(link, frame, mode),
            Kind::Message => self.on_message(link, frame),
            Kind::HeartbeatPing => self.on_ping(link),
            Kind::HeartbeatPong => {
                if let Some(round_trip) = self.heartbeat.pong(link.now) {
                    link.events.push(Event::Pong { round_trip });
                }
                Ok(true)
            }
            Kind::Pause => {
                self.on_pause(link);
                Ok(true)
            }
            Kind::Resume => {
                if self.flow.resume_received() {
                    self.release(link);
                }
                Ok(true)
            }
            Kind::Ack => self.on_ack(link, header.correlation, Ok(empty_reply())).map(|()| true),
            Kind::Nack => {
                self.on_ack(link, header.correlation, Err(CallFailure::Refused)).map(|()| true)
            }
            Kind::Close => return Ok(Step::PeerCloses),
            // The peer confirms what this side has begun; the end of its stream is what counts.
            Kind::CloseAck => Ok(true),
            // Understood by nobody so far, sent by nobody: harmless.
            Kind::Cancel | Kind::RpcList | Kind::Error => Ok(true),
            Kind::AuthRequest
            | Kind::AuthSuccess
            | Kind::AuthFailure
            | Kind::AuthChallenge
            | Kind::AuthResponse => {
                return Err(Violation::Unexpected { kind: header.kind, phase: PhaseName::Open });
            }
            Kind::Unknown(code) => self.strike(link, Strike::UnknownKind(code)).map(|()| false),
        }?;
        if header.flags.contains(Flags::REQUIRES_ACK) {
            let kind = if taken { Kind::Ack } else { Kind::Nack };
            link.write_empty(self.dialect, Class::Control, kind, header.correlation);
        }
        Ok(Step::Stay)
    }

    fn on_answer(&mut self, link: &mut Link, frame: &Frame) -> Result<(), Violation> {
        let id = frame.header.correlation;
        if !self.knows_call(link, id)? {
            return Ok(());
        }
        let outcome = read_payload(link, frame)
            .and_then(|payload| {
                let depth_max = link.config.limits.depth_max;
                rpc::read_answer(frame.dialect, frame.header.kind, &payload, depth_max)
            })
            .map_or_else(
                |error| Err(CallFailure::Unreadable(error)),
                |answer| answer.map_err(CallFailure::Remote),
            );
        self.finish_call(link, id, outcome);
        Ok(())
    }

    fn on_ack(&mut self, link: &mut Link, id: u64, outcome: Outcome) -> Result<(), Violation> {
        if self.knows_call(link, id)? {
            self.finish_call(link, id, outcome);
        }
        Ok(())
    }

    /// Whether an answer has a call that waits for it. One that comes after its call has ended is
    /// counted and dropped; one to a call that was never made breaks the protocol.
    fn knows_call(&mut self, link: &mut Link, id: u64) -> Result<bool, Violation> {
        if self.calls.contains(id) {
            return Ok(true);
        }
        if !self.calls.was_issued(id) {
            return Err(Violation::UnknownCall { correlation: id });
        }
        link.stats.late_answers = link.stats.late_answers.saturating_add(1);
        Ok(false)
    }

    fn finish_call(&mut self, link: &mut Link, id: u64, outcome: Outcome) {
        self.calls.close(id);
        link.events.push(Event::Finished { call: CallId(id), outcome });
        self.tell_writable(link);
    }

    fn on_request(
        &mut self,
        link: &mut Link,
        frame: &Frame,
        mode: Mode,
    ) -> Result<bool, Violation> {
        let id = frame.header.correlation;
        if id == 0 || self.serves.contains(&id) {
            return Err(Violation::RequestIdInUse { correlation: id });
        }
        if mode == Mode::Draining {
            let error = RpcError::new(ErrorCode::ConnectionError, "this side is closing");
            let _ = self.write_error(link, id, &error);
            return Ok(true);
        }
        let depth_max = link.config.limits.depth_max;
        match read_payload(link, frame).and_then(|all| rpc::read_request(&all, depth_max)) {
            Ok(request) => {
                self.serves.insert(id);
                let size = frame.payload.len();
                self.deliver(
                    link,
                    size,
                    Event::Request(Request {
                        id: RequestId(id),
                        method: request.method,
                        params: request.params,
                        timestamp: frame.header.timestamp,
                    }),
                );
                Ok(true)
            }
            Err(error) => {
                let words = alloc::format!("the request cannot be read: {error}");
                let answer = RpcError::new(ErrorCode::InvalidParams, words);
                let _ = self.write_error(link, id, &answer);
                self.strike(link, Strike::Unreadable).map(|()| false)
            }
        }
    }

    fn on_message(&mut self, link: &mut Link, frame: &Frame) -> Result<bool, Violation> {
        let depth_max = link.config.limits.depth_max;
        match read_payload(link, frame).and_then(|all| rpc::read_message(&all, depth_max)) {
            Ok(message) => {
                let size = frame.payload.len();
                self.deliver(
                    link,
                    size,
                    Event::Message(Message {
                        name: message.name,
                        data: message.data,
                        timestamp: frame.header.timestamp,
                    }),
                );
                Ok(true)
            }
            Err(_) => self.strike(link, Strike::Unreadable).map(|()| false),
        }
    }

    fn deliver(&mut self, link: &mut Link, size: usize, event: Event) {
        link.stats.messages_received = link.stats.messages_received.saturating_add(1);
        link.events.push_delivery(event, size);
        self.watch_inbox(link);
    }

    /// Asks the peer to pause or to go on, as the receive queue fills and drains.
    pub(super) fn watch_inbox(&mut self, link: &mut Link) {
        if !link.config.backpressure {
            return;
        }
        let limits = &link.config.limits;
        let fill = link.events.fill_percent(limits);
        match self.flow.watch(fill, limits.queue_low_percent, limits.queue_high_percent) {
            Some(Tell::Pause) => link.write_empty(self.dialect, Class::Control, Kind::Pause, 0),
            Some(Tell::Resume) => {
                link.write_empty(self.dialect, Class::Control, Kind::Resume, 0);
                self.release(link);
            }
            None => {}
        }
    }

    fn on_ping(&mut self, link: &mut Link) -> Result<bool, Violation> {
        // One answer serves all pings that came before it left.
        if !link.out.has_pong() {
            link.write_empty(self.dialect, Class::Pong, Kind::HeartbeatPong, 0);
        }
        if self.heartbeat.ping_received(link.now) {
            Ok(true)
        } else {
            self.strike(link, Strike::PingFlood).map(|()| true)
        }
    }

    fn on_pause(&mut self, link: &mut Link) {
        if self.flow.pause_received(link.now) {
            let mut taken = link.out.take_back(Class::is_data);
            self.held_bytes =
                taken.iter().fold(self.held_bytes, |sum, held| sum.saturating_add(held.bytes.len()));
            taken.append(&mut self.held);
            self.held = taken;
        }
    }

    fn strike(&mut self, link: &mut Link, strike: Strike) -> Result<(), Violation> {
        link.stats.strikes = link.stats.strikes.saturating_add(1);
        self.strikes.count(link.now, &link.config.limits, strike)
    }

    // Sending

    fn admit_call(&mut self, link: &mut Link) -> Result<u64, SendError> {
        let id = self.calls.next_id().ok_or(SendError::Exhausted)?;
        if self.calls.len() >= link.config.limits.calls_max {
            link.blocked = true;
            return Err(SendError::Blocked);
        }
        self.admit_data(link)?;
        Ok(id)
    }

    fn admit_data(&self, link: &mut Link) -> Result<(), SendError> {
        let limits = &link.config.limits;
        let full = self.queued_frames(link) >= limits.send_queue_frames
            || self.queued_bytes(link) >= limits.send_queue_bytes;
        if full {
            link.blocked = true;
            return Err(SendError::Blocked);
        }
        Ok(())
    }

    fn queued_frames(&self, link: &Link) -> usize {
        link.out.data_frames().saturating_add(self.held.len())
    }

    fn queued_bytes(&self, link: &Link) -> usize {
        link.out.bytes().saturating_add(self.held_bytes)
    }

    fn queue(
        &mut self,
        link: &mut Link,
        out: Outgoing,
        body: impl FnOnce(&mut BytesMut) -> Result<(), crate::message::BodyError>,
    ) -> Result<(), SendError> {
        let envelope = link.envelope(self.dialect, out.kind, out.flags, out.correlation);
        if self.must_hold(out.class) {
            let mut frame = BytesMut::new();
            envelope.write(&mut frame, body)?;
            self.hold(Held { class: out.class, bytes: frame.freeze() });
            link.stats.frames_sent = link.stats.frames_sent.saturating_add(1);
        } else {
            link.write(out.class, envelope, body)?;
        }
        link.stats.messages_sent = link.stats.messages_sent.saturating_add(1);
        Ok(())
    }

    /// Data stays in order: what comes after something held is held as well.
    fn must_hold(&self, class: Class) -> bool {
        !self.held.is_empty() || !self.flow.lets_pass(class) || !self.join.lets_pass(class)
    }

    fn hold(&mut self, frame: Held) {
        self.held_bytes = self.held_bytes.saturating_add(frame.bytes.len());
        self.held.push_back(frame);
    }

    /// Lets go what was held back, as far as it may.
    fn release(&mut self, link: &mut Link) {
        while let Some(Held { class, bytes }) = self.held.pop_front() {
            if !self.flow.lets_pass(class) || !self.join.lets_pass(class) {
                self.held.push_front(Held { class, bytes });
                return;
            }
            self.held_bytes = self.held_bytes.saturating_sub(bytes.len());
            // A call that has ended meanwhile is not made any more.
            let wanted = match class {
                Class::Request(id) => self.calls.contains(id),
                Class::Message(_)
                | Class::Control
                | Class::Ping
                | Class::Pong
                | Class::Response => true,
            };
            if wanted {
                link.out.push(class, bytes);
            }
        }
    }

    /// Tells the driver once when there is room again after a refusal: at half, so that it is worth
    /// waking up for.
    pub(super) fn tell_writable(&self, link: &mut Link) {
        if !link.blocked {
            return;
        }
        let limits = &link.config.limits;
        let room = self.queued_frames(link) <= limits.send_queue_frames / 2
            && self.queued_bytes(link) <= limits.send_queue_bytes / 2
            && self.calls.len() < limits.calls_max;
        if room {
            link.blocked = false;
            link.events.push(Event::Writable);
        }
    }

    // Time

    /// Does what is due. The reason to end, if there is one.
    pub(super) fn on_timeout(&mut self, link: &mut Link) -> Option<CloseReason> {
        let now = link.now;
        while let Some((id, call)) = self.calls.pop_due(now) {
            let outcome = Err(CallFailure::TimedOut { after: call.timeout });
            link.events.push(Event::Finished { call: CallId(id), outcome });
        }
        self.tell_writable(link);
        if link.inbox_full() {
            // Not a sign of death: this side is the one that does not read.
            self.heartbeat.alive(now);
        }
        if now >= self.heartbeat.dead_at() {
            return Some(CloseReason::HeartbeatTimeout { after: self.heartbeat.timeout() });
        }
        let pause_max = link.config.limits.pause_max;
        if self.flow.paused_by_peer().is_some_and(|since| now >= since + pause_max) {
            return Some(CloseReason::PausedTooLong { after: pause_max });
        }
        if now >= self.heartbeat.next_ping() {
            self.ping(link);
            link.decoder.shrink();
            link.out.shrink();
        }
        if self.join.probe_is_due(now) {
            link.write_empty(self.dialect, Class::Ping, Kind::HeartbeatPing, 0);
        }
        if self.join.gives_up(now) {
            self.release(link);
        }
        None
    }

    pub(super) fn next_deadline(&self, pause_max: Duration) -> Deadline {
        let mut first = Deadline { at: self.heartbeat.next_ping(), why: Timer::Ping };
        let others = [
            (Some(self.heartbeat.dead_at()), Timer::PeerDead),
            (self.calls.next_deadline(), Timer::Call),
            (self.flow.paused_by_peer().map(|since| since + pause_max), Timer::Pause),
            (self.join.next(), Timer::JoinProbe),
        ];
        for (at, why) in others {
            if let Some(at) = at.filter(|at| *at < first.at) {
                first = Deadline { at, why };
            }
        }
        first
    }

    // Ends

    /// Tells the peer that this side takes nothing new, or that it has heard so.
    pub(super) fn announce_close(&self, link: &mut Link, reason: &CloseReason) {
        let kind = if *reason == CloseReason::Peer { Kind::CloseAck } else { Kind::Close };
        link.write_empty(self.dialect, Class::Control, kind, 0);
    }

    /// Gives every open call its outcome: the connection is lost to it.
    pub(super) fn lose_calls(&mut self, link: &mut Link) {
        let held = self.held.iter().map(|held| held.class);
        let unsent: BTreeSet<u64> = link
            .out
            .unwritten()
            .chain(held)
            .filter_map(|class| match class {
                Class::Request(id) => Some(id),
                Class::Message(_)
                | Class::Control
                | Class::Ping
                | Class::Pong
                | Class::Response => None,
            })
            .collect();
        for id in self.calls.drain() {
            let outcome = Err(CallFailure::ConnectionLost { sent: !unsent.contains(&id) });
            link.events.push(Event::Finished { call: CallId(id), outcome });
        }
    }

    /// What the application sent by itself and nobody has begun to write stays here: it is reported
    /// as unsent, so it must not leave after all.
    pub(super) fn drop_unsent_data(&mut self, link: &mut Link) {
        self.held.clear();
        self.held_bytes = 0;
        drop(link.out.take_back(Class::is_data));
    }
}

fn empty_reply() -> Reply {
    Reply { data: Bytes::from_static(&[0xc0]), envelope: None }
}

/// The payload as it was before compression.
fn read_payload(link: &Link, frame: &Frame) -> Result<Bytes, MessageError> {
    if !frame.header.flags.contains(Flags::COMPRESSED) {
        return Ok(frame.payload.clone());
    }
    let limits = InflateLimits {
        output_max: link.config.limits.decompressed_max,
        ratio_max: link.config.limits.compression_ratio_max,
    };
    inflate(&frame.payload, limits)
        .map(Bytes::from)
        .map_err(|error| MessageError { offset: 0, kind: MessageErrorKind::Compression(error) })
}
