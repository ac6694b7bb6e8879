//! What webhooks cost: signatures beside the HMAC in them, routes, the memory of ids.
#![allow(missing_docs, reason = "criterion's macros generate undocumented items")]

use std::hint::black_box;

use cndt_core::webhook::{
    Keys, MessageId, ReplayGuard, ReplayLimits, Routes, Scheme, Secret, Tolerance,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

const NOW: u64 = 1_700_000_000;
const SECRET: &[u8; 32] = b"a secret of thirty-two bytes, so";
const BODY: [u8; 1024] = [b'x'; 1024];

fn signatures(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("webhook, 1 KiB");
    group.throughput(Throughput::Bytes(BODY.len() as u64));
    let Ok(prepared) = Hmac::<Sha256>::new_from_slice(SECRET) else { return };
    group.bench_function("bare HMAC, prepared", |bencher| {
        bencher.iter(|| {
            let mut mac = prepared.clone();
            mac.update(black_box(&BODY));
            black_box(mac.finalize())
        });
    });
    group.bench_function("bare HMAC, key and all", |bencher| {
        bencher.iter(|| {
            let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(black_box(SECRET)) else { return };
            mac.update(black_box(&BODY));
            black_box(mac.finalize());
        });
    });
    let id = MessageId::new([7; 16]);
    // What is signed beside the body costs the hash as much as the body does.
    let signed_as_well = [("stripe", format!("{NOW}.")), ("standard", format!("{id}.{NOW}."))];
    for (scheme, prefix) in signed_as_well {
        let all = [prefix.as_bytes(), &BODY].concat();
        group.bench_function(
            format!("bare HMAC, prepared, of all that {scheme} signs"),
            |bencher| {
                bencher.iter(|| {
                    let mut mac = prepared.clone();
                    mac.update(black_box(&all));
                    black_box(mac.finalize())
                });
            },
        );
    }
    for scheme in Scheme::ALL {
        let Ok(secret) = Secret::new(SECRET) else { return };
        let Ok(keys) = Keys::new(scheme, [secret]) else { return };
        group.bench_function(format!("sign, {scheme}"), |bencher| {
            bencher.iter(|| black_box(keys.sign(&id, NOW, black_box(&BODY))));
        });
        let signed = keys.sign(&id, NOW, &BODY);
        let headers: Vec<_> = signed.headers().collect();
        let lookup = |name: &str| {
            headers.iter().find(|(n, _)| n.lower() == name).map(|(_, value)| value.as_bytes())
        };
        group.bench_function(format!("verify, {scheme}"), |bencher| {
            bencher
                .iter(|| keys.verify(NOW, Tolerance::default(), lookup, black_box(&BODY)).is_ok());
        });
    }
    group.finish();
}

fn replays(criterion: &mut Criterion) {
    let Ok(mut guard) = ReplayGuard::new(ReplayLimits::default(), Tolerance::default()) else {
        return;
    };
    // As full as it can be without refusing: each call forgets an id and learns one.
    let per_second = 160;
    let mut n = 0_u64;
    let mut check = move || {
        n += 1;
        guard.check(NOW + n / per_second, &format!("msg_{n:032x}")).is_ok()
    };
    for _ in 0..100_000 {
        check();
    }
    criterion.bench_function("webhook, an id among 100,000", |bencher| bencher.iter(&mut check));
}

fn routes(criterion: &mut Criterion) {
    let mut routes = Routes::new();
    for n in 0..100 {
        let _ = routes.insert(&format!("/exact/{n}"), n);
        let _ = routes.insert(&format!("/hooks/{n}/*"), n);
    }
    for path in ["/exact/99", "/hooks/99/fire", "/none/of/them"] {
        criterion.bench_function(&format!("webhook, {path} among 200 routes"), |bencher| {
            bencher.iter(|| black_box(routes.find(black_box(path)).is_ok()));
        });
    }
}

criterion_group!(benches, signatures, replays, routes);
criterion_main!(benches);
