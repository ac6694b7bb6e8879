use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::*;

const NOW: u64 = 1_700_000_000;
const BODY: &[u8] = br#"{"signal": "buy"}"#;
/// Of 24 bytes, so that every scheme takes it.
const SECRETS: [&[u8]; 4] = [
    b"the newest of the secrets",
    b"the second of the secrets",
    b"the third of the secrets!",
    b"the oldest of the secrets",
];

type Headers = Vec<(String, Vec<u8>)>;

fn keys(scheme: Scheme, secrets: &[&[u8]]) -> Keys {
    Keys::new(scheme, secrets.iter().map(|secret| Secret::new(secret).unwrap())).unwrap()
}

fn id() -> MessageId {
    MessageId::new([0x5a; 16])
}

fn sign(keys: &Keys, body: &[u8]) -> Headers {
    let id = id();
    let signed = keys.sign(&id, NOW, body);
    let lower = |(name, value): (HeaderName, &str)| (name.lower().to_string(), value.into());
    signed.headers().map(lower).collect()
}

fn verify_at(keys: &Keys, now: u64, headers: &Headers) -> Result<Verified, VerifyError> {
    let lookup = |name: &str| {
        assert_eq!(name, name.to_lowercase(), "headers are looked up in lower case");
        headers.iter().find(|(n, _)| n == name).map(|(_, value)| &value[..])
    };
    keys.verify(now, Tolerance::default(), lookup, BODY).map(|(_, verified)| verified)
}

fn verify(keys: &Keys, headers: &Headers) -> Result<Verified, VerifyError> {
    verify_at(keys, NOW, headers)
}

/// The value of the header with the signature, put there or changed.
fn with(name: &str, value: impl AsRef<[u8]>, mut headers: Headers) -> Headers {
    headers.retain(|(n, _)| n != name);
    headers.push((name.to_string(), value.as_ref().to_vec()));
    headers
}

fn signature(headers: &Headers) -> String {
    let is_it = |name: &str| name.contains("signature");
    let (_, value) = headers.iter().find(|(name, _)| is_it(name)).unwrap();
    String::from_utf8(value.clone()).unwrap()
}

#[test]
fn any_active_secret_is_accepted_and_no_other() {
    for scheme in Scheme::ALL {
        let receiver = keys(scheme, &SECRETS[..3]);
        for (secret, is_active) in SECRETS.into_iter().zip([true, true, true, false]) {
            let headers = sign(&keys(scheme, &[secret]), BODY);
            let outcome = verify(&receiver, &headers);
            assert_eq!(outcome.is_ok(), is_active, "{scheme}: {outcome:?}");
        }
    }
}

#[test]
fn all_secrets_sign_where_there_is_room() {
    for scheme in Scheme::ALL {
        let headers = sign(&keys(scheme, &SECRETS), BODY);
        for (at, secret) in SECRETS.into_iter().enumerate() {
            let accepted = verify(&keys(scheme, &[secret]), &headers).is_ok();
            assert_eq!(accepted, at == 0 || scheme.signs_timestamp(), "{scheme}, secret {at}");
        }
    }
}

#[test]
fn what_a_signature_vouches_for_is_told() {
    for scheme in Scheme::ALL {
        let keys = keys(scheme, &SECRETS[..1]);
        let verified = verify(&keys, &sign(&keys, BODY)).unwrap();
        assert_eq!(verified.timestamp, scheme.signs_timestamp().then_some(NOW));
        let text = id().as_str().to_string();
        let expected = match scheme {
            Scheme::Standard => DeliveryId::Signed(text),
            Scheme::Hex | Scheme::GitHub | Scheme::Stripe => DeliveryId::Unsigned(text),
        };
        assert_eq!(verified.id, Some(expected), "{scheme}");
    }
}

#[test]
fn ids_that_are_not_signed_need_not_be_there_or_make_sense() {
    let long = [b'a'; ID_LENGTH_MAX + 1];
    for scheme in [Scheme::Hex, Scheme::GitHub, Scheme::Stripe] {
        let keys = keys(scheme, &SECRETS[..1]);
        let name = scheme.id_header();
        let id_of = |value: &[u8]| {
            let headers = with(name.lower(), value, sign(&keys, BODY));
            verify(&keys, &headers).unwrap().id
        };
        assert_eq!(id_of(b"a.b"), Some(DeliveryId::Unsigned("a.b".into())));
        for none in [&b""[..], b"a b", "\u{e9}".as_bytes(), b"\xff", &long] {
            assert_eq!(id_of(none), None);
        }
        let mut headers = sign(&keys, BODY);
        headers.retain(|(n, _)| n != name.lower());
        assert_eq!(verify(&keys, &headers).unwrap().id, None);
    }
}

#[test]
fn ids_that_are_signed_must_make_sense() {
    let keys = keys(Scheme::Standard, &SECRETS[..1]);
    let long = [b'a'; ID_LENGTH_MAX + 1];
    for bad in [&b""[..], b"a.b", b"a b", b" a", b"a\0", "\u{e9}".as_bytes(), b"\xff", &long] {
        let headers = with("webhook-id", bad, sign(&keys, BODY));
        assert_eq!(verify(&keys, &headers), Err(VerifyError::BadId), "{bad:?}");
        let parsed = String::from_utf8(bad.to_vec()).map(|id| id.parse::<MessageId>());
        assert!(parsed.is_err() || parsed.is_ok_and(|id| id.is_err()));
    }
    let longest = "a".repeat(ID_LENGTH_MAX).parse::<MessageId>().unwrap();
    assert_eq!(keys.sign(&longest, NOW, BODY).headers().count(), 3);
}

#[test]
fn a_header_that_is_missing_is_named() {
    for scheme in Scheme::ALL {
        let keys = keys(scheme, &SECRETS[..1]);
        let needed = match scheme {
            Scheme::Hex => &["x-webhook-signature"][..],
            Scheme::GitHub => &["x-hub-signature-256"],
            Scheme::Stripe => &["stripe-signature"],
            Scheme::Standard => &["webhook-id", "webhook-timestamp", "webhook-signature"],
        };
        for name in needed {
            let mut headers = sign(&keys, BODY);
            headers.retain(|(n, _)| n != name);
            match verify(&keys, &headers) {
                Err(VerifyError::MissingHeader(missing)) => assert_eq!(missing.lower(), *name),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn a_header_that_is_too_long_is_named() {
    for scheme in Scheme::ALL {
        let keys = keys(scheme, &SECRETS[..1]);
        let name = keys.signature_header().lower();
        for (length, is_read) in [(HEADER_LENGTH_MAX, true), (HEADER_LENGTH_MAX + 1, false)] {
            // What Stripe does not know is ignored, however long it is.
            let value = format!("{:,<length$}", signature(&sign(&keys, BODY)));
            let headers = with(name, value, sign(&keys, BODY));
            let expected = match (is_read, scheme) {
                (true, Scheme::Stripe) => None,
                (true, Scheme::Hex | Scheme::GitHub | Scheme::Standard) => {
                    Some(VerifyError::NoMatch)
                }
                (false, _) => {
                    let name = scheme.signature_header();
                    Some(VerifyError::HeaderTooLong { name, length })
                }
            };
            assert_eq!(verify(&keys, &headers).err(), expected, "{scheme}");
        }
    }
}

#[test]
fn hex_is_taken_plain_or_behind_its_prefix() {
    let keys = keys(Scheme::Hex, &SECRETS[..1]);
    let hex = signature(&sign(&keys, BODY));
    let outcome = |value: String| {
        verify(&keys, &with("x-webhook-signature", value, Headers::new())).map(drop)
    };
    assert!(hex.bytes().all(|digit| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit)));
    assert_eq!(outcome(hex.clone()), Ok(()));
    assert_eq!(outcome(format!("sha256={hex}")), Ok(()));
    let shorter = hex[..63].to_string();
    for wrong in [
        format!("sha256=sha256={hex}"),
        format!("SHA256={hex}"),
        format!("sha1={hex}"),
        format!("sha256:{hex}"),
        format!(" {hex}"),
        format!("{hex}0"),
        format!("v1={hex}"),
        hex.to_uppercase(),
        shorter,
        String::new(),
        String::from("sha256="),
    ] {
        assert_eq!(outcome(wrong.clone()), Err(VerifyError::NoMatch), "{wrong}");
    }
}

#[test]
fn github_insists_on_the_prefix() {
    let keys = keys(Scheme::GitHub, &SECRETS[..1]);
    let value = signature(&sign(&keys, BODY));
    let hex = value.strip_prefix("sha256=").unwrap();
    let outcome =
        |value: &str| verify(&keys, &with("x-hub-signature-256", value, Headers::new())).map(drop);
    assert_eq!(outcome(&value), Ok(()));
    assert_eq!(outcome(hex), Err(VerifyError::NoMatch));
    assert_eq!(outcome(&value.to_uppercase()), Err(VerifyError::NoMatch));
}

#[test]
fn the_header_of_hex_can_be_another() {
    let keys = keys(Scheme::Hex, &SECRETS[..1]).with_signature_header("X-My-Sig").unwrap();
    let headers = sign(&keys, BODY);
    assert!(headers.iter().any(|(name, _)| name == "x-my-sig"));
    assert!(verify(&keys, &headers).is_ok());
    let fixed = |scheme| self::keys(scheme, &SECRETS[..1]).with_signature_header("X-My-Sig");
    for scheme in [Scheme::GitHub, Scheme::Stripe, Scheme::Standard] {
        assert_eq!(fixed(scheme).unwrap_err(), KeyError::FixedHeader(scheme));
    }
    let long = "x".repeat(65);
    for wrong in ["", "a b", "a:b", "a\r\nb", "gr\u{fc}n", "Webhook-Id", &long] {
        let outcome = keys.clone().with_signature_header(wrong).unwrap_err();
        assert!(matches!(outcome, KeyError::HeaderName(_)), "{wrong}");
    }
}

#[test]
fn stripe_ignores_what_it_does_not_know() {
    let keys = keys(Scheme::Stripe, &SECRETS[..1]);
    let value = signature(&sign(&keys, BODY));
    let (time, v1) = value.split_once(',').unwrap();
    let outcome =
        |value: &str| verify(&keys, &with("stripe-signature", value, Headers::new())).map(drop);
    let zeros = "0".repeat(64);
    for right in [
        format!("{v1},{time}"),
        format!("{time},v0={zeros},{v1},,x,=,new=1"),
        format!("{time},v1={zeros},{v1}"),
        format!("{time},{v1},v1="),
    ] {
        assert_eq!(outcome(&right), Ok(()), "{right}");
    }
    for wrong in [
        format!("{time},{}", v1.replace("v1=", "v0=")),
        format!("{time}, {v1}"),
        String::from(time),
    ] {
        assert_eq!(outcome(&wrong), Err(VerifyError::NoMatch), "{wrong}");
    }
    for wrong in [format!("{time},{time},{v1}"), String::from(v1), format!("t=,{v1}")] {
        assert_eq!(outcome(&wrong), Err(VerifyError::BadTimestamp), "{wrong}");
    }
}

#[test]
fn sixteen_signatures_are_looked_at() {
    for (scheme, other) in [
        (Scheme::Stripe, format!(",v1={}", "0".repeat(64))),
        (Scheme::Standard, format!(" v1,{}=", "A".repeat(43))),
        (Scheme::Standard, String::from(" v1a,x")),
    ] {
        let keys = keys(scheme, &SECRETS[..1]);
        let name = keys.signature_header().lower();
        let mut value = signature(&sign(&keys, BODY));
        value.push_str(&other.repeat(15));
        let headers = with(name, &value, sign(&keys, BODY));
        assert!(verify(&keys, &headers).is_ok(), "{scheme}");
        value.push_str(&other);
        let headers = with(name, &value, sign(&keys, BODY));
        assert_eq!(verify(&keys, &headers), Err(VerifyError::TooManySignatures), "{scheme}");
    }
}

#[test]
fn time_counts_where_it_is_signed() {
    for scheme in Scheme::ALL {
        let keys = keys(scheme, &SECRETS[..1]);
        let headers = sign(&keys, BODY);
        let outcome = |now| verify_at(&keys, now, &headers).map(drop);
        let too_late = Err(VerifyError::TooOld { by: 301 });
        let too_early = Err(VerifyError::TooNew { by: 301 });
        let expected = |refused| if scheme.signs_timestamp() { refused } else { Ok(()) };
        assert_eq!((outcome(NOW + 300), outcome(NOW - 300)), (Ok(()), Ok(())), "{scheme}");
        assert_eq!(outcome(NOW + 301), expected(too_late), "{scheme}");
        assert_eq!(outcome(NOW - 301), expected(too_early), "{scheme}");
    }
}

#[test]
fn timestamps_are_plain_numbers() {
    let parse = |text: &str| timestamp::parse(text.as_bytes(), NOW);
    assert_eq!((parse("0"), parse("999999999999")), (Ok(0), Ok(999_999_999_999)));
    for far in ["1000000000000", "9223372036854775807"] {
        assert!(matches!(parse(far), Err(VerifyError::TooNew { .. })), "{far}");
    }
    for wrong in [
        "",
        "00",
        "01",
        "+1",
        "-1",
        "-0",
        " 1",
        "1 ",
        "1.0",
        "1e3",
        "0x1",
        "\u{661}",
        "1\0",
        "9223372036854775808",
        "18446744073709551616",
        "99999999999999999999999999",
    ] {
        assert_eq!(parse(wrong), Err(VerifyError::BadTimestamp), "{wrong}");
    }
}

#[test]
fn the_tolerance_can_be_another_or_none() {
    let check = |tolerance: Tolerance, timestamp, now| tolerance.check(timestamp, now).is_ok();
    let none = Tolerance::Within(Duration::ZERO);
    assert!(check(none, 5, 5) && !check(none, 5, 6) && !check(none, 6, 5));
    assert!(check(Tolerance::Off, 0, u64::MAX) && check(Tolerance::Off, u64::MAX, 0));
    assert!(!check(Tolerance::default(), 0, u64::MAX));
    assert!(check(Tolerance::Within(Duration::MAX), 0, u64::MAX));
}

#[test]
fn secrets_have_the_length_that_the_scheme_asks_for() {
    let standard = |length: usize| {
        let bytes = vec![7; length];
        Keys::new(Scheme::Standard, [Secret::new(&bytes).unwrap()]).map(drop)
    };
    assert_eq!((standard(24), standard(64)), (Ok(()), Ok(())));
    assert_eq!(standard(23), Err(KeyError::Length(23)));
    assert_eq!(standard(65), Err(KeyError::Length(65)));
    for scheme in [Scheme::Hex, Scheme::GitHub, Scheme::Stripe] {
        assert!(Keys::parse(scheme, "x").unwrap().is_weak());
        assert!(!Keys::parse(scheme, &"x".repeat(24)).unwrap().is_weak());
        assert!(Keys::parse(scheme, &"x".repeat(23)).unwrap().is_weak());
        assert_eq!(Keys::parse(scheme, "").unwrap_err(), KeyError::Empty);
    }
    let parse = |text: &str| Secret::parse(Scheme::Standard, text).map(drop);
    assert_eq!(parse("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), Ok(()));
    assert_eq!(parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS="), Err(KeyError::Base64));
    assert_eq!(parse("whsec_MfKQ9r8G"), Err(KeyError::Length(6)));
    assert_eq!(parse("whsec_not base64"), Err(KeyError::Base64));
    assert_eq!(parse("whsec_"), Err(KeyError::Empty));
    assert_eq!(parse("whpk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), Err(KeyError::Asymmetric));
}

#[test]
fn one_to_four_secrets_are_active() {
    let of = |n: usize| {
        Keys::new(Scheme::Hex, (0..n).map(|_| Secret::new(b"secret").unwrap())).map(drop)
    };
    assert_eq!((of(0), of(1)), (Err(KeyError::NoSecret), Ok(())));
    assert_eq!((of(4), of(5)), (Ok(()), Err(KeyError::TooMany)));
}

#[test]
fn nothing_shows_a_secret() {
    for scheme in Scheme::ALL {
        let secret = Secret::new(SECRETS[0]).unwrap();
        let keys = keys(scheme, &SECRETS);
        let headers = with("webhook-id", "a", sign(&keys, BODY));
        let lookup =
            |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, value)| &value[..]);
        let verifier = keys.verifier(NOW, Tolerance::default(), lookup).unwrap();
        let shown = format!("{secret:?} {keys:?} {verifier:?} {:?}", keys.sign(&id(), NOW, BODY));
        assert!(!shown.contains("secrets!") && !shown.contains("the newest"), "{shown}");
        assert!(!shown.contains("116, 104, 101"), "{shown}");
    }
}

#[test]
fn peers_learn_little() {
    let name = header::WEBHOOK_ID;
    for (error, told) in [
        (VerifyError::MissingHeader(name.clone()), "signature required"),
        (VerifyError::HeaderTooLong { name, length: 5000 }, "malformed signature"),
        (VerifyError::BadTimestamp, "malformed signature"),
        (VerifyError::TooOld { by: 301 }, "timestamp out of tolerance"),
        (VerifyError::TooNew { by: 301 }, "timestamp out of tolerance"),
        (VerifyError::BadId, "malformed signature"),
        (VerifyError::TooManySignatures, "malformed signature"),
        (VerifyError::NoMatch, "invalid signature"),
    ] {
        assert_eq!(error.for_peer(), told);
    }
}

#[test]
fn schemes_are_read_by_their_names() {
    for scheme in Scheme::ALL {
        assert_eq!(scheme.to_string().parse(), Ok(scheme));
        let header = scheme.signature_header();
        assert_eq!(header.as_str().to_lowercase(), header.lower());
    }
    assert_eq!("Hex".parse::<Scheme>(), Err(SchemeError));
}
