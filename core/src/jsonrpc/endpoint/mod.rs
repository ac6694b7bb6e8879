//! One JSON-RPC connection, either end, as a state machine.

mod answering;
mod batch;
mod commands;
mod incoming;
mod levels;
mod taking;
#[cfg(test)]
mod tests;

use bytes::BytesMut;

use super::framing::{Framing, TextDecoder};
use crate::connection::calls::Calls;
use crate::connection::intake::Intake;
use crate::connection::queue::EventQueue;
use crate::connection::send_buffer::{Class, SendBuffer};
use crate::connection::strikes::Strikes;
use crate::connection::{CallFailure, CallId, CloseReason, Closed, Event, PhaseName, Stats};
use crate::limits::{LimitError, Limits};
use crate::time::Instant;
use answering::Serves;
pub use batch::{BatchItem, QueuedBatch};

/// How one endpoint behaves.
#[derive(Debug, Clone)]
pub struct EndpointConfig {
    /// How texts follow each other; `None` goes by what the peer sends, and by lines until then.
    pub framing: Option<Framing>,
    /// Whether the connection ends with the first answer: what some peers wait for.
    pub lifetime: Lifetime,
    /// Items that a batch may have. 1,000.
    pub batch_max: usize,
    /// Bounds on memory and patience. `frame_max` is the largest text in either direction, 1 MiB here,
    /// and `depth_max` is 128; what concerns heartbeats, pauses and logins has no meaning.
    pub limits: Limits,
}

/// How long a connection serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Lifetime {
    /// As long as both sides like.
    #[default]
    Open,
    /// Until the first answer has been written, of a request or a batch.
    OneAnswer,
}

impl Default for EndpointConfig {
    fn default() -> Self {
        let limits = Limits { frame_max: 1024 * 1024, depth_max: 128, ..Limits::default() };
        Self { framing: None, lifetime: Lifetime::default(), batch_max: 1000, limits }
    }
}

/// One JSON-RPC connection, either end, as a state machine: the verbs are those of
/// [`Connection`](crate::connection::Connection), and so is the contract.
///
/// ```
/// use cndt_core::connection::Event;
/// use cndt_core::jsonrpc::{Endpoint, EndpointConfig};
/// use cndt_core::message::Typed;
/// use cndt_core::time::Instant;
///
/// let now = Instant::ZERO;
/// let mut server = Endpoint::new(now, EndpointConfig::default())?;
/// server.receive(now, br#"{"jsonrpc":"2.0","method":"add","params":[1,2],"id":1}"#);
/// let Some(Event::Request(request)) = server.poll_event() else { panic!() };
/// server.respond(now, request.id, &Typed(&3))?;
/// let answer: Vec<u8> = server.transmit().flatten().copied().collect();
/// assert_eq!(answer, b"{\"jsonrpc\":\"2.0\",\"result\":3,\"id\":1}\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Endpoint {
    config: EndpointConfig,
    /// The latest time that was passed in; it never goes back.
    now: Instant,
    decoder: TextDecoder,
    out: SendBuffer,
    events: EventQueue,
    calls: Calls,
    serves: Serves,
    intake: Intake,
    strikes: Strikes,
    stats: Stats,
    phase: Phase,
    peer_end: PeerEnd,
    last_send: u64,
    /// A command was refused for want of room, with so many calls: the fewest of those.
    blocked: Option<usize>,
    /// Since when bytes wait of which the transport took none.
    waiting_since: Option<Instant>,
    /// When the text began that is not complete yet.
    text_began: Option<Instant>,
    /// When something was last sent or received.
    active_at: Instant,
    /// Where texts are put together before they are framed.
    scratch: BytesMut,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    Open,
    /// Nothing new begins; what is under way may finish.
    Draining {
        reason: CloseReason,
        until: Instant,
    },
    /// Only what is queued goes out.
    Ending {
        reason: CloseReason,
        until: Instant,
        shut: bool,
    },
    Closed,
}

/// The peer's end of the stream, which is acted upon only when everything before it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PeerEnd {
    NotSeen,
    Seen,
    ActedUpon,
}

impl Endpoint {
    /// One end of a connection. There is no login: it is open at once, without an event.
    ///
    /// # Errors
    /// A limit that makes no sense.
    pub fn new(now: Instant, mut config: EndpointConfig) -> Result<Self, LimitError> {
        // Of no meaning here, so it must not be in the way.
        config.limits.preauth_frame_max = config.limits.frame_max;
        config.limits.validate()?;
        if config.batch_max == 0 {
            return Err(LimitError { field: "batch_max", expected: "must be at least 1" });
        }
        let limits = &config.limits;
        Ok(Self {
            now,
            decoder: TextDecoder::new(config.framing, limits.frame_max, limits.depth_max),
            out: SendBuffer::default(),
            events: EventQueue::default(),
            calls: Calls::new(),
            serves: Serves::default(),
            intake: Intake::new(limits),
            strikes: Strikes::default(),
            stats: Stats::default(),
            phase: Phase::Open,
            peer_end: PeerEnd::NotSeen,
            last_send: 0,
            blocked: None,
            waiting_since: None,
            text_began: None,
            active_at: now,
            scratch: BytesMut::new(),
            config,
        })
    }

    // Inputs

    /// Bytes from the peer.
    pub fn receive(&mut self, now: Instant, bytes: &[u8]) {
        self.decoder.push(bytes);
        self.received(now, bytes.len());
    }

    /// Where a driver may append received bytes itself; tell how many by [`Endpoint::received`].
    pub fn read_buffer(&mut self) -> &mut BytesMut {
        self.decoder.buffer()
    }

    /// Nothing is to be done before more comes: gives the read buffer back if nothing is in it. For
    /// drivers, before they wait.
    pub fn rest(&mut self) {
        self.decoder.rest();
    }

    /// `n` bytes were appended to [`Endpoint::read_buffer`].
    pub fn received(&mut self, now: Instant, n: usize) {
        self.clock(now);
        let count = u64::try_from(n).unwrap_or(u64::MAX);
        self.stats.bytes_received = self.stats.bytes_received.saturating_add(count);
        self.process();
    }

    /// The peer will send nothing more. What it sent before is still worked off, and answered.
    pub fn receive_eof(&mut self, now: Instant) {
        self.clock(now);
        if self.peer_end == PeerEnd::NotSeen {
            self.peer_end = PeerEnd::Seen;
        }
        self.process();
    }

    /// The transport failed: nothing can be read or written any more.
    pub fn transport_lost(&mut self, now: Instant) {
        self.clock(now);
        self.process();
        self.break_off(CloseReason::TransportLost);
    }

    /// Does what is due at `now`; afterwards the next deadline lies later.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.clock(now);
        while let Some((id, call)) = self.calls.pop_due(self.now) {
            let outcome = Err(CallFailure::TimedOut { after: call.timeout });
            self.events.push(Event::Finished { call: CallId(id), outcome });
        }
        self.tell_writable();
        if self.is_saturated() {
            // While this side does not read, the time is not the peer's.
            self.watch_text();
        }
        let limits = &self.config.limits;
        let late = |deadline: Option<Instant>| deadline.is_some_and(|at| self.now >= at);
        if late(self.stall_deadline()) {
            return self.break_off(CloseReason::Stalled { after: limits.stall_max });
        }
        if let Some((after, _)) = self.text_deadline().filter(|(_, at)| self.now >= *at) {
            return self.break_off(CloseReason::FrameTimeout { after });
        }
        if let Some((after, _)) = self.idle_deadline().filter(|(_, at)| self.now >= *at) {
            if self.is_idle() && self.out.is_empty() && !self.events.has_deliveries() {
                self.drain(CloseReason::Idle { after });
            }
            self.active_at = self.now;
        }
        if matches!(&self.phase, Phase::Draining { until, .. } if self.now >= *until) {
            self.end();
        }
        self.settle();
        // Looked at last: without patience an end is over as soon as it begins.
        if let Phase::Ending { until, reason, .. } = &self.phase
            && self.now >= *until
        {
            let reason = reason.clone();
            self.finish(reason);
        }
    }

    // Machinery

    fn clock(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    fn is_idle(&self) -> bool {
        self.calls.is_empty() && self.serves.is_empty()
    }

    // Ends

    fn drain(&mut self, reason: CloseReason) {
        let until = self.now + self.config.limits.drain;
        self.phase = Phase::Draining { reason, until };
    }

    /// What is under way has finished, or has had its time.
    fn end(&mut self) {
        if let Phase::Draining { reason, .. } = &self.phase {
            let (reason, until) = (reason.clone(), self.now + self.config.limits.linger);
            self.lose_calls();
            self.serves = Serves::default();
            self.phase = Phase::Ending { reason, until, shut: false };
        }
    }

    fn settle(&mut self) {
        if matches!(self.phase, Phase::Draining { .. }) && self.is_idle() && self.out.is_empty() {
            self.end();
        }
        if let Phase::Ending { reason, shut: true, .. } = &self.phase
            && self.peer_end != PeerEnd::NotSeen
        {
            let reason = reason.clone();
            self.finish(reason);
        }
    }

    /// Ends everything now.
    fn break_off(&mut self, reason: CloseReason) {
        let reason = match &self.phase {
            Phase::Open => reason,
            Phase::Draining { reason, .. } | Phase::Ending { reason, .. } => reason.clone(),
            Phase::Closed => return,
        };
        self.lose_calls();
        self.finish(reason);
    }

    fn lose_calls(&mut self) {
        // A batch has the id of its first call, and what is unwritten comes last.
        let is_ours = |class: Class| class.request().is_some() && class != Class::FORGOTTEN;
        let unwritten = self.out.unwritten().find(|class| is_ours(*class));
        let unwritten = unwritten.and_then(Class::request);
        for id in self.calls.drain() {
            let sent = unwritten.is_none_or(|first| id < first);
            let outcome = Err(CallFailure::ConnectionLost { sent });
            self.events.push(Event::Finished { call: CallId(id), outcome });
        }
        // What is told not to have been sent must not leave after all.
        drop(self.out.take_back(is_ours));
        self.watch_output();
    }

    fn finish(&mut self, reason: CloseReason) {
        let unsent = self.last_send.saturating_sub(self.out.sent_through().number());
        self.out.clear();
        self.serves = Serves::default();
        self.waiting_since = None;
        self.text_began = None;
        self.decoder.buffer().clear();
        self.phase = Phase::Closed;
        self.events.push(Event::Closed(Closed { reason, unsent }));
    }
}

/// A larger scratch buffer is not kept.
const SCRATCH_MAX: usize = 64 * 1024;

/// For whoever asks in which phase it is.
impl From<&Phase> for PhaseName {
    fn from(phase: &Phase) -> Self {
        match phase {
            Phase::Open => Self::Open,
            Phase::Draining { .. } | Phase::Ending { .. } => Self::Closing,
            Phase::Closed => Self::Closed,
        }
    }
}
