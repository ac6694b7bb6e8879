//! All connections: who has something to do, and how long to sleep when nobody has.

use std::collections::{BTreeSet, HashMap};
use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cndt_core::auth::scram::Derivation;
use cndt_core::auth::{Access, Credentials, Entropy, UserName};
use cndt_core::connection::{Config, Connection};
use cndt_core::time::{Instant, WallAnchor};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::application::Application;
use crate::line::Line;

/// The listener's token; lines count on from here.
const DOOR: Token = Token(0);
/// Strangers cost a socket each until their login is overdue, so there is an end to them.
const LINES_MAX: usize = 10_000;
/// How long to wait when the system has no more sockets to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// As low as clients accept by default.
const ITERATIONS: u32 = 100_000;

pub(crate) struct EventLoop {
    clock: Clock,
    config: Config,
    access: Access,
    poll: Poll,
    events: Events,
    listener: Option<TcpListener>,
    lines: HashMap<Token, Line>,
    last_token: usize,
    /// The deadline of each line, soonest first: sleeping must not cost a search among thousands.
    alarms: BTreeSet<(Instant, Token)>,
    /// Those with more to do. Each gets one step, then the next one has its turn.
    busy: BTreeSet<Token>,
}

impl EventLoop {
    pub(crate) fn new(password: &str) -> Result<Self, Box<dyn Error>> {
        let clock = Clock::start()?;
        let verifier = Derivation::new(password, &random::<16>()?, ITERATIONS)?.run().verifier();
        Ok(Self {
            config: Config { wall: clock.wall, ..Config::default() },
            clock,
            access: Access::new().with_user(UserName::default(), verifier),
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            listener: None,
            lines: HashMap::new(),
            last_token: DOOR.0,
            alarms: BTreeSet::new(),
            busy: BTreeSet::new(),
        })
    }

    pub(crate) fn listen(&mut self, address: SocketAddr) -> io::Result<SocketAddr> {
        let mut listener = TcpListener::bind(address)?;
        self.poll.registry().register(&mut listener, DOOR, Interest::READABLE)?;
        self.listener.insert(listener).local_addr()
    }

    /// Begins to connect. That needs no state of its own: the login is pending, and the poller calls
    /// the socket writable once it can go out, or never will.
    pub(crate) fn connect(
        &mut self,
        to: SocketAddr,
        password: &str,
        application: Application,
    ) -> Result<(), Box<dyn Error>> {
        let mine = Credentials::new(UserName::default(), password)?;
        let config = Config { name: application.name().to_owned(), ..self.config.clone() };
        let machine = Connection::client(self.clock.now(), config, mine, Entropy(random()?))?;
        self.add(Line::new(TcpStream::connect(to)?, machine, application));
        Ok(())
    }

    /// Lets one in. The next has to wait until everybody else had a turn.
    fn accept(&mut self, now: Instant) -> Result<(), Box<dyn Error>> {
        let Some(listener) = &self.listener else { return Ok(()) };
        match listener.accept() {
            Ok((stream, _)) => {
                self.busy.insert(DOOR);
                if self.lines.len() < LINES_MAX {
                    let (config, access) = (self.config.clone(), self.access.clone());
                    let machine = Connection::server(now, config, access, Entropy(random()?))?;
                    self.add(Line::new(stream, machine, Application::server()));
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            // Out of sockets, or a peer that left while it waited. Neither is the server's end, and
            // the poller will not tell again.
            Err(_) => _ = self.alarms.insert((now + ACCEPT_PAUSE, DOOR)),
        }
        Ok(())
    }

    fn add(&mut self, line: Line) {
        // No token comes twice, so news of a line that is gone never reaches another.
        self.last_token += 1;
        let token = Token(self.last_token);
        self.lines.insert(token, line);
        // The first step registers it.
        self.busy.insert(token);
    }

    /// Sleeps until there is something to do, then does one step of it for each line concerned.
    /// Gives back those that have ended.
    pub(crate) fn turn(&mut self) -> Result<Vec<Application>, Box<dyn Error>> {
        let sleep = self.sleep();
        match self.poll.poll(&mut self.events, sleep) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        // One look at the clock serves all: a machine takes a time that is a little old.
        let now = self.clock.now();
        let mut due = std::mem::take(&mut self.busy);
        for event in &self.events {
            if let Some(line) = self.lines.get_mut(&event.token()) {
                line.note(event);
            }
            due.insert(event.token());
        }
        while let Some((_, token)) = self.alarms.first().copied().filter(|(at, _)| *at <= now) {
            self.alarms.pop_first();
            due.insert(token);
        }
        if due.remove(&DOOR) {
            self.accept(now)?;
        }
        Ok(due.into_iter().filter_map(|token| self.serve(token, now)).collect())
    }

    /// `None`: until the poller has news.
    fn sleep(&self) -> Option<Duration> {
        if !self.busy.is_empty() {
            return Some(Duration::ZERO);
        }
        self.alarms.first().map(|(at, _)| at.since(self.clock.now()))
    }

    /// One step of one line. Gives it back when it has ended.
    fn serve(&mut self, token: Token, now: Instant) -> Option<Application> {
        let line = self.lines.get_mut(&token)?;
        let before = line.deadline();
        let mut progress = line.step(now);
        if let Err(error) = line.register(self.poll.registry(), token) {
            // Nobody would tell when it is ready, so it is as good as lost.
            line.lose(now, &error);
            progress = true;
        }
        // Whatever happened may have moved the deadline.
        if let Some(at) = before {
            self.alarms.remove(&(at, token));
        }
        self.alarms.extend(line.deadline().map(|at| (at, token)));
        if progress {
            self.busy.insert(token);
            return None;
        }
        // Only now: the last events may have come with the step before.
        if !line.is_closed() {
            return None;
        }
        self.lines.remove(&token).map(Line::into_application)
    }

    /// Lets nobody in any more and asks everyone to finish. Go on turning until it is empty.
    pub(crate) fn close(&mut self) {
        if let Some(mut listener) = self.listener.take() {
            let _ = self.poll.registry().deregister(&mut listener);
        }
        let now = self.clock.now();
        for (token, line) in &mut self.lines {
            // The next step sets it again.
            if let Some(at) = line.deadline() {
                self.alarms.remove(&(at, *token));
            }
            line.close(now);
            self.busy.insert(*token);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

/// The core knows neither clock nor calendar: it is told.
struct Clock {
    origin: std::time::Instant,
    wall: WallAnchor,
}

impl Clock {
    #[allow(clippy::disallowed_methods, reason = "whoever owns the loop owns the clock")]
    fn start() -> Result<Self, Box<dyn Error>> {
        let unix_millis = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis().try_into()?;
        let wall = WallAnchor { at: Instant::ZERO, unix_millis };
        Ok(Self { origin: std::time::Instant::now(), wall })
    }

    fn now(&self) -> Instant {
        Instant::ZERO + self.origin.elapsed()
    }
}

/// The core draws no random bytes either. Without good ones nothing may begin.
fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}
