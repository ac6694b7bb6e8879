//! Laws of logins: of their texts and payloads, and of both halves of the exchange.

use std::sync::LazyLock;

use bytes::BytesMut;
use cndt_core::auth::scram::{
    ClientFinal, ClientFirst, Derivation, Keys, ServerFinal, ServerFirst, Verifier,
};
use cndt_core::auth::{Access, Credentials, Entropy, UserName};
use cndt_core::connection::{Config, Connection, Event, PhaseName};
use cndt_core::message::auth::{Challenge, Failure, Request, Response, Success};
use cndt_core::time::Instant;

use super::session::same_however_cut;

const DEPTH_MAX: usize = 64;

/// Keys that are derived once; few iterations, since what they cost is not looked at here.
pub(super) fn keys() -> Keys {
    static KEYS: LazyLock<Keys> = LazyLock::new(|| {
        Derivation::new("secret", &[7; 16], 4096).expect("the parts are in range").run()
    });
    KEYS.clone()
}

pub(super) fn config() -> Config {
    let mut config = Config::default();
    config.limits.iterations_min = 4096;
    config
}

pub(super) fn server() -> Connection {
    let access = Access::netconduit("secret").with_user(UserName::default(), keys().verifier());
    Connection::server(Instant::ZERO, config(), access, Entropy([7; 64]))
        .expect("the settings are valid")
}

pub(super) fn client() -> Connection {
    let mine = Credentials::new(UserName::default(), "secret").expect("the password is short");
    Connection::client(Instant::ZERO, config(), mine.with_keys(keys()), Entropy([9; 64]))
        .expect("the settings are valid")
}

pub(super) fn carry(from: &mut Connection, to: &mut Connection) {
    let bytes: Vec<u8> = from.transmit().flatten().copied().collect();
    from.advance_transmit(Instant::ZERO, bytes.len());
    to.receive(Instant::ZERO, &bytes);
}

/// The four texts of SCRAM: one that is read says the same when it is written again.
///
/// # Panics
/// When the law is broken.
pub fn scram_texts(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    if let Ok(first) = ClientFirst::parse(text) {
        assert_eq!(first.text(), text, "a first message comes back changed");
        assert!(text.contains(first.nonce()));
    }
    let mine =
        ClientFirst::new(cndt_core::auth::scram::BindingFlag::None, UserName::default(), &[9; 32]);
    // Half of the inputs are given the right nonce, or none would come far.
    for text in [text.to_owned(), format!("r={}{text}", mine.nonce())] {
        if let Ok(server) = ServerFirst::parse(&text, &mine) {
            assert_eq!(server.text(), text);
            assert!((16..=64).contains(&server.salt.len()));
        }
    }
    if let Ok(last) = ClientFinal::parse(text) {
        let again = ClientFinal::text(last.received_without_proof(), &last.proof);
        assert_eq!(again, text, "a last message comes back changed");
    }
    if let Ok(last) = ServerFinal::parse(text) {
        assert!(text.starts_with(&last.text()), "a signature comes back changed");
    }
}

/// Records of verifiers: one that is read is written as it was, but for white space around it.
///
/// # Panics
/// When the law is broken.
pub fn verifier(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    if let Ok(verifier) = text.parse::<Verifier>() {
        let again: Verifier = verifier.to_string().parse().expect("what was written is read");
        assert_eq!(again.to_string(), verifier.to_string());
        assert!((4096..=2_000_000).contains(&verifier.iterations()));
    }
}

/// The payloads of a login: one that is read and written again reads the same.
///
/// # Panics
/// When the law is broken.
pub fn login_payloads(data: &[u8]) {
    if let Ok(request) = Request::read(data, DEPTH_MAX)
        && request.mechs.len() < 16
    {
        let mut out = BytesMut::new();
        request.write(&mut out);
        assert_eq!(Request::read(&out, DEPTH_MAX).as_ref(), Ok(&request));
    }
    if let Ok(challenge) = Challenge::read(data, DEPTH_MAX)
        && challenge.mechs.len() < 16
    {
        let mut out = BytesMut::new();
        challenge.write(&mut out);
        assert_eq!(Challenge::read(&out, DEPTH_MAX).as_ref(), Ok(&challenge));
    }
    if let Ok(response) = Response::read(data, DEPTH_MAX) {
        let mut out = BytesMut::new();
        response.write(&mut out);
        assert_eq!(Response::read(&out, DEPTH_MAX), Ok(response));
    }
    if let Ok(success) = Success::read(data, DEPTH_MAX) {
        let mut out = BytesMut::new();
        success.write(&mut out);
        assert_eq!(Success::read(&out, DEPTH_MAX).as_ref(), Ok(&success));
    }
    if let Ok(failure) = Failure::read(data, DEPTH_MAX) {
        let mut out = BytesMut::new();
        failure.write(&mut out);
        assert_eq!(Failure::read(&out, DEPTH_MAX).as_ref(), Ok(&failure));
    }
}

/// A server that has been asked, or has challenged: nobody gets in by bytes that were not made with
/// the password, and they mean the same however they are cut.
///
/// # Panics
/// When the law is broken.
pub fn auth_server(data: &[u8]) {
    let Some((&[start, cut], bytes)) = data.split_first_chunk() else { return };
    let begin = || {
        let mut server = server();
        if start % 2 == 1 {
            carry(&mut client(), &mut server);
        }
        server
    };
    let (events, phase) = same_however_cut(begin, bytes, usize::from(cut).max(1));
    let is_open = phase == PhaseName::Open || events.iter().any(|event| event.starts_with("Open"));
    assert!(!is_open, "a stranger got in: {events:?}");
}

/// A client that has asked, or has given its proof: no server is believed that does not know the
/// password, and its bytes mean the same however they are cut.
///
/// # Panics
/// When the law is broken.
pub fn auth_client(data: &[u8]) {
    let Some((&[start, cut], bytes)) = data.split_first_chunk() else { return };
    let begin = || {
        let (mut client, mut server) = (client(), server());
        carry(&mut client, &mut server);
        if start % 2 == 1 {
            carry(&mut server, &mut client);
        }
        client
    };
    let (events, phase) = same_however_cut(begin, bytes, usize::from(cut).max(1));
    let is_open = phase == PhaseName::Open || events.iter().any(|event| event.starts_with("Open"));
    assert!(!is_open, "an impostor was believed: {events:?}");
}

/// A client and a server of dialect `cndt` that have logged in, with their first events read.
pub(super) fn pair() -> (Connection, Connection) {
    let (mut client, mut server) = (client(), server());
    for _ in 0..2 {
        carry(&mut client, &mut server);
        carry(&mut server, &mut client);
    }
    for side in [&mut client, &mut server] {
        assert!(matches!(side.poll_event(), Some(Event::Opened(_))), "the login is right");
    }
    (client, server)
}
