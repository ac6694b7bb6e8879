//! Large binary data, and much at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::support::{check, client, eventually, server, server_descriptor};
use super::{Net, Outcome};
use crate::peer::Peer;
use crate::router::extract::{Params, RawParams};
use crate::rt::Runtime;
use crate::{Blob, CallError, RpcError};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Picture {
    title: String,
    layers: Vec<Blob>,
}

/// No two are alike, nor are any two parts of one.
fn picture(seed: usize, sizes: &[usize]) -> Picture {
    let layer = |size: &usize| {
        let bytes = (0..*size).map(|at| (at / 251 + at % 251 + seed + size) as u8);
        Blob::from(bytes.collect::<Vec<_>>())
    };
    Picture { title: format!("number {seed}"), layers: sizes.iter().map(layer).collect() }
}

/// Some are copied, some share the memory of what was received; all of them come back whole, many at
/// once, and from a client as from a server.
pub async fn comes_back_whole<N: Net>() -> Outcome {
    async fn mirror(
        RawParams(payload): RawParams,
        Params(picture): Params<Picture>,
    ) -> Result<Picture, RpcError> {
        let is_shared = |layer: &Blob| payload.as_ptr_range().contains(&layer.as_ptr());
        match picture.layers.iter().find(|layer| is_shared(layer) != (layer.len() >= 16 * 1024)) {
            Some(layer) => Err(RpcError::internal(format!("shares {} bytes", layer.len()))),
            None => Ok(picture),
        }
    }
    let server = server::<N>().rpc("mirror", mirror).start().await?;
    let client = client::<N>(&server)
        .rpc("keep", |Params(blob): Params<Blob>| async move { blob })
        .connect()
        .await?;
    let mixed = [3_000_000, 0, 20_000, 100, 32 * 1024, 16 * 1024 - 1, 200_000];
    let sent = picture(0, &mixed);
    let back: Picture = client.call("mirror", &sent).await?;
    check(back == sent, "not what was sent")?;

    let (done, count) = (Arc::new(AtomicUsize::new(0)), 48);
    for seed in 1..=count {
        let (client, done) = (client.clone(), Arc::clone(&done));
        N::Runtime::default().spawn(async move {
            let sent = picture(seed, &[seed * 3_000, 64 * 1024, seed]);
            if client.call::<_, Picture>("mirror", &sent).await.is_ok_and(|back| back == sent) {
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    eventually::<N>("all come back", || done.load(Ordering::Relaxed) == count).await?;

    let alone = &sent.layers[0];
    let [peer] = &server.connections()[..] else { return Err("not one client".into()) };
    let back: Blob = peer.call("keep", alone).await?;
    check(back == *alone, "not what was sent")?;
    server.stop().await;
    Ok(())
}

/// Both sides ask for so much at once that neither queues nor sockets hold it, and get it: neither waits
/// for the other to read first.
pub async fn goes_both_ways<N: Net>() -> Outcome {
    async fn echo(Params(blob): Params<Blob>) -> Blob {
        blob
    }
    async fn ask(peer: Peer, blob: Blob) -> bool {
        let back = peer.call::<_, Blob>("echo", &blob).await;
        back.is_ok_and(|back| back == blob)
    }
    let server = server::<N>().rpc("echo", echo).start().await?;
    let client = client::<N>(&server).rpc("echo", echo).connect().await?;
    eventually::<N>("the server knows its client", || server.connections().len() == 1).await?;
    let [peer] = &server.connections()[..] else { return Err("not one client".into()) };
    let (done, count) = (Arc::new(AtomicUsize::new(0)), 6);
    for number in 0..count {
        let blob = Blob::from(vec![number as u8; 9_000_000]);
        for own in [client.peer().ok_or("not connected")?, peer.clone()] {
            let (done, blob) = (Arc::clone(&done), blob.clone());
            N::Runtime::default().spawn(async move {
                done.fetch_add(usize::from(ask(own, blob).await), Ordering::Relaxed);
            });
        }
    }
    eventually::<N>("all come back", || done.load(Ordering::Relaxed) == 2 * count).await?;
    server.stop().await;
    Ok(())
}

/// All handlers call back before they answer, and more requests came than the queue holds: the answers
/// that they wait for are read behind those.
pub async fn calls_back_behind_requests<N: Net>() -> Outcome {
    async fn add_own(peer: Peer, Params(number): Params<usize>) -> Result<usize, RpcError> {
        let failed = |error: CallError| RpcError::internal(error.to_string());
        let own: usize = peer.call("own", &()).await.map_err(failed)?;
        Ok(own + number)
    }
    let server = N::server(server_descriptor().receive_queue_size(10));
    let server = server.rpc("add own", add_own).start().await?;
    let client = client::<N>(&server).rpc("own", || async { 1_usize }).connect().await?;
    // They leave together: no answer is among them.
    let numbers: Vec<usize> = (0..300).collect();
    let batch = numbers.iter().fold(client.batch(), |batch, number| batch.call("add own", number));
    for (number, outcome) in batch.await?.iter().enumerate() {
        let sum: usize = outcome.as_ref().map_err(CallError::clone)?.read()?;
        check(sum == number + 1, sum)?;
    }
    server.stop().await;
    Ok(())
}
