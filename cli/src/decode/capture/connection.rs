//! One TCP connection of a capture: two directions, and what answers what.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use cndt_core::wire::{Flags, Frame, Kind};

use super::packet::Segment;
use super::reassembly::Reassembly;
use super::stream::{Event, Stream};
use crate::decode::print::{Captured, Printer, Route};
use crate::exit::Failure;

/// Requests that are remembered until they are answered, in one direction. What a real peer
/// leaves open is far less.
const ASKED_MAX: usize = 65_536;
/// What one of them costs.
const ASKED_COST: usize = 64;

/// What a frame asks for, or answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Exchange {
    Call,
    Ping,
    Login,
    Close,
    Acknowledgement,
}

/// One direction.
#[derive(Debug, Default)]
struct Side {
    /// The sequence number of the first byte.
    first: Option<u32>,
    reassembly: Reassembly,
    /// `None` until there is something to read.
    stream: Option<Stream>,
    /// When what has not been answered was asked.
    asked: BTreeMap<(Exchange, u64), Option<Duration>>,
}

/// What a segment did to the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It goes on.
    Open,
    /// Nothing follows.
    Over,
}

/// Both directions between two addresses.
#[derive(Debug)]
pub(super) struct Connection {
    ends: [SocketAddr; 2],
    sides: [Side; 2],
}

impl Connection {
    pub(super) fn new(ends: [SocketAddr; 2]) -> Self {
        Self { ends, sides: [Side::default(), Side::default()] }
    }

    /// Bytes of memory.
    pub(super) fn held(&self) -> usize {
        self.sides.iter().map(Side::held).sum()
    }

    /// How it is called where direction does not matter.
    pub(super) fn route(&self) -> Route {
        let [source, destination] = self.ends;
        Route { source, destination }
    }

    /// Whether one of the two speaks CNDT; `None` before anything was said.
    pub(super) fn is_cndt(&self) -> Option<bool> {
        let spoken = self.sides.iter().filter_map(|side| side.stream.as_ref()?.is_cndt());
        spoken.reduce(|one, other| one || other)
    }

    /// Whether this segment begins another connection between the same addresses. `outcome` is
    /// what became of this one.
    pub(super) fn is_renewed_by(&self, segment: &Segment<'_>, outcome: Outcome) -> bool {
        let first = segment.sequence.wrapping_add(1);
        let known = self.sides[self.index_from(segment)].first;
        let is_other = known.map_or(outcome == Outcome::Over, |known| known != first);
        segment.is_syn() && is_other
    }

    /// Takes a segment, and prints the frames that it completes.
    pub(super) fn segment(
        &mut self,
        segment: &Segment<'_>,
        time: Option<Duration>,
        printer: &mut Printer,
    ) -> Result<Outcome, Failure> {
        let index = self.index_from(segment);
        self.sides[index].take(segment, time);
        if let Some(number) = segment.acknowledged {
            self.sides[1 - index].reassembly.acknowledge(number);
        }
        self.read(index, time, Patience::Waits, printer)?;
        self.read(1 - index, time, Patience::Waits, printer)?;
        let is_over = self.sides.iter().all(|side| side.reassembly.is_complete());
        Ok(if is_over || segment.is_reset() { Outcome::Over } else { Outcome::Open })
    }

    /// Reads what waits behind missing bytes, and tells what is not whole.
    pub(super) fn finish(
        &mut self,
        time: Option<Duration>,
        printer: &mut Printer,
    ) -> Result<(), Failure> {
        for index in [0, 1] {
            self.read(index, time, Patience::Ends, printer)?;
        }
        let dialects = self.sides.each_ref().map(|side| side.stream.as_ref()?.dialect());
        for (index, peer) in [(0, dialects[1]), (1, dialects[0])] {
            let stream = self.sides[index].stream.as_mut();
            if let Some(event) = stream.and_then(|stream| stream.finish(peer)) {
                self.tell(index, event, time, printer)?;
            }
        }
        Ok(())
    }

    /// Gives its memory back; what comes now is not read.
    pub(super) fn close(&mut self) {
        for side in &mut self.sides {
            *side = Side { first: side.first, ..Side::default() };
        }
    }

    fn index_from(&self, segment: &Segment<'_>) -> usize {
        usize::from(segment.route.source != self.ends[0])
    }

    fn read(
        &mut self,
        index: usize,
        time: Option<Duration>,
        patience: Patience,
        printer: &mut Printer,
    ) -> Result<(), Failure> {
        while let Some(event) = self.sides[index].next(time, patience) {
            self.tell(index, event, time, printer)?;
        }
        Ok(())
    }

    fn tell(
        &mut self,
        index: usize,
        event: Event,
        time: Option<Duration>,
        printer: &mut Printer,
    ) -> Result<(), Failure> {
        let route = Route { source: self.ends[index], destination: self.ends[1 - index] };
        match event {
            Event::Frame(offset, frame) => {
                let response_time = self.response_time(index, &frame, time);
                let captured = Captured { route, time, response_time };
                printer.frame(Some(&captured), offset, &frame)?;
            }
            Event::Note(words) => Printer::note(&format!("{route}: {words}")),
            Event::Fault(words) => printer.fault(&format!("{route}: {words}")),
        }
        Ok(())
    }

    /// The time since the frame that this one answers; and this one is remembered if it asks.
    fn response_time(
        &mut self,
        index: usize,
        frame: &Frame,
        time: Option<Duration>,
    ) -> Option<Duration> {
        let id = frame.header.correlation;
        let asker = &mut self.sides[1 - index].asked;
        let asked = answered(frame.header.kind).and_then(|exchange| asker.remove(&(exchange, id)));
        let asked_here = &mut self.sides[index].asked;
        for exchange in asks(frame).into_iter().flatten() {
            asked_here.insert((exchange, id), time);
            if asked_here.len() > ASKED_MAX {
                // Ids count up, so the first is the oldest of its kind.
                asked_here.pop_first();
            }
        }
        time?.checked_sub(asked??)
    }
}

/// How long bytes that are missing are waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Patience {
    /// As long as there is hope.
    Waits,
    /// Nothing comes any more.
    Ends,
}

impl Side {
    fn held(&self) -> usize {
        let stream = self.stream.as_ref().map_or(0, Stream::held);
        self.reassembly.held() + stream + self.asked.len() * ASKED_COST
    }

    fn take(&mut self, segment: &Segment<'_>, time: Option<Duration>) {
        let mut sequence = segment.sequence;
        if segment.is_syn() {
            sequence = sequence.wrapping_add(1);
            if self.first.is_none() {
                self.first = Some(sequence);
                self.reassembly.begin(sequence);
                self.stream = Some(Stream::from_start());
            }
        }
        let length = segment.data.len().saturating_add(segment.cut);
        if length > 0 {
            self.first.get_or_insert(sequence);
            self.stream.get_or_insert_with(Stream::from_middle);
            self.reassembly.insert(sequence, segment.data, segment.cut, time);
        }
        if segment.is_fin() {
            let length = u32::try_from(length).unwrap_or_default();
            self.reassembly.end(sequence.wrapping_add(length));
        }
    }

    /// What can be read of the bytes so far.
    fn next(&mut self, time: Option<Duration>, patience: Patience) -> Option<Event> {
        loop {
            let stream = self.stream.as_mut()?;
            if let Some(event) = stream.next() {
                return Some(event);
            }
            if let Some(bytes) = self.reassembly.pop() {
                stream.push(bytes);
                continue;
            }
            if patience == Patience::Waits && !self.reassembly.is_hopeless(time) {
                return None;
            }
            let at = self.reassembly.position();
            stream.miss(self.reassembly.give_up()?, at);
        }
    }
}

/// What a frame wants an answer to.
fn asks(frame: &Frame) -> [Option<Exchange>; 2] {
    let wanted = match frame.header.kind {
        Kind::RpcRequest => Some(Exchange::Call),
        Kind::HeartbeatPing => Some(Exchange::Ping),
        Kind::AuthRequest | Kind::AuthChallenge | Kind::AuthResponse => Some(Exchange::Login),
        Kind::Close => Some(Exchange::Close),
        Kind::Message
        | Kind::RpcResponse
        | Kind::RpcError
        | Kind::HeartbeatPong
        | Kind::Pause
        | Kind::Resume
        | Kind::AuthSuccess
        | Kind::AuthFailure
        | Kind::CloseAck
        | Kind::Ack
        | Kind::Nack
        | Kind::Cancel
        | Kind::RpcList
        | Kind::Error
        | Kind::Unknown(_) => None,
    };
    let acknowledged = frame.header.flags.contains(Flags::REQUIRES_ACK);
    [wanted, acknowledged.then_some(Exchange::Acknowledgement)]
}

/// What a frame of this kind answers.
fn answered(kind: Kind) -> Option<Exchange> {
    match kind {
        Kind::RpcResponse | Kind::RpcError => Some(Exchange::Call),
        Kind::HeartbeatPong => Some(Exchange::Ping),
        Kind::AuthChallenge | Kind::AuthResponse | Kind::AuthSuccess | Kind::AuthFailure => {
            Some(Exchange::Login)
        }
        Kind::CloseAck => Some(Exchange::Close),
        Kind::Ack | Kind::Nack => Some(Exchange::Acknowledgement),
        Kind::Message
        | Kind::RpcRequest
        | Kind::HeartbeatPing
        | Kind::Pause
        | Kind::Resume
        | Kind::AuthRequest
        | Kind::Close
        | Kind::Cancel
        | Kind::RpcList
        | Kind::Error
        | Kind::Unknown(_) => None,
    }
}
