//! Two ends in memory, in simulated time.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::connection::{Deadline, Request, RequestId, SendError, SendId, Timer};
use crate::message::{Body, Nil, Typed, from_slice};
use crate::rpc::{ErrorCode, Reply, RpcError};

mod batches;
mod bounds;
mod calls;
mod ends;
mod examples;
mod taking;

const SECOND: Duration = Duration::from_secs(1);

fn at(millis: u64) -> Instant {
    Instant::from_micros(millis * 1000)
}

fn endpoint() -> Endpoint {
    Endpoint::new(Instant::ZERO, EndpointConfig::default()).unwrap()
}

fn with(change: impl FnOnce(&mut EndpointConfig)) -> Endpoint {
    let mut config = EndpointConfig::default();
    change(&mut config);
    Endpoint::new(Instant::ZERO, config).unwrap()
}

fn events(of: &mut Endpoint) -> Vec<Event> {
    core::iter::from_fn(|| of.poll_event()).collect()
}

fn output(now: Instant, of: &mut Endpoint) -> String {
    let bytes: Vec<u8> = of.transmit().flatten().copied().collect();
    of.advance_transmit(now, bytes.len());
    String::from_utf8(bytes).unwrap()
}

fn pump(now: Instant, a: &mut Endpoint, b: &mut Endpoint) {
    loop {
        let (there, back) = (output(now, a), output(now, b));
        if there.is_empty() && back.is_empty() {
            return;
        }
        b.receive(now, there.as_bytes());
        a.receive(now, back.as_bytes());
    }
}

/// Answers as the specification's examples do.
fn serve(server: &mut Endpoint) {
    for event in events(server) {
        let Event::Request(Request { id, method, params, .. }) = event else { continue };
        let params: Value = serde_json::from_slice(&params).unwrap();
        let number = |index: usize, name: &str| {
            params.get(index).or(params.get(name)).and_then(Value::as_i64).unwrap()
        };
        let result = match &*method {
            "subtract" => json!(number(0, "minuend") - number(1, "subtrahend")),
            "sum" => json!(params.as_array().unwrap().iter().flat_map(Value::as_i64).sum::<i64>()),
            "get_data" => json!(["hello", 5]),
            _ => {
                let error = RpcError::new(ErrorCode::MethodNotFound, "Method not found");
                server.respond_error(at(1), id, &error).unwrap();
                continue;
            }
        };
        server.respond(at(1), id, &Typed(&result)).unwrap();
    }
}
