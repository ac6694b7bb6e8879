//! Connections over streams that are not sockets, and values that misbehave.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use cndt_core::wire::{Dialect, HEADER_LEN, Header};
use cndt_tokio::{
    CallError, CallFailure, Client, ClientDescriptor, ClientHandle, Data, Params, Server,
    ServerDescriptor, ServerHandle, Stream,
};
use serde::{Serialize, Serializer};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

type Outcome = Result<(), Box<dyn std::error::Error>>;

async fn server() -> Result<ServerHandle, Box<dyn std::error::Error>> {
    let descriptor = ServerDescriptor::new("secret").host("127.0.0.1").port(0);
    let server = Server::new(descriptor.password_iterations(4096))
        .rpc("join", |Params(words): Params<Vec<String>>| async move { words.join(" ") })
        .on("shout", |Data(text): Data<String>| async move { text.to_uppercase() })
        .start()
        .await?;
    Ok(server)
}

/// A client over a pipe that holds `size` bytes.
async fn piped(
    server: &ServerHandle,
    size: usize,
) -> Result<ClientHandle, Box<dyn std::error::Error>> {
    let (near, far) = tokio::io::duplex(size);
    server.serve_stream(Stream(far), None)?;
    let descriptor = ClientDescriptor::new("pipe", 1, "secret").password_iterations_min(4096);
    Ok(Client::over(Stream(near), descriptor).await?)
}

#[tokio::test]
async fn frames_may_be_cut_anywhere() -> Outcome {
    let server = server().await?;
    for size in [1, 2, 3, 31, 32, 33, 1000] {
        let client = piped(&server, size).await?;
        let words: Vec<_> = (0..40).map(|n| n.to_string()).collect();
        let mut messages = client.messages();
        let joined: String = client.call("join", &words).await?;
        assert_eq!(joined, words.join(" "));
        client.send("shout", "hello").await?;
        let answer = messages.next().await.ok_or("no answer")?;
        assert_eq!(cndt_tokio::from_slice::<String>(&answer.data)?, "HELLO");
        client.disconnect().await;
    }
    server.stop().await;
    Ok(())
}

/// A pipe that notes how many frames each write to it carries. They are whole: it has room for all.
struct Noted {
    pipe: DuplexStream,
    writes: Arc<Mutex<Vec<usize>>>,
}

fn frames_in(bytes: &[u8]) -> usize {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER_LEN>() else { return 0 };
    let header = Header::decode(Dialect::Cndt, header).expect("a frame begins here");
    1 + frames_in(&rest[header.length as usize..])
}

impl AsyncRead for Noted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Noted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner).push(frames_in(bytes));
        Pin::new(&mut self.pipe).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }
}

/// How many calls each write of one connection carries while so many connections of one thread have 64
/// callers each.
async fn calls_by_write(connections: usize) -> Result<Vec<usize>, Box<dyn std::error::Error>> {
    let server = server().await?;
    let mut clients = Vec::new();
    for _ in 0..connections {
        let (near, far) = tokio::io::duplex(1 << 20);
        server.serve_stream(Stream(far), None)?;
        let writes = Arc::default();
        let noted = Noted { pipe: near, writes: Arc::clone(&writes) };
        let descriptor = ClientDescriptor::new("pipe", 1, "secret").password_iterations_min(4096);
        clients.push((Client::over(Stream(noted), descriptor).await?, writes));
    }
    let [(_, writes), ..] = clients.as_slice() else { return Err("no client".into()) };
    let writes = Arc::clone(writes);
    writes.lock().unwrap_or_else(PoisonError::into_inner).clear();
    let callers = clients.iter().flat_map(|(client, _)| [(); CALLERS].map(|()| client.clone()));
    let callers = callers.map(|client| {
        tokio::spawn(async move {
            for _ in 0..CALLS {
                client.call::<_, String>("join", &["a", "b"]).await?;
            }
            Ok::<_, CallError>(())
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await??;
    }
    let writes = writes.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert_eq!(writes.iter().sum::<usize>(), CALLERS * CALLS);
    server.stop().await;
    Ok(writes)
}

const CALLERS: usize = 64;
const CALLS: usize = 20;

/// Callers who got their answers together ask again in groups: the peer works on the first of them
/// while the others are still at it, so that neither side waits for the other.
#[tokio::test]
async fn many_calls_go_around_in_groups() -> Outcome {
    let writes = calls_by_write(1).await?;
    // At first all of them ask at once.
    let [CALLERS, later @ ..] = writes.as_slice() else { return Err("not together".into()) };
    assert!(later.iter().all(|calls| *calls <= CALLERS / 4), "{writes:?}");
    assert!(later.len() <= CALLERS * CALLS / 8, "nor one by one: {writes:?}");
    // Several connections keep both sides busy: small writes would only cost them.
    let writes = calls_by_write(3).await?;
    assert!(writes.len() <= 2 * CALLS, "{writes:?}");
    Ok(())
}

/// The stream cannot be continued after half a frame, but the process can.
#[tokio::test]
async fn a_value_that_panics_costs_one_connection() -> Outcome {
    struct Bomb;
    impl Serialize for Bomb {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            panic!("on purpose")
        }
    }
    let server = server().await?;
    let client = piped(&server, 4096).await?;
    let bomb = {
        let client = client.clone();
        tokio::spawn(async move { client.call::<_, ()>("join", &Bomb).await })
    };
    assert!(bomb.await.is_err(), "the panic stays with the caller");
    tokio::time::timeout(Duration::from_secs(20), client.closed()).await?;
    let other = piped(&server, 4096).await?;
    let joined: String = other.call("join", &["a", "b"]).await?;
    assert_eq!(joined, "a b");
    server.stop().await;
    Ok(())
}

/// A runtime that shuts down takes its connections along; nobody waits for them for ever.
#[test]
fn calls_end_with_their_runtime() -> Outcome {
    let build =
        || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let (theirs, ours) = (build()?, build()?);
    let descriptor = ServerDescriptor::new("secret").host("127.0.0.1").port(0);
    let server = theirs.block_on(
        Server::new(descriptor.password_iterations(4096))
            .rpc("never", std::future::pending::<()>)
            .start(),
    )?;
    let descriptor = ClientDescriptor::new("127.0.0.1", server.address().port(), "secret")
        .password_iterations_min(4096)
        .reconnect_enabled(false);
    // The client's driver lives in the runtime that goes; the call is awaited in the other one.
    let client = theirs.block_on(Client::new(descriptor).connect())?;
    let call = ours.spawn({
        let client = client.clone();
        async move { client.call::<_, ()>("never", &()).await }
    });
    std::thread::park_timeout(Duration::from_millis(100));
    theirs.shutdown_timeout(Duration::from_secs(5));
    let outcome =
        ours.block_on(async { tokio::time::timeout(Duration::from_secs(20), call).await })??;
    let lost = CallError::Failed(CallFailure::ConnectionLost { sent: true });
    assert_eq!(outcome, Err(lost));
    ours.block_on(async { tokio::time::timeout(Duration::from_secs(20), client.closed()).await })?;
    Ok(())
}
