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
    Open,
    /// Closed by this side while a request of the peer is open.
    Draining,
    /// Refused or broken: only what is queued goes out.
    Ending,
}

fn connection(role: Role, start: Start) -> Connection {
    let mut connection = match (role, start) {
        (Role::Client, Start::Handshake) => client(Config::default()),
        (Role::Server, Start::Handshake) => server(Config::default()),
        (Role::Client, _) => pair().0,
        (Role::Server, _) => server_with_peer(Config::default()),
    };
    match start {
        Start::Handshake | Start::Open => {}
        Start::Draining => {
            connection.receive(at(1), &request(9, "m"));
            connection.close(at(1));
        }
        Start::Ending => {
            connection.receive(at(1), &frame(Kind::AuthFailure, Flags::empty(), 0, &[]))
        }
    }
    take_output(at(1), &mut connection);
    events(&mut connection);
    connection
}

/// A payload that is right for the type.
fn payload(kind: Kind) -> Vec<u8> {
    let whole = match kind {
        Kind::Message => message("m", &[1]),
        Kind::RpcRequest => request(1, "m"),
        Kind::AuthRequest => login_bytes(),
        Kind::AuthSuccess => {
            let mut out = BytesMut::new();
            auth::write_success(&mut out, "t", "n", "v");
            return out.to_vec();
        }
        Kind::AuthFailure => {
            let mut out = BytesMut::new();
            auth::write_failure(&mut out, "no");
            return out.to_vec();
        }
        Kind::RpcResponse | Kind::RpcError => return vec![0x80],
        _ => return Vec::new(),
    };
    whole[HEADER_LEN..].to_vec()
}

fn cell(role: Role, start: Start, kind: Kind) -> String {
    let mut connection = connection(role, start);
    connection.receive(at(2), &frame(kind, Flags::empty(), 1, &payload(kind)));
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
        "{role:?} {start:?} {}: {} {:?} {}",
        kind.name(),
        list(&answers),
        connection.phase.name(),
        list(&events)
    )
}

#[test]
fn every_cell_is_as_written_down() {
    let mut table = String::new();
    for role in [Role::Client, Role::Server] {
        for start in [Start::Handshake, Start::Open, Start::Draining, Start::Ending] {
            for kind in
                Kind::ALL.into_iter().filter(|kind| kind.code(Dialect::Netconduit).is_some())
            {
                table.push_str(&cell(role, start, kind));
                table.push('\n');
            }
            table.push_str(&cell(role, start, Kind::Unknown(0x77)));
            table.push('\n');
        }
    }
    assert!(table == WRITTEN_DOWN, "the state table has changed; now it is:\n{table}");
}
