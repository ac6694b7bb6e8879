//! Known answers: RFC 4231, RFC 7914 section 11, RFC 7677 section 3.

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use base64ct::{Base64, Encoding};
use sha2::Sha256;

use super::*;

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

const TRANSCRIPT: &str = "n=user,r=rOprNGfwEbeRWgbNEkqO,\
    r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,\
    c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const RECORD: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
    WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

fn pencil() -> Keys {
    let salt = Base64::decode_vec("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
    Derivation::new("pencil", &salt, 4096).unwrap().run()
}

#[test]
fn hmac_is_that_of_rfc_4231() {
    for (key, text, mac) in [
        (
            vec![0x0b; 20],
            &b"Hi There"[..],
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
        (
            b"Jefe".to_vec(),
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            vec![0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
    ] {
        assert_eq!(sign(&key, text).to_vec(), hex(mac));
    }
}

#[test]
fn pbkdf2_is_that_of_rfc_7914() {
    for (password, salt, iterations, key) in [
        (
            "passwd",
            "salt",
            1,
            "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc\
             49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783",
        ),
        (
            "Password",
            "NaCl",
            80_000,
            "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56\
             a1d425a1225833549adb841b51c9b3176a272bdebba1d078478f62b397f33c8d",
        ),
    ] {
        let mut out = [0; 64];
        pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), salt.as_bytes(), iterations, &mut out);
        assert_eq!(out.to_vec(), hex(key));
    }
}

#[test]
fn proofs_are_those_of_rfc_7677() {
    let keys = pencil();
    let proof = keys.client_proof(TRANSCRIPT.as_bytes());
    assert_eq!(Base64::encode_string(&proof), "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
    let verifier: Verifier = RECORD.parse().unwrap();
    assert_eq!(keys.verifier().to_string(), RECORD);
    assert_eq!(verifier.to_string(), RECORD);
    assert!(verifier.accepts(TRANSCRIPT.as_bytes(), &proof));
    let signature = verifier.server_signature(TRANSCRIPT.as_bytes());
    assert_eq!(Base64::encode_string(&signature), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    assert!(keys.accepts_server(TRANSCRIPT.as_bytes(), &signature));
}

#[test]
fn a_single_changed_bit_is_noticed_on_either_side() {
    let (keys, verifier) = (pencil(), pencil().verifier());
    let text = TRANSCRIPT.as_bytes();
    let proof = keys.client_proof(text);
    let signature = verifier.server_signature(text);
    for bit in 0..256 {
        let flipped = |mut bytes: [u8; 32]| {
            bytes[bit / 8] ^= 1 << (bit % 8);
            bytes
        };
        assert!(!verifier.accepts(text, &flipped(proof)), "bit {bit} of the proof");
        assert!(!keys.accepts_server(text, &flipped(signature)), "bit {bit} of the signature");
    }
    let mut other = text.to_vec();
    for place in 0..other.len() {
        other[place] ^= 1;
        assert!(!verifier.accepts(&other, &proof), "byte {place} of the transcript");
        other[place] ^= 1;
    }
    assert!(!verifier.accepts(text, &proof[..31]) && !keys.accepts_server(text, &[]));
}

#[test]
fn roles_cannot_be_swapped() {
    let (keys, verifier) = (pencil(), pencil().verifier());
    let text = TRANSCRIPT.as_bytes();
    assert!(!verifier.accepts(text, &verifier.server_signature(text)));
    assert!(!keys.accepts_server(text, &keys.client_proof(text)));
}

#[test]
fn what_is_weak_or_broken_is_refused_in_words() {
    let new = |password: &str, salt: usize, iterations| {
        Derivation::new(password, &vec![1; salt], iterations).map(drop)
    };
    assert_eq!(new("", 16, 4096), Err(ScramError::PasswordLength(0)));
    assert_eq!(new(&"x".repeat(1025), 16, 4096), Err(ScramError::PasswordLength(1025)));
    assert_eq!(new("x", 15, 4096), Err(ScramError::SaltLength(15)));
    assert_eq!(new("x", 65, 4096), Err(ScramError::SaltLength(65)));
    assert_eq!(new("x", 16, 4095), Err(ScramError::Iterations(4095)));
    assert_eq!(new("x", 16, 2_000_001), Err(ScramError::Iterations(2_000_001)));
    for (from, to) in [
        ("SCRAM-SHA-256", "SCRAM-SHA-1"),
        ("4096", "x"),
        ("4096", "1"),
        ("W22Z", "W2!Z"),
        ("gQ==", "gQ"),
        ("WG5d", "WG"),
        ("dU=", "dU=$"),
        (":wfPL", "wfPL"),
    ] {
        let record = RECORD.replacen(from, to, 1);
        assert!(record.parse::<Verifier>().is_err(), "{record}");
    }
}

#[test]
fn secrets_are_not_shown() {
    let keys = pencil();
    let derivation = Derivation::new("pencil", &[1; 16], 4096).unwrap();
    let shown = alloc::format!("{keys:?} {derivation:?} {:?}", keys.verifier());
    assert_eq!(
        shown,
        "Keys(..) Derivation { iterations: 4096, .. } Verifier { iterations: 4096, .. }"
    );
}
