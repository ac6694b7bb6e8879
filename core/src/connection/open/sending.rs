//! What this side calls, sends and answers, and what of it must wait.

use core::time::Duration;

use bytes::BytesMut;

use super::Open;
use crate::connection::calls::Awaits;
use crate::connection::encode::Sharing;
use crate::connection::event::{CallId, Event, SendError, SendId};
use crate::connection::link::Link;
use crate::connection::send_buffer::{Class, Held};
use crate::connection::shared::{Overflow, SharedMessage};
use crate::message::{Body, BodyError, Splices, rpc};
use crate::rpc::{Beside, RpcError};
use crate::wire::{Dialect, Flags, Kind};

/// Beyond this many bytes in the send buffer at the latest, what may wait outside of it does.
const BACKLOG_MAX: usize = 64 * 1024;

/// What is to be called or sent; the parts of a frame that differ between the commands.
#[derive(Debug, Clone, Copy)]
struct Outgoing {
    class: Class,
    kind: Kind,
    flags: Flags,
    correlation: u64,
}

impl Open {
    pub(in crate::connection) fn call<B: Body + ?Sized>(
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
        self.queue(link, out, |buffer, splices| {
            rpc::write_request(buffer, method, &Sharing::new(params, splices))
        })?;
        self.calls.open(id, link.now, timeout, Awaits::Answer);
        Ok(CallId(id))
    }

    pub(in crate::connection) fn send<B: Body + ?Sized>(
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
        self.queue(link, out, |buffer, splices| {
            rpc::write_message(buffer, name, &Sharing::new(data, splices))
        })?;
        Ok(link.next_send())
    }

    pub(in crate::connection) fn send_acked<B: Body + ?Sized>(
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
        self.queue(link, out, |buffer, splices| {
            rpc::write_message(buffer, name, &Sharing::new(data, splices))
        })?;
        self.calls.open(id, link.now, timeout, Awaits::Ack);
        Ok(CallId(id))
    }

    pub(in crate::connection) fn send_shared(
        &mut self,
        link: &mut Link,
        message: &SharedMessage,
        overflow: Overflow,
    ) -> Result<SendId, SendError> {
        let (frame, connection) = (message.format(), self.format(link));
        let fits = frame.dialect == connection.dialect;
        if !fits || (frame.compression && !connection.compression) {
            return Err(SendError::FormatMismatch { frame, connection });
        }
        let (length, max) = (message.payload_len(), link.frame_max);
        if length > max {
            return Err(SendError::TooLarge { length, max });
        }
        while let Err(full) = self.admit_data(link) {
            if overflow == Overflow::Wait {
                return Err(full);
            }
            if overflow != Overflow::DropOldest || !self.drop_oldest(link) {
                link.stats.messages_dropped = link.stats.messages_dropped.saturating_add(1);
                return Err(full);
            }
        }
        let number = link.next_send();
        let class = match overflow {
            Overflow::DropOldest => Class::Droppable(number.number()),
            Overflow::Refuse | Overflow::Wait | Overflow::Disconnect => {
                Class::Message(number.number())
            }
        };
        let frame = message.frame();
        self.active_at = link.now;
        link.stats.messages_sent = link.stats.messages_sent.saturating_add(1);
        link.stats.frames_sent = link.stats.frames_sent.saturating_add(1);
        // What is in the send buffer cannot be dropped any more, so as little as possible is there.
        let keeps_back = overflow == Overflow::DropOldest && is_backed_up(link);
        if keeps_back || self.must_hold(class) {
            self.hold(Held { class, bytes: frame.clone() });
        } else {
            link.push(class, frame);
        }
        Ok(number)
    }

    /// Drops the oldest message that may be dropped. False when there is none.
    fn drop_oldest(&mut self, link: &mut Link) -> bool {
        let is_droppable = |held: &Held| matches!(held.class, Class::Droppable(_));
        let Some(index) = self.held.iter().position(is_droppable) else { return false };
        if let Some(dropped) = self.held.remove(index) {
            self.held_bytes = self.held_bytes.saturating_sub(dropped.bytes.len());
        }
        link.stats.messages_dropped = link.stats.messages_dropped.saturating_add(1);
        true
    }

    pub(in crate::connection) fn cancel(&mut self, link: &mut Link, id: u64) -> bool {
        let Some(call) = self.calls.abandon(id) else { return false };
        if call.awaits == Awaits::Answer {
            self.tell_cancelled(link, id);
        }
        self.tell_writable(link);
        true
    }

    /// Tells the peer that nobody wants the answer any more. A request that is held back needs no
    /// such word: it will not leave.
    pub(super) fn tell_cancelled(&self, link: &mut Link, id: u64) {
        let is_held = self.held.iter().any(|held| held.class == Class::Request(id));
        // The other dialect has no such frame.
        if self.dialect == Dialect::Cndt && !is_held {
            link.write_empty(self.dialect, Class::Control, Kind::Cancel, id);
        }
    }

    /// Lets a call go on whose answer nobody waits for. False when it has ended.
    pub(in crate::connection) fn forget(&mut self, link: &mut Link, id: u64) -> bool {
        let was_open = self.calls.abandon(id).is_some();
        if was_open {
            // Still to be sent: only a call that was given up stays behind after a pause.
            let request = Class::Request(id);
            if let Some(held) = self.held.iter_mut().rev().find(|held| held.class == request) {
                held.class = Class::FORGOTTEN;
            } else {
                link.out.reclass(request, Class::FORGOTTEN);
            }
        }
        self.tell_writable(link);
        was_open
    }

    pub(in crate::connection) fn respond<B: Body + ?Sized>(
        &mut self,
        link: &mut Link,
        id: u64,
        result: &B,
        beside: &Beside,
    ) -> Result<(), SendError> {
        if !self.serves.contains(id) {
            return Err(SendError::NoSuchRequest(id));
        }
        let dialect = self.dialect;
        let envelope = link.envelope(dialect, Kind::RpcResponse, Flags::empty(), id);
        link.write(Class::Response, envelope, |out, splices| {
            rpc::write_result(out, dialect, &Sharing::new(result, splices), beside)
        })?;
        self.active_at = link.now;
        self.serves.remove(id);
        Ok(())
    }

    pub(in crate::connection) fn respond_error(
        &mut self,
        link: &mut Link,
        id: u64,
        error: &RpcError,
    ) -> Result<(), SendError> {
        if !self.serves.contains(id) {
            return Err(SendError::NoSuchRequest(id));
        }
        self.write_error(link, Class::Response, id, error)?;
        link.stats.errors_sent = link.stats.errors_sent.saturating_add(1);
        self.serves.remove(id);
        Ok(())
    }

    pub(super) fn write_error(
        &self,
        link: &mut Link,
        class: Class,
        id: u64,
        error: &RpcError,
    ) -> Result<(), SendError> {
        let dialect = self.dialect;
        let envelope = link.envelope(dialect, rpc::error_kind(dialect), Flags::empty(), id);
        link.write(class, envelope, |out, _| {
            rpc::write_error(out, dialect, error);
            Ok(())
        })
    }

    pub(in crate::connection) fn ping(&mut self, link: &mut Link) {
        // A ping that may not go out now is left out: the next one comes in time.
        if self.flow.lets_pass(Class::Ping) {
            link.write_empty(self.dialect, Class::Ping, Kind::HeartbeatPing, 0);
            self.heartbeat.ping_sent(link.now);
        } else {
            self.heartbeat.postpone(link.now);
        }
    }

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
        body: impl FnOnce(&mut BytesMut, Option<&mut Splices>) -> Result<(), BodyError>,
    ) -> Result<(), SendError> {
        let envelope = link.envelope(self.dialect, out.kind, out.flags, out.correlation);
        if self.must_hold(out.class) {
            let mut frame = BytesMut::new();
            envelope.write(&mut frame, |out| body(out, None))?;
            self.hold(Held { class: out.class, bytes: frame.freeze() });
            link.stats.frames_sent = link.stats.frames_sent.saturating_add(1);
        } else {
            link.write(out.class, envelope, body)?;
        }
        link.stats.messages_sent = link.stats.messages_sent.saturating_add(1);
        self.active_at = link.now;
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
    pub(in crate::connection) fn release(&mut self, link: &mut Link) {
        while let Some(Held { class, bytes }) = self.held.pop_front() {
            let may_pass = self.flow.lets_pass(class) && self.join.lets_pass(class);
            if !may_pass || is_backed_up(link) {
                self.held.push_front(Held { class, bytes });
                return;
            }
            self.held_bytes = self.held_bytes.saturating_sub(bytes.len());
            // A call that has ended meanwhile is not made any more.
            let wanted = class
                .request()
                .is_none_or(|id| class == Class::FORGOTTEN || self.calls.contains(id));
            if wanted {
                link.push(class, &bytes);
            }
        }
    }

    /// Tells the driver once when there is room again after a refusal: at half, so that it is worth
    /// waking up for.
    pub(in crate::connection) fn tell_writable(&self, link: &mut Link) {
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
}

/// Enough waits to keep the transport busy for a while. Never more than half of what may wait in
/// all, so that there is something left to drop.
fn is_backed_up(link: &Link) -> bool {
    let limits = &link.config.limits;
    link.out.bytes() >= BACKLOG_MAX.min(limits.send_queue_bytes.div_ceil(2))
        || link.out.data_frames() >= limits.send_queue_frames.div_ceil(2)
}
