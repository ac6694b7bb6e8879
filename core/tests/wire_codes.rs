//! Kinds, flags and dialects: every code of both dialects against tables written down here anew.

use cndt_core::wire::{Dialect, Dialects, Flags, Kind, UnknownDialect};
use std::collections::HashMap;

const DIALECTS: [Dialect; 2] = [Dialect::Cndt, Dialect::Netconduit];

/// Code, wire name. From the documents, not from the code under test.
const CNDT: [(u16, &str); 19] = [
    (0x01, "MESSAGE"),
    (0x02, "RPC_REQUEST"),
    (0x03, "RPC_RESPONSE"),
    (0x04, "RPC_ERROR"),
    (0x05, "HEARTBEAT_PING"),
    (0x06, "HEARTBEAT_PONG"),
    (0x07, "PAUSE"),
    (0x08, "RESUME"),
    (0x10, "AUTH_REQUEST"),
    (0x11, "AUTH_SUCCESS"),
    (0x12, "AUTH_FAILURE"),
    (0x13, "AUTH_CHALLENGE"),
    (0x14, "AUTH_RESPONSE"),
    (0x20, "CLOSE"),
    (0x21, "CLOSE_ACK"),
    (0x22, "ACK"),
    (0x23, "NACK"),
    (0x24, "CANCEL"),
    (0xFF, "ERROR"),
];
const NETCONDUIT: [&str; 16] = [
    "MESSAGE",
    "RPC_REQUEST",
    "RPC_RESPONSE",
    "RPC_ERROR",
    "HEARTBEAT_PING",
    "HEARTBEAT_PONG",
    "AUTH_REQUEST",
    "AUTH_SUCCESS",
    "AUTH_FAILURE",
    "PAUSE",
    "RESUME",
    "ACK",
    "NACK",
    "CLOSE",
    "CLOSE_ACK",
    "RPC_LIST",
];

fn documented(dialect: Dialect) -> HashMap<u16, &'static str> {
    match dialect {
        Dialect::Cndt => CNDT.into_iter().collect(),
        Dialect::Netconduit => (1..).zip(NETCONDUIT).collect(),
    }
}

#[test]
fn every_type_code_of_both_dialects_is_what_the_documents_say() {
    for dialect in DIALECTS {
        let documented = documented(dialect);
        for code in 0..=u16::MAX {
            let kind = Kind::from_code(dialect, code);
            match documented.get(&code) {
                Some(&name) => {
                    assert_eq!(kind.name(), name, "{dialect} {code:#x}");
                    assert_eq!(kind.code(dialect), Some(code), "{dialect} {name}");
                }
                None => assert_eq!(kind, Kind::Unknown(code), "{dialect}"),
            }
        }
    }
}

#[test]
fn every_named_kind_has_exactly_its_documented_codes() {
    for dialect in DIALECTS {
        let documented = documented(dialect);
        for kind in Kind::ALL {
            let code =
                documented.iter().find(|(_, name)| **name == kind.name()).map(|(code, _)| *code);
            assert_eq!(kind.code(dialect), code, "{dialect} {kind}");
        }
    }
    let names: std::collections::HashSet<_> = Kind::ALL.map(Kind::name).into_iter().collect();
    assert_eq!(names.len(), Kind::ALL.len(), "two kinds share a name");
}

#[test]
fn an_unknown_kind_keeps_its_code_where_the_dialect_has_room_for_it() {
    for code in 0..=u16::MAX {
        let kind = Kind::Unknown(code);
        assert_eq!(kind.code(Dialect::Netconduit), Some(code));
        let fits = (1..=0xFF).contains(&code);
        assert_eq!(kind.code(Dialect::Cndt), fits.then_some(code));
    }
    assert_eq!(Kind::Unknown(0x77).to_string(), "UNKNOWN(0x0077)");
    assert_eq!(Kind::RpcList.to_string(), "RPC_LIST");
}

#[test]
fn every_flag_word_of_both_dialects_survives() {
    for dialect in DIALECTS {
        let defined = match dialect {
            Dialect::Cndt => 0x1F,
            Dialect::Netconduit => 0x7F,
        };
        for bits in 0..=u16::MAX {
            let (flags, unknown) = Flags::from_bits(dialect, bits);
            assert_eq!(unknown, bits & !defined, "{dialect} {bits:#x}");
            assert_eq!(flags.to_bits(dialect) | unknown, bits, "{dialect} {bits:#x}");
        }
    }
}

#[test]
fn each_flag_has_its_documented_bit_or_is_dropped() {
    let table = [
        (Flags::COMPRESSED, "COMPRESSED", 0x01, 0x01),
        (Flags::ENCRYPTED, "ENCRYPTED", 0x02, 0x02),
        (Flags::PRIORITY_HIGH, "PRIORITY_HIGH", 0x04, 0x08),
        (Flags::PRIORITY_LOW, "PRIORITY_LOW", 0x08, 0),
        (Flags::REQUIRES_ACK, "REQUIRES_ACK", 0x10, 0x04),
        (Flags::FRAGMENT, "FRAGMENT", 0, 0x10),
        (Flags::LAST_FRAGMENT, "LAST_FRAGMENT", 0, 0x20),
        (Flags::BINARY, "BINARY", 0, 0x40),
    ];
    for (flag, name, cndt, netconduit) in table {
        assert_eq!(flag.to_bits(Dialect::Cndt), cndt, "{name}");
        assert_eq!(flag.to_bits(Dialect::Netconduit), netconduit, "{name}");
        assert_eq!(flag.names().collect::<Vec<_>>(), [name]);
    }
}

#[test]
fn flags_are_a_set() {
    let both = Flags::COMPRESSED | Flags::BINARY;
    assert!(both.contains(Flags::BINARY) && both.contains(both) && both.contains(Flags::empty()));
    assert!(!Flags::BINARY.contains(both));
    assert_eq!(both.without(Flags::BINARY), Flags::COMPRESSED);
    assert_eq!(Flags::empty().with(Flags::BINARY).with(Flags::COMPRESSED), both);
    assert!(Flags::default().is_empty() && !both.is_empty());
    assert_eq!(format!("{both:?} {:?}", Flags::empty()), "Flags(COMPRESSED | BINARY) Flags()");
}

#[test]
fn dialects_are_read_as_they_are_written() {
    for dialect in DIALECTS {
        assert_eq!(dialect.to_string().parse(), Ok(dialect));
        assert!(Dialects::from(dialect).contains(dialect) && Dialects::BOTH.contains(dialect));
    }
    assert!(!Dialects::CNDT.contains(Dialect::Netconduit));
    assert!(!Dialects::NETCONDUIT.contains(Dialect::Cndt));
    assert_eq!(format!("{:?}", Dialects::BOTH), "{Cndt, Netconduit}");
    let error = "CNDT".parse::<Dialect>().unwrap_err();
    assert_eq!(error, UnknownDialect("CNDT".into()));
    assert!(error.to_string().contains("\"CNDT\""), "{error}");
}
