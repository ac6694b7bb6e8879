//! A client and a server of one link, and what each of them ought to have got.

use std::collections::BTreeMap;

use bytes::Bytes;
use cndt_core::auth::scram::Keys;
use cndt_core::connection::{
    CallFailure, CallId, CloseReason, Closed, Event, Outcome, Overflow, PhaseName, RequestId,
    SendError,
};
use cndt_core::message::RawShared;
use cndt_core::rpc::{ErrorCode, RpcError};
use cndt_core::time::Instant;
use cndt_core::wire::Dialect;
use std::time::Duration;

use super::broken::{Broken, Invariant, broken, ensure};
use super::endpoint::Endpoint;
use super::payload::{digest, payload};
use super::pipe::Pipe;

/// The client.
pub(super) const CLIENT: usize = 0;
/// The server.
pub(super) const SERVER: usize = 1;

/// One side and what its application knows.
pub(super) struct Side {
    pub(super) end: Endpoint,
    /// Messages that were queued, in order.
    sent: Vec<Sent>,
    /// How many of them were found missing because they made way.
    dropped: u64,
    /// How many of the other side's messages have come, or were passed over for a reason.
    seen: usize,
    calls: BTreeMap<u64, CallModel>,
    /// Requests of the other side that are to be answered.
    pub(super) todo: Vec<RequestId>,
    /// Requests that were answered in vain.
    in_vain: Vec<RequestId>,
    derived: Option<Keys>,
}

/// A message as it was queued.
#[derive(Debug)]
struct Sent {
    digest: u64,
    /// Its number, or the call that waits for its acknowledgement.
    id: Result<u64, u64>,
    /// It may make way for a newer one.
    is_droppable: bool,
}

#[derive(Debug)]
struct CallModel {
    id: CallId,
    digest: u64,
    deadline: Instant,
    is_open: bool,
    /// The other side's application has got it.
    arrived: bool,
    never_left: bool,
}

pub(super) struct Pair {
    pub(super) sides: [Side; 2],
    /// From the client to the server, and back.
    pub(super) pipes: [Pipe; 2],
    /// The client does not know the password, or is nobody at all.
    pub(super) must_not_open: bool,
    /// The receiver may refuse or drop what is too much.
    pub(super) may_drop: bool,
    /// Somebody else is at the client's end of the wire.
    pub(super) is_hostile: bool,
    /// Something happened to the link that loses bytes.
    pub(super) lost_bytes: bool,
    pub(super) events: u64,
    /// Everything has been done for bytes to move.
    pub(super) resting: bool,
}

impl Side {
    pub(super) fn new(end: Endpoint) -> Self {
        Self {
            end,
            sent: Vec::new(),
            dropped: 0,
            seen: 0,
            calls: BTreeMap::new(),
            todo: Vec::new(),
            in_vain: Vec::new(),
            derived: None,
        }
    }

    /// Whether this side's application waits for nothing.
    pub(super) fn is_content(&self) -> bool {
        self.todo.is_empty() && self.calls.values().all(|call| !call.is_open)
    }
}

impl Pair {
    pub(super) fn new(client: Endpoint, server: Endpoint, capacity: usize) -> Self {
        Self {
            sides: [Side::new(client), Side::new(server)],
            pipes: [Pipe::new(capacity), Pipe::new(capacity)],
            must_not_open: false,
            is_hostile: false,
            may_drop: false,
            lost_bytes: false,
            events: 0,
            resting: false,
        }
    }

    // What the applications do

    pub(super) fn call(
        &mut self,
        world: u64,
        side: usize,
        size: usize,
        timeout: Duration,
    ) -> Result<(), Broken> {
        let own = &mut self.sides[side];
        let number = own.calls.len();
        let params = payload(number, size);
        let before = own.end.connection.pending_bytes();
        let made = own.end.act(world, |connection, now| {
            connection.call(now, "method", &RawShared(params.clone()), timeout)
        })?;
        match made {
            Ok(id) => {
                own.expect_room(before)?;
                own.note_call(id, digest(&params), timeout)
            }
            Err(error) => own.expect_refusal(&error),
        }
    }

    pub(super) fn send(&mut self, world: u64, side: usize, size: usize) -> Result<(), Broken> {
        let own = &mut self.sides[side];
        let data = payload(own.sent.len(), size);
        let before = own.end.connection.pending_bytes();
        let sent = own.end.act(world, |connection, now| {
            connection.send(now, "message", &RawShared(data.clone()))
        })?;
        match sent {
            Ok(id) => {
                own.expect_room(before)?;
                own.note_sent(&data, Ok(id.number()))
            }
            Err(error) => own.expect_refusal(&error),
        }
    }

    pub(super) fn send_shared(
        &mut self,
        world: u64,
        side: usize,
        message: &cndt_core::connection::SharedMessage,
        data: &[u8],
        overflow: Overflow,
    ) -> Result<(), Broken> {
        let own = &mut self.sides[side];
        let before = own.end.connection.pending_bytes();
        let sent =
            own.end.act(world, |connection, now| connection.send_shared(now, message, overflow))?;
        match sent {
            Ok(id) => {
                own.expect_room(before)?;
                own.note_sent(data, Ok(id.number()))?;
                if let Some(sent) = own.sent.last_mut() {
                    sent.is_droppable = overflow == Overflow::DropOldest;
                }
                Ok(())
            }
            Err(error) => own.expect_refusal(&error),
        }
    }

    pub(super) fn send_acked(
        &mut self,
        world: u64,
        side: usize,
        size: usize,
        timeout: Duration,
    ) -> Result<(), Broken> {
        let own = &mut self.sides[side];
        let data = payload(own.sent.len(), size);
        let before = own.end.connection.pending_bytes();
        let sent = own.end.act(world, |connection, now| {
            connection.send_acked(now, "message", &RawShared(data.clone()), timeout)
        })?;
        match sent {
            Ok(id) => {
                own.expect_room(before)?;
                own.note_sent(&data, Err(id.correlation()))?;
                own.note_call(id, 0, timeout)
            }
            Err(error) => own.expect_refusal(&error),
        }
    }

    pub(super) fn cancel(&mut self, world: u64, side: usize, nth: usize) -> Result<(), Broken> {
        let own = &mut self.sides[side];
        let count = own.calls.len().max(1);
        let Some(model) = own.calls.values_mut().nth(nth % count) else { return Ok(()) };
        let id = model.id;
        let was_open = own.end.act(world, |connection, now| connection.cancel(now, id))?;
        ensure(model.is_open || !was_open, Invariant::OneOutcome, || {
            format!("{}: {id:?} was cancelled after its outcome", own.end.name)
        })?;
        // Otherwise its outcome waits to be polled.
        model.is_open &= !was_open;
        Ok(())
    }

    /// Answers the oldest request, by a result or an error as its number says.
    pub(super) fn respond(&mut self, world: u64, side: usize, nth: usize) -> Result<(), Broken> {
        let own = &mut self.sides[side];
        if own.todo.is_empty() {
            return Ok(());
        }
        let id = own.todo.remove(nth % own.todo.len());
        let correlation = id.correlation();
        let answered = own.end.act(world, |connection, now| match result_of(correlation) {
            Ok(result) => connection.respond(now, id, &RawShared(result)),
            Err(error) => connection.respond_error(now, id, &error),
        })?;
        match answered {
            Ok(()) => Ok(()),
            // It is cancelled, which this application has not heard yet; or all is over.
            Err(SendError::NoSuchRequest(_)) => {
                self.sides[side].in_vain.push(id);
                Ok(())
            }
            Err(error) => broken(Invariant::OneOutcome, format!("{}: {error}", own.end.name)),
        }
    }

    // What they are told

    /// Takes one event. False when there is none.
    pub(super) fn poll(&mut self, side: usize, busy: bool) -> Result<bool, Broken> {
        let Some(event) = self.sides[side].end.poll(busy)? else { return Ok(false) };
        self.events += 1;
        match event {
            Event::Derive(work) => {
                // Derived once for all runs: password, salt and iterations are always the same.
                self.sides[side].derived = Some(super::scene::keys_for(&work));
            }
            Event::Opened(opened) => {
                // In dialect netconduit a client cannot tell a server from whoever says it is one.
                let end = &self.sides[side].end;
                let is_blind = side == CLIENT && opened.dialect == Some(Dialect::Netconduit);
                let excused = is_blind && end.was_fed_junk;
                ensure(!self.must_not_open || excused, Invariant::OnlyTheRight, || {
                    format!("{} let somebody in", end.name)
                })?;
            }
            Event::Message(message) => self.on_message(side, &message.data)?,
            Event::Request(request) => {
                self.on_request(side, request.id, &request.params)?;
            }
            Event::Finished { call, outcome } => self.on_finished(side, call, &outcome)?,
            Event::Cancelled(id) => self.on_cancelled(side, id)?,
            Event::Pong { .. } | Event::Writable => {}
            Event::Closed(closed) => self.on_closed(side, &closed)?,
        }
        Ok(true)
    }

    /// Hands in keys that were asked for.
    pub(super) fn derive(&mut self, world: u64, side: usize) -> Result<(), Broken> {
        let own = &mut self.sides[side];
        if let Some(keys) = own.derived.take() {
            own.end.act(world, |connection, now| connection.derived(now, keys.clone()))?;
        }
        Ok(())
    }

    fn on_message(&mut self, side: usize, data: &[u8]) -> Result<(), Broken> {
        let may_drop = self.may_drop;
        let [own, other] = self.both(side);
        if own.end.was_fed_junk {
            return Ok(());
        }
        let found = digest(data);
        let name = own.end.name.clone();
        loop {
            let Some(sent) = other.sent.get(own.seen) else {
                return broken(Invariant::Delivery, format!("{name}: a message that nobody sent"));
            };
            own.seen += 1;
            if sent.digest == found {
                let through = other.end.connection.sent_through().number();
                let left = sent.id.is_err() || sent.id.is_ok_and(|number| number <= through);
                return ensure(left, Invariant::Accounting, || {
                    format!("{name}: message {:?} came, but {through} is the last sent", sent.id)
                });
            }
            // A message that wants an acknowledgement and is given up may stay here.
            let given_up = match sent.id {
                Ok(_) => {
                    other.dropped += u64::from(sent.is_droppable);
                    sent.is_droppable
                        && other.dropped <= other.end.connection.stats().messages_dropped
                }
                Err(call) => other.calls.get(&call).is_none_or(|call| !call.is_open),
            };
            ensure(given_up || may_drop, Invariant::Delivery, || {
                format!("{name}: message {:?} is missing or changed", sent.id)
            })?;
        }
    }

    fn on_request(&mut self, side: usize, id: RequestId, params: &[u8]) -> Result<(), Broken> {
        let [own, other] = self.both(side);
        own.todo.push(id);
        if own.end.was_fed_junk {
            return Ok(());
        }
        let name = &own.end.name;
        let number = id.correlation();
        let Some(call) = other.calls.get_mut(&number) else {
            return broken(Invariant::Delivery, format!("{name}: request {number} of nobody"));
        };
        ensure(call.digest == digest(params), Invariant::Delivery, || {
            format!("{name}: request {number} is changed")
        })?;
        ensure(!call.never_left, Invariant::Accounting, || {
            format!("{name}: request {number} came, but was told not to have left")
        })?;
        ensure(!std::mem::replace(&mut call.arrived, true), Invariant::Delivery, || {
            format!("{name}: request {number} came twice")
        })
    }

    fn on_cancelled(&mut self, side: usize, id: RequestId) -> Result<(), Broken> {
        let [own, other] = self.both(side);
        let name = &own.end.name;
        let before = own.todo.len() + own.in_vain.len();
        own.todo.retain(|open| *open != id);
        own.in_vain.retain(|open| *open != id);
        ensure(before == own.todo.len() + own.in_vain.len() + 1, Invariant::OneOutcome, || {
            format!("{name}: {id:?} is cancelled, but not open")
        })?;
        if own.end.was_fed_junk {
            return Ok(());
        }
        let told = other.end.told();
        let gave_up = other
            .calls
            .get(&id.correlation())
            .is_some_and(|call| !call.is_open || told >= call.deadline);
        ensure(gave_up, Invariant::OneOutcome, || {
            format!("{name}: {id:?} is cancelled, but its caller waits")
        })
    }

    fn on_finished(&mut self, side: usize, id: CallId, outcome: &Outcome) -> Result<(), Broken> {
        let may_drop = self.may_drop;
        let [own, other] = self.both(side);
        let name = &own.end.name;
        let number = id.correlation();
        let told = own.end.told();
        let Some(call) = own.calls.get_mut(&number) else {
            return broken(Invariant::OneOutcome, format!("{name}: an outcome of no call"));
        };
        ensure(std::mem::take(&mut call.is_open), Invariant::OneOutcome, || {
            format!("{name}: call {number} has a second outcome, {outcome:?}")
        })?;
        match outcome {
            Err(CallFailure::TimedOut { .. }) => {
                ensure(told >= call.deadline, Invariant::Deadlines, || {
                    format!("{name}: call {number} timed out at {told:?}, before its time")
                })
            }
            Err(CallFailure::ConnectionLost { sent: false }) => {
                call.never_left = true;
                ensure(!call.arrived, Invariant::Accounting, || {
                    format!("{name}: call {number} arrived, but is told not to have left")
                })
            }
            _ if own.end.was_fed_junk => Ok(()),
            Ok(reply) if call.digest == 0 => {
                ensure(reply.data[..] == [0xc0], Invariant::OneOutcome, || {
                    format!("{name}: {reply:?}")
                })
            }
            Ok(reply) => {
                let right = result_of(number).is_ok_and(|result| result == reply.data);
                ensure(right, Invariant::OneOutcome, || {
                    format!("{name}: call {number} got somebody else's result")
                })
            }
            Err(CallFailure::Remote(error)) => {
                let expected = result_of(number).is_err_and(|own| own.message == error.message);
                let refused = match error.code {
                    ErrorCode::RateLimited => may_drop,
                    ErrorCode::ConnectionError => other.end.phase() != PhaseName::Open,
                    _ => false,
                };
                ensure(expected || refused, Invariant::OneOutcome, || {
                    format!("{name}: call {number} failed by {error:?}")
                })
            }
            Err(CallFailure::Refused) => {
                ensure(may_drop, Invariant::OneOutcome, || format!("{name}: refused"))
            }
            Err(CallFailure::ConnectionLost { sent: true }) => Ok(()),
            Err(CallFailure::Unreadable(error)) => {
                broken(Invariant::OneOutcome, format!("{name}: call {number}: {error}"))
            }
        }
    }

    fn on_closed(&mut self, side: usize, closed: &Closed) -> Result<(), Broken> {
        let is_healthy = self.resting && !self.lost_bytes;
        let own = &mut self.sides[side];
        let name = &own.end.name;
        let stalled = matches!(closed.reason, CloseReason::Stalled { .. });
        ensure(!(stalled && is_healthy), Invariant::ComesToRest, || {
            format!("{name}: stalled, but the other side reads all it can")
        })?;
        let open = own.calls.iter().find(|(_, call)| call.is_open);
        ensure(open.is_none(), Invariant::OneOutcome, || {
            format!("{name}: {open:?} has no outcome, but the connection is over")
        })?;
        own.todo.clear();
        let through = own.end.connection.sent_through().number();
        let last = own.sent.iter().filter_map(|sent| sent.id.ok()).next_back().unwrap_or(0);
        ensure(closed.unsent == last.saturating_sub(through), Invariant::Accounting, || {
            format!("{name}: {} are told to be unsent, of {last}, {through} left", closed.unsent)
        })
    }

    /// No call whose time is over is still open, once the timers have gone off and all outcomes
    /// are read.
    pub(super) fn check_overdue(&self, side: usize) -> Result<(), Broken> {
        let own = &self.sides[side];
        if own.end.closed {
            return Ok(());
        }
        let told = own.end.told();
        let late = own.calls.iter().find(|(_, call)| call.is_open && call.deadline <= told);
        ensure(late.is_none(), Invariant::Deadlines, || {
            format!("{}: {late:?} is overdue at {told:?}", own.end.name)
        })
    }

    /// Once nothing moves although everything was taken that could be: not both refuse to read.
    pub(super) fn check_not_stuck(&self) -> Result<(), Broken> {
        let refuses =
            |side: &Side| side.end.phase() == PhaseName::Open && !side.end.connection.wants_read();
        let stuck = !self.lost_bytes && self.sides.iter().all(refuses);
        ensure(!stuck, Invariant::ComesToRest, || {
            format!("both refuse to read: {}", self.describe())
        })
    }

    /// Everything that was sent has come.
    pub(super) fn check_all_came(&self, side: usize) -> Result<(), Broken> {
        let (own, other) = (&self.sides[side], &self.sides[1 - side]);
        let missing = other.sent.iter().skip(own.seen).find(|sent| sent.id.is_ok());
        ensure(missing.is_none(), Invariant::Delivery, || {
            format!("{}: {missing:?} never came", own.end.name)
        })
    }

    fn both(&mut self, side: usize) -> [&mut Side; 2] {
        let [client, server] = &mut self.sides;
        if side == CLIENT { [client, server] } else { [server, client] }
    }
}

impl Side {
    fn note_call(&mut self, id: CallId, digest: u64, timeout: Duration) -> Result<(), Broken> {
        let deadline = self.end.told() + timeout;
        let call =
            CallModel { id, digest, deadline, is_open: true, arrived: false, never_left: false };
        match self.calls.insert(id.correlation(), call) {
            None => Ok(()),
            Some(_) => broken(Invariant::IdsRise, format!("{}: {id:?} twice", self.end.name)),
        }
    }

    fn note_sent(&mut self, data: &[u8], id: Result<u64, u64>) -> Result<(), Broken> {
        self.sent.push(Sent { digest: digest(data), id, is_droppable: false });
        Ok(())
    }

    /// What is taken had room in the queue.
    fn expect_room(&self, pending: usize) -> Result<(), Broken> {
        let max = self.end.config().limits.send_queue_bytes;
        ensure(pending < max, Invariant::Bounded, || {
            format!("{}: took more with {pending} of {max} bytes waiting", self.end.name)
        })
    }

    /// A command may be refused, but only for a reason.
    fn expect_refusal(&self, error: &SendError) -> Result<(), Broken> {
        let right = match error {
            SendError::Blocked => true,
            SendError::NotOpen(_) => self.end.phase() != PhaseName::Open,
            SendError::TooLarge { .. } => true,
            SendError::NoSuchKind { .. }
            | SendError::FormatMismatch { .. }
            | SendError::Body(_)
            | SendError::Exhausted
            | SendError::NoSuchRequest(_) => false,
        };
        ensure(right, Invariant::OneOutcome, || format!("{}: {error}", self.end.name))
    }
}

/// How every application answers this call.
fn result_of(number: u64) -> Result<Bytes, RpcError> {
    let index = usize::try_from(number).unwrap_or(0);
    match number % 5 {
        4 => Err(RpcError::new(ErrorCode::Other(4242), format!("failed {number}"))),
        // Large enough to go out from where it lies.
        3 if number.is_multiple_of(4) => Ok(payload(index, 40_000)),
        _ => Ok(payload(index, index * 37 % 300)),
    }
}
