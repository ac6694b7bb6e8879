//! Every phase meets every frame type, in both roles: what it answers and where it goes is written
//! down in `matrix.txt`, and a change of that is a change of the protocol.

use super::*;
use alloc::format;
use alloc::string::String;

const WRITTEN_DOWN: &str = include_str!("matrix.txt");

#[derive(Debug, Clone, Copy)]
enum Role {
    Client,
    Server,
}

#[derive(Debug, Clone, Copy)]
enum Start {
    Handshake,
    /// Between challenge and proof; dialect `cndt` only.
    Proving,
    Open,
    /// Closed by this side while a request of the peer is open.
    Draining,
    /// Refused or broken: only what is queued goes out.
    Ending,
}

/// A connection in its state, and the login frame that it waits for, if it does.
fn connection(dialect: Dialect, role: Role, start: Start) -> (Connection, Option<Frame>) {
    let (mut a, mut b) = match dialect {
        Dialect::Netconduit => (client(Config::default()), both_server(Config::default())),
        Dialect::Cndt => (cndt_client(Config::default()), both_server(Config::default())),
    };
    let steps = match start {
        Start::Handshake => 0,
        Start::Proving => 2,
        Start::Open | Start::Draining | Start::Ending => 6,
    };
    // The client speaks first, and each side hears the other out.
    for step in 0..steps {
        let (from, to) = if step % 2 == 0 { (&mut a, &mut b) } else { (&mut b, &mut a) };
        let bytes = take_output(at(1), from);
        to.receive(at(1), &bytes);
    }
    let (mut connection, mut peer) = match role {
        Role::Client => (a, b),
        Role::Server => (b, a),
    };
    let waits_for = match (role, start) {
        (Role::Client, Start::Handshake | Start::Proving) => {
            peer.receive(at(1), &take_output(at(1), &mut connection));
            frames(&take_output(at(1), &mut peer)).pop()
        }
        (Role::Server, Start::Handshake | Start::Proving) => {
            frames(&take_output(at(1), &mut peer)).pop()
        }
        _ => None,
    };
    match start {
        Start::Handshake | Start::Proving | Start::Open => {}
        Start::Draining => {
            let payload = &request(9, "m")[HEADER_LEN..];
            let frame = frame_of(dialect, Kind::RpcRequest, Flags::empty(), 9, payload);
            connection.receive(at(1), &frame);
            connection.close(at(1));
        }
        Start::Ending => {
            let frame = frame_of(dialect, Kind::AuthFailure, Flags::empty(), 0, &[]);
            connection.receive(at(1), &frame);
        }
    }
    take_output(at(1), &mut connection);
    events(&mut connection);
    (connection, waits_for)
}

/// A payload that is right for the type, as far as it can be without knowing the connection.
fn payload(kind: Kind) -> Vec<u8> {
    let whole = match kind {
        Kind::Message => message("m", &[1]),
        Kind::RpcRequest => request(1, "m"),
        Kind::AuthFailure => {
            let mut out = BytesMut::new();
            auth::Failure::new("no", auth::RefusalCode::AuthFailed).write(&mut out);
            return out.to_vec();
        }
        Kind::AuthRequest
        | Kind::AuthSuccess
        | Kind::AuthChallenge
        | Kind::AuthResponse
        | Kind::RpcResponse
        | Kind::RpcError => return vec![0x80],
        _ => return Vec::new(),
    };
    whole[HEADER_LEN..].to_vec()
}

fn cell(dialect: Dialect, role: Role, start: Start, kind: Kind) -> String {
    let (mut connection, waits_for) = connection(dialect, role, start);
    let payload = match waits_for {
        Some(frame) if frame.header.kind == kind => frame.payload.to_vec(),
        _ => payload(kind),
    };
    connection.receive(at(2), &frame_of(dialect, kind, Flags::empty(), 1, &payload));
    let answers: Vec<&str> = {
        let bytes: Vec<u8> = connection.transmit().flatten().copied().collect();
        frames(&bytes).iter().map(|frame| frame.header.kind.name()).collect()
    };
    let events: Vec<String> = events(&mut connection)
        .iter()
        .map(|event| {
            let words = format!("{event:?}");
            let end = words.find(|c: char| !c.is_alphanumeric()).unwrap_or(words.len());
            words[..end].to_string()
        })
        .collect();
    let list = |names: &[&str]| if names.is_empty() { "-".to_string() } else { names.join(" ") };
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    format!(
        "{dialect} {role:?} {start:?} {}: {} {:?} {}",
        kind.name(),
        list(&answers),
        connection.phase.name(),
        list(&events)
    )
}

#[test]
fn every_cell_is_as_written_down() {
    let mut table = String::new();
    for dialect in [Dialect::Cndt, Dialect::Netconduit] {
        for role in [Role::Client, Role::Server] {
            for start in
                [Start::Handshake, Start::Proving, Start::Open, Start::Draining, Start::Ending]
            {
                if matches!((dialect, start), (Dialect::Netconduit, Start::Proving)) {
                    continue;
                }
                let known = Kind::ALL.into_iter().filter(|kind| kind.code(dialect).is_some());
                for kind in known.chain([Kind::Unknown(0x77)]) {
                    table.push_str(&cell(dialect, role, start, kind));
                    table.push('\n');
                }
            }
        }
    }
    assert!(table == WRITTEN_DOWN, "the state table has changed; now it is:\n{table}");
}
