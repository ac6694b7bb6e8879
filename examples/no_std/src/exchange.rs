//! A handshake and a call between two connections in memory: the whole protocol, without std.

use core::time::Duration;

use cndt_core::auth::{Access, Credentials, Entropy};
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
    let credentials = Credentials::netconduit("secret");
    let mut client = Connection::client(now, config.clone(), credentials).ok()?;
    let access = Access::netconduit("secret");
    let mut server = Connection::server(now, config, access, Entropy([7; 64])).ok()?;

    // Four rounds are enough: login, welcome, call, answer.
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
