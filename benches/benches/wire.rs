//! Headers, frames, compression: bytes without meaning.
#![allow(missing_docs, reason = "criterion's macros generate undocumented items")]

use std::hint::black_box;

use bytes::BytesMut;
use cndt_core::wire::{
    Decoder, Dialect, Dialects, HEADER_LEN, Header, InflateLimits, Kind, deflate, inflate,
    write_frame,
};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const FRAME_MAX: usize = 1 << 20;
/// Frames in one go.
const BATCH: usize = 32;
const SIZES: [usize; 3] = [64, 1024, 64 * 1024];
const DIALECTS: [Dialect; 2] = [Dialect::Cndt, Dialect::Netconduit];

fn header() -> Header {
    Header { correlation: 1, timestamp: 1_700_000_000_000, ..Header::new(Kind::Message) }
}

fn headers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("header");
    group.throughput(Throughput::Bytes(HEADER_LEN as u64));
    for dialect in DIALECTS {
        group.bench_function(format!("encode, {dialect}"), |bencher| {
            bencher.iter(|| black_box(black_box(header()).encode(dialect)));
        });
        let Some(bytes) = header().encode(dialect) else { return };
        group.bench_function(format!("decode, {dialect}"), |bencher| {
            bencher.iter(|| black_box(Header::decode(dialect, black_box(&bytes))));
        });
    }
    group.finish();
}

fn write(out: &mut BytesMut, payload: &[u8]) {
    for _ in 0..BATCH {
        let _ = write_frame(out, Dialect::Cndt, &header(), FRAME_MAX, |out| {
            out.extend_from_slice(payload);
            Ok::<(), ()>(())
        });
    }
}

fn frames(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frames");
    for size in SIZES {
        let payload = vec![7_u8; size];
        group.throughput(Throughput::Elements(BATCH as u64));
        let mut out = BytesMut::new();
        group.bench_function(BenchmarkId::new("encode", size), |bencher| {
            bencher.iter(|| {
                out.clear();
                write(&mut out, black_box(&payload));
            });
        });
        let stream = out.freeze();
        let mut decoder = Decoder::new(Dialects::CNDT, FRAME_MAX);
        group.bench_function(BenchmarkId::new("decode whole", size), |bencher| {
            bencher.iter(|| {
                decoder.push(black_box(&stream));
                drain(&mut decoder);
            });
        });
        let pieces = cut(&stream);
        group.bench_function(BenchmarkId::new("decode cut", size), |bencher| {
            bencher.iter(|| {
                for piece in &pieces {
                    decoder.push(black_box(piece));
                    drain(&mut decoder);
                }
            });
        });
    }
    group.finish();
}

fn drain(decoder: &mut Decoder) {
    while let Ok(Some(frame)) = decoder.next_frame() {
        black_box(frame);
    }
}

/// Pieces of 1 to 1,448 bytes, which is what fits a segment on Ethernet: random, and always the same.
fn cut(stream: &[u8]) -> Vec<&[u8]> {
    let (mut state, mut rest, mut pieces) = (0x9e37_79b9_7f4a_7c15_u64, stream, Vec::new());
    while !rest.is_empty() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let length = usize::try_from(state % 1448).map_or(1, |length| length + 1);
        let (piece, behind) = rest.split_at(length.min(rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    pieces
}

fn compression(criterion: &mut Criterion) {
    let text: Vec<u8> = (0..4096_u32).flat_map(|i| format!("line {i}\n").into_bytes()).collect();
    let mut group = criterion.benchmark_group("compression");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("deflate", |bencher| {
        bencher.iter(|| black_box(deflate(black_box(&text))));
    });
    let Some(small) = deflate(&text) else { return };
    let limits = InflateLimits { output_max: FRAME_MAX, ratio_max: 128 };
    group.bench_function("inflate", |bencher| {
        bencher.iter_batched(
            || small.clone(),
            |small| black_box(inflate(&small, limits)),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(wire, headers, frames, compression);
criterion_main!(wire);
