//! Envelopes, and parameters as JSON.
#![allow(missing_docs, reason = "criterion's macros generate undocumented items")]

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use cndt_core::message::{Body, BodyError, Typed, from_slice, rpc};
use cndt_core::rpc::{Beside, RpcError};
use cndt_core::wire::{Dialect, Kind};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use serde::{Deserialize, Serialize};

const DEPTH_MAX: usize = 64;

#[derive(Serialize, Deserialize)]
struct Add {
    a: i64,
    b: i64,
}

fn written(write: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut out = BytesMut::new();
    write(&mut out);
    out.freeze()
}

fn reading(criterion: &mut Criterion) {
    let request =
        written(|out| drop(rpc::write_request(out, "add", &Typed(&Add { a: 10, b: 20 }))));
    read(criterion, "request", &request, |request| rpc::read_request(request, DEPTH_MAX));
    read(criterion, "request, parameters typed", &request, |request| {
        let request = rpc::read_request(request, DEPTH_MAX);
        request.ok().map(|request| from_slice::<Add>(&request.params))
    });
    let message = written(|out| drop(rpc::write_message(out, "news", &Typed(&"hello"))));
    read(criterion, "message", &message, |message| rpc::read_message(message, DEPTH_MAX));
    let (beside, error) = (Beside::default(), RpcError::permission_denied("admins only"));
    for dialect in [Dialect::Cndt, Dialect::Netconduit] {
        let result = written(|out| drop(rpc::write_result(out, dialect, &Typed(&30), &beside)));
        read(criterion, &format!("result, {dialect}"), &result, |result| {
            rpc::read_answer(dialect, Kind::RpcResponse, result, DEPTH_MAX)
        });
        let failure = written(|out| rpc::write_error(out, dialect, &error));
        let kind = rpc::error_kind(dialect);
        read(criterion, &format!("error, {dialect}"), &failure, |failure| {
            rpc::read_answer(dialect, kind, failure, DEPTH_MAX)
        });
    }
}

/// Payloads are given away, as a connection gives them; to get one is not counted.
fn read<T>(criterion: &mut Criterion, what: &str, payload: &Bytes, read: impl Fn(Bytes) -> T) {
    criterion.bench_function(&format!("envelope, read/{what}"), |bencher| {
        let payload = || black_box(payload.clone());
        bencher.iter_batched(payload, |payload| black_box(read(payload)), BatchSize::SmallInput);
    });
}

fn writing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("envelope, write");
    let mut out = BytesMut::with_capacity(256);
    group.bench_function("request", |bencher| {
        bencher.iter(|| {
            out.clear();
            let _ = rpc::write_request(&mut out, "add", &Typed(black_box(&Add { a: 10, b: 20 })));
        });
    });
    group.bench_function("message", |bencher| {
        bencher.iter(|| {
            out.clear();
            let _ = rpc::write_message(&mut out, "news", &Typed(black_box("hello")));
        });
    });
    let beside = Beside::default();
    for dialect in [Dialect::Cndt, Dialect::Netconduit] {
        group.bench_function(format!("result, {dialect}"), |bencher| {
            bencher.iter(|| {
                out.clear();
                let _ = rpc::write_result(&mut out, dialect, &Typed(black_box(&30)), &beside);
            });
        });
    }
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

criterion_group!(message, reading, writing, json);
criterion_main!(message);
