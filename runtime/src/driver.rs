//! The one driver: pumps a connection over a stream, as one task.
//!
//! A round reads what is there, looks at the clock, takes the events, runs handlers, and writes all
//! that waits in one vectored write. Rounds repeat while there is progress, so that a peer that
//! writes and one that reads both get on; after [`ROUNDS_MAX`] the task yields to others. Handlers
//! and wakers run while nothing is locked.

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use cndt_core::auth::scram::Keys;
use cndt_core::connection::{Event, Message, PhaseName, Request, RequestId, Stats};
use cndt_core::time::Instant;
use futures_io::AsyncWrite;

use crate::line::Wakes;
use crate::link::{Link, Pong, State};
use crate::net::BoxTransport;
use crate::owner::Owner;
use crate::rt::{Deriving, Task};
use crate::server::Permit;
use crate::telemetry::Meters;

/// Rounds of one poll before other tasks get their turn.
const ROUNDS_MAX: usize = 16;
/// Writes of one round.
const WRITES_MAX: usize = 16;
/// Handlers that start before their answers are written, if there are any: the peer works on the
/// first while this side works on the next.
const BATCH: usize = 16;
/// Pieces of one write. Linux takes 1,024; beyond some dozens nothing is gained.
const SLICES_MAX: usize = 64;
/// The smallest read. It grows while reads fill it. Much smaller ones would fill and drain short
/// receive queues with each read, and use up how often this side may pause its peer.
const READ_MIN: usize = 4 * 1024;
/// Reads of one round.
const READS_MAX: usize = 4;

/// How a driver treats its stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// The largest read, in bytes.
    pub(crate) read_max: usize,
}

impl Pace {
    fn read_min(self) -> usize {
        READ_MIN.min(self.read_max)
    }
}

/// Pumps one connection to its end. Dropping it ends the connection at once.
pub(crate) struct Driver {
    link: Arc<Link>,
    /// `None` once the connection is over.
    stream: Option<BoxTransport>,
    /// What there is to be known of TLS is known.
    is_secured: bool,
    reading: bool,
    read_size: usize,
    needs_flush: bool,
    pace: Pace,
    sleep: Option<(Instant, Task)>,
    /// Keys for the login, while they are derived.
    deriving: Option<Deriving>,
    /// Keys that were derived; worth keeping once the server has proven itself.
    keys: Option<Keys>,
    /// A login in progress holds a place among the server's connections while it is looked at.
    permit: Option<Permit>,
    /// What the application gets once nothing is locked.
    inbox: VecDeque<Delivery>,
    /// What has been counted for operators.
    counted: Stats,
    announce: bool,
    announced: bool,
    /// The owner knows that it is over.
    told_end: bool,
    wakes: Wakes,
    has_yielded: bool,
    finished: bool,
}

enum Delivery {
    Message(Message),
    Request(Request),
}

/// What has become of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    Nothing,
    Some,
    Filled,
}

enum Round {
    Again,
    Sleep(Instant),
    Finished,
}

impl Driver {
    pub(crate) fn new(link: Arc<Link>, stream: BoxTransport, pace: Pace) -> Self {
        Self {
            link,
            stream: Some(stream),
            is_secured: false,
            reading: true,
            read_size: pace.read_min(),
            needs_flush: false,
            pace,
            sleep: None,
            deriving: None,
            keys: None,
            permit: None,
            inbox: VecDeque::new(),
            counted: Stats::default(),
            announce: false,
            announced: false,
            told_end: false,
            wakes: Wakes::default(),
            has_yielded: false,
            finished: false,
        }
    }

    /// For a connection without a login: it is open, and has its place if it needs one.
    pub(crate) fn opened(mut self, place: Option<Permit>) -> Self {
        self.permit = place;
        self.announce = true;
        self
    }

    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    fn round(&mut self, cx: &mut Context<'_>) -> Round {
        let link = Arc::clone(&self.link);
        let mut locked = link.lock();
        locked.take_work();
        let now = link.machine.now();
        let mut progress = self.read(cx, &mut locked, now);
        // Only after reading: an answer that is there already beats its deadline.
        if locked.connection.next_deadline().is_some_and(|deadline| deadline.at <= now) {
            locked.connection.handle_timeout(now);
            progress = true;
        }
        locked.expire(now, &mut self.wakes);
        self.take_events(&mut locked, now);
        progress |= self.derive(cx, &mut locked, now);

        let room = locked.handler_room();
        let has_deliveries = room > 0 && !self.inbox.is_empty();
        if self.announce || has_deliveries || !self.wakes.is_empty() {
            locked.round_began = Some(now);
            drop(locked);
            progress = true;
            // First of all the owner: whoever learns of an end finds the connection gone.
            self.announce();
            self.wakes.fire();
            self.deliver(cx, room);
            locked = link.lock();
            locked.round_began = None;
        }
        progress |= self.write(cx, &mut locked, link.machine.now());
        let again = progress || locked.has_work();
        if !again && self.is_finished(&locked) {
            if Meters::ON {
                link.owner.meters().traffic(&mut self.counted, locked.connection.stats());
            }
            return Round::Finished;
        }
        if again {
            return Round::Again;
        }
        locked.driver_sleeps();
        // Most connections idle most of the time. A busy one needs its buffer again at once, and gives
        // it back when a timer finds it idle.
        if self.read_size <= self.pace.read_min() {
            locked.connection.rest();
        }
        let (held, deadline) = (locked.connection.held_bytes(), self.deadline(&locked));
        if Meters::ON {
            link.owner.meters().traffic(&mut self.counted, locked.connection.stats());
        }
        drop(locked);
        link.owner.account(&link, held);
        Round::Sleep(deadline)
    }

    /// Reads; again while the peer fills the largest reads, so that what came together is answered
    /// together. True when something came of it.
    fn read(&mut self, cx: &mut Context<'_>, state: &mut State, now: Instant) -> bool {
        let mut progress = false;
        for nth in 0..READS_MAX {
            if !self.reading || !self.inbox.is_empty() || !state.connection.wants_read() {
                return progress;
            }
            let is_largest = self.read_size == self.pace.read_max;
            if is_largest && nth == 0 {
                // Once for all of them: the incomplete frame at the end of each would be moved.
                state.connection.read_buffer().reserve(self.read_size * READS_MAX);
            }
            let read = self.read_once(cx, state, now);
            progress |= read != Read::Nothing;
            if !is_largest || read != Read::Filled {
                return progress;
            }
        }
        progress
    }

    fn read_once(&mut self, cx: &mut Context<'_>, state: &mut State, now: Instant) -> Read {
        let Some(stream) = &mut self.stream else { return Read::Nothing };
        self.permit = match (&self.link.owner, state.connection.phase()) {
            (Owner::Server(server), PhaseName::Handshake) => {
                let permit = server.reserve();
                state.connection.set_vacancy(Permit::vacancy(permit.as_ref()));
                permit
            }
            _ => self.permit.take(),
        };
        let size = self.read_size;
        let buffer = state.connection.read_buffer();
        let outcome = Pin::new(&mut **stream).poll_read_into(cx, buffer, size);
        let read = match outcome {
            Poll::Ready(Ok(read)) if read >= size => {
                self.read_size = (size * 2).min(self.pace.read_max);
                Read::Filled
            }
            Poll::Ready(Ok(read)) => {
                if read < size / 4 {
                    self.read_size = (size / 2).max(self.pace.read_min());
                }
                Read::Some
            }
            Poll::Ready(Err(_)) => Read::Some,
            Poll::Pending => Read::Nothing,
        };
        if !self.is_secured
            && let Some(session) = stream.session()
        {
            self.is_secured = true;
            if let Some(binding) = session.binding {
                state.connection.bind_channel(binding);
            }
            state.tls = Some(Arc::new(session.info));
        }
        match outcome {
            Poll::Pending => {}
            Poll::Ready(Ok(0)) => {
                self.reading = false;
                state.connection.receive_eof(now);
            }
            Poll::Ready(Ok(count)) => state.connection.received(now, count),
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Poll::Ready(Err(error)) => self.lost(state, now, error),
        }
        if state.connection.phase() == PhaseName::Handshake {
            if state.connection.stats().frames_received > 0 {
                self.link.note_spoken();
            }
            // Between reads a login in progress takes no one's place.
            self.permit = None;
        }
        read
    }

    /// Looks after keys that are being derived. True when they are there.
    fn derive(&mut self, cx: &mut Context<'_>, state: &mut State, now: Instant) -> bool {
        let Some(deriving) = &mut self.deriving else { return false };
        let Poll::Ready(keys) = deriving.as_mut().poll(cx) else { return false };
        self.deriving = None;
        state.connection.derived(now, keys.clone());
        self.keys = Some(keys);
        true
    }

    /// Writes all that waits, as far as the stream takes it. True when it took something.
    fn write(&mut self, cx: &mut Context<'_>, state: &mut State, now: Instant) -> bool {
        let Some(stream) = &mut self.stream else { return false };
        let mut stream = Pin::new(stream);
        let mut progress = false;
        for _ in 0..WRITES_MAX {
            if state.connection.pending_bytes() == 0 {
                break;
            }
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let pieces = state.connection.transmit();
            let count = slices.iter_mut().zip(pieces).map(|(slice, piece)| {
                *slice = IoSlice::new(piece);
            });
            let count = count.count();
            // One piece needs no list of pieces, which costs the system some work of its own.
            let written = match &slices[..count] {
                [only] => stream.as_mut().poll_write(cx, only),
                slices => stream.as_mut().poll_write_vectored(cx, slices),
            };
            match written {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => {
                    let error = io::Error::from(io::ErrorKind::WriteZero);
                    self.lost(state, now, error);
                    return true;
                }
                Poll::Ready(Ok(written)) => {
                    state.connection.advance_transmit(now, written);
                    self.needs_flush = true;
                    progress = true;
                }
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) => {
                    self.lost(state, now, error);
                    return true;
                }
            }
        }
        if progress {
            state.settle_sends(&mut self.wakes);
        }
        if self.needs_flush && state.connection.pending_bytes() == 0 {
            match stream.as_mut().poll_flush(cx) {
                Poll::Pending => return progress,
                Poll::Ready(Ok(())) => self.needs_flush = false,
                Poll::Ready(Err(error)) => {
                    self.lost(state, now, error);
                    return true;
                }
            }
        }
        if state.connection.wants_shutdown() && stream.as_mut().poll_close(cx).is_ready() {
            // Whether the peer still heard it does not matter any more.
            state.connection.shutdown_done(now);
            progress = true;
        }
        progress
    }

    fn lost(&mut self, state: &mut State, now: Instant, error: io::Error) {
        self.reading = false;
        state.io_error.get_or_insert_with(|| Arc::new(error));
        state.connection.transport_lost(now);
        // Nothing can come of it; what was read is still delivered.
        self.stream = None;
    }

    /// Takes what the application gets, as far as it has room, and tells waiting calls.
    fn take_events(&mut self, state: &mut State, now: Instant) {
        let room = state.handler_room();
        loop {
            // After the end the rest is taken over: it is bounded, and nothing more comes.
            let event = if self.inbox.len() < room || state.closed.is_some() {
                state.connection.poll_event()
            } else {
                state.connection.poll_outcome()
            };
            match event {
                None => return,
                Some(Event::Message(message)) => self.inbox.push_back(Delivery::Message(message)),
                // Nobody is left to get the answer.
                Some(Event::Request(_)) if state.closed.is_some() => {}
                Some(Event::Request(request)) => self.inbox.push_back(Delivery::Request(request)),
                Some(Event::Cancelled(request)) => self.cancelled(state, request),
                Some(Event::Finished { call, outcome }) => {
                    state.finish_call(call, outcome, &mut self.wakes);
                }
                Some(Event::Pong { round_trip }) => {
                    state.pong = Pong { count: state.pong.count + 1, round_trip };
                    state.pongs.wake_all(&mut self.wakes);
                }
                Some(Event::Writable) => state.writable(&mut self.wakes),
                Some(Event::Derive(work)) => {
                    self.deriving = Some(self.link.machine.derive(work));
                }
                Some(Event::Opened(opened)) => {
                    if let Some(keys) = self.keys.take() {
                        self.link.owner.remember(keys);
                    }
                    self.link.note_logged_in();
                    state.opened = Some((Arc::new(opened), now));
                    state.watchers.wake_all(&mut self.wakes);
                    self.announce = true;
                    // Whoever shows it by now has none.
                    self.is_secured = true;
                }
                Some(Event::Closed(closed)) => {
                    self.deriving = None;
                    state.end(closed, &mut self.wakes);
                    self.stream = None;
                    self.announce = true;
                }
            }
        }
    }

    /// Nobody wants the answer any more: the handler does not begin, or does not go on.
    fn cancelled(&mut self, state: &mut State, id: RequestId) {
        let is_it = |delivery: &Delivery| matches!(delivery, Delivery::Request(waiting) if waiting.id == id);
        match self.inbox.iter().position(is_it) {
            Some(index) => drop(self.inbox.remove(index)),
            None => state.cancel_handler(id, &mut self.wakes),
        }
    }

    /// Tells the owner of the beginning and the end. Nothing is locked.
    fn announce(&mut self) {
        let link = &self.link;
        if !std::mem::take(&mut self.announce) {
            return;
        }
        let (opened, closed) = {
            let locked = link.lock();
            (locked.opened.is_some(), locked.closed.is_some())
        };
        if opened && !std::mem::replace(&mut self.announced, true) {
            link.owner.opened(link);
        }
        if closed {
            // Its place is free before anyone learns that it is gone.
            self.permit = None;
            self.told_end = true;
            link.owner.closed(link);
        }
    }

    /// Starts handlers. Nothing is locked.
    fn deliver(&mut self, cx: &mut Context<'_>, room: usize) {
        let link = &self.link;
        for started in 1..=room {
            let Some(delivery) = self.inbox.pop_front() else { return };
            let (handler, request) = match delivery {
                Delivery::Message(message) => (link.owner.router().on_message(link, message), None),
                Delivery::Request(request) => {
                    let id = request.id;
                    (link.owner.router().on_request(link, request), Some(id))
                }
            };
            // Most handlers are done at once: those cost no task.
            if let Some(mut handler) = handler
                && handler.as_mut().poll(cx).is_pending()
            {
                link.adopt(handler, request);
            }
            if started % BATCH == 0 && link.lock().has_work() {
                return;
            }
        }
    }

    /// When to look again, if nothing happens before.
    fn deadline(&self, state: &State) -> Instant {
        let machine = state.connection.next_deadline().map(|deadline| deadline.at);
        let earliest = state.soonest_expiry();
        machine.into_iter().fold(earliest, Instant::min)
    }

    /// Over, and everything that came has been delivered.
    fn is_finished(&self, state: &State) -> bool {
        let is_greeted = state.opened.is_none() || state.released;
        state.closed.is_some() && is_greeted && self.inbox.is_empty()
    }

    /// Sleeps until `at`. True when that is now.
    fn poll_sleep(&mut self, cx: &mut Context<'_>, at: Instant) -> bool {
        if at == Instant::FAR_FUTURE {
            return false;
        }
        // A sleep that ends too early costs one look at the clock; renewing it for every call whose
        // deadline moves would cost more.
        let too_late = self.sleep.as_ref().is_none_or(|(armed, _)| *armed > at);
        if too_late {
            self.sleep = Some((at, self.link.machine.sleep_until(at)));
        }
        let is_over =
            self.sleep.as_mut().is_some_and(|(_, sleep)| sleep.as_mut().poll(cx).is_ready());
        if is_over {
            self.sleep = None;
        }
        is_over
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.yields(cx) {
            return Poll::Pending;
        }
        for _ in 0..ROUNDS_MAX {
            match this.round(cx) {
                Round::Again => {}
                Round::Finished => {
                    this.finished = true;
                    return Poll::Ready(());
                }
                Round::Sleep(at) => {
                    if !this.poll_sleep(cx, at) {
                        return Poll::Pending;
                    }
                    this.shrink();
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Driver {
    /// Timers go off rarely, on idle connections too: a good moment to give memory back that only a
    /// busy one needs.
    fn shrink(&mut self) {
        self.inbox.shrink_to_fit();
        self.wakes.shrink();
        self.link.lock().shrink();
    }

    /// A handle woke the driver: others are likely to follow at once, so they get their turn first,
    /// and everything goes out in one write.
    fn yields(&mut self, cx: &mut Context<'_>) -> bool {
        let mut locked = self.link.lock();
        locked.driver_wakes(cx.waker());
        self.has_yielded = locked.has_work() && !self.has_yielded;
        if self.has_yielded {
            drop(locked);
            cx.waker().wake_by_ref();
        }
        self.has_yielded
    }
}

impl Drop for Driver {
    /// The runtime shuts down: no future that waits for this connection may wait for ever.
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        let mut locked = self.link.lock();
        if locked.closed.is_none() {
            let now = self.link.machine.now();
            locked.connection.abort(now);
            while let Some(event) = locked.connection.poll_outcome() {
                match event {
                    Event::Finished { call, outcome } => {
                        locked.finish_call(call, outcome, &mut self.wakes);
                    }
                    Event::Closed(closed) => locked.end(closed, &mut self.wakes),
                    Event::Derive(_)
                    | Event::Opened(_)
                    | Event::Message(_)
                    | Event::Request(_)
                    | Event::Cancelled(_)
                    | Event::Pong { .. }
                    | Event::Writable => {}
                }
            }
        }
        drop(locked);
        if !self.told_end {
            self.link.owner.closed(&self.link);
        }
    }
}
