//! The client of the bare floor.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::{Buf, Bytes, BytesMut};
use cndt_tokio::Tokio;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use super::frames::{self, Content, peek};
use super::reader::Reader;
use crate::sockets::calls::{self, Count};
use crate::sockets::clock::now;
use crate::sockets::load::Window;
use crate::sockets::{Hits, Metrics, Result, Task, push};

/// Bytes that are written at once: the largest window of the workloads.
const WRITE: usize = 2 * 1024 * 1024;

/// Bytes that are read at once of pushed messages.
const READ: usize = 64 * 1024;

pub(super) async fn dial(server: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

pub(super) async fn calls(
    task: Task,
    connections: usize,
    outstanding: usize,
    payload: usize,
) -> Result<Metrics> {
    let request = match payload {
        0 => frames::add()?,
        _ => frames::echo(Bytes::from(vec![0x5a; payload]))?,
    };
    let mut streams = Vec::new();
    for _ in 0..connections {
        streams.push(dial(task.server).await?);
    }
    let is_alone = connections * outstanding == 1;
    let window = task.window();
    let sampler = task.sample(window);
    let loops: Vec<_> = streams
        .into_iter()
        .map(|stream| {
            tokio::spawn(one_loop(stream, request.clone(), outstanding, window, is_alone))
        })
        .collect();
    let mut all = Count::default();
    for one in loops {
        all.add(one.await??);
    }
    let cpu = sampler.join().map_err(|_| "the sampling thread failed")?;
    Ok(calls::metrics(&task, payload, all, cpu))
}

/// Keeps `outstanding` requests under way on one connection.
async fn one_loop(
    mut stream: TcpStream,
    request: Bytes,
    outstanding: usize,
    window: Window,
    is_alone: bool,
) -> Result<Count> {
    let at_once = (WRITE / request.len()).max(1);
    let (mut reader, mut out) = (Reader::new(), BytesMut::new());
    let (mut count, mut due) = (Count::default(), outstanding);
    let mut before = now();
    loop {
        let read = poll_fn(|cx| {
            loop {
                if out.is_empty() {
                    let batch = due.min(at_once);
                    (0..batch).for_each(|_| out.extend_from_slice(&request));
                    due -= batch;
                }
                if out.is_empty() {
                    break;
                }
                match Pin::new(&mut stream).poll_write(cx, &out) {
                    Poll::Ready(Ok(written)) => out.advance(written),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => break,
                }
            }
            reader.poll_fill(&mut stream, cx)
        })
        .await?;
        if read == 0 {
            return Err("the server has closed".into());
        }
        let mut answered = 0;
        while let Some(peeked) = peek(&reader.buffer) {
            if peeked.content != Content::Answer {
                return Err("that is no answer".into());
            }
            reader.buffer.advance(peeked.length);
            answered += 1;
        }
        let after = now();
        if after >= window.to {
            return Ok(count);
        }
        if after >= window.from {
            count.calls += u64::try_from(answered)?;
            if is_alone && answered == 1 {
                count.latencies.push(u64::try_from((after - before).as_nanos())?);
            }
        }
        before = after;
        due += answered;
    }
}

/// Receivers that count bytes: all frames have one size, so the count is exact.
pub(super) async fn push(task: Task, receivers: usize) -> Result<Metrics> {
    let hits = Hits::default();
    let size = frames::push(0)?.len();
    for _ in 0..receivers {
        let mut stream = dial(task.server).await?;
        stream.write_all(&frames::subscribe()?).await?;
        tokio::spawn(count(stream, size, hits.clone()));
    }
    let publisher = Arc::new(Mutex::new(dial(task.server).await?));
    push::rounds::<Tokio, _>(&task, receivers as u64, &hits, |messages| {
        let publisher = Arc::clone(&publisher);
        async move {
            let mut publisher = publisher.lock().await;
            publisher.write_all(&frames::publish(messages)?).await?;
            let mut answer = vec![0; frames::done()?.len()];
            publisher.read_exact(&mut answer).await?;
            Ok(())
        }
    })
    .await
}

async fn count(mut stream: TcpStream, size: usize, hits: Hits) {
    let (mut buffer, mut left) = (vec![0; READ], 0);
    while let Ok(read) = stream.read(&mut buffer).await
        && read > 0
    {
        left += read;
        hits.unseen((left / size) as u64);
        left %= size;
    }
}
