//! An HTTP server by hand, which does what it should not.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};

use super::support::{listen, read, write_all};
use crate::rt::Runtime;

/// What is done about a request.
pub(super) enum Reaction {
    /// These bytes, and then the next request.
    Say(&'static str),
    /// These bytes, and the end.
    SayAndClose(&'static str),
    /// A status of 200, and then a body without end.
    SayForEver,
    /// Nothing, for a minute.
    Hang,
    /// A tunnel to the place that was asked for.
    Tunnel,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// From 0, in the order of their beginnings.
    pub(super) connection: usize,
    pub(super) head: String,
    pub(super) body: String,
}

impl Seen {
    pub(super) fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    /// The value of a header; empty if there is none.
    pub(super) fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }
}

#[derive(Default)]
struct Log {
    requests: Vec<Seen>,
    connections: usize,
}

/// What a server has seen. Its tasks end with the runtime.
pub(super) struct RawServer {
    pub(super) address: SocketAddr,
    log: Arc<Mutex<Log>>,
}

type Script = Arc<dyn Fn(usize, &Seen) -> Reaction + Send + Sync>;

impl RawServer {
    /// `script` tells what to do about the request with this number, from 0.
    pub(super) fn start<R: Runtime>(
        script: impl Fn(usize, &Seen) -> Reaction + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let (listener, address) = listen::<R>()?;
        let log = Arc::<Mutex<Log>>::default();
        let script: Script = Arc::new(script);
        let shared = Arc::clone(&log);
        R::default().spawn(async move {
            while let Ok((stream, _)) = R::default().accept(&listener).await {
                let number = {
                    let mut log = lock(&shared);
                    log.connections += 1;
                    log.connections - 1
                };
                let (log, script) = (Arc::clone(&shared), Arc::clone(&script));
                R::default().spawn(async move {
                    drop(converse::<R>(stream, number, &log, &script).await);
                });
            }
        });
        Ok(Self { address, log })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub(super) fn requests(&self) -> Vec<Seen> {
        lock(&self.log).requests.clone()
    }

    pub(super) fn connections(&self) -> usize {
        lock(&self.log).connections
    }
}

fn lock(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn converse<R: Runtime>(
    mut stream: R::Stream,
    connection: usize,
    log: &Mutex<Log>,
    script: &Script,
) -> io::Result<()> {
    let mut bytes = Vec::new();
    loop {
        let Some(seen) = next_request(&mut stream, connection, &mut bytes).await? else {
            return Ok(());
        };
        let number = {
            let mut log = lock(log);
            log.requests.push(seen.clone());
            log.requests.len() - 1
        };
        match script(number, &seen) {
            Reaction::Say(text) => write_all(&mut stream, text.as_bytes()).await?,
            Reaction::SayAndClose(text) => return write_all(&mut stream, text.as_bytes()).await,
            Reaction::SayForEver => {
                let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
                write_all(&mut stream, head.as_bytes()).await?;
                loop {
                    write_all(&mut stream, b"10\r\n0123456789abcdef\r\n").await?;
                }
            }
            Reaction::Hang => {
                let runtime = R::default();
                runtime.sleep_until(runtime.now() + Duration::from_secs(60)).await;
                return Ok(());
            }
            Reaction::Tunnel => {
                let place = seen.line().split(' ').nth(1).and_then(|place| place.parse().ok());
                let place = place.ok_or(io::ErrorKind::InvalidInput)?;
                let other = R::default().connect(place).await?;
                write_all(&mut stream, b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
                return join(stream, other).await;
            }
        }
    }
}

async fn next_request<S: AsyncRead + Unpin>(
    stream: &mut S,
    connection: usize,
    bytes: &mut Vec<u8>,
) -> io::Result<Option<Seen>> {
    let mut buffer = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let seen = Seen { connection, head, body: String::new() };
            let length: usize = seen.header("content-length").parse().unwrap_or(0);
            if bytes.len() >= end + 4 + length {
                let body = String::from_utf8_lossy(&bytes[end + 4..end + 4 + length]).into_owned();
                bytes.drain(..end + 4 + length);
                return Ok(Some(Seen { body, ..seen }));
            }
        }
        let count = read(stream, &mut buffer).await?;
        if count == 0 {
            return Ok(None);
        }
        bytes.extend_from_slice(&buffer[..count]);
    }
}

/// Copies in both directions until either ends.
async fn join<S: AsyncRead + AsyncWrite + Unpin>(mut one: S, mut other: S) -> io::Result<()> {
    let (mut there, mut back) = (Copying::default(), Copying::default());
    poll_fn(|cx| {
        let first = there.poll(cx, &mut one, &mut other);
        let second = back.poll(cx, &mut other, &mut one);
        if first.is_ready() { first } else { second }
    })
    .await
}

#[derive(Default)]
struct Copying {
    waiting: Vec<u8>,
}

impl Copying {
    fn poll<A, B>(&mut self, cx: &mut Context<'_>, from: &mut A, to: &mut B) -> Poll<io::Result<()>>
    where
        A: AsyncRead + Unpin,
        B: AsyncWrite + Unpin,
    {
        let mut buffer = [0; 4096];
        loop {
            while !self.waiting.is_empty() {
                let count = ready!(Pin::new(&mut *to).poll_write(cx, &self.waiting))?;
                self.waiting.drain(..count);
            }
            let _ = Pin::new(&mut *to).poll_flush(cx)?;
            let count = ready!(Pin::new(&mut *from).poll_read(cx, &mut buffer))?;
            if count == 0 {
                return Poll::Ready(Ok(()));
            }
            self.waiting.extend_from_slice(&buffer[..count]);
        }
    }
}
