//! A handshake and a call between two connections in memory: the whole protocol, without std.

use core::time::Duration;

use cndt_core::auth::scram::Derivation;
use cndt_core::auth::{Access, Credentials, Entropy, UserName};
use cndt_core::connection::{Config, Connection, Event};
use cndt_core::message::Raw;
use cndt_core::time::Instant;

/// 42 in MessagePack.
const ANSWER: &[u8] = &[0x2a];
/// An empty map in MessagePack.
const NO_PARAMS: &[u8] = &[0x80];

/// Logs in, calls `answer`, and tells whether the right answer came.
pub fn answers() -> Option<bool> {
    let now = Instant::ZERO;
    let config = Config::default();
    // A server has this from its storage. Salts and entropy are fixed to keep the program small.
    let verifier = Derivation::new("secret", &[3; 16], 100_000).ok()?.run().verifier();
    let access = Access::new().with_user(UserName::default(), verifier);
    let mut server = Connection::server(now, config.clone(), access, Entropy([7; 64])).ok()?;
    let credentials = Credentials::new(UserName::default(), "secret").ok()?;
    let mut client = Connection::client(now, config, credentials, Entropy([9; 64])).ok()?;

    // Request and challenge, proof and counterproof, call and answer, and one to spare.
    for _ in 0..4 {
        carry(now, &mut client, &mut server);
        while let Some(event) = server.poll_event() {
            if let Event::Request(request) = event {
                server.respond(now, request.id, &Raw(ANSWER)).ok()?;
            }
        }
        carry(now, &mut server, &mut client);
        while let Some(event) = client.poll_event() {
            match event {
                Event::Derive(derivation) => {
                    client.derived(now, derivation.run());
                }
                Event::Opened(_) => {
                    let timeout = Duration::from_secs(30);
                    client.call(now, "answer", &Raw(NO_PARAMS), timeout).ok()?;
                }
                Event::Finished { outcome, .. } => return Some(outcome.ok()?.data == ANSWER),
                _ => {}
            }
        }
    }
    None
}

fn carry(now: Instant, from: &mut Connection, to: &mut Connection) {
    let mut written = 0;
    for piece in from.transmit() {
        to.receive(now, piece);
        written += piece.len();
    }
    from.advance_transmit(now, written);
}
