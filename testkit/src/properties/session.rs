//! Laws of envelopes and of whole connections.

use bytes::{Bytes, BytesMut};
use cndt_core::auth::{Access, Credentials, Entropy};
use cndt_core::connection::{Config, Connection, Event, PhaseName};
use cndt_core::message::{Raw, check_for_python, rpc};
use cndt_core::time::Instant;
use cndt_core::wire::{Dialect, Kind};

use super::login;

/// `Limits::depth_max`.
const DEPTH_MAX: usize = 64;

/// Envelopes: whatever the bytes are, each reader gives a value or an error; a request or message
/// that is read can be written again and then reads the same.
///
/// # Panics
/// When the law is broken.
pub fn envelopes(data: &[u8]) {
    let payload = Bytes::copy_from_slice(data);
    if let Ok(request) = rpc::read_request(payload.clone(), DEPTH_MAX) {
        let mut out = BytesMut::new();
        let written = rpc::write_request(&mut out, &request.method, &Raw(&request.params));
        assert_eq!(written, Ok(()), "a request that was read cannot be written");
        assert_eq!(rpc::read_request(out.freeze(), DEPTH_MAX), Ok(request));
    }
    if let Ok(message) = rpc::read_message(payload.clone(), DEPTH_MAX) {
        let mut out = BytesMut::new();
        let written = rpc::write_message(&mut out, &message.name, &Raw(&message.data));
        assert_eq!(written, Ok(()), "a message that was read cannot be written");
        assert_eq!(rpc::read_message(out.freeze(), DEPTH_MAX), Ok(message));
    }
    for dialect in [Dialect::Cndt, Dialect::Netconduit] {
        for kind in [Kind::RpcResponse, Kind::RpcError] {
            let answer = rpc::read_answer(dialect, kind, payload.clone(), DEPTH_MAX);
            if let Ok(Err(error)) = answer {
                let mut out = BytesMut::new();
                rpc::write_error(&mut out, dialect, &error);
                let kind = rpc::error_kind(dialect);
                let back = rpc::read_answer(dialect, kind, out.freeze(), DEPTH_MAX);
                assert_eq!(back, Ok(Err(error)), "an error that was read comes back changed");
            }
        }
    }
    let _ = check_for_python(data);
}

/// A whole connection: bytes mean the same however they are cut, before login and after it, to a
/// server and to a client, in both dialects; the end comes once and last.
///
/// # Panics
/// When the law is broken.
pub fn connection(data: &[u8]) {
    let Some((&[start, cut], bytes)) = data.split_first_chunk() else { return };
    let begin = match start % 6 {
        0 => server,
        1 => logged_in_server,
        2 => client,
        3 => || login::pair().0,
        4 => || login::pair().1,
        _ => login::client,
    };
    same_however_cut(begin, bytes, usize::from(cut).max(1));
}

/// Two connections and the link between them, as simulated worlds have them; the bytes are the tape.
///
/// # Panics
/// When a rule of connections is broken.
pub fn session(data: &[u8]) {
    // What takes longer than this finds nothing that two halves of it would not.
    let tape: Vec<u16> =
        data.chunks_exact(2).take(4000).map(|two| u16::from_be_bytes([two[0], two[1]])).collect();
    if let Err(failure) = crate::sim::replay(&tape) {
        panic!("{failure}");
    }
}

/// Gives the bytes as a whole and in pieces, and what came of it: the events in words, and the phase.
pub(super) fn same_however_cut(
    begin: impl Fn() -> Connection,
    bytes: &[u8],
    step: usize,
) -> (Vec<String>, PhaseName) {
    let whole = transcript(begin(), core::iter::once(bytes));
    let pieces = transcript(begin(), bytes.chunks(step));
    assert_eq!(pieces, whole, "cut into pieces of {step}");
    (whole.0, whole.2)
}

fn server() -> Connection {
    let access = Access::netconduit("secret");
    Connection::server(Instant::ZERO, Config::default(), access, Entropy([7; 64]))
        .expect("the defaults are valid")
}

fn client() -> Connection {
    let credentials = Credentials::netconduit("secret");
    Connection::client(Instant::ZERO, Config::default(), credentials, Entropy([9; 64]))
        .expect("the defaults are valid")
}

fn logged_in_server() -> Connection {
    let mut server = server();
    login::carry(&mut client(), &mut server);
    assert!(matches!(server.poll_event(), Some(Event::Opened(_))), "the login is right");
    server
}

/// What came of the bytes: the events in words, what would be written, and the phase before the end.
fn transcript<'a>(
    mut connection: Connection,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> (Vec<String>, Vec<u8>, PhaseName) {
    let mut events = Vec::new();
    for piece in pieces {
        connection.receive(Instant::ZERO, piece);
        while let Some(event) = connection.poll_event() {
            events.push(format!("{event:?}"));
        }
    }
    let written = connection.transmit().flatten().copied().collect();
    let phase = connection.phase();
    connection.abort(Instant::ZERO);
    while let Some(event) = connection.poll_event() {
        events.push(format!("{event:?}"));
    }
    let ends = events.iter().filter(|event| event.starts_with("Closed")).count();
    assert_eq!(ends, 1, "not one end: {events:?}");
    assert!(events.last().is_some_and(|event| event.starts_with("Closed")), "{events:?}");
    (events, written, phase)
}
