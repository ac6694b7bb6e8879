//! Broadcasts that wait for room and come to no good end.

use std::fmt::Display;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures_io::AsyncRead;
use serde::ser::{Error as _, Serialize, Serializer};

use super::pressure::ping_frame;
use super::support::{
    check, connect, eventually, login_as_client, pause, read, server_descriptor, write_all,
};
use super::{Net, Outcome, Tcp};
use crate::contain::Contained;
use crate::net::{JsonRpc, Listener, LocalAddress};
use crate::peer::Peer;
use crate::rt::Runtime;
use crate::server::{Server, ServerHandle};

const PATIENCE: Duration = Duration::from_secs(30);

/// A value that can be written once.
struct Once {
    written: AtomicUsize,
    otherwise: Otherwise,
}

#[derive(Debug, Clone, Copy)]
enum Otherwise {
    Fail,
    Panic,
}

impl Once {
    fn or(otherwise: Otherwise) -> [Self; 1] {
        [Self { written: AtomicUsize::new(0), otherwise }]
    }
}

impl Serialize for Once {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.written.fetch_add(1, Ordering::Relaxed), self.otherwise) {
            (0, _) => serializer.serialize_str("once"),
            (_, Otherwise::Fail) => Err(S::Error::custom("on purpose")),
            (_, Otherwise::Panic) => panic!("on purpose"),
        }
    }
}

fn small<R: Runtime>() -> Server<R> {
    let descriptor = server_descriptor().send_queue_size(4).connection_timeout(PATIENCE * 4);
    Tcp::<R>::server(descriptor)
}

/// A client that does not read.
async fn deaf<R: Runtime>(
    server: &ServerHandle,
) -> Result<(R::Stream, Peer), Box<dyn std::error::Error>> {
    let mut stream = login_as_client::<R>(server.address()).await?;
    // It must speak once after login, or it gets nothing for a while.
    write_all(&mut stream, &ping_frame()).await?;
    eventually::<Tcp<R>>("it is there", || server.connection_count() == 1).await?;
    let peer = server.find(|_| true).ok_or("nobody is there")?;
    Ok((stream, peer))
}

/// Broadcasts until nobody has room any more, and nobody will.
async fn fill<R: Runtime>(server: &ServerHandle) -> Outcome {
    let (large, clients) = (["x".repeat(1024 * 1024)], server.connection_count());
    let (mut sent, mut full) = (0, 0);
    while full < 10 {
        let refused = server.broadcast("bulk", &large).send()?.refused;
        full = if refused == clients { full + 1 } else { 0 };
        sent += 1;
        check(sent < 1000, "the sockets never fill")?;
        pause::<Tcp<R>>(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// Reads, and throws away what there is, until the end.
fn drain<R: Runtime>(mut stream: impl AsyncRead + Send + Unpin + 'static) {
    R::default().spawn(async move {
        let mut buffer = vec![0; 64 * 1024];
        while read(&mut stream, &mut buffer).await.is_ok_and(|length| length > 0) {}
    });
}

/// Whoever sends next need not wait for one that is no more.
async fn may_send(peer: &Peer) -> Outcome {
    let sent = peer.send("after", &[1]).timeout(Duration::from_secs(10)).await;
    sent.map_err(|error| format!("the place is still taken: {error}").into())
}

fn is_on_purpose(error: Option<impl Display>) -> Outcome {
    let words = error.map(|error| error.to_string()).unwrap_or_default();
    check(words.contains("on purpose"), words)
}

/// A value that cannot be written for the second client fails the broadcast; the first, which has no
/// room, is not waited for any more.
pub async fn makes_way_when_it_fails<R: Runtime>() -> Outcome {
    let server = small::<R>().start().await?;
    let (stream, peer) = deaf::<R>(&server).await?;
    fill::<R>(&server).await?;
    // It speaks the other dialect, for which the value is written once more.
    let other = connect::<Tcp<R>>(&server).await?;
    eventually::<Tcp<R>>("both are there", || server.connection_count() == 2).await?;
    let failed = server.broadcast("once", &Once::or(Otherwise::Fail)).send_within(PATIENCE).await;
    is_on_purpose(failed.err())?;
    drain::<R>(stream);
    may_send(&peer).await?;
    drop(other);
    server.stop().await;
    Ok(())
}

/// So too if the value's own code panics when the second has room at last.
pub async fn makes_way_when_it_panics<R: Runtime>() -> Outcome {
    let listener = Listener::tcp("127.0.0.1", 0).jsonrpc(JsonRpc::new().trusted());
    let server = small::<R>().listen(listener).start().await?;
    let (stream, peer) = deaf::<R>(&server).await?;
    let mut all = server.local_addresses().iter();
    let address = all.find(|address| matches!(address, LocalAddress::JsonRpc(_)));
    let address = address.and_then(LocalAddress::socket_address).ok_or("no JSON-RPC is spoken")?;
    let other = R::default().connect(address).await?;
    eventually::<Tcp<R>>("both are there", || server.connection_count() == 2).await?;
    fill::<R>(&server).await?;
    let value = Once::or(Otherwise::Panic);
    let mut paced = server.broadcast("once", &value).send_within(PATIENCE);
    let waits = poll_fn(|cx| Poll::Ready(Pin::new(&mut paced).poll(cx).is_pending())).await;
    check(waits, "there was room")?;
    drain::<R>(other);
    is_on_purpose(Contained(&mut paced).await.err())?;
    drop(paced);
    drain::<R>(stream);
    may_send(&peer).await?;
    server.stop().await;
    Ok(())
}
