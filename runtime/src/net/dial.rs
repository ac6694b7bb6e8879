//! Connections to a server, made within one time limit.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use cndt_core::time::Instant;

use super::{Address, BoxTransport, Plain, TlsClient};
use crate::error::ConnectErrorKind;
use crate::race::{First, race};
use crate::rt::{Machine, Runtime, Task};

/// How long one address of a host is tried before the next is tried beside it (RFC 8305, section 5).
const NEXT_ADDRESS: Duration = Duration::from_millis(250);

/// Where to, and how.
pub(crate) struct Target<'a> {
    pub(crate) address: Address,
    pub(crate) ipv6_only: bool,
    /// Which of the host's addresses may be connected to.
    pub(crate) admits: fn(&SocketAddr) -> bool,
    pub(crate) tls: Option<(&'a TlsClient, &'a str)>,
    /// For all of it together.
    pub(crate) timeout: Duration,
}

/// None of a host's addresses may be connected to.
#[derive(Debug, thiserror::Error)]
#[error("the host has no address that may be connected to")]
pub(crate) struct NotAdmitted;

impl NotAdmitted {
    /// Whether that is why there is no connection.
    #[cfg(feature = "webhook")]
    pub(crate) fn is_why(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|inner| inner.is::<Self>())
    }
}

/// A stream, and where it leads to if that is an IP address.
pub(crate) type Dialled = (BoxTransport, Option<SocketAddr>);

pub(crate) async fn dial<R: Runtime>(target: &Target<'_>) -> Result<Dialled, ConnectErrorKind> {
    let runtime = R::default();
    let after = target.timeout;
    let sleep = runtime.sleep_until(runtime.now() + after);
    match race(connect::<R>(target), sleep).await {
        First::Left(outcome) => outcome,
        First::Right(()) => Err(ConnectErrorKind::TimedOut { after }),
    }
}

async fn connect<R: Runtime>(target: &Target<'_>) -> Result<Dialled, ConnectErrorKind> {
    let (host, port) = match &target.address {
        Address::Tcp { host, port } => (host, *port),
        Address::Unix(path) => return Ok((connect_unix::<R>(path).await?, None)),
    };
    let mut addresses = R::default().resolve(host, port).await?;
    if target.ipv6_only {
        addresses.retain(SocketAddr::is_ipv6);
    }
    let found = addresses.len();
    addresses.retain(target.admits);
    if found > 0 && addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, NotAdmitted).into());
    }
    let (stream, remote) = Attempts::<R>::new(alternate(addresses)).await?;
    let stream = match target.tls {
        None => Plain::tcp::<R>(stream),
        Some((tls, name)) => {
            let secured = tls.connect(name, stream).await;
            secured.map_err(|error| ConnectErrorKind::Tls { error })?
        }
    };
    Ok((stream, Some(remote)))
}

#[cfg(unix)]
async fn connect_unix<R: Runtime>(path: &std::path::Path) -> io::Result<BoxTransport> {
    R::default().connect_unix(path).await.map(Plain::boxed)
}

#[cfg(not(unix))]
async fn connect_unix<R: Runtime>(_: &std::path::Path) -> io::Result<BoxTransport> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no Unix sockets"))
}

/// Both families in turn, beginning with the first that was found: if one of them leads nowhere, the
/// other is not far.
fn alternate(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(first) = addresses.first().map(SocketAddr::is_ipv6) else { return addresses };
    let (mut ours, mut others): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first);
    ours.reverse();
    others.reverse();
    let mut all = Vec::with_capacity(ours.len() + others.len());
    loop {
        match (ours.pop(), others.pop()) {
            (None, None) => return all,
            (one, other) => all.extend([one, other].into_iter().flatten()),
        }
    }
}

type Attempt<S> = Pin<Box<dyn Future<Output = io::Result<(S, SocketAddr)>> + Send>>;

/// Tries addresses, each a little after the one before; whoever is first wins.
struct Attempts<R: Runtime> {
    left: std::vec::IntoIter<SocketAddr>,
    running: Vec<Attempt<R::Stream>>,
    next: Option<Task>,
    last: io::Error,
}

impl<R: Runtime> Attempts<R> {
    fn new(addresses: Vec<SocketAddr>) -> Self {
        let last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        Self { left: addresses.into_iter(), running: Vec::new(), next: None, last }
    }

    fn start(&mut self) {
        let Some(address) = self.left.next() else { return };
        self.running.push(Box::pin(async move {
            let stream = R::default().connect(address).await?;
            Ok((stream, address))
        }));
        let machine = Machine::of::<R>();
        let at: Instant = machine.now() + NEXT_ADDRESS;
        self.next = (!self.left.as_slice().is_empty()).then(|| machine.sleep_until(at));
    }
}

impl<R: Runtime> Future for Attempts<R> {
    type Output = io::Result<(R::Stream, SocketAddr)>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            let mut index = 0;
            while let Some(attempt) = this.running.get_mut(index) {
                match attempt.as_mut().poll(cx) {
                    Poll::Pending => index += 1,
                    Poll::Ready(Ok(connected)) => return Poll::Ready(Ok(connected)),
                    Poll::Ready(Err(error)) => {
                        this.last = error;
                        drop(this.running.swap_remove(index));
                    }
                }
            }
            let is_time = this.next.as_mut().is_some_and(|next| next.as_mut().poll(cx).is_ready());
            let nothing_runs = this.running.is_empty();
            if nothing_runs && this.left.as_slice().is_empty() {
                let none = io::Error::from(io::ErrorKind::NotFound);
                return Poll::Ready(Err(std::mem::replace(&mut this.last, none)));
            }
            if !is_time && !nothing_runs {
                return Poll::Pending;
            }
            this.start();
        }
    }
}

// Nothing in it is pinned but what is in boxes.
impl<R: Runtime> Unpin for Attempts<R> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let addresses = |all: &[&str]| -> Vec<SocketAddr> {
            all.iter().map(|text| text.parse().unwrap()).collect()
        };
        let found = addresses(&["[::1]:1", "[::2]:1", "[::3]:1", "10.0.0.1:1"]);
        let expected = addresses(&["[::1]:1", "10.0.0.1:1", "[::2]:1", "[::3]:1"]);
        assert_eq!(alternate(found), expected);
        assert!(alternate(Vec::new()).is_empty());
    }
}
