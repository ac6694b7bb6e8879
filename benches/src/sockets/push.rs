//! Messages from the server to many receivers, in rounds that are over when every receiver has
//! every message.

use std::future::Future;
use std::time::Duration;

use cndt_runtime::Runtime;

use super::clock::now;
use super::load::{connect_all, pause};
use super::{Hits, Metrics, Peer, Result, Task};

/// How long a round may take.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn run<P: Peer>(task: &Task, receivers: usize) -> Result<Metrics> {
    let hits = Hits::default();
    let subscribers: Vec<P> = connect_all(task.server, receivers).await?;
    for subscriber in &subscribers {
        subscriber.subscribe(hits.clone()).await?;
    }
    let publisher = P::connect(task.server).await?;
    rounds::<P::Runtime, _>(task, receivers as u64, &hits, |messages| publisher.publish(messages))
        .await
}

/// Two rounds that find out how many messages fill the window, then the one that counts.
pub(super) async fn rounds<R: Runtime, F: Future<Output = Result<()>>>(
    task: &Task,
    receivers: u64,
    hits: &Hits,
    publish: impl Fn(u64) -> F,
) -> Result<Metrics> {
    let round = async |messages: u64| {
        hits.expect(messages, receivers);
        let started = now();
        publish(messages).await?;
        hits.wait::<R>(PATIENCE).await?;
        Result::Ok(started.elapsed().as_secs_f64())
    };
    // Not every system acknowledges a subscription.
    pause::<R>(Duration::from_millis(300)).await;
    round(20).await?;
    let each = round(200).await? / 200.0;
    let messages = ((task.window.as_secs_f64() / each) as u64).clamp(50, 1_000_000);
    let before = task.cpu();
    let took = round(messages).await?;
    let cpu = task.cpu().since(before);
    hits.check()?;
    let delivered = (messages * receivers) as f64;
    let mut metrics = Metrics::new();
    metrics.insert("delivered_per_s".into(), delivered / took);
    metrics.insert("messages".into(), messages as f64);
    cpu.tell(delivered, &mut metrics);
    Ok(metrics)
}
