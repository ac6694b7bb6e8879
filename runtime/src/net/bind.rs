//! Listening sockets, made alike for every runtime.

use std::io;
use std::net::{Ipv6Addr, SocketAddr};
#[cfg(unix)]
use std::os::unix::fs::{FileTypeExt, MetadataExt};
#[cfg(unix)]
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use socket2::{Domain, Protocol, Type};

use super::Address;
use crate::rt::Runtime;

/// Connections that may wait to be taken. The operating system may have a lower bound of its own.
const BACKLOG: i32 = 1024;

/// A socket that listens.
pub(crate) enum Socket<R: Runtime> {
    Tcp(R::Listener, SocketAddr),
    #[cfg(unix)]
    Unix(R::UnixListener, UnixPath),
}

/// Listens on the first address of the wanted family that can be had.
pub(crate) async fn bind<R: Runtime>(
    address: &Address,
    ipv6: bool,
    ipv6_only: bool,
) -> io::Result<Socket<R>> {
    let (host, port) = match address {
        Address::Tcp { host, port } => (host, *port),
        Address::Unix(path) => return bind_unix::<R>(path),
    };
    let mut found = R::default().resolve(host, port).await?;
    // An address that is written out is meant as it stands.
    if found.iter().any(|address| address.is_ipv6() == ipv6) {
        found.retain(|address| address.is_ipv6() == ipv6);
    }
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in found {
        match listen(address, ipv6_only) {
            Ok(listener) => {
                let address = listener.local_addr()?;
                return Ok(Socket::Tcp(R::default().listen(listener)?, address));
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// On `::` IPv4 is served as well unless `ipv6_only`. What the operating system does by itself
/// differs between machines, so it is always told.
pub(crate) fn listen(address: SocketAddr, ipv6_only: bool) -> io::Result<std::net::TcpListener> {
    let socket =
        socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if let SocketAddr::V6(address) = address {
        socket.set_only_v6(ipv6_only || *address.ip() != Ipv6Addr::UNSPECIFIED)?;
    }
    // Elsewhere this option would let others take the port over.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// The file of a Unix socket that this process has made. Dropping it removes the file, unless
/// somebody has put another there.
pub(crate) struct UnixPath {
    path: PathBuf,
    #[cfg(unix)]
    identity: Option<(u64, u64)>,
}

impl UnixPath {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(unix)]
fn bind_unix<R: Runtime>(path: &Path) -> io::Result<Socket<R>> {
    remove_stale(path)?;
    let listener = UnixListener::bind(path)?;
    let file = UnixPath { path: path.to_owned(), identity: identity(path) };
    listener.set_nonblocking(true)?;
    Ok(Socket::Unix(R::default().listen_unix(listener)?, file))
}

#[cfg(not(unix))]
fn bind_unix<R: Runtime>(_: &Path) -> io::Result<Socket<R>> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no Unix sockets"))
}

/// A server that was killed leaves its socket behind: nobody answers there any more.
#[cfg(unix)]
fn remove_stale(path: &Path) -> io::Result<()> {
    let is_socket = path.symlink_metadata().is_ok_and(|found| found.file_type().is_socket());
    if !is_socket {
        return Ok(());
    }
    let probe = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A living server with a full queue must not hold this one up.
    probe.set_nonblocking(true)?;
    match probe.connect(&socket2::SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(unix)]
fn identity(path: &Path) -> Option<(u64, u64)> {
    let found = path.symlink_metadata().ok()?;
    Some((found.dev(), found.ino()))
}

#[cfg(unix)]
impl Drop for UnixPath {
    fn drop(&mut self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            // Gone already, or not ours to remove: then it stays.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
