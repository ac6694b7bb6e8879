//! What the core costs without sockets, on one thread.
#![allow(missing_docs, reason = "criterion's macros generate undocumented items")]

use std::hint::black_box;
use std::time::Duration;

use bytes::BytesMut;
use cndt_benches::{Pair, serve};
use cndt_core::connection::{Event, Format, Overflow, SharedMessage};
use cndt_core::limits::Limits;
use cndt_core::message::{Body, BodyError, Raw, Typed, from_slice, rpc};
use cndt_core::time::Instant;
use cndt_core::wire::{
    Decoder, Dialect, Dialects, Header, InflateLimits, Kind, deflate, inflate, write_frame,
};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serde::{Deserialize, Serialize};

const TIMEOUT: Duration = Duration::from_secs(30);
const NOW: Instant = Instant::ZERO;

#[derive(Serialize, Deserialize)]
struct Add {
    a: i64,
    b: i64,
}

fn header() -> Header {
    Header { correlation: 1, timestamp: 1_700_000_000_000, ..Header::new(Kind::Message) }
}

fn frames(criterion: &mut Criterion) {
    const BATCH: usize = 32;
    let mut group = criterion.benchmark_group("frame, encode and decode");
    for size in [64, 1024, 64 * 1024] {
        let payload = vec![7_u8; size];
        group.throughput(Throughput::Elements(BATCH as u64));
        group.bench_with_input(BenchmarkId::from_parameter(size), &payload, |bencher, payload| {
            let mut out = BytesMut::new();
            let mut decoder = Decoder::new(Dialects::NETCONDUIT, 1 << 20);
            bencher.iter(|| {
                out.clear();
                for _ in 0..BATCH {
                    let _ = write_frame(&mut out, Dialect::Netconduit, &header(), 1 << 20, |out| {
                        out.extend_from_slice(payload);
                        Ok::<(), ()>(())
                    });
                }
                decoder.push(&out);
                while let Ok(Some(frame)) = decoder.next_frame() {
                    black_box(frame);
                }
            });
        });
    }
    group.finish();
}

fn envelopes(criterion: &mut Criterion) {
    let mut payload = BytesMut::new();
    let _ = rpc::write_request(&mut payload, "add", &Typed(&Add { a: 10, b: 20 }));
    let payload = payload.freeze();
    criterion.bench_function("envelope, read a request", |bencher| {
        bencher.iter(|| black_box(rpc::read_request(black_box(&payload), 64)));
    });
    criterion.bench_function("envelope, write a request", |bencher| {
        let mut out = BytesMut::with_capacity(256);
        bencher.iter(|| {
            out.clear();
            let _ = rpc::write_request(&mut out, "add", &Typed(black_box(&Add { a: 10, b: 20 })));
        });
    });
}

fn calls(criterion: &mut Criterion) {
    const OUTSTANDING: u64 = 64;
    let mut group = criterion.benchmark_group("typed call and answer in memory");
    for outstanding in [1, OUTSTANDING] {
        group.throughput(Throughput::Elements(outstanding));
        group.bench_function(BenchmarkId::from_parameter(outstanding), |bencher| {
            let Ok(mut pair) = Pair::new() else { return };
            bencher.iter(|| {
                for b in 0..outstanding {
                    let params = Add { a: 10, b: i64::try_from(b).unwrap_or(0) };
                    let _ = pair.client.call(NOW, "add", &Typed(&params), TIMEOUT);
                }
                pair.to_server();
                serve(&mut pair.server, |server, event| {
                    if let Event::Request(request) = event {
                        let Ok(Add { a, b }) = from_slice(&request.params) else { return };
                        let _ = server.respond(NOW, request.id, &Typed(&(a + b)));
                    }
                });
                pair.to_client();
                while let Some(event) = pair.client.poll_event() {
                    if let Event::Finished { outcome: Ok(reply), .. } = event {
                        let _ = black_box(from_slice::<i64>(&reply.data));
                    }
                }
            });
        });
    }
    group.finish();
}

fn broadcast(criterion: &mut Criterion) {
    let limits = Limits::default();
    let format = Format { dialect: Dialect::Cndt, compression: false };
    let news = SharedMessage::encode(format, 0, "news", &Raw(&[0xc4, 0x02, 1, 2]), &limits);
    let Ok(news) = news else { return };
    criterion.bench_function("broadcast, one receiver", |bencher| {
        let Ok(mut pair) = Pair::new() else { return };
        bencher.iter(|| {
            let _ = black_box(pair.server.send_shared(NOW, &news, Overflow::Refuse));
            let n = pair.server.pending_bytes();
            pair.server.advance_transmit(NOW, n);
        });
    });
}

fn compression(criterion: &mut Criterion) {
    let text: Vec<u8> = (0..4096_u32).flat_map(|i| format!("line {i}\n").into_bytes()).collect();
    let mut group = criterion.benchmark_group("compression");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("deflate", |bencher| {
        bencher.iter(|| black_box(deflate(black_box(&text))));
    });
    let Some(small) = deflate(&text) else { return };
    let limits = InflateLimits { output_max: 1 << 20, ratio_max: 128 };
    group.bench_function("inflate", |bencher| {
        bencher.iter_batched(
            || small.clone(),
            |small| black_box(inflate(&small, limits)),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

#[derive(Serialize)]
struct Order<'a> {
    id: u64,
    customer: &'a str,
    lines: Vec<(&'a str, u32, f64)>,
    paid: bool,
}

/// A body that has no JSON of its own.
struct Plain<'a, T>(&'a T);

impl<T: Serialize> Body for Plain<'_, T> {
    fn write(&self, out: &mut BytesMut) -> Result<(), BodyError> {
        Typed(self.0).write(out)
    }
}

fn json(criterion: &mut Criterion) {
    let line = ("a screw of steel", 12_u32, 0.25_f64);
    let order = Order { id: 7, customer: "Ann", lines: vec![line; 20], paid: true };
    let mut group = criterion.benchmark_group("parameters as JSON");
    let mut out = BytesMut::with_capacity(4096);
    group.bench_function("directly", |bencher| {
        bencher.iter(|| {
            out.clear();
            let _ = black_box(Typed(black_box(&order)).write_json(&mut out));
        });
    });
    group.bench_function("through MessagePack", |bencher| {
        bencher.iter(|| {
            out.clear();
            let _ = black_box(Plain(black_box(&order)).write_json(&mut out));
        });
    });
    group.finish();
}

criterion_group!(core, frames, envelopes, calls, broadcast, compression, json);
criterion_main!(core);
