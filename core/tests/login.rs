//! Known answers: whole logins of dialect `cndt`, frame by frame, computed by an independent program.

use cndt_core::auth::scram::{
    ClientFinal, ClientFirst, Derivation, ServerFirst, Verifier, auth_message,
};
use cndt_core::auth::{Access, Credentials, Entropy};
use cndt_core::connection::{Config, Connection, Event};
use cndt_core::message::auth::{Challenge, Request, Response, Success};
use cndt_core::time::{Instant, WallAnchor};
use cndt_core::wire::{Decoder, Dialects, Frame, HEADER_LEN};
use serde_json::Value;

const START: u64 = 0x0000_018b_cfe5_6800;

fn hex(text: &Value) -> Vec<u8> {
    let text = text.as_str().expect("hex digits");
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex digits");
    (0..text.len()).step_by(2).map(byte).collect()
}

fn cases() -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("login.json")).expect("it is JSON");
    all["cases"].as_array().expect("a list").clone()
}

/// The side's random bytes: its nonce, and whatever else.
fn entropy(nonce: &Value) -> Entropy {
    let mut bytes = [7; 64];
    bytes[..32].copy_from_slice(&hex(nonce));
    Entropy(bytes)
}

fn config(case: &Value, name: &str) -> Config {
    let mut config = Config {
        name: name.to_string(),
        version: "1.0.0".to_string(),
        wall: WallAnchor { at: Instant::ZERO, unix_millis: START },
        channel_binding: hex(&case["channel_binding"]).try_into().ok(),
        ..Config::default()
    };
    config.limits.iterations_min = 4096;
    config
}

/// The frames of a case are a millisecond apart.
fn at(frame: u64) -> Instant {
    Instant::from_micros(frame * 1000)
}

fn output(now: Instant, of: &mut Connection) -> Vec<u8> {
    let bytes: Vec<u8> = of.transmit().flatten().copied().collect();
    of.advance_transmit(now, bytes.len());
    bytes
}

fn frame(bytes: &[u8]) -> Frame {
    let mut decoder = Decoder::new(Dialects::CNDT, 8192);
    decoder.push(bytes);
    decoder.next_frame().expect("it is a frame").expect("it is whole")
}

#[test]
fn both_machines_write_the_known_frames() {
    for case in cases() {
        let (name, frames) = (&case["name"], &case["frames"]);
        let password = case["password_utf8"].as_str().expect("text");
        let user = || case["user"].as_str().expect("text").parse().expect("a user's name");
        let verifier: Verifier =
            case["verifier_string"].as_str().expect("text").parse().expect("a record");
        let mine = Credentials::new(user(), password).expect("a password");
        let random = entropy(&case["client_nonce"]);
        let mut client =
            Connection::client(at(0), config(&case, "kat-client"), mine, random).expect("valid");
        let access = Access::new().with_user(user(), verifier);
        let random = entropy(&case["server_nonce"]);
        let mut server =
            Connection::server(at(0), config(&case, "kat-server"), access, random).expect("valid");

        let request = output(at(0), &mut client);
        assert_eq!(request, hex(&frames["AUTH_REQUEST_10"]), "{name}");
        server.receive(at(1), &request);
        let challenge = output(at(1), &mut server);
        assert_eq!(challenge, hex(&frames["AUTH_CHALLENGE_13"]), "{name}");
        client.receive(at(2), &challenge);
        let Some(Event::Derive(derivation)) = client.poll_event() else { panic!("no work") };
        assert!(client.derived(at(2), derivation.run()));
        let response = output(at(2), &mut client);
        assert_eq!(response, hex(&frames["AUTH_RESPONSE_14"]), "{name}");
        server.receive(at(3), &response);
        let success = output(at(3), &mut server);
        let known = hex(&frames["AUTH_SUCCESS_11"]);
        assert_eq!(success[..HEADER_LEN], known[..HEADER_LEN], "{name}");
        let (success, known) = (frame(&success), frame(&known));
        let (success, known) =
            (Success::read(&success.payload, 8), Success::read(&known.payload, 8));
        let (success, known) = (success.expect("it is one"), known.expect("it is one"));
        assert_eq!((success.scram, &success.server), (known.scram, &known.server), "{name}");
        assert_eq!(success.session_token.len(), known.session_token.len());
        client.receive(at(4), &hex(&frames["AUTH_SUCCESS_11"]));
        assert!(matches!(client.poll_event(), Some(Event::Opened(_))), "{name}");
        assert!(matches!(server.poll_event(), Some(Event::Opened(_))), "{name}");
    }
}

#[test]
fn texts_keys_and_records_are_the_known_ones() {
    for case in cases() {
        let part = |name: &str| frame(&hex(&case["frames"][name]));
        let request = part("AUTH_REQUEST_10");
        let request = Request::read(&request.payload, 8).expect("a request");
        let challenge = part("AUTH_CHALLENGE_13");
        let challenge = Challenge::read(&challenge.payload, 8).expect("a challenge");
        let response = part("AUTH_RESPONSE_14");
        let response = Response::read(&response.payload, 8).expect("a response");
        let first = ClientFirst::parse(request.scram).expect("a first message");
        assert_eq!(first.text(), request.scram);
        let server = ServerFirst::parse(challenge.scram, &first).expect("a first message");
        let last = ClientFinal::parse(response.scram).expect("a last message");
        assert_eq!(last.transcript.expect("it is there").to_vec(), hex(&case["transcript_sha256"]));
        let signed = auth_message(&first, &server, last.received_without_proof());
        assert_eq!(signed, case["auth_message"].as_str().expect("text"));

        let password = case["password_utf8"].as_str().expect("text");
        let keys = Derivation::new(password, &server.salt, server.iterations).expect("valid").run();
        let verifier = keys.verifier();
        assert_eq!(verifier.to_string(), case["verifier_string"].as_str().expect("text"));
        let session = keys.session_key(signed.as_bytes());
        assert_eq!(session.to_vec(), hex(&case["session_key"]));
        let theirs = verifier.session_key(signed.as_bytes(), &last.proof);
        assert_eq!(theirs.expect("the proof is right"), session);
        assert_eq!(verifier.session_key(signed.as_bytes(), &[0; 32]), None);
    }
}
