//! The one driver: pumps a connection over a stream, as one task.
//!
//! A round reads what is there, looks at the clock, takes the events, runs handlers, and writes all
//! that waits in one vectored write. Rounds repeat while there is progress, so that a peer that
//! writes and one that reads both get on; after [`ROUNDS_MAX`], or when it has woken someone, the task
//! yields to others. Handlers and wakers run while nothing is locked.

mod io;

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use cndt_core::auth::scram::Keys;
use cndt_core::connection::{Deliveries, Delivery, Event, Stats};
use cndt_core::time::Instant;

use crate::line::Wakes;
use crate::link::{Link, Pong, State};
use crate::net::BoxTransport;
use crate::router::{Spare, Turn};
use crate::rt::{Deriving, Task};
use crate::server::Permit;
use crate::telemetry::Meters;
pub(crate) use io::Pace;

/// Rounds of one poll before other tasks get their turn.
const ROUNDS_MAX: usize = 16;

/// Pumps one connection to its end. Dropping it ends the connection at once.
pub(crate) struct Driver {
    link: Arc<Link>,
    /// `None` once the connection is over.
    stream: Option<BoxTransport>,
    /// What there is to be known of TLS is known.
    is_secured: bool,
    reading: bool,
    read_size: usize,
    /// Bytes that the latest read brought.
    latest_read: usize,
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
    inbox: Deliveries,
    spare: Spare,
    /// What has been counted for operators.
    counted: Stats,
    announce: bool,
    announced: bool,
    /// The owner knows that it is over.
    told_end: bool,
    wakes: Wakes,
    /// The round before has told someone who may have asked for more since.
    has_told: bool,
    /// So many of `wakes`, the first of them, have not been told yet what the latest read brought.
    untold: usize,
    has_yielded: bool,
    finished: bool,
}

/// How many of so many handlers start before their answers are written: the peer works on the first
/// while this side works on the next. Few at a time, so that some groups are always under way and
/// neither side has to be woken; but not so few that it is writes that take the time.
fn batch(waiting: usize) -> usize {
    const TOGETHER: usize = 16;
    const LEAST: usize = 14;
    const PARTS: usize = 5;
    if waiting <= TOGETHER { TOGETHER } else { (waiting / PARTS).max(LEAST) }
}

/// How many of those who wait are woken before what they ask for next is written, if so many calls
/// are open: as above, the peer works on the first while this side works on the next. By parts of all
/// that is open, not of what one read brought: the groups stay apart for as long as they go around.
fn group(open: usize) -> usize {
    const TOGETHER: usize = 16;
    const PARTS: usize = 4;
    (open / PARTS).max(TOGETHER)
}

thread_local! {
    /// Whose driver was the latest to wake anyone on this thread.
    static LATEST: Cell<usize> = const { Cell::new(0) };
}

/// Whether no other connection has woken anyone on this thread since this one did. Where several take
/// turns no side sleeps anyway, and groups would only make writes smaller.
fn is_alone(link: &Arc<Link>) -> bool {
    let this = Arc::as_ptr(link).addr();
    LATEST.replace(this) == this
}

enum Round {
    Again,
    /// Others should go first: whoever got an answer mostly asks for more, which the peer should get to
    /// work on, and holds memory that the next reads could use.
    Yield,
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
            latest_read: 0,
            needs_flush: false,
            pace,
            sleep: None,
            deriving: None,
            keys: None,
            permit: None,
            inbox: Deliveries::default(),
            spare: Spare::default(),
            counted: Stats::default(),
            announce: false,
            announced: false,
            told_end: false,
            wakes: Wakes::default(),
            has_told: false,
            untold: 0,
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
        // What they have asked for since: the peer works on it while this side reads.
        let mut progress = self.has_told && self.write(cx, &mut locked, now);
        progress |= self.read(cx, &mut locked, now);
        // Only after reading: an answer that is there already beats its deadline.
        if locked.connection.next_deadline().is_some_and(|deadline| deadline.at <= now) {
            locked.connection.handle_timeout(now);
            progress = true;
        }
        locked.expire(now, &mut self.wakes);
        self.take_events(&mut locked, now);
        progress |= self.derive(cx, &mut locked, now);

        let room = locked.handler_room(&self.inbox);
        let has_deliveries = room > 0 && !self.inbox.is_empty();
        self.has_told = !self.wakes.is_empty();
        let mut after = now;
        if self.announce || has_deliveries || self.has_told {
            locked.round_began = Some(now);
            let open = locked.calls.len();
            drop(locked);
            progress = true;
            // First of all the owner: whoever learns of an end finds the connection gone.
            self.announce();
            self.tell(open);
            self.deliver(cx, room);
            locked = link.lock();
            locked.round_began = None;
            if has_deliveries {
                let room = locked.handler_room(&self.inbox);
                locked.connection.note_deliveries(room, &self.inbox);
            }
            after = link.machine.now();
        }
        progress |= self.write(cx, &mut locked, after);
        let again = progress || locked.has_work();
        if !again && self.is_finished(&locked) {
            if Meters::ON {
                link.owner.meters().traffic(&mut self.counted, locked.connection.stats());
            }
            return Round::Finished;
        }
        if self.has_told {
            return Round::Yield;
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

    /// Looks after keys that are being derived. True when they are there.
    fn derive(&mut self, cx: &mut Context<'_>, state: &mut State, now: Instant) -> bool {
        let Some(deriving) = &mut self.deriving else { return false };
        let Poll::Ready(keys) = deriving.as_mut().poll(cx) else { return false };
        self.deriving = None;
        state.connection.derived(now, keys.clone());
        self.keys = Some(keys);
        true
    }

    /// Takes what the application gets, as far as it has room, and tells waiting calls.
    fn take_events(&mut self, state: &mut State, now: Instant) {
        loop {
            while let Some(event) = state.connection.poll_outcome() {
                self.take_event(state, now, event);
            }
            let is_over = state.closed.is_some();
            // After the end the rest is taken over: it is bounded, and nothing more comes.
            let room = if is_over { usize::MAX } else { state.handler_room(&self.inbox) };
            let any = state.connection.take_deliveries(room, &mut self.inbox);
            if is_over {
                // Nobody is left to get the answers.
                self.inbox.drop_requests();
            }
            if !any {
                return;
            }
        }
    }

    fn take_event(&mut self, state: &mut State, now: Instant, event: Event) {
        match event {
            // They are taken together.
            Event::Message(_) | Event::Request(_) => {}
            // Nobody wants the answer any more: the handler does not begin, or does not go on.
            Event::Cancelled(id) => {
                if !self.inbox.cancel(id) {
                    state.cancel_handler(id, &mut self.wakes);
                }
            }
            Event::Finished { call, outcome } => {
                state.finish_call(call, outcome, &mut self.wakes);
            }
            Event::Pong { round_trip } => {
                state.pong = Pong { count: state.pong.count + 1, round_trip };
                state.pongs.wake_all(&mut self.wakes);
            }
            Event::Writable => state.writable(&mut self.wakes),
            Event::Derive(work) => self.deriving = Some(self.link.machine.derive(work)),
            Event::Opened(opened) => {
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
            Event::Closed(closed) => {
                self.deriving = None;
                state.end(closed, &mut self.wakes);
                self.stream = None;
                self.announce = true;
            }
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

    /// Wakes those who wait, or a group of them while `open` calls are; see [`group`]. Nothing is locked.
    fn tell(&mut self, open: usize) {
        if self.untold == 0 {
            self.untold = self.wakes.len();
        }
        if self.untold == 0 {
            return;
        }
        let together = if is_alone(&self.link) {
            group(open.max(self.untold)).min(self.untold)
        } else {
            self.untold
        };
        self.wakes.fire_some(together);
        self.untold -= together;
    }

    /// Starts handlers. Nothing is locked.
    fn deliver(&mut self, cx: &mut Context<'_>, room: usize) {
        let (link, inbox) = (&self.link, &mut self.inbox);
        if inbox.is_empty() || room == 0 {
            return;
        }
        let router = link.owner.router();
        let mut turn = Turn::new(router, link, cx, &mut self.spare);
        let mut pause = batch(inbox.len());
        for started in 1..=room {
            // Most handlers are done at once: those cost no task.
            let begun = inbox.pop_with(|delivery| match delivery {
                Delivery::Message(message) => (router.on_message(&mut turn, message), None),
                Delivery::Request(request) => {
                    (router.on_request(&mut turn, request), Some(request.id))
                }
            });
            match begun {
                Some((Some(handler), request)) => link.adopt(handler, request),
                Some((None, _)) => {}
                None => return,
            }
            if started == pause {
                if link.lock().has_work() {
                    return;
                }
                pause += batch(inbox.len());
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
                Round::Yield => {
                    this.has_yielded = true;
                    break;
                }
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
        self.inbox.shrink();
        self.spare = Spare::default();
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
