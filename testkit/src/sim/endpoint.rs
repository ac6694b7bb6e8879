//! One side: a connection, its clock, a twin that gets the same bytes cut differently, and taps on
//! both of its streams.

use std::collections::VecDeque;
use std::fmt::Debug;

use cndt_core::connection::{Config, Connection, Event, PhaseName};
use cndt_core::time::Instant;
use cndt_core::wire::{HEADER_LEN, Kind};

use super::broken::{Broken, Invariant, broken, ensure};
use super::tap::{Tap, is_data, is_login};

/// Output beyond the send queue's limit that is in order: a frame that was begun, answers to
/// requests that were already taken, frames without payload.
const SLACK: usize = 300 * 1024;

pub(super) struct Endpoint {
    pub(super) name: String,
    pub(super) connection: Connection,
    twin: Option<Connection>,
    config: Config,
    clock: Clock,
    out: Tap,
    into: Tap,
    /// Spans of the output during which the peer had asked for a pause.
    pauses: VecDeque<(u64, u64)>,
    pings: VecDeque<u64>,
    frames_in: u64,
    owes_pong: bool,
    /// The server's welcome has passed.
    welcomed: bool,
    next_id: u64,
    pub(super) opened: bool,
    pub(super) closed: bool,
    closed_while_busy: bool,
    sent: u64,
    received: u64,
    /// Bytes came that no honest peer sent: what follows from them is the sender's fault.
    pub(super) was_fed_junk: bool,
}

/// A clock that is off, drifts, and may be read out of order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    pub(super) offset: u64,
    pub(super) drift_ppm: i64,
    /// How far back the next reading is.
    pub(super) back: u64,
    highest: u64,
}

impl Clock {
    pub(super) fn new(offset: u64, drift_ppm: i64) -> Self {
        Self { offset, drift_ppm, back: 0, highest: 0 }
    }

    fn read(&mut self, world: u64) -> Instant {
        let drift = i128::from(world) * i128::from(self.drift_ppm) / 1_000_000;
        let now = i128::from(world) + drift + i128::from(self.offset);
        let now = u64::try_from(now).unwrap_or(0);
        let shown = now.saturating_sub(std::mem::take(&mut self.back));
        self.highest = self.highest.max(shown);
        Instant::from_micros(shown)
    }

    /// The latest time that the connection has been told.
    pub(super) fn told(&self) -> Instant {
        Instant::from_micros(self.highest)
    }

    /// Which time of the world makes the clock show at least this.
    pub(super) fn world_at(&self, at: Instant) -> u64 {
        let local = i128::from(at.as_micros()) - i128::from(self.offset);
        let world = local * 1_000_000 / (1_000_000 + i128::from(self.drift_ppm));
        u64::try_from(world + 1).unwrap_or(0)
    }
}

impl Endpoint {
    pub(super) fn new(
        name: String,
        config: Config,
        clock: Clock,
        twin: bool,
        make: impl Fn(Instant, Config) -> Connection,
    ) -> Self {
        let start = Instant::from_micros(clock.offset);
        let connection = make(start, config.clone());
        let twin = twin.then(|| make(start, config.clone()));
        Self {
            name,
            connection,
            twin,
            config,
            clock,
            out: Tap::new(),
            into: Tap::new(),
            pauses: VecDeque::new(),
            pings: VecDeque::new(),
            frames_in: 0,
            owes_pong: false,
            welcomed: false,
            next_id: 1,
            opened: false,
            closed: false,
            closed_while_busy: false,
            sent: 0,
            received: 0,
            was_fed_junk: false,
        }
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn clock(&mut self) -> &mut Clock {
        &mut self.clock
    }

    pub(super) fn told(&self) -> Instant {
        self.clock.told()
    }

    /// When, in the world's time, the next timer goes off.
    pub(super) fn next_wake(&self) -> Option<u64> {
        let deadline = self.connection.next_deadline()?;
        (deadline.at != Instant::FAR_FUTURE).then(|| self.clock.world_at(deadline.at))
    }

    pub(super) fn phase(&self) -> PhaseName {
        self.connection.phase()
    }

    /// Does the same to the connection and to its twin.
    pub(super) fn act<T: PartialEq + Debug>(
        &mut self,
        world: u64,
        act: impl Fn(&mut Connection, Instant) -> T,
    ) -> Result<T, Broken> {
        let now = self.clock.read(world);
        let outcome = act(&mut self.connection, now);
        if let Some(twin) = &mut self.twin {
            let other = act(twin, now);
            ensure(outcome == other, Invariant::Chunking, || {
                format!("{}: {outcome:?}, but cut differently {other:?}", self.name)
            })?;
        }
        self.check()?;
        Ok(outcome)
    }

    /// As [`Endpoint::act`], for what takes no time.
    pub(super) fn look<T: PartialEq + Debug>(
        &mut self,
        look: impl Fn(&mut Connection) -> T,
    ) -> Result<T, Broken> {
        let outcome = look(&mut self.connection);
        if let Some(twin) = &mut self.twin {
            let other = look(twin);
            ensure(outcome == other, Invariant::Chunking, || {
                format!("{}: {outcome:?}, but cut differently {other:?}", self.name)
            })?;
        }
        self.check()?;
        Ok(outcome)
    }

    /// Takes bytes of the peer. The twin gets them in pieces of these sizes.
    pub(super) fn receive(
        &mut self,
        world: u64,
        bytes: &[u8],
        pieces: &[usize],
    ) -> Result<(), Broken> {
        let now = self.clock.read(world);
        self.connection.receive(now, bytes);
        // As a driver before it waits. The twin keeps its buffer and makes room in it: nobody must see a
        // difference.
        self.connection.rest();
        self.received += bytes.len() as u64;
        if let Some(twin) = &mut self.twin {
            let mut rest = bytes;
            let _ = twin.reserve_large(bytes.len());
            for piece in pieces {
                let (first, others) = rest.split_at((*piece).min(rest.len()));
                twin.receive(now, first);
                rest = others;
            }
            twin.receive(now, rest);
        }
        for frame in self.into.pass(bytes).unwrap_or_default() {
            self.frames_in += 1;
            self.welcomed |= frame.header.kind == Kind::AuthSuccess;
            if frame.header.kind == Kind::HeartbeatPing {
                self.pings.push_back(self.frames_in);
            }
        }
        self.check()
    }

    /// Goes off, perhaps late; afterwards nothing may be due any more.
    pub(super) fn handle_timeout(&mut self, world: u64) -> Result<(), Broken> {
        self.act(world, |connection, now| connection.handle_timeout(now))?;
        let told = self.clock.told();
        match self.connection.next_deadline() {
            Some(next) if next.at <= told && self.clock.back == 0 => broken(
                Invariant::Deadlines,
                format!("{}: {next:?} is still due at {told:?}", self.name),
            ),
            _ => Ok(()),
        }
    }

    /// The first bytes of what waits to be written, at most `most`.
    pub(super) fn take_output(&mut self, world: u64, most: usize) -> Result<Vec<u8>, Broken> {
        let mut bytes = Vec::new();
        for piece in self.connection.transmit() {
            let room = most - bytes.len();
            bytes.extend_from_slice(&piece[..piece.len().min(room)]);
            if bytes.len() == most {
                break;
            }
        }
        if let Some(twin) = &self.twin {
            let same = twin.transmit().flatten().take(bytes.len()).eq(bytes.iter());
            ensure(same, Invariant::Chunking, || format!("{}: other bytes leave", self.name))?;
        }
        ensure(!self.closed || bytes.is_empty(), Invariant::EndIsLast, || {
            format!("{}: {} bytes after the end", self.name, bytes.len())
        })?;
        self.sent += bytes.len() as u64;
        let left = bytes.len();
        self.check_frames(&bytes)?;
        self.act(world, move |connection, now| connection.advance_transmit(now, left))?;
        Ok(bytes)
    }

    fn check_frames(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        let name = &self.name;
        let frames = match self.out.pass(bytes) {
            Ok(frames) => frames,
            Err(error) => return broken(Invariant::FramesWhole, format!("{name}: {error}")),
        };
        for frame in frames {
            let kind = frame.header.kind;
            let dialect = self.connection.dialect();
            ensure(dialect.is_none_or(|own| own == frame.dialect), Invariant::FramesWhole, || {
                format!("{name}: a frame of {} in a connection of {dialect:?}", frame.dialect)
            })?;
            ensure(self.welcomed || is_login(kind), Invariant::LoginFirst, || {
                format!("{name}: {kind:?} before login")
            })?;
            self.welcomed |= kind == Kind::AuthSuccess;
            let in_pause = |(from, to): &(u64, u64)| (*from..*to).contains(&frame.begins);
            let held_back = is_data(kind) && self.pauses.iter().any(in_pause);
            ensure(!held_back, Invariant::PauseHolds, || format!("{name}: {kind:?} in a pause"))?;
            if kind == Kind::HeartbeatPong {
                self.owes_pong = false;
            }
            if kind == Kind::RpcRequest {
                let id = frame.header.correlation;
                ensure(id >= self.next_id, Invariant::IdsRise, || {
                    format!("{name}: call {id} after {}", self.next_id - 1)
                })?;
                self.next_id = id + 1;
            }
        }
        Ok(())
    }

    /// Whether what leaves next begins a frame.
    pub(super) fn between_frames(&self) -> bool {
        !self.out.inside_frame()
    }

    /// The next event; only what is no message and no request with `busy`.
    pub(super) fn poll(&mut self, busy: bool) -> Result<Option<Event>, Broken> {
        let event =
            self.look(
                |connection| {
                    if busy { connection.poll_outcome() } else { connection.poll_event() }
                },
            )?;
        if let Some(event) = &event {
            // What was passed over while busy may still be taken.
            let was_passed = self.closed_while_busy && !busy;
            let is_late = was_passed && matches!(event, Event::Message(_) | Event::Request(_));
            ensure(!self.closed || is_late, Invariant::EndIsLast, || {
                format!("{}: {event:?} after the end", self.name)
            })?;
            match event {
                Event::Closed(_) => {
                    self.closed = true;
                    self.closed_while_busy = busy;
                }
                Event::Opened(_) => self.opened = true,
                Event::Derive(_) => {}
                Event::Message(_)
                | Event::Request(_)
                | Event::Cancelled(_)
                | Event::Finished { .. }
                | Event::Pong { .. }
                | Event::Writable => {
                    ensure(self.opened, Invariant::LoginFirst, || {
                        format!("{}: {event:?} before login", self.name)
                    })?;
                }
            }
        }
        Ok(event)
    }

    /// What must hold after whatever was done.
    fn check(&mut self) -> Result<(), Broken> {
        let name = &self.name;
        let connection = &self.connection;
        if let Some(twin) = &self.twin {
            let levels = |of: &Connection| {
                (of.pending_bytes(), of.next_deadline(), of.phase(), of.wants_read(), of.stats())
            };
            let (own, other) = (levels(connection), levels(twin));
            ensure(own == other, Invariant::Chunking, || {
                format!("{name}: {own:?}, not {other:?}")
            })?;
        }
        let limits = &self.config.limits;
        let bound = limits.send_queue_bytes + limits.frame_max + SLACK;
        let pending = connection.pending_bytes();
        ensure(pending <= bound, Invariant::Bounded, || format!("{name}: {pending} bytes wait"))?;
        ensure(connection.calls_open() <= limits.calls_max, Invariant::Bounded, || {
            format!("{name}: {} calls are open", connection.calls_open())
        })?;
        if connection.phase() == PhaseName::Handshake {
            let bound = limits.preauth_frame_max + HEADER_LEN;
            ensure(pending <= bound, Invariant::Bounded, || {
                format!("{name}: {pending} bytes wait before login")
            })?;
        }
        if connection.is_closed() {
            let next = connection.next_deadline();
            ensure(pending == 0 && next.is_none(), Invariant::EndIsLast, || {
                format!("{name}: {pending} bytes and {next:?} after the end")
            })?;
        }
        let stats = connection.stats();
        let bytes = (stats.bytes_sent, stats.bytes_received);
        ensure(bytes == (self.sent, self.received), Invariant::StatsAddUp, || {
            format!("{name}: {bytes:?} bytes, but {} and {} passed", self.sent, self.received)
        })?;
        self.note_pause();
        self.note_pings()
    }

    fn note_pause(&mut self) {
        let paused = self.connection.is_paused_by_peer();
        let here = self.out.seen;
        match self.pauses.back_mut() {
            Some((_, to)) if *to == u64::MAX && paused => {}
            Some((_, to)) if *to == u64::MAX => *to = here,
            _ if paused => self.pauses.push_back((here, u64::MAX)),
            _ => {}
        }
        if self.pauses.len() > 64 {
            self.pauses.pop_front();
        }
    }

    fn note_pings(&mut self) -> Result<(), Broken> {
        let handled = self.connection.stats().frames_received;
        while self.pings.front().is_some_and(|number| *number <= handled) {
            self.pings.pop_front();
            self.owes_pong = true;
        }
        let silent = self.owes_pong
            && !self.was_fed_junk
            && self.connection.phase() == PhaseName::Open
            && self.connection.pending_bytes() == 0;
        ensure(!silent, Invariant::PingsAnswered, || format!("{}: no pong", self.name))
    }
}
