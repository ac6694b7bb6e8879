//! What a frame of the peer does.

use core::time::Duration;

use bytes::Bytes;

use super::{Mode, Open, Step};
use crate::connection::event::{
    CallFailure, CallId, Delivery, Event, Message, Outcome, PhaseName, Request, RequestId, Strike,
    Violation,
};
use crate::connection::link::Link;
use crate::connection::send_buffer::Class;
use crate::message::rpc::{self, MessageBody, RequestBody};
use crate::message::{MessageError, MessageErrorKind};
use crate::rpc::{ErrorCode, Reply, RpcError};
use crate::wire::{Dialect, Flags, Frame, Header, InflateLimits, Kind, inflate, kept_max};

impl Open {
    pub(in crate::connection) fn on_frame(
        &mut self,
        link: &mut Link,
        frame: Frame,
        mode: Mode,
    ) -> Result<Step, Violation> {
        self.heartbeat.alive(link.now);
        if self.join.heard() {
            self.release(link);
        }
        let header = frame.header;
        let taken = match header.kind {
            Kind::RpcResponse | Kind::RpcError => self.on_answer(link, frame).map(|()| true),
            Kind::RpcRequest => self.on_request(link, frame, mode),
            Kind::Message => self.on_message(link, frame),
            Kind::HeartbeatPing => self.on_ping(link),
            Kind::HeartbeatPong => {
                if let Some(round_trip) = self.heartbeat.pong(link.now) {
                    link.stats.round_trips.count(round_trip);
                    link.events.push(Event::Pong { round_trip });
                }
                Ok(true)
            }
            Kind::Pause => self.on_pause(link).map(|()| true),
            Kind::Resume => self.on_resume(link).map(|()| true),
            Kind::Ack => self.on_ack(link, header.correlation, Ok(empty_reply())).map(|()| true),
            Kind::Nack => {
                self.on_ack(link, header.correlation, Err(CallFailure::Refused)).map(|()| true)
            }
            Kind::Close => return Ok(Step::PeerCloses),
            // The peer confirms what this side has begun; the end of its stream is what counts.
            Kind::CloseAck => Ok(true),
            Kind::Cancel => {
                self.on_cancel(link, header.correlation);
                Ok(true)
            }
            // Understood by nobody so far, sent by nobody: harmless.
            Kind::RpcList | Kind::Error => Ok(true),
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
            link.write_empty(self.dialect, Class::Reply, kind, header.correlation);
        }
        Ok(Step::Stay)
    }

    fn on_answer(&mut self, link: &mut Link, frame: Frame) -> Result<(), Violation> {
        let id = frame.header.correlation;
        if !self.knows_call(link, id)? {
            return Ok(());
        }
        let (dialect, kind) = (frame.dialect, frame.header.kind);
        let outcome = payload(link, frame)
            .and_then(|payload| {
                rpc::read_answer(dialect, kind, payload, link.config.limits.bounds())
            })
            .map_or_else(
                |error| Err(CallFailure::Unreadable(error)),
                |answer| answer.map_err(CallFailure::Remote),
            );
        if let Err(CallFailure::Remote(_)) = &outcome {
            link.stats.errors_received = link.stats.errors_received.saturating_add(1);
        }
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
        if !self.calls.late_answer() {
            return self.strike(link, Strike::DuplicateAnswer).map(|()| false);
        }
        link.stats.late_answers = link.stats.late_answers.saturating_add(1);
        Ok(false)
    }

    fn finish_call(&mut self, link: &mut Link, id: u64, outcome: Outcome) {
        self.calls.close(id);
        self.active_at = link.now;
        link.events.push(Event::Finished { call: CallId(id), outcome });
        self.tell_writable(link);
    }

    fn on_request(&mut self, link: &mut Link, frame: Frame, mode: Mode) -> Result<bool, Violation> {
        let Header { correlation: id, timestamp, .. } = frame.header;
        if id == 0 || self.serves.contains(id) {
            return Err(Violation::RequestIdInUse { correlation: id });
        }
        if mode == Mode::Draining {
            let error = RpcError::new(ErrorCode::ConnectionError, "this side is closing");
            let _ = self.write_error(link, Class::Reply, id, &error);
            return Ok(true);
        }
        if let Err(wait) = self.admit(link, &frame) {
            let error = rate_limited("too many messages and requests", wait);
            let _ = self.write_error(link, Class::Reply, id, &error);
            return Ok(true);
        }
        let limits = &link.config.limits;
        if self.serves.len() >= limits.serves_max {
            link.stats.rate_limited = link.stats.rate_limited.saturating_add(1);
            let error = rate_limited("too many requests are open", None);
            let _ = self.write_error(link, Class::Reply, id, &error);
            return Ok(true);
        }
        let bounds = limits.bounds();
        let read = payload(link, frame)
            .and_then(|payload| Ok((payload.len(), rpc::read_request(payload, bounds)?)));
        match read {
            Ok((size, RequestBody { method, params })) => {
                self.serves.insert(id, ());
                let id = RequestId(id);
                let request = Request { id, method, params, timestamp };
                self.deliver(link, size, Delivery::Request(request));
                Ok(true)
            }
            Err(error) => {
                let words = alloc::format!("the request cannot be read: {error}");
                let answer = RpcError::new(ErrorCode::InvalidParams, words);
                let _ = self.write_error(link, Class::Reply, id, &answer);
                self.strike(link, Strike::Unreadable).map(|()| false)
            }
        }
    }

    /// The peer does not want an answer any more. It gets one all the same, so that each request has
    /// exactly one; if the true one is under way already, the word came too late.
    fn on_cancel(&mut self, link: &mut Link, id: u64) {
        if !self.serves.contains(id) {
            return;
        }
        // Requests that are cancelled as soon as they are made evade the bound on open ones: beyond
        // an honest rate they count until they are done.
        let now = link.now;
        if self.cancels.as_mut().is_some_and(|cancels| cancels.take(now, 1).is_err()) {
            link.stats.rate_limited = link.stats.rate_limited.saturating_add(1);
            return;
        }
        if self.write_error(link, Class::Reply, id, &RpcError::cancelled()).is_err() {
            return;
        }
        self.serves.remove(id);
        self.active_at = now;
        if link.events.take_request(RequestId(id)) {
            self.watch_drain(link);
        } else {
            link.events.push(Event::Cancelled(RequestId(id)));
        }
    }

    fn on_message(&mut self, link: &mut Link, frame: Frame) -> Result<bool, Violation> {
        let timestamp = frame.header.timestamp;
        if self.admit(link, &frame).is_err() {
            return Ok(false);
        }
        let bounds = link.config.limits.bounds();
        let Ok(payload) = payload(link, frame) else {
            return self.strike(link, Strike::Unreadable).map(|()| false);
        };
        let size = payload.len();
        match rpc::read_message(payload, bounds) {
            Ok(MessageBody { name, data }) => {
                self.deliver(link, size, Delivery::Message(Message { name, data, timestamp }));
                Ok(true)
            }
            Err(_) => self.strike(link, Strike::Unreadable).map(|()| false),
        }
    }

    /// Whether the peer may send this much.
    fn admit(&mut self, link: &mut Link, frame: &Frame) -> Result<(), Duration> {
        let admitted = self.intake.admit(link.now, frame.payload.len());
        if admitted.is_err() {
            link.stats.rate_limited = link.stats.rate_limited.saturating_add(1);
        }
        admitted
    }

    /// Hands a delivery of `size` bytes to the application. What came since the one before may share
    /// its memory, so it counts for as much.
    #[inline]
    fn deliver(&mut self, link: &mut Link, size: usize, delivery: Delivery) {
        let end = link.decoder.offset();
        let since = end.saturating_sub(core::mem::replace(&mut self.delivered_to, end));
        let shared = usize::try_from(since).unwrap_or(usize::MAX).min(kept_max(size));
        let size = size.max(shared);
        self.active_at = link.now;
        link.stats.messages_received = link.stats.messages_received.saturating_add(1);
        link.events.push_delivery(delivery, size);
        self.watch_growth(link);
    }

    /// Asks the peer to pause if the receive queue is full to its mark.
    fn watch_growth(&mut self, link: &mut Link) {
        let (events, limits) = (&link.events, &link.config.limits);
        let is_filled = || events.is_filled(limits.queue_high_percent, limits);
        if link.config.backpressure && self.flow.pauses(link.now, is_filled) {
            link.write_empty(self.dialect, Class::Control, Kind::Pause, 0);
        }
    }

    /// Asks the peer to go on if the receive queue is empty to its mark.
    pub(in crate::connection) fn watch_drain(&mut self, link: &mut Link) {
        let (events, limits) = (&link.events, &link.config.limits);
        let is_drained = || !events.is_filled(limits.queue_low_percent.saturating_add(1), limits);
        if self.flow.resumes(is_drained) {
            link.write_empty(self.dialect, Class::Control, Kind::Resume, 0);
            self.release(link);
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

    fn on_pause(&mut self, link: &mut Link) -> Result<(), Violation> {
        if self.flow.pause_received(link.now) {
            let mut taken = link.take_back(Class::is_data);
            self.held_bytes = taken
                .iter()
                .fold(self.held_bytes, |sum, held| sum.saturating_add(held.bytes.len()));
            taken.append(&mut self.held);
            self.held = taken;
            return self.on_change(link);
        }
        Ok(())
    }

    fn on_resume(&mut self, link: &mut Link) -> Result<(), Violation> {
        if self.flow.resume_received() {
            self.release(link);
            return self.on_change(link);
        }
        Ok(())
    }

    /// Changing its mind costs this side work.
    fn on_change(&mut self, link: &mut Link) -> Result<(), Violation> {
        if self.flow.change_received(link.now) {
            return Ok(());
        }
        self.strike(link, Strike::PauseFlood)
    }

    fn strike(&mut self, link: &mut Link, strike: Strike) -> Result<(), Violation> {
        link.stats.strikes = link.stats.strikes.saturating_add(1);
        self.strikes.count(link.now, &link.config.limits, strike)
    }
}

fn rate_limited(words: &str, wait: impl Into<Option<Duration>>) -> RpcError {
    RpcError { message: words.into(), ..RpcError::rate_limited(wait) }
}

fn empty_reply() -> Reply {
    Reply { data: Bytes::from_static(&[0xc0]), envelope: None }
}

/// The payload as it was before compression.
#[inline]
fn payload(link: &Link, frame: Frame) -> Result<Bytes, MessageError> {
    if !frame.header.flags.contains(Flags::COMPRESSED) {
        return Ok(frame.payload);
    }
    if frame.dialect == Dialect::Cndt && !link.config.compression {
        return Err(MessageError { offset: 0, kind: MessageErrorKind::CompressionNotAgreed });
    }
    let limits = InflateLimits {
        output_max: link.config.limits.decompressed_max,
        ratio_max: link.config.limits.compression_ratio_max,
    };
    inflate(&frame.payload, limits)
        .map(Bytes::from)
        .map_err(|error| MessageError { offset: 0, kind: MessageErrorKind::Compression(error) })
}
