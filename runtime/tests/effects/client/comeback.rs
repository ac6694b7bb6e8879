//! How a client comes back after its connection was lost. Over Unix sockets: whatever happens there
//! has happened at once, so that a paused clock does not run ahead of it.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cndt_tokio::{ClientDescriptor, ClientHandle, ConnectionState, Runtime, Tokio};
use tempfile::TempDir;
use tokio::net::UnixListener;

use crate::support::{Hand, Outcome, client, connect, secs};

/// Where a client has logged in once, and has been cut off since.
struct Lost {
    client: ClientHandle,
    listener: UnixListener,
    // Only held: the socket is in it.
    _directory: TempDir,
}

/// Long enough that nobody draws a short one of these at random.
const AGES: Duration = secs(1_000_000);
const SHORT: Duration = Duration::from_millis(200);

fn eager() -> ClientDescriptor {
    client().reconnect_enabled(true).reconnect_delay(SHORT).reconnect_delay_max(SHORT)
}

impl Lost {
    async fn new(mut descriptor: ClientDescriptor) -> Result<Self, Box<dyn Error>> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("server.sock");
        let listener = UnixListener::bind(&path)?;
        descriptor.server_host = format!("unix:{}", path.display());
        let connecting = tokio::spawn(connect(descriptor));
        let hand = Hand::server(listener.accept().await?.0).await?;
        let client = connecting.await??;
        drop(hand);
        Ok(Self { client, listener, _directory: directory })
    }

    /// How long the client takes to come back so often, each time without success.
    async fn comebacks(&self, count: u32) -> Result<Duration, Box<dyn Error>> {
        let begun = Tokio.now();
        for _ in 0..count {
            drop(self.listener.accept().await?);
        }
        Ok(Tokio.now().since(begun))
    }

    /// How often the client comes back before it gives up.
    async fn counted(self) -> Result<(u32, ConnectionState), Box<dyn Error>> {
        let count = Arc::<AtomicU32>::default();
        let (counter, listener) = (Arc::clone(&count), self.listener);
        tokio::spawn(async move {
            while listener.accept().await.is_ok() {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        });
        self.client.closed().await;
        Ok((count.load(Ordering::Relaxed), self.client.state()))
    }
}

pub(super) async fn reconnect_enabled() -> Outcome {
    let stays_away = Lost::new(eager().reconnect_enabled(false)).await?;
    assert_eq!(stays_away.counted().await?, (0, ConnectionState::Closed));
    Lost::new(eager().reconnect_enabled(true)).await?.comebacks(1).await?;
    Ok(())
}

pub(super) async fn reconnect_attempts() -> Outcome {
    for attempts in [2, 4] {
        let lost = Lost::new(eager().reconnect_attempts(attempts)).await?;
        assert_eq!(lost.counted().await?, (attempts, ConnectionState::Failed));
    }
    let persistent = Lost::new(eager().reconnect_attempts(0)).await?;
    persistent.comebacks(50).await?;
    assert_ne!(persistent.client.state(), ConnectionState::Failed, "0 is for ever");
    Ok(())
}

/// Delays are random up to what is configured, so the long ones are so long that several of them
/// together are never short.
async fn delay_of(descriptor: ClientDescriptor) -> Result<Duration, Box<dyn Error>> {
    Lost::new(descriptor.reconnect_attempts(0)).await?.comebacks(6).await
}

pub(super) async fn reconnect_delay() -> Outcome {
    let steady = || eager().reconnect_delay_multiplier(1.0).reconnect_delay_max(AGES);
    let (short, long) = (steady(), steady().reconnect_delay(AGES));
    let passed = delay_of(short).await?;
    assert!(passed <= secs(2), "{passed:?}");
    let passed = delay_of(long).await?;
    assert!(passed > secs(60) && passed <= AGES * 6, "{passed:?}");
    Ok(())
}

pub(super) async fn reconnect_delay_max() -> Outcome {
    let growing = || eager().reconnect_delay_multiplier(1000.0);
    let passed = delay_of(growing()).await?;
    assert!(passed <= secs(2), "{passed:?}");
    let passed = delay_of(growing().reconnect_delay_max(AGES)).await?;
    assert!(passed > secs(60) && passed <= AGES * 6, "{passed:?}");
    Ok(())
}

pub(super) async fn reconnect_delay_multiplier() -> Outcome {
    let steady = || eager().reconnect_delay_max(AGES).reconnect_delay_multiplier(1.0);
    let passed = delay_of(steady()).await?;
    assert!(passed <= secs(2), "{passed:?}");
    let passed = delay_of(steady().reconnect_delay_multiplier(1000.0)).await?;
    assert!(passed > secs(60), "{passed:?}");
    Ok(())
}
