//! What is tried again, and how soon.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cndt_tokio::{
    Backoff, CallError, ClientDescriptor, ClientHandle, RetryPolicy, RpcError, Server, ServerHandle,
};

use crate::support::{Outcome, client, piped, seconds_of, secs, server};

type Runs = Arc<AtomicU32>;

/// Refuses every call of `busy` for now, and answers no call of `stuck`.
async fn start() -> Result<(ServerHandle, Runs), Box<dyn std::error::Error>> {
    let runs = Runs::default();
    let [busy, stuck] = std::array::from_fn(|_| Arc::clone(&runs));
    let server = Server::new(server())
        .rpc("busy", move || {
            busy.fetch_add(1, Ordering::Relaxed);
            async { Err::<(), _>(RpcError::rate_limited(None)) }
        })
        .rpc("stuck", move || {
            stuck.fetch_add(1, Ordering::Relaxed);
            std::future::pending::<()>()
        });
    Ok((server.start().await?, runs))
}

async fn refused(client: &ClientHandle) -> Result<(), CallError> {
    client.call::<_, ()>("busy", &()).timeout(Duration::MAX).await.expect_err("it is refused");
    Ok(())
}

async fn passed(descriptor: ClientDescriptor) -> Result<u64, Box<dyn std::error::Error>> {
    let (server, _) = start().await?;
    let client = piped(&server, descriptor).await?;
    let (outcome, passed) = seconds_of(refused(&client)).await;
    outcome?;
    Ok(passed)
}

pub(super) async fn retry_count() -> Outcome {
    for count in [1, 2, 7] {
        let (server, runs) = start().await?;
        let client = piped(&server, client().retry_count(count)).await?;
        refused(&client).await?;
        assert_eq!(runs.load(Ordering::Relaxed), count);
    }
    Ok(())
}

pub(super) async fn retry_delay() -> Outcome {
    for delay in [10, 1000] {
        let descriptor = client().retry_count(2).retry_delay(secs(delay));
        let passed = passed(descriptor.retry_delay_max(secs(delay))).await?;
        assert!((delay / 2..=delay).contains(&passed), "{passed}");
    }
    Ok(())
}

pub(super) async fn retry_delay_max() -> Outcome {
    let descriptor = || client().retry_count(8).retry_delay(secs(10));
    let same = passed(descriptor().retry_delay_max(secs(10))).await?;
    assert!((35..=70).contains(&same), "{same}");
    // At least half of each that may not grow, and much more with any likely draw of the last one.
    let growing = passed(descriptor().retry_delay_max(secs(1_000_000))).await?;
    assert!((36..=1270).contains(&growing), "{growing}");
    assert!(growing > same, "{growing}");
    Ok(())
}

pub(super) async fn idempotent_methods() -> Outcome {
    let policy = RetryPolicy::new(3, Backoff::constant(secs(1)))?.attempt_timeout(secs(1))?;
    for (methods, expected) in [(vec!["busy"], 1), (vec!["busy", "stuck"], 3)] {
        let (server, runs) = start().await?;
        let methods = methods.into_iter().map(String::from).collect();
        let client = piped(&server, client().idempotent_methods(methods)).await?;
        let outcome = client.call::<_, ()>("stuck", &()).retry(policy).await;
        assert!(outcome.is_err(), "nobody answers");
        assert_eq!(runs.load(Ordering::Relaxed), expected);
    }
    Ok(())
}
