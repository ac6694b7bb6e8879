//! Connections over streams that are not sockets, and values that misbehave.

use std::time::Duration;

use cndt_tokio::{
    CallError, CallFailure, Client, ClientDescriptor, ClientHandle, Data, Params, Server,
    ServerDescriptor, ServerHandle, Stream,
};
use serde::{Serialize, Serializer};

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
