//! The client with a future for each call: a table of calls by id, one task per connection that reads
//! and writes.

use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes, BytesMut};
use cndt_tokio::Tokio;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::frames::{self, Content, Peeked, peek};
use super::reader::Reader;
use super::window::dial;
use crate::sockets::{Hits, PUSH_LEN, Peer, Result};

#[derive(Debug, Default)]
struct State {
    out: BytesMut,
    last_id: u64,
    pending: HashMap<u64, oneshot::Sender<Bytes>>,
    /// Of the task that writes, while it has nothing to write.
    writer: Option<Waker>,
    hits: Option<Hits>,
    has_yielded: bool,
}

#[derive(Debug, Clone)]
pub(super) struct MuxPeer {
    state: Arc<Mutex<State>>,
    add: Bytes,
    /// An echo up to its data, all of which have one size.
    echo: Arc<OnceLock<Bytes>>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MuxPeer {
    /// Sends a frame; what it gives resolves with the whole answer.
    fn send(&self, frame: &[u8], data: &[u8]) -> oneshot::Receiver<Bytes> {
        let (answered, answer) = oneshot::channel();
        let mut state = lock(&self.state);
        state.last_id += 1;
        let id = state.last_id;
        state.pending.insert(id, answered);
        let start = state.out.len();
        state.out.extend_from_slice(frame);
        state.out.extend_from_slice(data);
        frames::set_id(&mut state.out[start..], id);
        if let Some(writer) = state.writer.take() {
            writer.wake();
        }
        answer
    }

    async fn call(&self, frame: &[u8], data: &[u8]) -> Result<Bytes> {
        Ok(self.send(frame, data).await.map_err(|_| "the connection has ended")?)
    }
}

impl Peer for MuxPeer {
    type Runtime = Tokio;

    async fn connect(server: SocketAddr) -> Result<Self> {
        let stream = dial(server).await?;
        let state: Arc<Mutex<State>> = Arc::default();
        let of_task = Arc::clone(&state);
        tokio::spawn(async move {
            let ended = read_and_write(stream, &of_task).await;
            // Whoever waits is told by the end of what they wait for.
            lock(&of_task).pending.clear();
            drop(ended);
        });
        Ok(Self { state, add: frames::add()?, echo: Arc::default() })
    }

    async fn add(&self, a: i64, b: i64) -> Result<i64> {
        // Only bytes are exchanged; nobody computes.
        self.call(&self.add, &[]).await?;
        Ok(a + b)
    }

    async fn echo(&self, data: Bytes) -> Result<usize> {
        let head = match self.echo.get() {
            Some(head) => head,
            None => {
                let mut whole = frames::echo(data.clone())?;
                whole.truncate(whole.len() - data.len());
                self.echo.get_or_init(|| whole)
            }
        };
        let answer = self.call(head, &data).await?;
        Ok(answer.len() - head.len())
    }

    async fn subscribe(&self, hits: Hits) -> Result<()> {
        lock(&self.state).hits = Some(hits);
        drop(self.send(&frames::subscribe()?, &[]));
        Ok(())
    }

    async fn publish(&self, messages: u64) -> Result<()> {
        self.call(&frames::publish(messages)?, &[]).await?;
        Ok(())
    }
}

/// What there is to be written.
enum Output {
    Ready,
    None,
    /// Others may have something, too; the task is woken at once.
    Soon,
}

/// Fills `out` if it is empty. Without the yield the first caller's wake-up would have this task write
/// at once: one system call for each call.
fn take_output(state: &Mutex<State>, out: &mut BytesMut, cx: &mut Context<'_>) -> Output {
    if !out.is_empty() {
        return Output::Ready;
    }
    let mut state = lock(state);
    if state.out.is_empty() {
        state.writer = Some(cx.waker().clone());
        return Output::None;
    }
    if !state.has_yielded && state.pending.len() > 1 {
        state.has_yielded = true;
        cx.waker().wake_by_ref();
        return Output::Soon;
    }
    state.has_yielded = false;
    std::mem::swap(out, &mut state.out);
    Output::Ready
}

async fn read_and_write(mut stream: TcpStream, state: &Mutex<State>) -> io::Result<()> {
    let (mut reader, mut out) = (Reader::new(), BytesMut::new());
    loop {
        let read = poll_fn(|cx| {
            loop {
                match take_output(state, &mut out, cx) {
                    Output::Ready => {}
                    Output::None => break,
                    Output::Soon => return Poll::Pending,
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
            return Ok(());
        }
        let mut state = lock(state);
        while let Some(Peeked { content, id, length }) = peek(&reader.buffer) {
            let frame = reader.buffer.split_to(length);
            if content == Content::Pushed {
                let data = frame.len().saturating_sub(PUSH_LEN);
                if let Some(hits) = &state.hits {
                    hits.hit(&frame[data..]);
                }
            } else if let Some(answered) = state.pending.remove(&id) {
                // Nobody waits any more: nothing to do.
                let _ = answered.send(frame.freeze());
            }
        }
    }
}
