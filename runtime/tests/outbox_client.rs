//! An outbox that sends by the real client, to a real server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cndt_tokio::webhook::outbox::{EntryState, OutboxConfig, Schedule};
use cndt_tokio::webhook::{Keys, Proxy, Scheme, Webhook, WebhookClientDescriptor, Webhooks};
use cndt_tokio::{
    Data, Listener, Outbox, RpcError, Server, ServerDescriptor, ServerHandle, WebhookClient,
};
use serde_json::{Value, json};

type Tested = Result<(), Box<dyn std::error::Error>>;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// `/flaky` fails twice; `/picky` wants a header and its own type.
async fn receiver(
    runs: &Arc<AtomicU32>,
) -> Result<(ServerHandle, String), Box<dyn std::error::Error>> {
    let settings = Webhooks::signed(Keys::parse(Scheme::Standard, SECRET)?);
    let count = Arc::clone(runs);
    let server = Server::new(ServerDescriptor::new(""))
        .listen_only(Listener::tcp("127.0.0.1", 0).webhooks(settings))
        .webhook("/flaky", move |webhook: Webhook, Data(order): Data<Value>| {
            let run = count.fetch_add(1, Ordering::Relaxed) + 1;
            async move {
                match (run, webhook.id()) {
                    (1 | 2, _) => Err(RpcError::rate_limited(None)),
                    (_, Some("order-7")) if order["lots"] == 3 => Ok(()),
                    _ => Err(RpcError::validation("another webhook")),
                }
            }
        })
        .webhook("/picky", |webhook: Webhook| async move {
            let has = |name, value| webhook.headers().get(name).is_some_and(|found| found == value);
            if has("x-custom", "one") && has("content-type", "application/json") {
                Ok(())
            } else {
                Err(RpcError::validation("a header is missing"))
            }
        })
        .start()
        .await?;
    let address = server.local_addresses()[0].to_string();
    Ok((server, address))
}

fn client(secret: &str) -> Result<WebhookClient, Box<dyn std::error::Error>> {
    let descriptor = WebhookClientDescriptor::new("http://localhost/unused").proxy(Proxy::Never);
    Ok(WebhookClient::new(descriptor.keys(Keys::parse(Scheme::Standard, secret)?))?)
}

#[tokio::test]
async fn webhooks_are_signed_sent_and_tried_again() -> Tested {
    let runs = Arc::default();
    let (server, address) = receiver(&runs).await?;
    let folder = tempfile::tempdir()?;
    let schedule = Schedule::listed([Duration::ZERO, Duration::from_millis(1), Duration::ZERO])?;
    let config = OutboxConfig::new(folder.path().join("w.outbox")).schedule(schedule);
    let outbox = Outbox::open(config).await?;
    let order = json!({"lots": 3});
    outbox.enqueue(format!("{address}/flaky"), &order).id("order-7".parse()?).await?;
    outbox.enqueue(format!("{address}/picky"), &()).header("x-custom", "one").await?;
    outbox.enqueue(format!("{address}/nobody"), &()).await?;
    outbox.enqueue("http://127.0.0.1:1/", &()).await?;
    outbox.start(client(SECRET)?)?;
    tokio::time::timeout(Duration::from_secs(60), outbox.drained()).await??;
    let stats = outbox.stats();
    assert_eq!((stats.delivered, stats.dead, runs.load(Ordering::Relaxed)), (2, 2, 3));
    let dead = outbox.dead(None, 10).await?;
    let told: Vec<_> = dead
        .iter()
        .map(|entry| (entry.attempts, entry.last.as_ref().and_then(|last| last.status)))
        .collect();
    assert!(told.contains(&(1, Some(404))) && told.contains(&(3, None)), "{told:?}");
    assert!(dead.iter().all(|entry| matches!(entry.state, EntryState::Dead { .. })));
    outbox.close().await;
    server.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_wrong_secret_ends_as_a_dead_letter() -> Tested {
    let (server, address) = receiver(&Arc::default()).await?;
    let folder = tempfile::tempdir()?;
    let outbox = Outbox::open(OutboxConfig::new(folder.path().join("w.outbox"))).await?;
    outbox.enqueue(format!("{address}/picky"), &()).await?;
    outbox.start(client("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")?)?;
    tokio::time::timeout(Duration::from_secs(60), outbox.drained()).await??;
    let dead = outbox.dead(None, 10).await?;
    assert_eq!(dead[0].last.as_ref().and_then(|last| last.status), Some(401));
    outbox.close().await;
    server.stop().await;
    Ok(())
}
