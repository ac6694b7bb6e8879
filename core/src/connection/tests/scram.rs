//! Logging in, dialect `cndt`: known answers, and everything that must not open a connection.

use super::*;
use crate::auth::scram::{
    ClientFinal, ClientFirst, ServerFinal, ServerFirst, Verifier, auth_message,
};
use crate::message::auth::{
    Caps, Challenge, Failure, Identity, RefusalCode, Request, Response, Success,
};

fn opened(of: &mut Connection) -> Opened {
    match events(of).into_iter().next() {
        Some(Event::Opened(opened)) => opened,
        other => panic!("{other:?}"),
    }
}

fn cndt_pair() -> (Connection, Connection) {
    (cndt_client(Config::default()), both_server(Config::default()))
}

/// Runs an exchange in which every frame may be changed on its way; the frames are numbered.
fn exchange(
    a: &mut Connection,
    b: &mut Connection,
    mut change: impl FnMut(usize, Vec<u8>) -> Vec<u8>,
) {
    for step in 0..4 {
        let (from, to) = if step % 2 == 0 { (&mut *a, &mut *b) } else { (&mut *b, &mut *a) };
        let bytes = take_output(at(1), from);
        to.receive(at(1), &change(step, bytes));
    }
}

#[test]
fn both_sides_learn_who_the_other_is_and_the_server_who_logged_in() {
    let (mut a, mut b) = cndt_pair();
    pump(at(5), &mut a, &mut b);
    for side in [&mut a, &mut b] {
        let opened = opened(side);
        assert_eq!(opened.dialect, Some(Dialect::Cndt));
        assert_eq!(opened.user, Some(UserName::default()));
        assert_eq!(opened.peer_name, "cndt");
        assert_eq!(opened.handshake, Duration::from_millis(5));
    }
    // Nobody waits for anybody's first word here.
    b.send(at(6), "news", &Raw(&[1])).unwrap();
    a.call(at(6), "m", &Raw(&[0x80]), SECOND).unwrap();
    pump(at(6), &mut a, &mut b);
    assert!(matches!(events(&mut a)[..], [Event::Message(_)]));
    assert!(matches!(events(&mut b)[..], [Event::Request(_)]));
}

#[test]
fn keys_are_asked_for_once_and_only_those_are_taken() {
    let credentials = Credentials::new(UserName::default(), "secret").unwrap();
    let config = few_iterations(Config::default());
    let random = Entropy([9; 64]);
    let mut a = Connection::client(Instant::ZERO, config, credentials, random).unwrap();
    let mut b = both_server(Config::default());
    assert!(!a.derived(at(0), keys()), "nothing was asked for yet");
    pump(at(1), &mut a, &mut b);
    let Some(Event::Derive(derivation)) = a.poll_event() else { panic!("no work") };
    assert_eq!((derivation.salt(), derivation.iterations()), (&[3; 16][..], 4096));
    assert!(!a.wants_read(), "there is nothing to read before the own word");
    let others = Derivation::new("secret", &[4; 16], 4096).unwrap().run();
    assert!(!a.derived(at(2), others));
    assert_eq!(a.pending_bytes(), 0);
    assert!(a.derived(at(2), derivation.run()));
    assert!(!a.derived(at(2), keys()), "once is enough");
    pump(at(2), &mut a, &mut b);
    opened(&mut a);
    opened(&mut b);
}

#[test]
fn what_is_glued_to_a_login_frame_is_kept_for_later() {
    let (mut a, mut b) = cndt_pair();
    b.receive(at(0), &take_output(at(0), &mut a));
    a.receive(at(0), &take_output(at(0), &mut b));
    let mut response = take_output(at(0), &mut a);
    response.extend(frame_of(Dialect::Cndt, Kind::HeartbeatPing, Flags::empty(), 0, &[]));
    b.receive(at(0), &response);
    opened(&mut b);
    b.send(at(0), "hello", &Raw(&[1])).unwrap();
    let answers = take_output(at(0), &mut b);
    assert_eq!(kinds(&answers), [Kind::AuthSuccess, Kind::HeartbeatPong, Kind::Message]);
    a.receive(at(0), &answers);
    assert!(matches!(events(&mut a)[..], [Event::Opened(_), Event::Message(_)]));
}

#[test]
fn a_login_means_the_same_however_it_is_cut() {
    let (mut a, mut b) = cndt_pair();
    let request = take_output(at(0), &mut a);
    b.receive(at(0), &request);
    let challenge = take_output(at(0), &mut b);
    a.receive(at(0), &challenge);
    let response = take_output(at(0), &mut a);
    let both = [&request[..], &response].concat();
    for cut in 0..both.len() {
        let mut server = both_server(Config::default());
        server.receive(at(0), &both[..cut]);
        server.receive(at(0), &both[cut..]);
        assert!(matches!(events(&mut server)[..], [Event::Opened(_)]), "cut at {cut}");
    }
    for cut in 0..challenge.len() {
        let mut client = cndt_client(Config::default());
        take_output(at(0), &mut client);
        client.receive(at(0), &challenge[..cut]);
        client.receive(at(0), &challenge[cut..]);
        assert_eq!(take_output(at(0), &mut client), response, "cut at {cut}");
    }
}

#[test]
fn no_changed_bit_is_survived_by_anyone() {
    // The first three frames are covered by the proof, the last by the signature.
    let lengths = {
        let (mut a, mut b) = cndt_pair();
        let mut lengths = Vec::new();
        exchange(&mut a, &mut b, |_, bytes| {
            lengths.push(bytes.len());
            bytes
        });
        lengths
    };
    for (frame, length) in lengths.iter().enumerate() {
        for bit in 0..length * 8 {
            let (mut a, mut b) = cndt_pair();
            exchange(&mut a, &mut b, |step, mut bytes| {
                if step == frame && bytes.len() == *length {
                    bytes[bit / 8] ^= 1 << (bit % 8);
                }
                bytes
            });
            let is_open = |of: &Connection| of.phase() == PhaseName::Open;
            // Of AUTH_RESPONSE and AUTH_SUCCESS the header's clock is not proven, nor is what a
            // server says of itself once its signature is right.
            let is_clock = (20 * 8..28 * 8).contains(&bit);
            let after_signature = frame == 3 && bit >= (HEADER_LEN + 1 + 6 + 2 + 46) * 8;
            if (frame >= 2 && is_clock) || after_signature {
                continue;
            }
            assert!(!is_open(&a), "bit {bit} of frame {frame}: the client believes it");
            if frame < 3 {
                assert!(!is_open(&b), "bit {bit} of frame {frame}: the server believes it");
            }
        }
    }
}

#[test]
fn a_recorded_login_opens_nothing() {
    let (mut a, mut b) = cndt_pair();
    let mut recorded = Vec::new();
    exchange(&mut a, &mut b, |_, bytes| {
        recorded.push(bytes.clone());
        bytes
    });
    let access = Access::new().with_user(UserName::default(), keys().verifier());
    let random = Entropy([8; 64]);
    let mut other = Connection::server(Instant::ZERO, Config::default(), access, random).unwrap();
    other.receive(at(1), &recorded[0]);
    other.receive(at(1), &recorded[2]);
    other.handle_timeout(at(501));
    let answers = frames(&take_output(at(501), &mut other));
    let failure = Failure::read(&answers.last().unwrap().payload, 64).unwrap();
    assert_eq!(failure.code, RefusalCode::AuthFailed);

    let random = Entropy([1; 64]);
    let mine = Credentials::new(UserName::default(), "secret").unwrap().with_keys(keys());
    let config = few_iterations(Config::default());
    let mut victim = Connection::client(Instant::ZERO, config, mine, random).unwrap();
    victim.receive(at(1), &recorded[1]);
    assert!(victim.is_closed(), "a challenge to somebody else's nonce");
}

fn failure_for(credentials: Credentials, access: Access) -> (Failure, CloseReason, Vec<Kind>) {
    let config = few_iterations(Config::default());
    let random = Entropy([9; 64]);
    let mut a = Connection::client(Instant::ZERO, config.clone(), credentials, random).unwrap();
    let mut b = Connection::server(Instant::ZERO, config, access, Entropy([7; 64])).unwrap();
    let mut seen = Vec::new();
    let mut refused = None;
    for second in 1..4 {
        let (now, later) = (at(second * 1000), at(second * 1000 + 500));
        b.receive(now, &take_output(now, &mut a));
        b.handle_timeout(later);
        let back = take_output(later, &mut b);
        seen.extend(kinds(&back));
        a.receive(later, &back);
        match a.poll_event() {
            Some(Event::Derive(derivation)) => assert!(a.derived(later, derivation.run())),
            Some(Event::Closed(Closed { reason: CloseReason::LoginRefused(failure), .. })) => {
                refused = Some(failure);
            }
            None => {}
            other => panic!("{other:?}"),
        }
    }
    let refused = refused.expect("the client is told");
    b.shutdown_done(at(4000));
    b.receive_eof(at(4000));
    (refused, closed(&events(&mut b)).reason.clone(), seen)
}

#[test]
fn a_wrong_password_and_an_unknown_user_look_the_same() {
    let access = || Access::new().with_user(UserName::default(), keys().verifier());
    let wrong = Credentials::new(UserName::default(), "guess").unwrap();
    let unknown = Credentials::new("nobody".parse().unwrap(), "secret").unwrap();
    let wrong = failure_for(wrong, access());
    assert_eq!(wrong, failure_for(unknown, access()));
    assert_eq!(wrong.0, Failure::new("Invalid password", RefusalCode::AuthFailed));
    assert_eq!(wrong.1, CloseReason::LoginRejected(LoginRejection::WrongPassword));
    assert_eq!(wrong.2, [Kind::AuthChallenge, Kind::AuthFailure]);
}

#[test]
fn an_unknown_user_always_gets_the_same_salt() {
    let challenge = |name: &str, random: u8| {
        let credentials = Credentials::new(name.parse().unwrap(), "x").unwrap();
        let config = few_iterations(Config::default());
        let mut a = Connection::client(at(0), config, credentials, Entropy([random; 64])).unwrap();
        let mut b = both_server(Config::default());
        b.receive(at(0), &take_output(at(0), &mut a));
        let answer = frames(&take_output(at(0), &mut b)).remove(0);
        let text = Challenge::read(&answer.payload, 64).unwrap().scram.to_string();
        (answer.payload.len(), text[text.find(",s=").unwrap()..].to_string())
    };
    assert_eq!(challenge("eve", 1), challenge("eve", 2));
    assert_ne!(challenge("eve", 1).1, challenge("bob", 1).1);
    assert_eq!(challenge("eve", 1).0, challenge("default", 1).0, "it looks like a real one");
}

#[test]
fn each_user_has_a_password_and_a_dialect_of_its_own() {
    let derive = |password: &str| Derivation::new(password, &[5; 16], 4096).unwrap().run();
    let access = || {
        Access::new()
            .with_user("ann".parse().unwrap(), derive("apple").verifier())
            .with_user("bob".parse().unwrap(), derive("berry").verifier())
    };
    for (user, password, is_right) in
        [("ann", "apple", true), ("bob", "berry", true), ("ann", "berry", false)]
    {
        let credentials = Credentials::new(user.parse().unwrap(), password).unwrap();
        let config = few_iterations(Config::default());
        let credentials = credentials.with_keys(derive(password));
        let mut a = Connection::client(at(0), config, credentials, Entropy([9; 64])).unwrap();
        let mut b =
            Connection::server(at(0), Config::default(), access(), Entropy([7; 64])).unwrap();
        pump(at(0), &mut a, &mut b);
        if is_right {
            assert_eq!(opened(&mut b).user.unwrap().as_str(), user);
        } else {
            assert_eq!(b.next_deadline().unwrap().why, Timer::Refusal);
        }
    }
    let legacy = failure_for(Credentials::netconduit("apple"), access());
    assert_eq!(legacy.0.code, RefusalCode::MechRequired);
    let reason = CloseReason::LoginRejected(LoginRejection::Dialect(Dialect::Netconduit));
    assert_eq!(legacy.1, reason);
    let strong = Credentials::new(UserName::default(), "secret").unwrap();
    let strong = failure_for(strong, Access::netconduit("secret"));
    assert_eq!(strong.0.code, RefusalCode::MechRequired);
}

#[test]
fn a_strong_client_never_speaks_the_other_dialect() {
    let mut a = cndt_client(Config::default());
    assert!(frames(&take_output(at(0), &mut a)).iter().all(|f| f.dialect == Dialect::Cndt));
    let mut refusal = BytesMut::new();
    Failure::new("Invalid password", RefusalCode::Unspecified).write(&mut refusal);
    a.receive(at(1), &frame(Kind::AuthFailure, Flags::empty(), 0, &refusal));
    assert_eq!(closed(&events(&mut a)).reason, CloseReason::OtherDialect(Dialect::Netconduit));
    assert_eq!(a.pending_bytes(), 0);
}

fn fault_of(connection: &mut Connection) -> LoginFault {
    match closed(&events(connection)).reason.clone() {
        CloseReason::Violation(Violation::Login { fault, .. }) => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn weak_and_costly_iterations_are_refused() {
    let answer = |iterations: u32, credentials: Credentials, config: Config| {
        let salt = keys().salt().to_vec();
        let record = keys().verifier().to_string().replacen("4096", &iterations.to_string(), 1);
        let verifier: Verifier = record.parse().unwrap();
        assert_eq!(verifier.salt(), salt);
        let access = Access::new().with_user(UserName::default(), verifier);
        let mut a = Connection::client(at(0), config, credentials, Entropy([9; 64])).unwrap();
        let mut b = Connection::server(at(0), Config::default(), access, Entropy([7; 64])).unwrap();
        pump(at(0), &mut a, &mut b);
        fault_of(&mut a)
    };
    let mine = || Credentials::new(UserName::default(), "secret").unwrap();
    let (min, max) = (100_000, 2_000_000);
    let fault = answer(99_999, mine(), Config::default());
    assert_eq!(fault, LoginFault::Iterations { iterations: 99_999, min, max });
    let mut config = Config::default();
    config.limits.iterations_max = 600_000;
    let fault = answer(600_001, mine(), config);
    assert_eq!(fault, LoginFault::Iterations { iterations: 600_001, min, max: 600_000 });
    let known = Derivation::new("secret", &[3; 16], 5000).unwrap().run();
    let fault = answer(4999, mine().with_keys(known), few_iterations(Config::default()));
    assert_eq!(fault, LoginFault::Weakened { iterations: 4999, before: 5000 });
}

#[test]
fn an_impostor_who_does_not_know_the_password_is_noticed() {
    let (mut a, mut b) = cndt_pair();
    let mut forged = None;
    exchange(&mut a, &mut b, |step, bytes| {
        if step != 3 {
            return bytes;
        }
        let success = frames(&bytes).remove(0);
        let mut payload = BytesMut::new();
        let read = Success::read(&success.payload, 64).unwrap();
        let signature = "v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        Success { scram: signature, ..read }.write(&mut payload);
        let frame = frame_of(Dialect::Cndt, Kind::AuthSuccess, Flags::empty(), 1, &payload);
        forged = Some(frame.clone());
        frame
    });
    assert!(forged.is_some());
    assert_eq!(fault_of(&mut a), LoginFault::ServerUnproven);
}

#[test]
fn a_malformed_login_is_told_so_and_no_more() {
    let malformed = [
        (Kind::AuthRequest, Flags::empty(), 1, &[0x80][..]),
        (Kind::AuthRequest, Flags::empty(), 0, &[0x80]),
        (Kind::AuthRequest, Flags::REQUIRES_ACK, 1, &[0x80]),
        (Kind::Message, Flags::empty(), 1, &[0x80]),
    ];
    for (kind, flags, correlation, payload) in malformed {
        let mut b = both_server(Config::default());
        b.receive(at(0), &frame_of(Dialect::Cndt, kind, flags, correlation, payload));
        let answers = frames(&take_output(at(0), &mut b));
        let [answer] = &answers[..] else { panic!("{answers:?}") };
        assert_eq!((answer.dialect, answer.header.kind), (Dialect::Cndt, Kind::AuthFailure));
        let failure = Failure::read(&answer.payload, 64).unwrap();
        assert_eq!(failure.code, RefusalCode::Protocol);
        assert!(b.wants_shutdown() && !b.is_closed());
    }
}

#[test]
fn a_login_is_bound_to_the_tls_session_beneath() {
    let with = |byte: Option<u8>| Config {
        channel_binding: byte.map(|byte| [byte; 32]),
        ..Config::default()
    };
    let outcome = |client: Option<u8>, server: Option<u8>| {
        let mut a = cndt_client(with(client));
        let mut b = both_server(with(server));
        exchange(&mut a, &mut b, |_, bytes| bytes);
        a.phase() == PhaseName::Open && b.phase() == PhaseName::Open
    };
    assert!(outcome(Some(1), Some(1)));
    assert!(outcome(None, None));
    assert!(!outcome(Some(1), Some(2)), "somebody sits between the two sessions");
    assert!(!outcome(Some(1), None), "the server cannot check what the client binds to");
    assert!(outcome(None, Some(1)), "a client that cannot bind may still log in");

    let (mut a, mut b) = (cndt_client(with(None)), both_server(with(Some(1))));
    exchange(&mut a, &mut b, |step, bytes| {
        let swap = |text: &[u8]| text.windows(4).position(|four| four == b"n,,n");
        match swap(&bytes) {
            Some(place) if step == 0 => {
                let mut bytes = bytes;
                bytes[place] = b'y';
                bytes
            }
            _ => bytes,
        }
    });
    assert_eq!(fault_of_server(&mut b), LoginFault::Mechanism);
}

fn fault_of_server(connection: &mut Connection) -> LoginFault {
    connection.shutdown_done(at(1));
    connection.receive_eof(at(1));
    fault_of(connection)
}

/// Lets a client in, as a server that can take this.
fn let_in(client: &mut Connection, caps: Caps) {
    let request = frames(&take_output(at(1), client)).remove(0);
    let request = Request::read(&request.payload, 64).unwrap();
    let first = ClientFirst::parse(request.scram).unwrap();
    let server = ServerFirst::new(&first, &[1; 32], keys().salt(), 4096);
    let mech = first.flag.mechanism();
    let mut challenge = BytesMut::new();
    Challenge { mech, mechs: vec![mech], scram: server.text(), caps }.write(&mut challenge);
    let none = Flags::empty();
    client.receive(at(1), &frame_of(Dialect::Cndt, Kind::AuthChallenge, none, 1, &challenge));
    let response = frames(&take_output(at(1), client)).remove(0);
    let response = Response::read(&response.payload, 64).unwrap();
    let last = ClientFinal::parse(response.scram).unwrap();
    let signed = auth_message(&first, &server, last.received_without_proof());
    let signature = keys().verifier().server_signature(signed.as_bytes());
    let scram = ServerFinal { signature }.text();
    let mut success = BytesMut::new();
    Success { scram: &scram, session_token: "", server: Identity::default() }.write(&mut success);
    client.receive(at(1), &frame_of(Dialect::Cndt, Kind::AuthSuccess, none, 1, &success));
    opened(client);
}

#[test]
fn a_peer_that_cannot_inflate_gets_nothing_compressed() {
    for zlib in [false, true] {
        let mut a = cndt_client(Config { compression: true, ..Config::default() });
        let_in(&mut a, Caps { frame_max: 1 << 20, zlib });
        assert_eq!(a.format().unwrap().compression, zlib);
        a.send(at(2), "big", &Typed(&"x".repeat(5000))).unwrap();
        let sent = frames(&take_output(at(2), &mut a)).remove(0);
        assert_eq!(sent.header.flags.contains(Flags::COMPRESSED), zlib);
        let compressed = Format { dialect: Dialect::Cndt, compression: true };
        let text = "x".repeat(5000);
        let news =
            SharedMessage::encode(compressed, 9, "n", &Typed(&text), &Limits::default()).unwrap();
        assert_eq!(a.send_shared(at(2), &news, Overflow::Refuse).is_ok(), zlib);
    }
}

#[test]
fn who_offers_no_compression_reads_none() {
    let mut a = cndt_client(Config::default());
    let_in(&mut a, Caps { frame_max: 1 << 20, zlib: true });
    let small = crate::wire::deflate(&message("m", &[1])[HEADER_LEN..].repeat(200)).unwrap();
    a.receive(at(1), &frame_of(Dialect::Cndt, Kind::Message, Flags::COMPRESSED, 0, &small));
    assert_eq!(events(&mut a), []);
    assert_eq!(a.stats().strikes, 1);
}

#[test]
fn the_smaller_frame_limit_of_both_sides_holds() {
    let mut small = Config::default();
    small.limits.frame_max = 16 * 1024;
    let mut a = cndt_client(Config::default());
    let mut b = both_server(small);
    exchange(&mut a, &mut b, |_, bytes| bytes);
    let big = vec![0xc0_u8; 20 * 1024];
    let error = a.send(at(2), "big", &Typed(&big)).unwrap_err();
    assert!(matches!(error, SendError::TooLarge { max: 16_384, .. }), "{error}");
    let format = a.format().unwrap();
    let shared = SharedMessage::encode(format, 9, "big", &Typed(&big), &Limits::default()).unwrap();
    assert!(matches!(
        a.send_shared(at(2), &shared, Overflow::Refuse),
        Err(SendError::TooLarge { .. })
    ));
}

#[test]
fn a_second_attempt_needs_a_new_connection() {
    let (mut a, mut b) = cndt_pair();
    b.receive(at(0), &take_output(at(0), &mut a));
    a.receive(at(0), &take_output(at(0), &mut b));
    let good = take_output(at(0), &mut a);
    let payload = frames(&good).remove(0).payload;
    let text = Response::read(&payload, 64).unwrap().scram.to_string();
    let last = ClientFinal::parse(&text).unwrap();
    let wrong = ClientFinal::text(last.received_without_proof(), &[0; 32]);
    let mut body = BytesMut::new();
    Response { scram: &wrong }.write(&mut body);
    b.receive(at(0), &frame_of(Dialect::Cndt, Kind::AuthResponse, Flags::empty(), 1, &body));
    b.receive(at(1), &good);
    b.handle_timeout(at(500));
    assert_eq!(kinds(&take_output(at(500), &mut b)), [Kind::AuthFailure]);
    assert_ne!(b.phase(), PhaseName::Open);
}

#[test]
fn the_login_does_not_show_the_password_or_what_stands_for_it() {
    let (mut a, mut b) = cndt_pair();
    let mut wire = Vec::new();
    exchange(&mut a, &mut b, |_, bytes| {
        wire.extend_from_slice(&bytes);
        bytes
    });
    let hash = crate::auth::PasswordHash::of("secret");
    for secret in ["secret", hash.as_str()] {
        assert!(!wire.windows(secret.len()).any(|part| part == secret.as_bytes()));
    }
    let shown = alloc::format!("{a:?} {b:?}");
    let record = keys().verifier().to_string();
    let stored = record.rsplit('$').next().unwrap().split(':').next().unwrap();
    assert!(!shown.contains("\"secret\"") && !shown.contains(stored));
}
