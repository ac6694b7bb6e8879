//! Calls, so many under way on each connection.

use std::sync::Arc;

use bytes::Bytes;
use cndt_core::message::{Body as _, Typed};
use cndt_tokio::{CallError, CallFailure, ClientHandle};
use serde::Serialize;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Miss, Tally};
use crate::args::{BenchArgs, WorkloadName};
use crate::exit::Failure;
use crate::json::Payload;
use crate::{jsonrpc, params};

/// One call, to be made again and again.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) method: String,
    /// Bytes of its parameters, for the rate.
    pub(super) size: usize,
    params: Params,
    is_jsonrpc: bool,
}

#[derive(Clone)]
enum Params {
    /// Two numbers that change; the sum is checked.
    Add,
    /// Bytes that come back.
    Echo(Bytes),
    /// JSON-RPC has no bytes, and wants a list or an object.
    EchoText(Arc<[String; 1]>),
    Given(Arc<Payload>),
}

#[derive(Serialize)]
struct Numbers {
    a: i64,
    b: i64,
}

impl Call {
    pub(super) fn new(arguments: &BenchArgs) -> Result<Self, Failure> {
        let is_jsonrpc = super::is_jsonrpc(arguments);
        let method = arguments.method.clone().unwrap_or_else(|| match arguments.workload {
            WorkloadName::Add => "add".to_owned(),
            WorkloadName::Echo | WorkloadName::Push => "echo".to_owned(),
        });
        let has_params = arguments.body.data.is_some() || !arguments.body.fields.is_empty();
        if has_params && arguments.method.is_none() {
            let words = "parameters want a --method; the workloads have their own";
            return Err(Failure::Usage(words.into()));
        }
        let size = arguments.size;
        let (params, size) = if has_params {
            let payload = params::payload(&arguments.body)?;
            let size = payload.to_msgpack().map_or(0, |written| written.len());
            (Params::Given(Arc::new(payload)), size)
        } else if method == "add" {
            (Params::Add, encoded(&Numbers { a: 1, b: 2 })?.len())
        } else if is_jsonrpc {
            (Params::EchoText(Arc::new(["x".repeat(size)])), size)
        } else {
            (Params::Echo(Bytes::from(vec![b'x'; size])), size)
        };
        Ok(Self { method, size, params, is_jsonrpc })
    }

    /// Makes it, the `turn`th time.
    async fn make(&self, client: &ClientHandle, turn: i64) -> Result<(), Miss> {
        let method = self.method.as_str();
        match &self.params {
            Params::Add => {
                let (a, b) = (turn, turn % 7);
                let sum: i64 =
                    client.call(method, &Numbers { a, b }).await.map_err(self.missed())?;
                check(sum == a + b, || format!("{method} says {a} + {b} = {sum}"))
            }
            Params::Echo(bytes) if method == "echo" => {
                let reply = client.call::<_, Value>(method, bytes).raw().await;
                let reply = reply.map_err(self.missed())?.data;
                check(reply.ends_with(bytes), || wrong_length(method, bytes.len(), reply.len()))
            }
            Params::EchoText(text) if method == "echo" => {
                let reply = client.call::<_, Value>(method, &**text).raw().await;
                let (sent, came) = (text[0].len(), reply.map_err(self.missed())?.data.len());
                check(came >= sent, || wrong_length(method, sent, came))
            }
            Params::Echo(bytes) => self.any(client, bytes).await,
            Params::EchoText(text) => self.any(client, &**text).await,
            Params::Given(payload) => self.any(client, &**payload).await,
        }
    }

    /// Any answer is right.
    async fn any<P: Serialize>(&self, client: &ClientHandle, params: &P) -> Result<(), Miss> {
        let reply = client.call::<_, Value>(&self.method, params).raw().await;
        reply.map(drop).map_err(self.missed())
    }

    fn missed(&self) -> impl Fn(CallError) -> Miss {
        let is_jsonrpc = self.is_jsonrpc;
        move |error| Miss::Call(if is_jsonrpc { jsonrpc::numbered(error) } else { error })
    }
}

fn encoded(value: &impl Serialize) -> Result<Bytes, Failure> {
    let mut out = bytes::BytesMut::new();
    Typed(value).write(&mut out).map_err(|error| Failure::Usage(error.to_string()))?;
    Ok(out.freeze())
}

fn check(is_right: bool, words: impl FnOnce() -> String) -> Result<(), Miss> {
    if is_right { Ok(()) } else { Err(Miss::Wrong(words())) }
}

fn wrong_length(method: &str, sent: usize, came: usize) -> String {
    format!("{method} was given {sent} bytes, and answers with {came} others")
}

/// Starts a task for each call that is to be under way.
pub(super) fn start(
    call: &Call,
    clients: &[ClientHandle],
    tally: &Arc<Tally>,
    in_flight: usize,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for (connection, client) in clients.iter().enumerate() {
        for turn in 0..in_flight {
            let (call, client, tally) = (call.clone(), client.clone(), Arc::clone(tally));
            let mut turn = i64::try_from(turn).unwrap_or_default();
            tasks.spawn(async move {
                loop {
                    let begun = Instant::now();
                    match call.make(&client, turn).await {
                        Ok(()) => tally.hit(connection, begun.elapsed()),
                        Err(miss) => {
                            let ends = is_the_end(&miss);
                            tally.miss(miss);
                            if ends {
                                break;
                            }
                        }
                    }
                    turn = turn.wrapping_add(1) & 0xffff;
                }
            });
        }
    }
    tasks
}

/// Whether the next call would fare the same at once, without the peer's doing.
fn is_the_end(miss: &Miss) -> bool {
    match miss {
        Miss::Call(CallError::Failed(failure)) => match failure {
            CallFailure::ConnectionLost { .. } => true,
            CallFailure::Remote(_)
            | CallFailure::TimedOut { .. }
            | CallFailure::Unreadable(_)
            | CallFailure::Refused => false,
        },
        Miss::Call(CallError::NotConnected(_) | CallError::Send(_)) | Miss::Delivery(_) => true,
        Miss::Call(CallError::Decode(_)) | Miss::Wrong(_) | Miss::Undelivered(_) => false,
    }
}
