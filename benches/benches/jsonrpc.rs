//! JSON-RPC: texts out of bytes, meaning out of texts, requests and their answers.
#![allow(missing_docs, reason = "criterion's macros generate undocumented items")]

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use cndt_core::connection::Event;
use cndt_core::jsonrpc::{
    Endpoint, EndpointConfig, Framing, Incoming, Item, TextDecoder, read, to_msgpack,
};
use cndt_core::message::Typed;
use cndt_core::time::Instant;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::{Value, json};

const NOW: Instant = Instant::ZERO;
const BATCH_MAX: usize = 1000;
const TEXT_MAX: usize = 1 << 20;
const DEPTH_MAX: usize = 128;
/// Texts in one go.
const TEXTS: usize = 32;

fn request(id: usize) -> Value {
    let order = json!({"customer": "Ann", "lines": [["a screw", 12, 0.25], ["a nut", 3, 0.5]]});
    json!({"jsonrpc": "2.0", "method": "order", "params": order, "id": id})
}

fn text(value: &Value) -> Bytes {
    Bytes::from(value.to_string())
}

fn parsing(criterion: &mut Criterion) {
    let one = text(&request(1));
    let mut group = criterion.benchmark_group("JSON-RPC, read");
    group.throughput(Throughput::Bytes(one.len() as u64));
    group.bench_function("parameters raw", |bencher| {
        bencher.iter(|| black_box(read(black_box(&one), BATCH_MAX)));
    });
    group.bench_function("parameters as a tree", |bencher| {
        bencher.iter(|| match read(black_box(&one), BATCH_MAX) {
            Incoming::Single(Item::Request { params: Some(params), .. }) => {
                black_box(serde_json::from_slice::<Value>(&params).ok())
            }
            _ => None,
        });
    });
    group.bench_function("parameters as MessagePack", |bencher| {
        bencher.iter(|| match read(black_box(&one), BATCH_MAX) {
            Incoming::Single(Item::Request { params: Some(params), .. }) => {
                black_box(to_msgpack(&params).ok())
            }
            _ => None,
        });
    });
    group.bench_function("serde_json alone, as a tree", |bencher| {
        bencher.iter(|| black_box(serde_json::from_slice::<Value>(black_box(&one))));
    });
    for items in [10, 100] {
        let batch = text(&(0..items).map(request).collect());
        group.throughput(Throughput::Bytes(batch.len() as u64));
        group.bench_function(BenchmarkId::new("batch", items), |bencher| {
            bencher.iter(|| black_box(read(black_box(&batch), BATCH_MAX)));
        });
    }
    group.finish();
}

fn framings(criterion: &mut Criterion) {
    let one = text(&request(1));
    let mut group = criterion.benchmark_group("JSON-RPC, find texts");
    for framing in [Framing::Newline, Framing::ContentLength, Framing::Bare] {
        let mut stream = BytesMut::new();
        (0..TEXTS).for_each(|_| framing.write(&mut stream, &one));
        let mut decoder = TextDecoder::new(Some(framing), TEXT_MAX, DEPTH_MAX);
        group.throughput(Throughput::Bytes(stream.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(framing), |bencher| {
            bencher.iter(|| {
                decoder.push(black_box(&stream));
                while let Ok(Some(text)) = decoder.next_text() {
                    black_box(text);
                }
            });
        });
    }
    group.finish();
}

fn answering(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("JSON-RPC, serve");
    let one = request(1);
    let batch: Value = (0..10).map(request).collect();
    for (name, value, items) in [("a request", one, 1), ("a batch of 10", batch, 10)] {
        let mut line = text(&value).to_vec();
        line.push(b'\n');
        let Ok(mut server) = Endpoint::new(NOW, EndpointConfig::default()) else { return };
        group.throughput(Throughput::Elements(items));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                server.receive(NOW, black_box(&line));
                while let Some(event) = server.poll_event() {
                    if let Event::Request(request) = event {
                        let _ = server.respond(NOW, request.id, &Typed(&true));
                    }
                }
                server.advance_transmit(NOW, server.pending_bytes());
            });
        });
    }
    group.finish();
}

criterion_group!(jsonrpc, parsing, framings, answering);
criterion_main!(jsonrpc);
