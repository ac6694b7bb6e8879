//! Whole calls of `cndt-tokio` over a pipe in memory, one thread: handles, driver, router with 102
//! methods, typed arguments and results.
#![allow(missing_docs, reason = "criterion's macros generate undocumented items")]

use bytes::Bytes;
use cndt_benches::Memory;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

fn calls(criterion: &mut Criterion) {
    let Ok(memory) = Memory::new() else { return };
    let mut group = criterion.benchmark_group("call through handles and router");
    group.throughput(Throughput::Elements(1));
    group.bench_function("one at a time", |bencher| {
        bencher.iter(|| memory.add(1).is_ok());
    });
    for at_once in [64, 512] {
        group.throughput(Throughput::Elements(at_once));
        group.bench_function(BenchmarkId::new("at once", at_once), |bencher| {
            bencher.iter(|| usize::try_from(at_once).map(|calls| memory.add_at_once(calls)));
        });
    }
    for size in [1024, 64 * 1024] {
        let data = Bytes::from(vec![7; size]);
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::new("echo", size), |bencher| {
            bencher.iter(|| memory.echo(&data, 1).is_ok());
        });
    }
    group.finish();
}

criterion_group!(router, calls);
criterion_main!(router);
