//! Several calls and messages at once.

use std::future::{Future, IntoFuture, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use cndt_core::connection::{CallFailure, SendError};
use serde_json::{Value, json};

use super::support::{
    check, connect, eventually, listen, pause, read, server, server_descriptor, write_all,
};
use super::{Net, Outcome, Tcp};
use crate::batch::Batch;
use crate::client::{Client, ClientHandle};
use crate::descriptor::ClientDescriptor;
use crate::error::{CallError, NotConnected};
use crate::link::HANDLERS_MAX;
use crate::net::{JsonRpc, Listener, LocalAddress};
use crate::router::extract::{Data, Params};
use crate::rt::Runtime;
use crate::server::{Server, ServerHandle};

/// Calls that may be open on one connection.
const CALLS_MAX: usize = 1024;

fn handlers<R: Runtime>(server: Server<R>, heard: &Arc<AtomicUsize>) -> Server<R> {
    let heard = Arc::clone(heard);
    server
        .rpc("double", |Params((n,)): Params<(usize,)>| async move { n * 2 })
        .rpc("big", |Params((n,)): Params<(usize,)>| async move { "x".repeat(n) })
        .on("add", move |Data((n,)): Data<(usize,)>| {
            heard.fetch_add(n, Ordering::Relaxed);
            async {}
        })
}

async fn served_as_json<R: Runtime>(
    server: Server<R>,
) -> Result<(ServerHandle, ClientDescriptor), Box<dyn std::error::Error>> {
    let listener = Listener::tcp("127.0.0.1", 0).jsonrpc(JsonRpc::new().trusted());
    let server = server.listen(listener).start().await?;
    let mut all = server.local_addresses().iter();
    let address = all.find(|address| matches!(address, LocalAddress::JsonRpc(_)));
    let address = address.and_then(LocalAddress::socket_address).ok_or("no JSON-RPC is spoken")?;
    let descriptor = ClientDescriptor::jsonrpc(address.ip().to_string(), address.port());
    Ok((server, descriptor.reconnect_enabled(false)))
}

/// Calls have outcomes, in their order; messages have none, and arrive.
async fn carries<N: Net>(client: &ClientHandle, heard: &AtomicUsize) -> Outcome {
    let is_heard = |sum| move || heard.load(Ordering::Relaxed) == sum;
    let batch = client.batch().notify("add", &[1]).call("double", &[7]).notify("add", &[20]);
    let outcomes = batch.call("no.such", &()).call("double", &[9]).notify("add", &[300]).await?;
    let [Ok(first), Err(CallError::Failed(_)), Ok(last)] = &outcomes[..] else {
        return Err(format!("{outcomes:?}").into());
    };
    check(first.read::<usize>()? == 14 && last.read::<usize>()? == 18, &outcomes)?;
    eventually::<N>("all messages are heard", is_heard(321)).await?;
    let peer = client.peer().ok_or("not connected")?;
    let nothing = peer.batch().notify("add", &[1000]).notify("add", &[1000]).await?;
    check(nothing.is_empty(), &nothing)?;
    eventually::<N>("these are heard, too", is_heard(2321)).await?;
    check(peer.link.lock().calls.is_empty(), "slots for messages")?;
    let unfit = client.batch().call("double", &[1]).notify("add", &"x".repeat(20_000_000)).await;
    check(matches!(unfit, Err(CallError::Send(_))), unfit)?;
    eventually::<N>("the call before it is given up", || {
        let link = peer.link.lock();
        link.calls.is_empty() && link.connection.calls_open() == 0
    })
    .await
}

/// Calls and messages in any mixture, and messages alone.
pub async fn carry_calls_and_messages<N: Net>() -> Outcome {
    let heard = Arc::default();
    let server = handlers(server::<N>(), &heard).start().await?;
    let client = connect::<N>(&server).await?;
    carries::<N>(&client, &heard).await?;
    server.stop().await;
    client.disconnect().await;
    let refused = client.batch().notify("add", &[1]).await.err();
    check(refused == Some(CallError::NotConnected(NotConnected)), refused)
}

/// The same as batches of JSON-RPC.
pub async fn carry_calls_and_messages_as_json<R: Runtime>() -> Outcome {
    let heard = Arc::default();
    let (server, descriptor) = served_as_json(handlers(server::<Tcp<R>>(), &heard)).await?;
    let client = Client::<R>::new(descriptor).connect().await?;
    carries::<Tcp<R>>(&client, &heard).await?;
    let mut batch = client.batch();
    for _ in 0..=CALLS_MAX {
        batch = batch.call("double", &[1]);
    }
    let refused = batch.await;
    check(matches!(refused, Err(CallError::Send(SendError::Body(_)))), refused)?;
    // Fire and forget, as in CNDT: no place among the open calls, and no strike.
    for _ in 0..10 {
        client.call::<_, ()>("double", &[1]).forget()?;
    }
    let late = || client.health().traffic.late_answers == 10;
    eventually::<Tcp<R>>("all answers are dropped", late).await?;
    let peer = client.peer().ok_or("not connected")?;
    check(peer.link.lock().connection.calls_open() == 0, "a forgotten call has a place")?;
    check(peer.stats().strikes == 0, "a late answer is misuse")?;
    server.stop().await;
    Ok(())
}

/// In CNDT a batch may have more calls than may be open, and more than the queue holds: it keeps its
/// turn until the last has left.
pub async fn leave_as_there_is_room<N: Net>() -> Outcome {
    let heard = Arc::default();
    let server = handlers(server::<N>(), &heard).start().await?;
    let client = connect::<N>(&server).await?;
    let numbers: Vec<[usize; 1]> = (0..CALLS_MAX * 3 / 2).map(|n| [n]).collect();
    let mut batch = client.batch();
    for number in &numbers {
        batch = batch.call("double", number).notify("add", &[1]);
    }
    let outcomes = batch.await?;
    for (n, outcome) in outcomes.iter().enumerate() {
        let doubled: usize = outcome.as_ref().map_err(Clone::clone)?.read()?;
        check(doubled == n * 2, (n, doubled))?;
    }
    check(outcomes.len() == numbers.len(), outcomes.len())?;
    let sum = || heard.load(Ordering::Relaxed) == numbers.len();
    eventually::<N>("all messages are heard", sum).await?;
    server.stop().await;
    Ok(())
}

async fn is_pending<F: Future + Unpin>(future: &mut F) -> bool {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx).is_pending())).await
}

/// Lines of a socket that is served by hand.
struct Lines<S> {
    stream: S,
    text: Vec<u8>,
}

impl<S: futures_io::AsyncRead + futures_io::AsyncWrite + Unpin> Lines<S> {
    async fn next(&mut self) -> Result<Value, Box<dyn std::error::Error>> {
        let mut buffer = [0; 4096];
        loop {
            if let Some(end) = self.text.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.text.drain(..=end).collect();
                return Ok(serde_json::from_slice(&line)?);
            }
            let length = read(&mut self.stream, &mut buffer).await?;
            check(length > 0, "the client ended the connection")?;
            self.text.extend_from_slice(&buffer[..length]);
        }
    }

    async fn answer(&mut self, ids: &[&Value]) -> Outcome {
        let answers: Vec<Value> =
            ids.iter().map(|id| json!({"jsonrpc": "2.0", "result": id, "id": id})).collect();
        let text =
            if let [one] = &answers[..] { one.to_string() } else { json!(answers).to_string() };
        Ok(write_all(&mut self.stream, format!("{text}\n").as_bytes()).await?)
    }
}

fn three<'a>(client: &ClientHandle) -> Batch<'a> {
    client.batch().call("first", &()).notify("note", &()).call("second", &()).call("third", &())
}

/// A batch waits until all of it has room; nobody who comes later goes first; it waits no longer than
/// it is told to, and makes way when it is dropped.
pub async fn wait_in_line_for_room<R: Runtime>() -> Outcome {
    let runtime = R::default();
    let (listener, address) = listen::<R>()?;
    let descriptor = ClientDescriptor::jsonrpc(address.ip().to_string(), address.port());
    let descriptor = descriptor.reconnect_enabled(false).send_queue_size(CALLS_MAX * 2);
    let client = Client::<R>::new(descriptor).connect().await?;
    let (stream, _) = runtime.accept(&listener).await?;
    let mut server = Lines { stream, text: Vec::new() };
    let mut calls = Vec::new();
    for _ in 0..CALLS_MAX - 2 {
        let mut call = client.call_raw("m", &[0x90]);
        check(is_pending(&mut call).await, "answered by nobody")?;
        calls.push(call);
    }
    for n in 1..=calls.len() {
        check(server.next().await?["id"] == n, n)?;
    }
    let expired = three(&client).timeout(Duration::from_millis(50)).await;
    let is_late = matches!(expired, Err(CallError::Failed(CallFailure::TimedOut { .. })));
    check(is_late, expired)?;
    // Two more calls have room, three have not.
    let mut dropped = three(&client).into_future();
    let mut batch = three(&client).into_future();
    let mut behind = client.call_raw("behind", &[0x90]);
    check(is_pending(&mut dropped).await && is_pending(&mut batch).await, "there is no room")?;
    check(is_pending(&mut behind).await, "it is not its turn")?;
    drop(dropped);
    let outcomes = Arc::new(Mutex::new(None));
    let done = Arc::clone(&outcomes);
    runtime.spawn(async move {
        let all = batch.await;
        if let Ok(mut done) = done.lock() {
            *done = Some(all);
        }
    });
    runtime.spawn(async move { drop(behind.await) });
    server.answer(&[&json!(1)]).await?;
    let sent = server.next().await?;
    let methods: Vec<_> =
        sent.as_array().into_iter().flatten().map(|item| &item["method"]).collect();
    check(methods == ["first", "note", "second", "third"], &sent)?;
    server.answer(&[&json!(2)]).await?;
    check(server.next().await?["method"] == "behind", "somebody else was first")?;
    let ids = [3, 2, 0].map(|index| &sent[index]["id"]);
    server.answer(&ids).await?;
    let is_done = || outcomes.lock().is_ok_and(|outcomes| outcomes.is_some());
    eventually::<Tcp<R>>("the batch is answered", is_done).await?;
    let outcomes = outcomes.lock().ok().and_then(|mut outcomes| outcomes.take());
    let mut answered = Vec::new();
    for outcome in outcomes.ok_or("no outcomes")?? {
        answered.push(outcome?.read::<Value>()?);
    }
    check(answered.iter().rev().eq(ids), answered)
}

/// Answers of one batch that are too large together are replaced by errors; each call has one.
pub async fn are_answered_in_one_text<R: Runtime>() -> Outcome {
    let server = Tcp::<R>::server(server_descriptor().max_message_size(10_000));
    let (server, descriptor) = served_as_json(handlers(server, &Arc::default())).await?;
    let client = Client::<R>::new(descriptor).connect().await?;
    let alone: String = client.call("big", &[6000]).await?;
    check(alone.len() == 6000, alone)?;
    let batch = client.batch().call("big", &[6000]).call("double", &[1]).call("big", &[6000]);
    let outcomes = batch.await?;
    let told: Vec<bool> = outcomes.iter().map(Result::is_ok).collect();
    check(told.iter().filter(|is_ok| **is_ok).count() == 2 && told[1], &outcomes)?;
    for outcome in outcomes {
        if let Err(error) = outcome {
            let CallError::Failed(CallFailure::Remote(error)) = error else {
                return Err(error.into());
            };
            check(error.code == cndt_core::rpc::ErrorCode::Internal, error)?;
        }
    }
    server.stop().await;
    Ok(())
}

/// What waits for the rest of its batch does not keep that rest waiting, even if it is more than may
/// wait for a peer that does not read.
pub async fn are_not_held_up_by_their_own_answers<R: Runtime>() -> Outcome {
    const COUNT: usize = 400;
    // More than 8 MiB together, and less than the 10 MiB that fit into one text.
    const SIZE: usize = 24 * 1024;
    let (server, descriptor) =
        served_as_json(handlers(server::<Tcp<R>>(), &Arc::default())).await?;
    let client = Client::<R>::new(descriptor).connect().await?;
    let mut batch = client.batch();
    for _ in 0..COUNT {
        batch = batch.call("big", &[SIZE]);
    }
    let outcomes = batch.await?;
    check(outcomes.len() == COUNT, outcomes.len())?;
    for outcome in outcomes {
        let length = outcome?.read::<String>()?.len();
        check(length == SIZE, length)?;
    }
    server.stop().await;
    Ok(())
}

/// Handlers of `wait` end when they may.
#[derive(Default)]
struct Gate {
    begun: AtomicUsize,
    ended: AtomicUsize,
    is_open: AtomicBool,
}

impl Gate {
    fn serve<R: Runtime>(self: &Arc<Self>, server: Server<R>) -> Server<R> {
        let gate = Arc::clone(self);
        server.rpc("wait", move || {
            gate.begun.fetch_add(1, Ordering::Relaxed);
            let gate = Arc::clone(&gate);
            async move {
                while !gate.is_open.load(Ordering::Relaxed) {
                    pause::<Tcp<R>>(Duration::from_millis(5)).await;
                }
                gate.ended.fetch_add(1, Ordering::Relaxed);
            }
        })
    }

    fn open(&self) {
        self.is_open.store(true, Ordering::Relaxed);
    }

    fn begun(&self) -> usize {
        self.begun.load(Ordering::Relaxed)
    }

    fn ended(&self) -> usize {
        self.ended.load(Ordering::Relaxed)
    }
}

/// However many batches a peer sends, few begin while much waits for the rest of those that have.
pub async fn hold_little_more_than_may_wait<R: Runtime>() -> Outcome {
    // Three times what may wait, though all of them could begin at once.
    const COUNT: usize = HANDLERS_MAX - 8;
    const SIZE: usize = 200 * 1024;
    let gate = Arc::new(Gate::default());
    let server = gate.serve(handlers(server::<Tcp<R>>(), &Arc::default()));
    let (server, descriptor) = served_as_json(server).await?;
    let client = Client::<R>::new(descriptor).connect().await?;
    let answered = Arc::new(AtomicUsize::new(0));
    for _ in 0..COUNT {
        let batch = client.batch().call("big", &[SIZE]).call("wait", &()).into_future();
        let answered = Arc::clone(&answered);
        R::default().spawn(async move {
            if batch.await.is_ok_and(|outcomes| outcomes.iter().all(Result::is_ok)) {
                answered.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    eventually::<Tcp<R>>("some begin", || gate.begun() > 0).await?;
    let mut before = 0;
    while gate.begun() > before {
        before = gate.begun();
        pause::<Tcp<R>>(Duration::from_millis(300)).await;
    }
    check(before < COUNT * 3 / 4, before)?;
    gate.open();
    let all = || answered.load(Ordering::Relaxed) == COUNT;
    eventually::<Tcp<R>>("all are answered", all).await?;
    server.stop().await;
    Ok(())
}

/// Of a batch whose peer is gone, what has not begun never does.
pub async fn begin_nothing_after_the_end<R: Runtime>() -> Outcome {
    let gate = Arc::new(Gate::default());
    let (server, descriptor) = served_as_json(gate.serve(server::<Tcp<R>>())).await?;
    let client = Client::<R>::new(descriptor).connect().await?;
    // One text, so that all of it is taken before the first handler begins.
    let mut batch = client.batch();
    for _ in 0..HANDLERS_MAX * 2 {
        batch = batch.call("wait", &());
    }
    let batch = batch.into_future();
    R::default().spawn(async move { drop(batch.await) });
    let all_run = || gate.begun() == HANDLERS_MAX;
    eventually::<Tcp<R>>("as many handlers run as may", all_run).await?;
    let peer = server.find(|_| true).ok_or("nobody is there")?;
    let waiting = peer.link.lock().connection.deliveries_waiting();
    check(waiting == HANDLERS_MAX, waiting)?;
    peer.abort();
    peer.closed().await;
    gate.open();
    let all_ended = || gate.ended() >= HANDLERS_MAX;
    eventually::<Tcp<R>>("those that run come to their end", all_ended).await?;
    pause::<Tcp<R>>(Duration::from_millis(300)).await;
    check(gate.begun() == HANDLERS_MAX, gate.begun())?;
    server.stop().await;
    Ok(())
}
