//! Two connections in memory, and a scripted peer, in simulated time.

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::{Bytes, BytesMut};

use super::*;
use crate::auth::UserName;
use crate::auth::scram::Derivation;
use crate::limits::Limits;
use crate::message::{Raw, Typed, auth, from_slice, rpc};
use crate::rpc::ErrorCode;
use crate::wire::{Flags, Frame, HEADER_LEN, Header, Kind, write_frame};

mod broadcast;
mod cancel;
mod deliveries;
mod flow;
mod law;
mod limits;
mod login;
mod matrix;
mod reserve;
mod rpc_calls;
mod scram;
mod sharing;

const SECOND: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(30);

fn at(millis: u64) -> Instant {
    Instant::from_micros(millis * 1000)
}

fn client(config: Config) -> Connection {
    let credentials = Credentials::netconduit("secret");
    Connection::client(Instant::ZERO, config, credentials, Entropy([9; 64])).unwrap()
}

fn server(config: Config) -> Connection {
    let access = Access::netconduit("secret");
    Connection::server(Instant::ZERO, config, access, Entropy([7; 64])).unwrap()
}

/// Keys that are derived once for all tests. Few iterations: what they cost is not tested here.
fn keys() -> Keys {
    static KEYS: std::sync::LazyLock<Keys> =
        std::sync::LazyLock::new(|| Derivation::new("secret", &[3; 16], 4096).unwrap().run());
    KEYS.clone()
}

fn few_iterations(mut config: Config) -> Config {
    config.limits.iterations_min = 4096;
    config
}

/// A client of dialect `cndt` that knows its keys already.
fn cndt_client(config: Config) -> Connection {
    let credentials = Credentials::new(UserName::default(), "secret").unwrap().with_keys(keys());
    let random = Entropy([9; 64]);
    Connection::client(Instant::ZERO, few_iterations(config), credentials, random).unwrap()
}

/// A server that takes both dialects.
fn both_server(config: Config) -> Connection {
    let access = Access::netconduit("secret").with_user(UserName::default(), keys().verifier());
    Connection::server(Instant::ZERO, config, access, Entropy([7; 64])).unwrap()
}

fn take_output(now: Instant, from: &mut Connection) -> Vec<u8> {
    let bytes: Vec<u8> = from.transmit().flatten().copied().collect();
    assert_eq!(bytes.len(), from.pending_bytes());
    from.advance_transmit(now, bytes.len());
    assert_eq!(from.pending_bytes(), 0);
    bytes
}

fn events(of: &mut Connection) -> Vec<Event> {
    core::iter::from_fn(|| of.poll_event()).collect()
}

/// Moves bytes both ways until neither has anything to say.
fn pump(now: Instant, a: &mut Connection, b: &mut Connection) {
    for _ in 0..100 {
        let there = take_output(now, a);
        let back = take_output(now, b);
        if there.is_empty() && back.is_empty() {
            return;
        }
        b.receive(now, &there);
        a.receive(now, &back);
    }
    panic!("they never stop talking");
}

/// A client and a server that have logged in, with their first events read.
fn pair_with(client_config: Config, server_config: Config) -> (Connection, Connection) {
    let mut a = client(client_config);
    let mut b = server(server_config);
    pump(Instant::ZERO, &mut a, &mut b);
    assert!(matches!(events(&mut a).first(), Some(Event::Opened(_))));
    assert!(matches!(events(&mut b).first(), Some(Event::Opened(_))));
    (a, b)
}

fn pair() -> (Connection, Connection) {
    pair_with(Config::default(), Config::default())
}

/// One frame of dialect `netconduit`, as a peer would send it.
fn frame(kind: Kind, flags: Flags, correlation: u64, payload: &[u8]) -> Vec<u8> {
    frame_of(Dialect::Netconduit, kind, flags, correlation, payload)
}

fn frame_of(
    dialect: Dialect,
    kind: Kind,
    flags: Flags,
    correlation: u64,
    payload: &[u8],
) -> Vec<u8> {
    let header = Header { flags, correlation, timestamp: 5, ..Header::new(kind) };
    let mut out = BytesMut::new();
    write_frame(&mut out, dialect, &header, usize::MAX, |out| {
        out.extend_from_slice(payload);
        Ok::<(), core::convert::Infallible>(())
    })
    .unwrap();
    out.to_vec()
}

fn message(name: &str, data: &[u8]) -> Vec<u8> {
    let mut payload = BytesMut::new();
    rpc::write_message(&mut payload, name, &Raw(data)).unwrap();
    frame(Kind::Message, Flags::empty(), 0, &payload)
}

fn request(id: u64, method: &str) -> Vec<u8> {
    let mut payload = BytesMut::new();
    rpc::write_request(&mut payload, method, &Raw(&[0x80])).unwrap();
    frame(Kind::RpcRequest, Flags::empty(), id, &payload)
}

fn login_bytes() -> Vec<u8> {
    take_output(Instant::ZERO, &mut client(Config::default()))
}

/// A server that a scripted peer has logged in to and spoken to, with the first events read.
fn server_with_peer(config: Config) -> Connection {
    let mut connection = server(config);
    connection.receive(Instant::ZERO, &login_bytes());
    connection.receive(Instant::ZERO, &frame(Kind::HeartbeatPing, Flags::empty(), 0, &[]));
    take_output(Instant::ZERO, &mut connection);
    assert_eq!(events(&mut connection).len(), 1);
    connection
}

/// The frames in some output.
fn frames(bytes: &[u8]) -> Vec<Frame> {
    let mut decoder = Decoder::new(Dialects::BOTH, usize::MAX);
    decoder.push(bytes);
    let mut all = Vec::new();
    while let Some(frame) = decoder.next_frame().unwrap() {
        all.push(frame);
    }
    assert_eq!(decoder.buffered(), 0, "output ends inside a frame");
    all
}

fn kinds(bytes: &[u8]) -> Vec<Kind> {
    frames(bytes).iter().map(|frame| frame.header.kind).collect()
}

fn closed(events: &[Event]) -> &Closed {
    match events.last() {
        Some(Event::Closed(closed)) => closed,
        other => panic!("no end, but {other:?}"),
    }
}
