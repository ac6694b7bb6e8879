//! What the cases share: servers and clients that are set up alike, and peers that misbehave.

use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::time::Duration;

use cndt_core::auth::{Access, Credentials, Entropy};
use cndt_core::connection::{Config, Connection, PhaseName};
use futures_io::{AsyncRead, AsyncWrite};

use super::Net;
use crate::client::{Client, ClientHandle};
use crate::descriptor::{ClientDescriptor, ServerDescriptor};
use crate::error::ConnectError;
use crate::rt::Runtime;
use crate::server::{Server, ServerHandle};
use crate::users::{UserName, hash_password};

pub(super) const PASSWORD: &str = "secret";
/// As few as are allowed: what they cost is not tested here.
pub(super) const ITERATIONS: u32 = 4096;

pub(super) fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

pub(super) fn server_descriptor() -> ServerDescriptor {
    ServerDescriptor::new(PASSWORD)
        .host("127.0.0.1")
        .port(0)
        .accept_netconduit(true)
        .password_iterations(ITERATIONS)
}

pub(super) fn server<N: Net>() -> Server<N::Runtime> {
    N::server(server_descriptor())
}

/// For whoever listens at an address of TCP.
pub(super) fn to(address: SocketAddr) -> ClientDescriptor {
    ClientDescriptor::new(address.ip().to_string(), address.port(), PASSWORD)
        .password_iterations_min(ITERATIONS)
        .reconnect_enabled(false)
}

pub(super) fn client_descriptor<N: Net>(server: &ServerHandle) -> ClientDescriptor {
    let (host, port) = N::reach(server);
    let mut descriptor = to(loopback());
    descriptor.server_host = host;
    descriptor.server_port = port;
    descriptor
}

pub(super) fn client<N: Net>(server: &ServerHandle) -> Client<N::Runtime> {
    N::client(client_descriptor::<N>(server))
}

pub(super) async fn connect<N: Net>(server: &ServerHandle) -> Result<ClientHandle, ConnectError> {
    client::<N>(server).connect().await
}

pub(super) async fn pause<N: Net>(span: Duration) {
    let runtime = N::Runtime::default();
    runtime.sleep_until(runtime.now() + span).await;
}

/// A socket that a case answers on by hand.
pub(super) fn listen<R: Runtime>() -> io::Result<(R::Listener, SocketAddr)> {
    let listener = crate::net::listen(loopback(), false)?;
    let address = listener.local_addr()?;
    Ok((R::default().listen(listener)?, address))
}

/// Waits until `holds`.
pub(super) async fn eventually<N: Net>(
    what: &str,
    mut holds: impl FnMut() -> bool,
) -> Result<(), Box<dyn Error>> {
    for _ in 0..2000 {
        if holds() {
            return Ok(());
        }
        pause::<N>(Duration::from_millis(5)).await;
    }
    Err(format!("never happened: {what}").into())
}

/// `Err` when what must hold does not.
pub(super) fn check(holds: bool, what: impl std::fmt::Debug) -> Result<(), Box<dyn Error>> {
    if holds { Ok(()) } else { Err(format!("unexpected: {what:?}").into()) }
}

pub(super) async fn read<S: AsyncRead + Unpin>(
    stream: &mut S,
    buffer: &mut [u8],
) -> io::Result<usize> {
    poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, buffer)).await
}

/// Reads until these bytes have come so many times.
pub(super) async fn read_past<S: AsyncRead + Unpin>(
    stream: &mut S,
    bytes: &[u8],
    times: usize,
) -> Result<(), Box<dyn Error>> {
    let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
    while all.windows(bytes.len()).filter(|window| *window == bytes).count() < times {
        let count = read(stream, &mut buffer).await?;
        check(count > 0, "the stream ends")?;
        all.extend_from_slice(&buffer[..count]);
    }
    Ok(())
}

pub(super) async fn write_all<S: AsyncWrite + Unpin>(
    stream: &mut S,
    mut bytes: &[u8],
) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = poll_fn(|cx| Pin::new(&mut *stream).poll_write(cx, bytes)).await?;
        bytes = &bytes[written..];
    }
    poll_fn(|cx| Pin::new(&mut *stream).poll_flush(cx)).await
}

/// Logs in by hand, as a client, and does nothing after that.
pub(super) async fn login_as_client<R: Runtime>(
    address: SocketAddr,
) -> Result<R::Stream, Box<dyn Error>> {
    let runtime = R::default();
    let mut stream = runtime.connect(address).await?;
    let credentials = Credentials::netconduit(PASSWORD);
    let connection =
        Connection::client(runtime.now(), Config::default(), credentials, Entropy([9; 64]))?;
    login::<R>(&mut stream, connection).await?;
    Ok(stream)
}

/// Lets one client log in by hand, and does nothing after that.
pub(super) async fn login_as_server<R: Runtime>(
    listener: &R::Listener,
) -> Result<R::Stream, Box<dyn Error>> {
    let runtime = R::default();
    let (mut stream, _) = runtime.accept(listener).await?;
    let access = Access::new().with_user(UserName::default(), hash_password(PASSWORD, ITERATIONS)?);
    let entropy = Entropy([7; 64]);
    let connection = Connection::server(runtime.now(), Config::default(), access, entropy)?;
    login::<R>(&mut stream, connection).await?;
    Ok(stream)
}

async fn login<R: Runtime>(
    stream: &mut R::Stream,
    mut connection: Connection,
) -> Result<(), Box<dyn Error>> {
    let now = R::default().now();
    let mut buffer = [0; 4096];
    loop {
        let bytes: Vec<u8> = connection.transmit().flatten().copied().collect();
        write_all(stream, &bytes).await?;
        connection.advance_transmit(now, bytes.len());
        match connection.phase() {
            PhaseName::Open => return Ok(()),
            PhaseName::Handshake => {}
            PhaseName::Closing | PhaseName::Closed => return Err("no login by hand".into()),
        }
        let read = read(stream, &mut buffer).await?;
        connection.receive(now, &buffer[..read]);
    }
}
