//! What a connection speaks: the verbs of the core's machines, under one name.

use std::borrow::Cow;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use cndt_core::auth::scram::Keys;
use cndt_core::connection::{
    CallId, Connection, Deadline, Deliveries, Event, Format, Overflow, PhaseName, RequestId,
    SendError, SendId, SharedMessage, Stats, Transmit, Vacancy,
};
use cndt_core::jsonrpc::{BatchItem, Endpoint, QueuedBatch};
use cndt_core::message::{Body, BodyError, Nil, from_bytes};
use cndt_core::rpc::{Beside, RpcError};
use cndt_core::time::Instant;
use cndt_core::wire::Dialect;
use serde::de::DeserializeOwned;

use crate::together::Progress;

/// Any answer to it will do, even that there is no such method.
const JSON_PING: &str = "rpc.ping";
/// A ping that is not answered for so long never will be.
const JSON_PING_MAX: Duration = Duration::from_secs(30);

/// The longest explanation of what does not fit, in characters.
const WORDS_MAX: usize = 200;

/// The largest payload that is made into a tree of values to explain what does not fit, in bytes.
const TREE_MAX: usize = 4096;

/// How payloads are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    MessagePack,
    Json,
}

impl Codec {
    /// Reads one typed value; every byte must belong to it. Large binary data may share the memory of
    /// the payload.
    pub(crate) fn read<T: DeserializeOwned + 'static>(
        self,
        payload: &Bytes,
    ) -> Result<T, BodyError> {
        match self {
            Self::MessagePack => from_bytes(payload),
            Self::Json => {
                serde_json::from_slice(payload).map_err(|error| BodyError::new(error.to_string()))
            }
        }
    }

    /// The payload, or no fields in its place if it is nil.
    pub(crate) fn fields(self, payload: &Bytes) -> Cow<'_, Bytes> {
        match (self, &payload[..]) {
            (Self::MessagePack, [0xc0]) => Cow::Owned(Bytes::from_static(&[0x80])),
            (Self::Json, b"null") => Cow::Owned(Bytes::from_static(b"{}")),
            _ => Cow::Borrowed(payload),
        }
    }

    /// Which field of a `T` does not fit, and why; `None` if that cannot be told.
    pub(crate) fn wrong_field<T: DeserializeOwned>(
        self,
        payload: &[u8],
    ) -> Option<(String, String)> {
        fn told<E: std::fmt::Display>(
            error: &serde_path_to_error::Error<E>,
        ) -> Option<(String, String)> {
            error.path().iter().next()?;
            // They quote the value, however long it is.
            let words = error.inner().to_string();
            Some((error.path().to_string(), words.chars().take(WORDS_MAX).collect()))
        }
        match self {
            Self::MessagePack => {
                // Of a tree of values serde says what was found and what was expected; of MessagePack
                // it only says which marker was wrong. Binary data does not fit into the tree, and a
                // large one would cost many times what was received.
                let small = Some(payload).filter(|payload| payload.len() <= TREE_MAX);
                let tree = small
                    .and_then(|payload| rmp_serde::from_slice::<serde_json::Value>(payload).ok());
                let of_tree = tree
                    .and_then(|tree| told(&serde_path_to_error::deserialize::<_, T>(tree).err()?));
                of_tree.or_else(|| {
                    let mut from = rmp_serde::Deserializer::from_read_ref(payload);
                    told(&serde_path_to_error::deserialize::<_, T>(&mut from).err()?)
                })
            }
            Self::Json => {
                let mut from = serde_json::Deserializer::from_slice(payload);
                told(&serde_path_to_error::deserialize::<_, T>(&mut from).err()?)
            }
        }
    }
}

/// A machine of the core.
pub(crate) enum Protocol {
    Cndt(Box<Connection>),
    Json(Box<Json>),
}

/// JSON-RPC knows no pings: an ordinary call stands in for them.
pub(crate) struct Json {
    endpoint: Endpoint,
    ping: Option<(CallId, Instant)>,
    /// The latest time that was passed in.
    now: Instant,
}

/// Calls the method of whichever machine it is.
macro_rules! either {
    ($self:ident, $machine:ident => $what:expr) => {
        match $self {
            Self::Cndt($machine) => $what,
            Self::Json(json) => {
                let $machine = &mut json.endpoint;
                $what
            }
        }
    };
}

macro_rules! either_ref {
    ($self:ident, $machine:ident => $what:expr) => {
        match $self {
            Self::Cndt($machine) => $what,
            Self::Json(json) => {
                let $machine = &json.endpoint;
                $what
            }
        }
    };
}

impl Protocol {
    pub(crate) fn cndt(connection: Connection) -> Self {
        Self::Cndt(Box::new(connection))
    }

    pub(crate) fn json(endpoint: Endpoint) -> Self {
        Self::Json(Box::new(Json { endpoint, ping: None, now: Instant::ZERO }))
    }

    pub(crate) fn codec(&self) -> Codec {
        match self {
            Self::Cndt(_) => Codec::MessagePack,
            Self::Json(_) => Codec::Json,
        }
    }

    // Inputs

    pub(crate) fn read_buffer(&mut self) -> &mut BytesMut {
        either!(self, machine => machine.read_buffer())
    }

    /// Makes room for a large read, if much is coming. A text of JSON does not tell its length beforehand.
    pub(crate) fn reserve_large(&mut self, max: usize) -> usize {
        match self {
            Self::Cndt(connection) => connection.reserve_large(max),
            Self::Json(_) => 0,
        }
    }

    pub(crate) fn rest(&mut self) {
        either!(self, machine => machine.rest());
    }

    pub(crate) fn received(&mut self, now: Instant, n: usize) {
        if let Self::Json(json) = self {
            json.now = now;
        }
        either!(self, machine => machine.received(now, n));
    }

    pub(crate) fn receive_eof(&mut self, now: Instant) {
        either!(self, machine => machine.receive_eof(now));
    }

    pub(crate) fn transport_lost(&mut self, now: Instant) {
        either!(self, machine => machine.transport_lost(now));
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if let Self::Json(json) = self {
            json.now = now;
        }
        either!(self, machine => machine.handle_timeout(now));
    }

    pub(crate) fn derived(&mut self, now: Instant, keys: Keys) {
        match self {
            Self::Cndt(connection) => drop(connection.derived(now, keys)),
            Self::Json(_) => {}
        }
    }

    pub(crate) fn set_vacancy(&mut self, vacancy: Vacancy) {
        match self {
            Self::Cndt(connection) => connection.set_vacancy(vacancy),
            Self::Json(_) => {}
        }
    }

    pub(crate) fn bind_channel(&mut self, exported: [u8; 32]) {
        match self {
            Self::Cndt(connection) => drop(connection.bind_channel(exported)),
            Self::Json(_) => {}
        }
    }

    // Commands

    pub(crate) fn call<B: Body + ?Sized>(
        &mut self,
        now: Instant,
        method: &str,
        params: &B,
        timeout: Duration,
    ) -> Result<CallId, SendError> {
        either!(self, machine => machine.call(now, method, params, timeout))
    }

    /// Queues the items that `progress` does not count: in JSON-RPC all of them or none, in CNDT one
    /// after the other, as many as there is room for.
    pub(crate) fn batch<B: Body>(
        &mut self,
        now: Instant,
        items: &[BatchItem<'_, B>],
        timeout: Duration,
        progress: &mut Progress,
    ) -> Result<(), SendError> {
        let connection = match self {
            Self::Cndt(connection) => connection,
            Self::Json(json) => {
                let QueuedBatch { calls, last } = json.endpoint.batch(now, items, timeout)?;
                *progress = Progress { items: items.len(), calls, last };
                return Ok(());
            }
        };
        for item in items.get(progress.items..).unwrap_or_default() {
            match item {
                BatchItem::Call { method, params } => {
                    progress.calls.push(connection.call(now, method, params, timeout)?);
                }
                BatchItem::Notification { method, params } => {
                    progress.last = Some(connection.send(now, method, params)?);
                }
            }
            progress.items += 1;
        }
        Ok(())
    }

    pub(crate) fn cancel(&mut self, now: Instant, call: CallId) -> bool {
        either!(self, machine => machine.cancel(now, call))
    }

    pub(crate) fn forget(&mut self, now: Instant, call: CallId) -> bool {
        either!(self, machine => machine.forget(now, call))
    }

    /// What stands beside a result has no place in JSON-RPC.
    pub(crate) fn respond_with<B: Body + ?Sized>(
        &mut self,
        now: Instant,
        request: RequestId,
        result: &B,
        beside: &Beside,
    ) -> Result<(), SendError> {
        match self {
            Self::Cndt(connection) => connection.respond_with(now, request, result, beside),
            Self::Json(json) => json.endpoint.respond(now, request, result),
        }
    }

    pub(crate) fn respond_error(
        &mut self,
        now: Instant,
        request: RequestId,
        error: &RpcError,
    ) -> Result<(), SendError> {
        either!(self, machine => machine.respond_error(now, request, error))
    }

    pub(crate) fn send<B: Body + ?Sized>(
        &mut self,
        now: Instant,
        name: &str,
        data: &B,
    ) -> Result<SendId, SendError> {
        either!(self, machine => machine.send(now, name, data))
    }

    pub(crate) fn send_acked<B: Body + ?Sized>(
        &mut self,
        now: Instant,
        name: &str,
        data: &B,
        timeout: Duration,
    ) -> Result<CallId, SendError> {
        match self {
            Self::Cndt(connection) => connection.send_acked(now, name, data, timeout),
            Self::Json(_) => Err(BodyError::new("JSON-RPC has no acknowledgements; call").into()),
        }
    }

    pub(crate) fn send_shared(
        &mut self,
        now: Instant,
        message: &SharedMessage,
        overflow: Overflow,
    ) -> Result<SendId, SendError> {
        match self {
            Self::Cndt(connection) => connection.send_shared(now, message, overflow),
            Self::Json(_) => Err(BodyError::new("the message was encoded for CNDT").into()),
        }
    }

    pub(crate) fn ping(&mut self, now: Instant) {
        match self {
            Self::Cndt(connection) => connection.ping(now),
            Self::Json(json) if json.ping.is_none() => {
                let call = json.endpoint.call(now, JSON_PING, &Nil, JSON_PING_MAX);
                json.ping = call.ok().map(|call| (call, now));
            }
            Self::Json(_) => {}
        }
    }

    pub(crate) fn close(&mut self, now: Instant) {
        either!(self, machine => machine.close(now));
    }

    pub(crate) fn abort(&mut self, now: Instant) {
        either!(self, machine => machine.abort(now));
    }

    // Queue

    pub(crate) fn take_deliveries(&mut self, room: usize, inbox: &mut Deliveries) -> bool {
        either!(self, machine => machine.take_deliveries(room, inbox))
    }

    pub(crate) fn note_deliveries(&mut self, room: usize, inbox: &Deliveries) {
        either!(self, machine => machine.note_deliveries(room, inbox));
    }

    pub(crate) fn poll_outcome(&mut self) -> Option<Event> {
        match self {
            Self::Cndt(connection) => connection.poll_outcome(),
            Self::Json(json) => json.endpoint.poll_outcome().map(|event| json.translate(event)),
        }
    }

    // Levels

    pub(crate) fn deliveries_waiting(&self) -> usize {
        either_ref!(self, machine => machine.deliveries_waiting())
    }

    /// How many of those in `inbox`, or else of those that will be taken, may begin if there is so much
    /// room for them: none while the peer does not read its answers.
    pub(crate) fn may_begin(&self, room: usize, inbox: &Deliveries) -> usize {
        match self {
            Self::Cndt(connection) if connection.is_congested() => 0,
            Self::Cndt(_) => room,
            Self::Json(json) => json.endpoint.may_begin(room, inbox),
        }
    }

    pub(crate) fn transmit(&self) -> Transmit<'_> {
        either_ref!(self, machine => machine.transmit())
    }

    pub(crate) fn pending_bytes(&self) -> usize {
        either_ref!(self, machine => machine.pending_bytes())
    }

    pub(crate) fn advance_transmit(&mut self, now: Instant, n: usize) {
        either!(self, machine => machine.advance_transmit(now, n));
    }

    pub(crate) fn next_deadline(&self) -> Option<Deadline> {
        either_ref!(self, machine => machine.next_deadline())
    }

    pub(crate) fn wants_read(&self) -> bool {
        either_ref!(self, machine => machine.wants_read())
    }

    pub(crate) fn wants_shutdown(&self) -> bool {
        either_ref!(self, machine => machine.wants_shutdown())
    }

    pub(crate) fn shutdown_done(&mut self, now: Instant) {
        either!(self, machine => machine.shutdown_done(now));
    }

    pub(crate) fn phase(&self) -> PhaseName {
        either_ref!(self, machine => machine.phase())
    }

    pub(crate) fn is_paused_by_peer(&self) -> bool {
        match self {
            Self::Cndt(connection) => connection.is_paused_by_peer(),
            Self::Json(_) => false,
        }
    }

    pub(crate) fn sent_through(&self) -> SendId {
        either_ref!(self, machine => machine.sent_through())
    }

    pub(crate) fn stats(&self) -> Stats {
        either_ref!(self, machine => machine.stats())
    }

    pub(crate) fn dialect(&self) -> Option<Dialect> {
        match self {
            Self::Cndt(connection) => connection.dialect(),
            Self::Json(_) => None,
        }
    }

    /// How shared messages are written for the peer, if it takes any.
    pub(crate) fn format(&self) -> Option<Format> {
        match self {
            Self::Cndt(connection) => connection.format(),
            Self::Json(_) => None,
        }
    }

    pub(crate) fn held_bytes(&self) -> usize {
        either_ref!(self, machine => machine.held_bytes())
    }

    pub(crate) fn calls_open(&self) -> usize {
        either_ref!(self, machine => machine.calls_open())
    }
}

impl Json {
    fn translate(&mut self, event: Event) -> Event {
        match (&event, self.ping) {
            (Event::Finished { call, .. }, Some((ping, since))) if *call == ping => {
                self.ping = None;
                Event::Pong { round_trip: self.now.since(since) }
            }
            _ => event,
        }
    }
}
