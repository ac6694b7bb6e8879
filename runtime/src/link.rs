//! One connection as its driver and its handles share it: the machine, and who waits for what.
//!
//! Handles lock it for as long as it takes to encode one frame into the send buffer; wakers fire
//! after unlock.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::Future;
use std::hash::BuildHasherDefault;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use cndt_core::connection::{
    CallId, CloseReason, Closed, Deliveries, Opened, Outcome, RequestId, SendError, SendId,
};
use cndt_core::time::Instant;

use crate::attached::Attached;
use crate::call_hasher::CallHasher;
use crate::line::{Line, Ticket, Wakes};
use crate::net::TlsInfo;
use crate::owner::Owner;
use crate::peer::ConnectionId;
use crate::protocol::{Codec, Protocol};
use crate::rt::{Machine, Task};
use crate::running::{Running, Serving};

/// Handlers of one connection that may be under way at a time. Beyond it the driver reads no more
/// messages and calls, and TCP pushes back.
pub(crate) const HANDLERS_MAX: usize = 128;

/// Futures that may wait in one line for room to send.
const WAITING_MAX: usize = 16_384;

pub(crate) struct Link {
    pub(crate) id: ConnectionId,
    pub(crate) remote: Option<SocketAddr>,
    pub(crate) machine: Machine,
    /// How the payloads of this connection are written.
    pub(crate) codec: Codec,
    pub(crate) owner: Owner,
    /// The peer has sent a whole frame.
    spoke: AtomicBool,
    /// Asked for each message, which should not cost a lock.
    logged_in: AtomicBool,
    held_bytes: AtomicUsize,
    /// What the user keeps with the connection.
    pub(crate) attached: Attached,
    state: Mutex<State>,
}

/// What a command waits behind: commands of one kind go in order of arrival, different kinds do not
/// hold each other up. Calls may wait for answers, messages never do. (Answers need no lane: the
/// core always takes them.)
#[derive(Debug, Clone, Copy)]
pub(crate) enum Lane {
    Calls,
    Messages,
}

/// Why a command that waited for its turn was not carried out.
#[derive(Debug)]
pub(crate) enum TurnError {
    /// Its time was over before there was room.
    Expired,
    Send(SendError),
}

/// One of this side's calls.
#[derive(Debug)]
pub(crate) enum Slot {
    Waiting(Waker),
    Done(Outcome),
}

pub(crate) struct State {
    pub(crate) connection: Protocol,
    pub(crate) calls: HashMap<CallId, Slot, BuildHasherDefault<CallHasher>>,
    /// Messages whose senders wait until they are handed to the operating system, in order.
    pub(crate) sends: VecDeque<(SendId, Waker)>,
    /// Messages up to this one were handed over; kept here because it outlives the connection.
    pub(crate) sent_through: SendId,
    lanes: [Line; 2],
    pub(crate) pongs: Line,
    pub(crate) pong: Pong,
    /// Whoever waits for the connection to open or end.
    pub(crate) watchers: Line,
    pub(crate) opened: Option<(Arc<Opened>, Instant)>,
    /// Handlers may run: the hooks that greet the peer are done.
    pub(crate) released: bool,
    /// Handlers that run as their own tasks.
    pub(crate) running: usize,
    /// Those of requests, which the peer may cancel.
    pub(crate) serving: BTreeMap<RequestId, Serving>,
    /// What TLS tells of the peer.
    pub(crate) tls: Option<Arc<TlsInfo>>,
    pub(crate) closed: Option<Closed>,
    pub(crate) io_error: Option<Arc<io::Error>>,
    driver: Option<Waker>,
    /// When the driver last looked at the clock, while it starts handlers.
    pub(crate) round_began: Option<Instant>,
    /// When somebody asked while `work` is set; see `State::asked_at`.
    asked_at: Option<Instant>,
    /// The driver will look at `work` before it sleeps.
    awake: bool,
    work: bool,
}

/// The newest answer to a ping.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pong {
    pub(crate) count: u64,
    pub(crate) round_trip: Duration,
}

impl Link {
    pub(crate) fn new(
        id: ConnectionId,
        remote: Option<SocketAddr>,
        machine: Machine,
        owner: Owner,
        connection: Protocol,
    ) -> Arc<Self> {
        let codec = connection.codec();
        let state = State {
            connection,
            calls: HashMap::default(),
            sends: VecDeque::new(),
            sent_through: SendId::default(),
            lanes: [const { Line::new() }; 2],
            pongs: Line::new(),
            pong: Pong::default(),
            watchers: Line::new(),
            opened: None,
            released: false,
            running: 0,
            serving: BTreeMap::new(),
            tls: None,
            closed: None,
            io_error: None,
            driver: None,
            round_began: None,
            asked_at: None,
            awake: false,
            work: false,
        };
        Arc::new(Self {
            id,
            remote,
            machine,
            codec,
            owner,
            spoke: AtomicBool::new(false),
            logged_in: AtomicBool::new(false),
            held_bytes: AtomicUsize::new(0),
            attached: Attached::default(),
            state: Mutex::new(state),
        })
    }

    /// What there is to be known of a peer that does not log in.
    pub(crate) fn open_without_login(&self) {
        let opened = Opened {
            dialect: None,
            user: None,
            peer_name: String::new(),
            peer_version: String::new(),
            handshake: Duration::ZERO,
        };
        self.lock().opened = Some((Arc::new(opened), self.machine.now()));
    }

    /// Whether the peer has ever logged in.
    pub(crate) fn is_logged_in(&self) -> bool {
        self.logged_in.load(Ordering::Relaxed)
    }

    pub(crate) fn note_logged_in(&self) {
        self.logged_in.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_spoken(&self) -> bool {
        self.spoke.load(Ordering::Relaxed)
    }

    pub(crate) fn note_spoken(&self) {
        self.spoke.store(true, Ordering::Relaxed);
    }

    /// What the connection held when its driver last rested.
    pub(crate) fn held_bytes(&self) -> usize {
        self.held_bytes.load(Ordering::Relaxed)
    }

    /// Takes note, and gives what it was before.
    pub(crate) fn note_held_bytes(&self, bytes: usize) -> usize {
        self.held_bytes.swap(bytes, Ordering::Relaxed)
    }

    pub(crate) fn lock(&self) -> Locked<'_> {
        match self.state.lock() {
            Ok(state) => Locked { state, wakes: Wakes::default() },
            Err(poisoned) => self.give_up(poisoned),
        }
    }

    /// A value's `Serialize` panicked half way into the send buffer: this connection's stream cannot
    /// be continued, but nothing else is lost.
    #[cold]
    fn give_up<'a>(&'a self, poisoned: PoisonError<MutexGuard<'a, State>>) -> Locked<'a> {
        self.state.clear_poison();
        let mut locked = Locked { state: poisoned.into_inner(), wakes: Wakes::default() };
        locked.state.connection.abort(self.machine.now());
        locked.kick();
        locked
    }

    /// Waits until `look` finds something; it is asked again whenever the connection opens, is
    /// released or ends.
    pub(crate) fn watch<T, F>(self: &Arc<Self>, look: F) -> Watch<F>
    where
        F: FnMut(&State) -> Option<T> + Unpin,
    {
        Watch { link: Arc::clone(self), look, ticket: None }
    }

    pub(crate) async fn closed(self: &Arc<Self>) -> CloseReason {
        self.watch(|state| state.closed.as_ref().map(|closed| closed.reason.clone())).await
    }

    /// Begins a graceful end.
    pub(crate) fn close(&self) {
        let mut locked = self.lock();
        locked.state.connection.close(self.machine.now());
        locked.kick();
    }

    pub(crate) fn abort(&self) {
        let mut locked = self.lock();
        locked.state.connection.abort(self.machine.now());
        locked.kick();
    }

    /// Handlers may run from now on.
    pub(crate) fn release(&self) {
        let mut locked = self.lock();
        let (state, wakes) = locked.split();
        state.released = true;
        state.watchers.wake_all(wakes);
        state.kick(wakes);
    }

    /// Goes on with a handler that could not finish at once, as its own task. The peer may cancel
    /// it if it answers a request.
    pub(crate) fn adopt(self: &Arc<Self>, handler: Task, request: Option<RequestId>) {
        let mut locked = self.lock();
        locked.state.running += 1;
        if let Some(id) = request {
            locked.state.serving.insert(id, Serving::Running(None));
        }
        drop(locked);
        self.machine.spawn(Running::new(self, request, handler));
    }
}

impl State {
    /// Carries `command` out when its turn has come; until then the future that asks has a place in
    /// the lane.
    pub(crate) fn in_turn<T>(
        &mut self,
        lane: Lane,
        place: &mut Place,
        now: Instant,
        waker: &Waker,
        wakes: &mut Wakes,
        command: impl FnOnce(&mut Protocol) -> Result<T, SendError>,
    ) -> Poll<Result<T, TurnError>> {
        let line = &mut self.lanes[lane as usize];
        let outcome = if line.may_go(place.ticket) {
            match command(&mut self.connection) {
                Err(SendError::Blocked) => None,
                result => Some(result.map_err(TurnError::Send)),
            }
        } else {
            None
        };
        let outcome = outcome.or_else(|| {
            if place.expires <= now {
                Some(Err(TurnError::Expired))
            } else if place.ticket.is_none() && line.len() >= WAITING_MAX {
                Some(Err(TurnError::Send(SendError::Blocked)))
            } else {
                None
            }
        });
        let Some(outcome) = outcome else {
            let is_new = place.ticket.is_none();
            line.wait(&mut place.ticket, waker, place.expires);
            if is_new {
                // The driver's next deadline may be this one.
                self.kick(wakes);
            }
            return Poll::Pending;
        };
        line.leave(&mut place.ticket);
        line.wake_first(wakes);
        if outcome.is_ok() {
            self.kick(wakes);
        }
        Poll::Ready(outcome)
    }

    /// The future that holds `place` is dropped.
    pub(crate) fn leave(&mut self, lane: Lane, place: &mut Place, wakes: &mut Wakes) {
        if place.ticket.is_some() {
            let line = &mut self.lanes[lane as usize];
            line.leave(&mut place.ticket);
            line.wake_first(wakes);
        }
    }

    /// How many handlers may start, of those in `inbox` first.
    pub(crate) fn handler_room(&self, inbox: &Deliveries) -> usize {
        if self.released {
            self.connection.may_begin(HANDLERS_MAX.saturating_sub(self.running), inbox)
        } else {
            0
        }
    }

    /// The time for a question. Those that come together share one look at the clock, which would be a
    /// good part of their cost: none of them has left before the driver looks at it again.
    pub(crate) fn asked_at(&mut self, machine: Machine) -> Instant {
        match self.asked_at {
            Some(at) => at,
            None => {
                let now = machine.now();
                self.asked_at = self.work.then_some(now);
                now
            }
        }
    }

    /// The driver has something to do.
    pub(crate) fn kick(&mut self, wakes: &mut Wakes) {
        self.work = true;
        if !self.awake {
            self.awake = true;
            if let Some(driver) = self.driver.take() {
                wakes.push(driver);
            }
        }
    }

    /// There is room again.
    pub(crate) fn writable(&self, wakes: &mut Wakes) {
        for lane in &self.lanes {
            lane.wake_first(wakes);
        }
    }

    pub(crate) fn expire(&mut self, now: Instant, wakes: &mut Wakes) {
        for lane in &mut self.lanes {
            lane.expire(now, wakes);
        }
    }

    pub(crate) fn soonest_expiry(&self) -> Instant {
        self.lanes.iter().map(Line::soonest).min().unwrap_or(Instant::FAR_FUTURE)
    }

    /// A call has its outcome: whoever made it looks again.
    pub(crate) fn finish_call(&mut self, call: CallId, outcome: Outcome, wakes: &mut Wakes) {
        if let Some(slot) = self.calls.get_mut(&call)
            && let Slot::Waiting(waker) = std::mem::replace(slot, Slot::Done(outcome))
        {
            wakes.push(waker);
        }
    }

    /// The peer does not want the answer any more.
    pub(crate) fn cancel_handler(&mut self, id: RequestId, wakes: &mut Wakes) {
        let Some(serving) = self.serving.get_mut(&id) else { return };
        if let Serving::Running(Some(waker)) = std::mem::replace(serving, Serving::Cancelled) {
            wakes.push(waker);
        }
    }

    /// Waits until a message is handed to the operating system; the end that came before it if it
    /// never will be.
    pub(crate) fn handed_over(
        &mut self,
        id: SendId,
        waker: &Waker,
    ) -> Poll<Result<(), CloseReason>> {
        if self.sent_through >= id {
            return Poll::Ready(Ok(()));
        }
        if let Some(closed) = &self.closed {
            return Poll::Ready(Err(closed.reason.clone()));
        }
        match self.sends.binary_search_by_key(&id, |(id, _)| *id) {
            Ok(index) => self.sends[index].1.clone_from(waker),
            Err(index) => self.sends.insert(index, (id, waker.clone())),
        }
        Poll::Pending
    }

    /// Tells senders which of their messages were handed over.
    pub(crate) fn settle_sends(&mut self, wakes: &mut Wakes) {
        self.sent_through = self.connection.sent_through();
        while let Some((id, _)) = self.sends.front()
            && *id <= self.sent_through
        {
            if let Some((_, waker)) = self.sends.pop_front() {
                wakes.push(waker);
            }
        }
    }

    /// The connection is over: everyone who waits for anything looks again.
    pub(crate) fn end(&mut self, closed: Closed, wakes: &mut Wakes) {
        self.closed = Some(closed);
        for lane in &mut self.lanes {
            lane.wake_all(wakes);
        }
        for (_, waker) in self.sends.drain(..) {
            wakes.push(waker);
        }
        self.pongs.wake_all(wakes);
        self.watchers.wake_all(wakes);
    }

    /// Gives memory back that an idle connection does not need.
    pub(crate) fn shrink(&mut self) {
        self.calls.shrink_to_fit();
        self.sends.shrink_to_fit();
    }

    /// The driver begins to work: it need not be woken.
    pub(crate) fn driver_wakes(&mut self, waker: &Waker) {
        self.awake = true;
        if !self.driver.as_ref().is_some_and(|known| known.will_wake(waker)) {
            self.driver = Some(waker.clone());
        }
    }

    /// Whether anything was asked of the driver since it looked last.
    pub(crate) fn take_work(&mut self) -> bool {
        self.asked_at = None;
        std::mem::take(&mut self.work)
    }

    pub(crate) fn has_work(&self) -> bool {
        self.work
    }

    /// The driver goes to sleep: whoever has work for it must wake it.
    pub(crate) fn driver_sleeps(&mut self) {
        self.awake = false;
    }
}

/// The place of one future in a lane, and when it stops waiting.
#[derive(Debug)]
pub(crate) struct Place {
    ticket: Option<Ticket>,
    pub(crate) expires: Instant,
}

impl Place {
    pub(crate) fn until(expires: Instant) -> Self {
        Self { ticket: None, expires }
    }

    pub(crate) fn is_taken(&self) -> bool {
        self.ticket.is_some()
    }
}

/// The state, locked. Unlocks first, then fires the wakers: fields drop in order.
pub(crate) struct Locked<'a> {
    state: MutexGuard<'a, State>,
    wakes: Wakes,
}

impl Locked<'_> {
    pub(crate) fn split(&mut self) -> (&mut State, &mut Wakes) {
        (&mut self.state, &mut self.wakes)
    }

    pub(crate) fn kick(&mut self) {
        self.state.kick(&mut self.wakes);
    }
}

impl std::ops::Deref for Locked<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl std::ops::DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

/// See [`Link::watch`].
pub(crate) struct Watch<F> {
    link: Arc<Link>,
    look: F,
    ticket: Option<Ticket>,
}

impl<T, F: FnMut(&State) -> Option<T> + Unpin> Future for Watch<F> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let this = self.get_mut();
        let mut locked = this.link.lock();
        if let Some(found) = (this.look)(&locked) {
            return Poll::Ready(found);
        }
        locked.watchers.wait(&mut this.ticket, cx.waker(), Instant::FAR_FUTURE);
        Poll::Pending
    }
}

impl<F> Drop for Watch<F> {
    fn drop(&mut self) {
        if self.ticket.is_some() {
            self.link.lock().watchers.leave(&mut self.ticket);
        }
    }
}
