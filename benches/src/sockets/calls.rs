//! Closed loops: a task for each call that is outstanding, which calls again once it is answered.

use bytes::Bytes;
use cndt_runtime::Runtime;

use super::clock::now;
use super::load::{Cpu, Window, connect_all};
use super::{Metrics, Peer, Result, Task};

/// What a loop counted.
#[derive(Debug, Default)]
pub(super) struct Count {
    /// Calls that ended within the window.
    pub(super) calls: u64,
    /// Nanoseconds of each of them, where a loop is alone.
    pub(super) latencies: Vec<u64>,
}

pub(super) async fn run<P: Peer>(
    task: &Task,
    connections: usize,
    outstanding: usize,
    payload: usize,
) -> Result<Metrics> {
    let peers: Vec<P> = connect_all(task.server, connections).await?;
    let data = Bytes::from_iter((0..payload).map(|at| (at * 7) as u8));
    let is_alone = connections * outstanding == 1;
    let window = task.window();
    let sampler = task.sample(window);
    let (told, ended) = smol::channel::unbounded();
    for peer in peers {
        for number in 0..outstanding {
            let (peer, data, told) = (peer.clone(), data.clone(), told.clone());
            P::Runtime::default().spawn(async move {
                let count = one_loop(peer, number, data, window, is_alone).await;
                let _ = told.send(count).await;
            });
        }
    }
    drop(told);
    let mut all = Count::default();
    while let Ok(count) = ended.recv().await {
        all.add(count?);
    }
    let cpu = sampler.join().map_err(|_| "the sampling thread failed")?;
    Ok(metrics(task, payload, all, cpu))
}

async fn one_loop<P: Peer>(
    peer: P,
    number: usize,
    data: Bytes,
    window: Window,
    is_alone: bool,
) -> Result<Count> {
    let (mut count, mut a) = (Count::default(), i64::try_from(number)? * 1000);
    let mut before = now();
    loop {
        if data.is_empty() {
            a += 1;
            let sum = peer.add(a, 2).await?;
            if sum != a + 2 {
                return Err(format!("{a} + 2 is not {sum}").into());
            }
        } else {
            let length = peer.echo(data.clone()).await?;
            if length != data.len() {
                return Err(format!("{length} of {} bytes came back", data.len()).into());
            }
        }
        let after = now();
        if after >= window.to {
            return Ok(count);
        }
        if after >= window.from {
            count.calls += 1;
            if is_alone {
                count.latencies.push(u64::try_from((after - before).as_nanos())?);
            }
        }
        before = after;
    }
}

impl Count {
    pub(super) fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.latencies.extend(other.latencies);
    }
}

pub(super) fn metrics(task: &Task, payload: usize, mut count: Count, cpu: Cpu) -> Metrics {
    let mut metrics = Metrics::new();
    let rate = count.calls as f64 / task.window.as_secs_f64();
    metrics.insert("calls_per_s".into(), rate);
    if payload > 0 {
        metrics.insert("mb_per_s".into(), rate * payload as f64 / 1e6);
    }
    cpu.tell(count.calls as f64, &mut metrics);
    count.latencies.sort_unstable();
    for (name, percent) in [("p50_us", 50), ("p99_us", 99)] {
        let at = count.latencies.len().saturating_sub(1) * percent / 100;
        if let Some(nanos) = count.latencies.get(at) {
            metrics.insert(name.into(), *nanos as f64 / 1e3);
        }
    }
    metrics
}
