//! What the checks share: settings, streams in memory, and peers that are led by hand.

use std::error::Error;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use cndt_tokio::core::auth::{Access, Credentials, Entropy};
use cndt_tokio::core::connection::{Config, Connection, Event, PhaseName};
use cndt_tokio::core::message::Typed;
use cndt_tokio::core::message::auth::RefusalCode;
use cndt_tokio::core::wire::{Decoder, Dialect, Dialects, Header, Kind, write_frame};
use cndt_tokio::users::hash_password;
use cndt_tokio::{
    Client, ClientDescriptor, ClientHandle, CloseReason, ConnectError, ConnectErrorKind, Params,
    Peer, Runtime, ServeError, Server, ServerDescriptor, ServerHandle, Stream, Tokio, UserName,
    Verifier,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};

pub(crate) type Outcome = Result<(), Box<dyn Error>>;

pub(crate) const PASSWORD: &str = "secret";
/// As few as are allowed, since they cost time.
pub(crate) const ITERATIONS: u32 = 4096;
/// What a pipe holds, unless it is to be full soon.
pub(crate) const ROOMY: usize = 64 * 1024;

/// Runs a check in real time.
pub(crate) fn live(check: impl Future<Output = Outcome>) {
    run(false, Duration::from_secs(60), check);
}

/// Runs a check while the clock is paused. What waits for nothing but a far timer has stopped.
pub(crate) fn paused(check: impl Future<Output = Outcome>) {
    run(true, Duration::from_secs(30_000_000), check);
}

fn run(is_paused: bool, patience: Duration, check: impl Future<Output = Outcome>) {
    // The adapter counts from the first time that anyone asks. That must not be one which a paused
    // clock has made up, or it would lie in the future of the other checks.
    let _ = Tokio.now();
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(is_paused).build().expect("a runtime");
    let outcome = runtime.block_on(async { tokio::time::timeout(patience, Box::pin(check)).await });
    match outcome {
        Ok(Ok(())) => {}
        Ok(Err(error)) => panic!("{error}"),
        Err(_) => panic!("not done within {patience:?}"),
    }
}

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What the clock says has passed, in whole seconds.
pub(crate) async fn seconds_of<F: Future>(future: F) -> (F::Output, u64) {
    let begun = Tokio.now();
    let output = future.await;
    (output, Tokio.now().since(begun).as_secs())
}

/// Lets everything happen that can happen at once.
pub(crate) async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

pub(crate) fn server() -> ServerDescriptor {
    ServerDescriptor::new(PASSWORD).host("127.0.0.1").port(0).password_iterations(ITERATIONS)
}

pub(crate) fn client() -> ClientDescriptor {
    ClientDescriptor::new("127.0.0.1", 1, PASSWORD)
        .password_iterations_min(ITERATIONS)
        .reconnect_enabled(false)
}

/// A client for whoever listens there.
pub(crate) fn client_of(address: SocketAddr) -> ClientDescriptor {
    let mut descriptor = client();
    descriptor.server_host = address.ip().to_string();
    descriptor.server_port = address.port();
    descriptor
}

pub(crate) async fn start(descriptor: ServerDescriptor) -> Result<ServerHandle, ServeError> {
    Server::new(descriptor)
        .rpc("length", |Params((text,)): Params<(String,)>| async move { text.len() })
        .rpc("repeat", |Params((length,)): Params<(usize,)>| async move { "x".repeat(length) })
        .rpc("never", std::future::pending::<()>)
        .start()
        .await
}

pub(crate) async fn connect(descriptor: ClientDescriptor) -> Result<ClientHandle, ConnectError> {
    Client::new(descriptor).connect().await
}

/// The far end of a pipe that the server serves.
pub(crate) fn pipe_to(server: &ServerHandle, size: usize) -> Result<DuplexStream, ServeError> {
    let (near, far) = tokio::io::duplex(size);
    server.serve_stream(Stream(far), None)?;
    Ok(near)
}

/// A client that is connected through a pipe.
pub(crate) async fn piped(
    server: &ServerHandle,
    descriptor: ClientDescriptor,
) -> Result<ClientHandle, ConnectError> {
    let stream = pipe_to(server, ROOMY).expect("the server runs");
    Client::over(Stream(stream), descriptor).await
}

/// A client that is connected through a pipe to a server that is led by hand.
pub(crate) async fn hosted(
    descriptor: ClientDescriptor,
    size: usize,
) -> Result<(ClientHandle, Hand<DuplexStream>), Box<dyn Error>> {
    let (near, far) = tokio::io::duplex(size);
    let client = tokio::spawn(Client::over(Stream(near), descriptor));
    let hand = Hand::server(far).await?;
    Ok((client.await??, hand))
}

/// The only client that is logged in.
pub(crate) async fn only_client(server: &ServerHandle) -> Result<Peer, Box<dyn Error>> {
    settle().await;
    let peers = server.connections();
    let [peer] = &peers[..] else { return Err(format!("clients: {peers:?}").into()) };
    Ok(peer.clone())
}

/// Why the server has refused a login; `None` if it has not.
pub(crate) fn refusal(outcome: &Result<ClientHandle, ConnectError>) -> Option<RefusalCode> {
    match &outcome.as_ref().err()?.kind {
        ConnectErrorKind::Closed { reason: CloseReason::LoginRefused(failure), .. } => {
            Some(failure.code)
        }
        other => panic!("{other}"),
    }
}

pub(crate) fn verifier(password: &str) -> Verifier {
    hash_password(password, ITERATIONS).expect("a good password")
}

/// One end of a connection that does what it is told and nothing else: its timers never go off, and
/// it reads only while it is asked for something.
pub(crate) struct Hand<S> {
    stream: S,
    pub(crate) connection: Connection,
    decoder: Decoder,
    /// The headers of all frames that have come.
    pub(crate) seen: Vec<Header>,
    /// Iterations of key derivation that the server asked for.
    pub(crate) iterations: Option<u32>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Hand<S> {
    /// Logs in as a client.
    pub(crate) async fn client(stream: S) -> Result<Self, Box<dyn Error>> {
        let mut config = Config { name: "by hand".into(), ..Config::default() };
        config.limits.iterations_min = ITERATIONS;
        let credentials = Credentials::new(UserName::default(), PASSWORD)?;
        let connection = Connection::client(Tokio.now(), config, credentials, Entropy([9; 64]))?;
        Self::log_in(stream, connection).await
    }

    /// Lets one client log in.
    pub(crate) async fn server(stream: S) -> Result<Self, Box<dyn Error>> {
        let access = Access::new().with_user(UserName::default(), verifier(PASSWORD));
        let config = Config::default();
        let connection = Connection::server(Tokio.now(), config, access, Entropy([7; 64]))?;
        Self::log_in(stream, connection).await
    }

    async fn log_in(stream: S, connection: Connection) -> Result<Self, Box<dyn Error>> {
        let decoder = Decoder::new(Dialects::BOTH, 1 << 20);
        let mut hand = Self { stream, connection, decoder, seen: Vec::new(), iterations: None };
        loop {
            hand.flush().await?;
            match hand.connection.phase() {
                PhaseName::Handshake => hand.read().await?,
                PhaseName::Open => return Ok(hand),
                PhaseName::Closing | PhaseName::Closed => return Err("no login by hand".into()),
            }
        }
    }

    /// Writes what waits.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        let bytes: Vec<u8> = self.connection.transmit().flatten().copied().collect();
        self.stream.write_all(&bytes).await?;
        self.connection.advance_transmit(Tokio.now(), bytes.len());
        Ok(())
    }

    async fn read(&mut self) -> Result<(), Box<dyn Error>> {
        let mut buffer = [0; 4096];
        let read = self.stream.read(&mut buffer).await?;
        if read == 0 {
            return Err("the other side has closed".into());
        }
        self.decoder.push(&buffer[..read]);
        while let Some(frame) = self.decoder.next_frame()? {
            self.seen.push(frame.header);
        }
        self.connection.receive(Tokio.now(), &buffer[..read]);
        while let Some(event) = self.connection.poll_event() {
            if let Event::Derive(work) = event {
                self.iterations = Some(work.iterations());
                self.connection.derived(Tokio.now(), work.run());
            }
        }
        Ok(())
    }

    pub(crate) fn has_seen(&self, kind: Kind) -> bool {
        self.seen.iter().any(|header| header.kind == kind)
    }

    /// Reads until such a frame has come.
    pub(crate) async fn await_kind(&mut self, kind: Kind) -> Outcome {
        while !self.has_seen(kind) {
            self.read().await?;
        }
        Ok(())
    }

    /// Sends small messages.
    pub(crate) async fn send_many(&mut self, count: usize) -> Outcome {
        for number in 0..count {
            self.connection.send(Tokio.now(), "number", &Typed(&number))?;
        }
        Ok(self.flush().await?)
    }

    pub(crate) async fn send_large(&mut self, length: usize) -> Outcome {
        self.connection.send(Tokio.now(), "large", &Typed(&"x".repeat(length)))?;
        Ok(self.flush().await?)
    }

    /// Calls a method, and does not wait for the answer.
    pub(crate) async fn call(&mut self, method: &str) -> Outcome {
        self.connection.call(Tokio.now(), method, &Typed(&[0; 0]), secs(1_000_000))?;
        Ok(self.flush().await?)
    }

    /// Sends a frame whatever the other side said about its size.
    pub(crate) async fn send_unasked(&mut self, length: usize) -> Outcome {
        let mut frame = BytesMut::new();
        let header = Header::new(Kind::Message);
        write_frame(&mut frame, Dialect::Cndt, &header, length, |payload| {
            payload.resize(payload.len() + length, 0);
            Ok::<_, std::convert::Infallible>(())
        })?;
        Ok(self.stream.write_all(&frame).await?)
    }

    /// Whether a ping is answered, all that came before the answer being read.
    pub(crate) async fn ping(&mut self) -> Outcome {
        self.connection.ping(Tokio.now());
        self.flush().await?;
        self.await_kind(Kind::HeartbeatPong).await
    }
}

/// A stream that takes note of how much is read at most at a time.
pub(crate) struct Tap<S> {
    inner: S,
    largest: Arc<AtomicUsize>,
}

impl<S> Tap<S> {
    pub(crate) fn new(inner: S) -> (Self, Arc<AtomicUsize>) {
        let largest = Arc::<AtomicUsize>::default();
        (Self { inner, largest: Arc::clone(&largest) }, largest)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tap<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.largest.fetch_max(buffer.remaining(), Ordering::Relaxed);
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tap<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
