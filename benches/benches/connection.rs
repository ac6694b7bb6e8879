//! Whole connections without sockets, on one thread.
#![allow(missing_docs, reason = "criterion's macros generate undocumented items")]

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use cndt_benches::{Pair, serve};
use cndt_core::connection::{Event, Format, Overflow, SharedMessage};
use cndt_core::limits::Limits;
use cndt_core::message::{Raw, Typed, from_slice};
use cndt_core::time::Instant;
use cndt_core::wire::Dialect;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serde::{Deserialize, Serialize};

const TIMEOUT: Duration = Duration::from_secs(30);
const NOW: Instant = Instant::ZERO;
const FORMAT: Format = Format { dialect: Dialect::Cndt, compression: false };

#[derive(Serialize, Deserialize)]
struct Add {
    a: i64,
    b: i64,
}

fn calls(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("typed call and answer in memory");
    for outstanding in [1_u64, 64] {
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
    let mut group = criterion.benchmark_group("broadcast");
    for size in [64, 1024, 64 * 1024] {
        let data = Bytes::from(vec![7; size]);
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::new("encode", size), |bencher| {
            bencher.iter(|| {
                let data = Typed(black_box(&data));
                black_box(SharedMessage::encode(FORMAT, 0, "news", &data, &limits))
            });
        });
    }
    group.throughput(Throughput::Elements(1));
    let news = SharedMessage::encode(FORMAT, 0, "news", &Raw(&[0xc4, 0x02, 1, 2]), &limits);
    let (Ok(news), Ok(mut pair)) = (news, Pair::new()) else { return };
    group.bench_function("one receiver", |bencher| {
        bencher.iter(|| {
            let _ = black_box(pair.server.send_shared(NOW, &news, Overflow::Refuse));
            let n = pair.server.pending_bytes();
            pair.server.advance_transmit(NOW, n);
        });
    });
    group.finish();
}

criterion_group!(connection, calls, broadcast);
criterion_main!(connection);
