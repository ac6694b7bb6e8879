//! What a login costs the server: right, wrong, and with everything that goes with it.

use std::hint::black_box;

use cndt_core::auth::scram::{Derivation, Keys};
use cndt_core::auth::{Access, Credentials, Entropy, UserName};
use cndt_core::connection::{Config, Connection};
use cndt_core::time::Instant;
use criterion::{Criterion, criterion_group, criterion_main};

const NOW: Instant = Instant::ZERO;

fn output(of: &mut Connection) -> Vec<u8> {
    let bytes: Vec<u8> = of.transmit().flatten().copied().collect();
    of.advance_transmit(NOW, bytes.len());
    bytes
}

/// Both frames of a client, made beforehand for the server's nonce that never changes here.
fn frames_of(keys: Keys, access: &Access) -> Option<[Vec<u8>; 2]> {
    let mine = Credentials::new(UserName::default(), "x").ok()?.with_keys(keys);
    let mut client = Connection::client(NOW, Config::default(), mine, Entropy([9; 64])).ok()?;
    let mut server = server(access)?;
    let request = output(&mut client);
    server.receive(NOW, &request);
    client.receive(NOW, &output(&mut server));
    Some([request, output(&mut client)])
}

fn server(access: &Access) -> Option<Connection> {
    Connection::server(NOW, Config::default(), access.clone(), Entropy([7; 64])).ok()
}

fn logins(criterion: &mut Criterion) {
    let derive =
        |password: &str| Derivation::new(password, &[7; 16], 100_000).ok().map(Derivation::run);
    let (Some(right), Some(wrong)) = (derive("right"), derive("wrong")) else { return };
    let access = Access::new().with_user(UserName::default(), right.verifier());
    let later = NOW + std::time::Duration::from_secs(1);
    for (name, keys) in [("login, right", right), ("login, wrong", wrong)] {
        let Some(frames) = frames_of(keys, &access) else { return };
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| {
                let Some(mut server) = server(&access) else { return };
                for frame in &frames {
                    server.receive(NOW, frame);
                }
                server.handle_timeout(later);
                black_box(server.pending_bytes());
            });
        });
    }
}

criterion_group!(benches, logins);
criterion_main!(benches);
