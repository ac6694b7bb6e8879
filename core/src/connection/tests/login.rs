use super::*;
use crate::message::auth::{Failure, RefusalCode};
use crate::wire::WireErrorKind;

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

/// Captured from the Python package, password `secret`.
const PYTHON_LOGIN: &str = "434e44540100000700000000000000750000000000000000000001a1fb65e32682ad70617373776f72645f68617368d94032626238306435333762316461336533386264333033363161613835353638366264653065616364373136326665663661323566653937626635323761323562ab636c69656e745f696e666f82a46e616d65a3436c69a776657273696f6ea5312e322e33";
const PYTHON_REFUSAL: &str = "434e44540100000900000000000000190000000000000000000001a1fb65e2c081a6726561736f6eb0496e76616c69642070617373776f7264";

#[test]
fn the_login_is_byte_for_byte_what_the_python_package_sends() {
    let wall = crate::time::WallAnchor { at: Instant::ZERO, unix_millis: 0x0000_01a1_fb65_e326 };
    let config =
        Config { name: "Cli".to_string(), version: "1.2.3".to_string(), wall, ..Config::default() };
    assert_eq!(take_output(Instant::ZERO, &mut client(config)), hex(PYTHON_LOGIN));
}

#[test]
fn both_sides_learn_who_the_other_is() {
    let named = |name: &str| Config { name: name.to_string(), ..Config::default() };
    let (mut a, mut b) = (client(named("cli")), server(named("srv")));
    pump(at(5), &mut a, &mut b);
    let peer = |events: Vec<Event>| match events.into_iter().next() {
        Some(Event::Opened(opened)) => {
            assert_eq!(opened.dialect, Some(Dialect::Netconduit));
            assert_eq!(opened.handshake, Duration::from_millis(5));
            opened.peer_name
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(peer(events(&mut a)), "srv");
    assert_eq!(peer(events(&mut b)), "cli");
}

#[test]
fn a_captured_python_login_opens_a_connection_however_it_is_cut() {
    let login = hex(PYTHON_LOGIN);
    for cut in 0..=login.len() {
        let mut connection = server(Config::default());
        connection.receive(Instant::ZERO, &login[..cut]);
        connection.receive(Instant::ZERO, &login[cut..]);
        assert!(matches!(events(&mut connection)[..], [Event::Opened(_)]), "cut at {cut}");
        let answer = take_output(Instant::ZERO, &mut connection);
        let [success] = &frames(&answer)[..] else { panic!("one frame, nothing behind it") };
        assert_eq!(success.header.kind, Kind::AuthSuccess);
        let fields: serde_json::Value = from_slice(&success.payload).unwrap();
        assert_eq!(fields["session_token"].as_str().unwrap().len(), 128);
    }
}

#[test]
fn a_wrong_password_is_told_and_ends_both_sides() {
    let mut b = server(Config::default());
    let wrong = Credentials::netconduit("guess");
    let random = Entropy([9; 64]);
    let mut a = Connection::client(Instant::ZERO, Config::default(), wrong, random).unwrap();
    pump(Instant::ZERO, &mut a, &mut b);
    assert_eq!(b.next_deadline().unwrap(), Deadline { at: at(500), why: Timer::Refusal });
    assert!(!b.wants_read());
    b.handle_timeout(at(499));
    assert_eq!(b.pending_bytes(), 0, "the answer is held back");
    b.handle_timeout(at(500));
    pump(at(500), &mut a, &mut b);
    let failure = Failure::new("Invalid password", RefusalCode::AuthFailed);
    assert_eq!(closed(&events(&mut a)).reason, CloseReason::LoginRefused(failure));
    assert!(b.wants_shutdown());
    b.shutdown_done(Instant::ZERO);
    assert_eq!(
        closed(&events(&mut b)).reason,
        CloseReason::LoginRejected(LoginRejection::WrongPassword)
    );
}

#[test]
fn a_captured_python_refusal_is_understood() {
    let mut a = client(Config::default());
    a.receive(Instant::ZERO, &hex(PYTHON_REFUSAL));
    let failure = Failure::new("Invalid password", RefusalCode::Unspecified);
    let reason = CloseReason::LoginRefused(failure);
    assert_eq!(events(&mut a), [Event::Closed(Closed { reason, unsent: 0 })]);
    assert!(a.is_closed());
}

#[test]
fn a_full_server_says_so_to_those_who_know_the_password() {
    let mut b = server(Config::default());
    b.set_vacancy(Vacancy::Full);
    let mut a = client(Config::default());
    pump(Instant::ZERO, &mut a, &mut b);
    match &closed(&events(&mut a)).reason {
        CloseReason::LoginRefused(failure) => {
            assert_eq!((&*failure.reason, failure.code), ("Server is full", RefusalCode::Busy));
            assert_eq!(failure.retry_after, Some(Duration::from_secs(5)));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn strangers_get_no_answer() {
    let hello = b"GET / HTTP/1.1\r\n";
    let mut b = server(Config::default());
    b.receive(Instant::ZERO, hello);
    assert!(take_output(Instant::ZERO, &mut b).is_empty());
    match &closed(&events(&mut b)).reason {
        CloseReason::Wire(error) => {
            assert_eq!(error.offset, 0);
            assert!(matches!(error.kind, WireErrorKind::BadMagic { found: b'G', .. }));
        }
        other => panic!("{other:?}"),
    }
    assert!(!b.wants_read());
    assert_eq!(b.next_deadline(), None);
}

#[test]
fn before_login_only_a_login_is_allowed() {
    for kind in Kind::ALL {
        if kind == Kind::AuthRequest || kind.code(Dialect::Netconduit).is_none() {
            continue;
        }
        let mut b = server(Config::default());
        b.receive(Instant::ZERO, &frame(kind, Flags::empty(), 1, &[0x80]));
        assert!(take_output(Instant::ZERO, &mut b).is_empty(), "{kind:?} was answered");
        assert_eq!(
            closed(&events(&mut b)).reason,
            CloseReason::Violation(Violation::Unexpected { kind, phase: PhaseName::Handshake })
        );
    }
}

#[test]
fn a_login_may_not_be_compressed() {
    let mut b = server(Config::default());
    let small = crate::wire::deflate(&vec![0xc0; 5000]).unwrap();
    b.receive(Instant::ZERO, &frame(Kind::AuthRequest, Flags::COMPRESSED, 0, &small));
    let kind = Kind::AuthRequest;
    assert_eq!(
        closed(&events(&mut b)).reason,
        CloseReason::Violation(Violation::Unexpected { kind, phase: PhaseName::Handshake })
    );
}

#[test]
fn a_large_frame_before_login_is_refused_on_its_header() {
    let mut b = server(Config::default());
    let mut header = frame(Kind::AuthRequest, Flags::empty(), 0, &[]);
    header[12..16].copy_from_slice(&0xffff_ffff_u32.to_be_bytes());
    b.receive(Instant::ZERO, &header);
    match &closed(&events(&mut b)).reason {
        CloseReason::Wire(error) => {
            assert!(matches!(error.kind, WireErrorKind::FrameTooLarge { length: u32::MAX, .. }));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn silence_ends_a_handshake_at_its_deadline_and_not_before() {
    for mut connection in [client(Config::default()), server(Config::default())] {
        let deadline = connection.next_deadline().unwrap();
        assert_eq!(deadline, Deadline { at: at(10_000), why: Timer::Auth });
        connection.handle_timeout(at(9_999));
        assert!(!connection.is_closed());
        connection.handle_timeout(at(10_000));
        let after = Duration::from_secs(10);
        assert_eq!(closed(&events(&mut connection)).reason, CloseReason::AuthTimeout { after });
    }
}

#[test]
fn a_client_that_has_just_joined_gets_nothing_but_pings_until_it_speaks() {
    let mut b = server(Config::default());
    b.receive(Instant::ZERO, &login_bytes());
    b.send(Instant::ZERO, "news", &Raw(&[1])).unwrap();
    assert_eq!(kinds(&take_output(Instant::ZERO, &mut b)), [Kind::AuthSuccess]);

    let probe = b.next_deadline().unwrap();
    assert_eq!(probe.why, Timer::JoinProbe);
    b.handle_timeout(probe.at);
    assert!(b.next_deadline().unwrap().at > probe.at);
    assert_eq!(kinds(&take_output(probe.at, &mut b)), [Kind::HeartbeatPing]);

    b.send(probe.at, "news", &Raw(&[2])).unwrap();
    assert_eq!(b.sent_through().number(), 0);
    b.receive(probe.at, &frame(Kind::HeartbeatPong, Flags::empty(), 0, &[]));
    let released = frames(&take_output(probe.at, &mut b));
    let data: Vec<Bytes> =
        released.iter().map(|f| rpc::read_message(f.payload.clone(), 64).unwrap().data).collect();
    assert_eq!(data, [&[1][..], &[2]]);
    assert_eq!(b.sent_through().number(), 2);
}

#[test]
fn a_joined_client_that_never_speaks_is_believed_after_a_grace() {
    let mut b = server(Config::default());
    b.receive(Instant::ZERO, &login_bytes());
    b.send(Instant::ZERO, "news", &Raw(&[1])).unwrap();
    take_output(Instant::ZERO, &mut b);
    b.handle_timeout(at(4_999));
    assert!(!kinds(&take_output(at(4_999), &mut b)).contains(&Kind::Message));
    b.handle_timeout(at(5_000));
    assert!(kinds(&take_output(at(5_000), &mut b)).contains(&Kind::Message));
}

#[test]
fn an_eof_during_the_handshake_is_an_end() {
    let mut a = client(Config::default());
    a.receive_eof(Instant::ZERO);
    assert_eq!(closed(&events(&mut a)).reason, CloseReason::LoginUnanswered);
    let mut b = server(Config::default());
    b.receive_eof(Instant::ZERO);
    assert_eq!(closed(&events(&mut b)).reason, CloseReason::Peer);
}
