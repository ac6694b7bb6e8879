//! The protocol core on plain sockets: a server and a client, a thread each, no async and no poller.
//!
//! `cargo run -p cndt-core --example blocking` shows both, and ends; `--rounds N` makes N calls, three
//! otherwise. A thread waits in `read`, for no longer than the machine's next deadline.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use cndt_core::auth::scram::Derivation;
use cndt_core::auth::{Access, Credentials, Entropy, UserName};
use cndt_core::connection::{Config, Connection, Event};
use cndt_core::message::{Typed, from_slice};
use cndt_core::rpc::RpcError;
use cndt_core::time::Instant;

type Failure = Box<dyn Error + Send + Sync>;

/// A real server stores a verifier and never sees this.
const PASSWORD: &str = "correct horse battery staple";
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// A socket and the machine that says what to do with it.
struct Line {
    stream: TcpStream,
    machine: Connection,
    /// What the machine's time counts from: it has no clock of its own.
    origin: std::time::Instant,
}

impl Line {
    /// `machine` is as new as the connection: its time begins now.
    #[allow(clippy::disallowed_methods, reason = "whoever owns the loop owns the clock")]
    fn new(stream: TcpStream, machine: Connection) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        // Two that write and never read would wait for each other: no write waits for ever.
        stream.set_write_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self { stream, machine, origin: std::time::Instant::now() })
    }

    fn now(&self) -> Instant {
        Instant::ZERO + self.origin.elapsed()
    }

    /// Waits until something has happened, and tells what; `None` once the connection is over.
    fn next_event(&mut self) -> io::Result<Option<Event>> {
        loop {
            match self.machine.poll_event() {
                // Slow on purpose. Here it holds up nobody else.
                Some(Event::Derive(work)) => _ = self.machine.derived(self.now(), work.run()),
                Some(event) => return Ok(Some(event)),
                None if self.machine.is_closed() => return Ok(None),
                None => self.turn()?,
            }
        }
    }

    /// Writes what waits, then reads once, until the deadline at the latest.
    fn turn(&mut self) -> io::Result<()> {
        while let Some(piece) = self.machine.transmit().find(|piece| !piece.is_empty()) {
            match self.stream.write(piece) {
                Ok(count) if count > 0 => self.machine.advance_transmit(self.now(), count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => {
                    self.machine.transport_lost(self.now());
                    return Ok(());
                }
            }
        }
        if self.machine.wants_shutdown() {
            // An error says that the peer is gone, which is just as well.
            let _ = self.stream.shutdown(Shutdown::Write);
            self.machine.shutdown_done(self.now());
        }
        match self.machine.next_deadline().map(|deadline| deadline.at.since(self.now())) {
            Some(Duration::ZERO) => self.machine.handle_timeout(self.now()),
            left if self.machine.wants_read() => self.read(left)?,
            // What comes stays in the socket, and slows the peer down.
            left => thread::park_timeout(left.unwrap_or(CALL_TIMEOUT)),
        }
        Ok(())
    }

    fn read(&mut self, within: Option<Duration>) -> io::Result<()> {
        self.stream.set_read_timeout(within)?;
        let mut bytes = [0; 16 * 1024];
        let read = self.stream.read(&mut bytes);
        let now = self.now();
        match read {
            Ok(0) => self.machine.receive_eof(now),
            Ok(count) => self.machine.receive(now, &bytes[..count]),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
                _ => self.machine.transport_lost(now),
            },
        }
        Ok(())
    }
}

/// Answers one client until it leaves.
fn serve(stream: TcpStream, access: Access) -> Result<(), Failure> {
    let config = Config::default();
    let machine = Connection::server(Instant::ZERO, config, access, Entropy(random()?))?;
    let mut line = Line::new(stream, machine)?;
    while let Some(event) = line.next_event()? {
        match event {
            Event::Request(request) => {
                let now = line.now();
                match (request.method.as_str(), from_slice::<(i64, i64)>(&request.params)) {
                    ("add", Ok((a, b))) => {
                        line.machine.respond(now, request.id, &Typed(&a.saturating_add(b)))?;
                    }
                    ("add", Err(wrong)) => {
                        let error = RpcError::invalid_params(wrong.to_string());
                        line.machine.respond_error(now, request.id, &error)?;
                    }
                    (other, _) => {
                        let error = RpcError::method_not_found(other);
                        line.machine.respond_error(now, request.id, &error)?;
                    }
                }
            }
            Event::Opened(_) => println!("server: somebody has logged in"),
            Event::Message(message) => println!("server: {}", message.name),
            Event::Closed(closed) => println!("server: {}", closed.reason),
            other => println!("server: {other:?}"),
        }
    }
    Ok(())
}

/// Logs in, calls one method after the other, and leaves. Gives the sums.
fn call(stream: TcpStream, rounds: i64) -> Result<Vec<i64>, Failure> {
    let (config, mine) = (Config::default(), Credentials::new(UserName::default(), PASSWORD)?);
    let machine = Connection::client(Instant::ZERO, config, mine, Entropy(random()?))?;
    let mut line = Line::new(stream, machine)?;
    let mut sums = Vec::new();
    while let Some(event) = line.next_event()? {
        match event {
            Event::Opened(_) => _ = line.machine.send(line.now(), "greeting", &Typed("hello"))?,
            Event::Closed(closed) => {
                println!("client: {}", closed.reason);
                break;
            }
            Event::Finished { outcome, .. } => {
                sums.push(from_slice(&outcome?.data)?);
                println!("client: {} + 20 = {}", sums.len() - 1, sums[sums.len() - 1]);
            }
            other => {
                println!("client: {other:?}");
                continue;
            }
        }
        match i64::try_from(sums.len())? {
            round if round == rounds => line.machine.close(line.now()),
            round => {
                _ = line.machine.call(line.now(), "add", &Typed(&(round, 20)), CALL_TIMEOUT)?
            }
        }
    }
    Ok(sums)
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rounds = match arguments.as_slice() {
        [] => 3,
        [name, rounds] if name == "--rounds" => rounds.parse()?,
        _ => return Err("usage: blocking [--rounds N]".into()),
    };
    let verifier = Derivation::new(PASSWORD, &random::<16>()?, 100_000)?.run().verifier();
    let access = Access::new().with_user(UserName::default(), verifier);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    // A server for many accepts in a loop, and starts a thread for each.
    let server = thread::spawn(move || serve(listener.accept()?.0, access));
    let sums = call(TcpStream::connect(address)?, rounds)?;
    server.join().map_err(|_| "the server panicked")??;
    println!("{} calls were answered", sums.len());
    Ok(())
}

fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}
