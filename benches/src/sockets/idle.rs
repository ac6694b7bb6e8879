//! Memory of the server for each connection that is open, has made a call, and does nothing.

use std::time::Duration;

use super::clock::now;
use super::load::{connect_all, pause};
use super::{Metrics, Peer, Result, Task};

pub(super) async fn run<P: Peer>(task: &Task, connections: usize) -> Result<Metrics> {
    // What the first connection makes the server load is not counted.
    let first = P::connect(task.server).await?;
    call(&first).await?;
    pause::<P::Runtime>(Duration::from_millis(300)).await;
    let before = task.server_memory();
    let started = now();
    let held: Vec<P> = connect_all(task.server, connections).await?;
    let took = started.elapsed().as_secs_f64();
    all_call(&held).await?;
    pause::<P::Runtime>(Duration::from_secs(1)).await;
    let after = task.server_memory();
    // Every one of them must still be alive.
    all_call(&held).await?;
    let mut metrics = Metrics::new();
    metrics.insert("rss_per_connection".into(), (after - before) / connections as f64);
    metrics.insert("rss_base".into(), before);
    metrics.insert("connects_per_s".into(), connections as f64 / took);
    Ok(metrics)
}

async fn all_call<P: Peer>(peers: &[P]) -> Result<()> {
    for peer in peers {
        call(peer).await?;
    }
    Ok(())
}

async fn call<P: Peer>(peer: &P) -> Result<()> {
    match peer.add(1, 2).await? {
        3 => Ok(()),
        other => Err(format!("1 + 2 is not {other}").into()),
    }
}
