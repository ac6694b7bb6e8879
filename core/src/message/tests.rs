use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::msgpack::{MessageErrorKind, Reader, put_int, put_str};
use super::*;
use crate::rpc::{ErrorCode, RpcError};
use crate::wire::{Dialect, Kind};

fn nested(depth: usize) -> Vec<u8> {
    let mut bytes = vec![0x91; depth];
    bytes.push(0xc0);
    bytes
}

fn skip(bytes: &[u8], depth_max: usize) -> Result<core::ops::Range<usize>, MessageErrorKind> {
    Reader::new(bytes, depth_max).skip().map_err(|error| error.kind)
}

fn packed(value: &Value) -> Vec<u8> {
    let mut out = BytesMut::new();
    Typed(value).write(&mut out).unwrap();
    out.to_vec()
}

#[test]
fn nesting_is_followed_to_the_limit_and_no_further() {
    for depth in 0..=1100 {
        let bytes = nested(depth);
        let expected = if depth <= 512 {
            Ok(0..bytes.len())
        } else {
            Err(MessageErrorKind::TooDeep { max: 512 })
        };
        assert_eq!(skip(&bytes, 512), expected, "depth {depth}");
    }
    assert_eq!(skip(&nested(64), 64), Ok(0..65));
    assert_eq!(skip(&nested(65), 64), Err(MessageErrorKind::TooDeep { max: 64 }));
    // Levels that hold more than one value, deeper than what is counted without allocating.
    let mut bushy = vec![0xc0];
    for _ in 0..20 {
        let mut level = vec![0x93, 0xc3];
        level.extend_from_slice(&bushy);
        level.push(0x80);
        bushy = level;
    }
    bushy.push(0xff);
    assert_eq!(skip(&bushy, 64), Ok(0..bushy.len() - 1));
}

#[test]
fn lengths_that_the_rest_cannot_hold_are_refused_at_once() {
    for lie in [
        &[0xdd, 0xff, 0xff, 0xff, 0xff][..],
        &[0xdf, 0xff, 0xff, 0xff, 0xff],
        &[0xc6, 0xff, 0xff, 0xff, 0xff],
        &[0xdb, 0xff, 0xff, 0xff, 0xff],
        &[0xc9, 0xff, 0xff, 0xff, 0xff, 1],
        &[0x81, 0xa1, b'a'],
        &[0xdc, 0, 3, 1, 2],
        &[0xd9, 2, b'x'],
        &[0xd7, 0xff, 0],
        &[0xcf, 0],
        &[],
    ] {
        assert_eq!(skip(lie, 64), Err(MessageErrorKind::Truncated), "{lie:02x?}");
    }
    assert_eq!(skip(&[0xc1], 64), Err(MessageErrorKind::NeverUsed));
    let mut reader = Reader::new(&[0xc0, 0xc0], 64);
    reader.skip().unwrap();
    assert_eq!(reader.end().unwrap_err().kind, MessageErrorKind::TrailingBytes);
    assert_eq!(Reader::new(&[0xa1, 0xff], 64).str().unwrap_err().kind, MessageErrorKind::NotUtf8);
}

#[test]
fn envelopes_take_their_keys_once_and_pass_over_others() {
    let read = |value: &Value| rpc::read_request(packed(value).into(), 64);
    let request =
        read(&json!({"x": [1], "params": {"a": 1}, "trace": "t", "method": "m"})).unwrap();
    assert_eq!(request.method.as_str(), "m");
    assert_eq!(from_slice::<Value>(&request.params).unwrap(), json!({"a": 1}));
    assert_eq!(&read(&json!({"method": "m"})).unwrap().params[..], &[0xc0]);
    assert_eq!(
        read(&json!({"params": 1})).unwrap_err().kind,
        MessageErrorKind::MissingKey { key: "method" }
    );
    assert!(read(&json!({"method": 7})).is_err());
    assert!(read(&json!([1])).is_err());
    // {"method": "m", "method": "n"}
    let mut twice = vec![0x82];
    for name in [&b"\xa1m"[..], b"\xa1n"] {
        twice.extend_from_slice(b"\xa6method");
        twice.extend_from_slice(name);
    }
    assert_eq!(
        rpc::read_request(Bytes::from(twice), 64).unwrap_err().kind,
        MessageErrorKind::DuplicateKey { key: "method" }
    );
    // Keys that are no text are none of ours.
    let odd = Bytes::from_static(b"\x82\x07\x08\xa6method\xa1m");
    assert_eq!(rpc::read_request(odd, 64).unwrap().method.as_str(), "m");
}

#[test]
fn answers_are_read_in_every_form_that_a_python_server_gives() {
    let read = |kind, value: Value| {
        rpc::read_answer(Dialect::Netconduit, kind, packed(&value).into(), 64).unwrap()
    };
    let data = |value| {
        let reply = read(Kind::RpcResponse, json!({"success": true, "result": value})).unwrap();
        from_slice::<Value>(&reply.data).unwrap()
    };
    assert_eq!(data(json!({"success": true, "data": 5})), 5);
    assert_eq!(data(json!({"success": true, "data": null})), Value::Null);
    assert_eq!(data(json!({"success": true, "own": 1})), json!({"success": true, "own": 1}));
    assert_eq!(data(json!({"success": "yes"})), json!({"success": "yes"}));
    assert_eq!(data(json!([1, 2])), json!([1, 2]));
    assert_eq!(data(json!("text")), "text");
    let failed = json!({"success": true, "result": {
        "success": false, "error": "late", "code": 1002, "details": null}});
    let expected = RpcError::new(ErrorCode::Timeout, "late");
    assert_eq!(read(Kind::RpcResponse, failed), Err(expected));
    let outer = json!({"success": false, "error": "bad"});
    assert_eq!(read(Kind::RpcError, outer), Err(RpcError::new(ErrorCode::Unknown, "bad")));
}

#[test]
fn errors_of_dialect_cndt_keep_the_documented_numbers() {
    let error = RpcError::permission_denied("x").with_details(&json!([1])).unwrap();
    let mut out = BytesMut::new();
    rpc::write_error(&mut out, Dialect::Cndt, &error);
    let fields: Value = from_slice(&out).unwrap();
    assert_eq!(
        fields,
        json!({"success": false, "error": "Permission denied: x", "code": 3002, "details": [1]})
    );
    let back = rpc::read_answer(Dialect::Cndt, Kind::RpcError, out.freeze(), 64).unwrap();
    assert_eq!(back, Err(error));
}

#[test]
fn numbers_that_no_table_knows_are_kept() {
    for number in [-1, 0, 999, 4711, i64::MAX, i64::MIN] {
        assert_eq!(ErrorCode::from_number(number).number(), number);
        assert_eq!(ErrorCode::from_netconduit(number).to_netconduit(), number);
    }
}

#[test]
fn what_python_cannot_read_is_named_with_its_place() {
    check_for_python(&packed(&json!({"a": [1, {"b": [true, "x"]}], "c": {}}))).unwrap();
    // {"a": [nil, {2: 3}]}
    let keyed = [0x81, 0xa1, b'a', 0x92, 0xc0, 0x81, 2, 3];
    let words = check_for_python(&keyed).unwrap_err().to_string();
    assert!(words.contains("`a[1]") && words.contains("an integer"), "{words}");
    let words = check_for_python(&[0x81, 0xc0, 1]).unwrap_err().to_string();
    assert!(words.contains("nil"), "{words}");
    check_for_python(&[0x81, 0xc4, 1, 7, 1]).expect("binary keys are fine");
    assert!(check_for_python(&nested(PYTHON_DEPTH_MAX)).is_ok());
    assert!(check_for_python(&nested(PYTHON_DEPTH_MAX + 1)).is_err());
    assert!(check_for_python(&[1, 2]).is_err(), "more than one value");
    assert!(check_for_python(&[0xa1, 0xff]).is_err(), "text that is not UTF-8");
}

proptest! {
    #[test]
    fn integers_and_text_come_back(number in any::<i64>(), text in any::<String>()) {
        let mut out = BytesMut::new();
        put_int(&mut out, number);
        put_str(&mut out, &text);
        let mut reader = Reader::new(&out, 1);
        prop_assert_eq!(reader.int().unwrap(), number);
        prop_assert_eq!(reader.str().unwrap(), text.as_str());
        prop_assert!(reader.end().is_ok());
        prop_assert_eq!(&out[..reader.offset()], &[rmp_serde::to_vec(&number).unwrap(), rmp_serde::to_vec(&text).unwrap()].concat()[..]);
    }

    #[test]
    fn what_rmp_serde_reads_is_passed_over_whole(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        // Another reader, written by others: where it finds a value, so must ours, of the same size.
        let mut rest = &bytes[..];
        if serde::de::IgnoredAny::deserialize_from(&mut rest) {
            let size = bytes.len() - rest.len();
            prop_assert_eq!(Reader::new(&bytes, 64).skip().ok(), Some(0..size));
        }
    }

    #[test]
    fn any_bytes_are_a_value_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let all = Bytes::from(bytes);
        let _ = rpc::read_request(all.clone(), 64);
        let _ = rpc::read_message(all.clone(), 64);
        let _ = auth::Failure::read(&all, 64);
        let _ = auth::Request::read(&all, 64);
        let _ = auth::Challenge::read(&all, 64);
        let _ = auth::Response::read(&all, 64);
        let _ = auth::Success::read(&all, 64);
        let _ = check_for_python(&all);
        for dialect in [Dialect::Cndt, Dialect::Netconduit] {
            for kind in [Kind::RpcResponse, Kind::RpcError] {
                let _ = rpc::read_answer(dialect, kind, all.clone(), 64);
            }
        }
    }
}

trait DeserializeFrom {
    fn deserialize_from(bytes: &mut &[u8]) -> bool;
}

impl DeserializeFrom for serde::de::IgnoredAny {
    fn deserialize_from(bytes: &mut &[u8]) -> bool {
        let mut deserializer = rmp_serde::Deserializer::new(&mut *bytes);
        deserializer.set_max_depth(64);
        <Self as serde::Deserialize>::deserialize(&mut deserializer).is_ok()
    }
}

#[test]
fn binary_data_shares_what_was_received_if_it_is_large() {
    let write = |length: usize| {
        let mut out = BytesMut::new();
        Typed(&Bytes::from(vec![7; length])).write(&mut out).unwrap();
        out.freeze()
    };
    for (length, is_shared) in [(0, false), (200, false), (16_383, false), (16_384, true)] {
        let payload = write(length);
        let data: Bytes = from_bytes(&payload).unwrap();
        assert_eq!(data, vec![7; length]);
        let range = payload.as_ptr_range();
        assert_eq!(range.contains(&data.as_ptr()), is_shared, "{length}");
    }
    // Anything else is read as ever: other types, and bytes that are written in another way.
    assert_eq!(from_bytes::<Vec<u8>>(&Bytes::from_static(&[0x92, 1, 2])).unwrap(), [1, 2]);
    assert_eq!(from_bytes::<Bytes>(&Bytes::from_static(&[0x92, 1, 2])).unwrap(), [1, 2][..]);
    let mut trailing = BytesMut::from(&write(20_000)[..]);
    trailing.extend_from_slice(&[0xc0]);
    for wrong in [&[0xc4, 5, 1][..], &[0xc4], &[0x81], &[]] {
        assert!(from_bytes::<Bytes>(&Bytes::copy_from_slice(wrong)).is_err(), "{wrong:?}");
    }
    assert_eq!(
        from_bytes::<Bytes>(&trailing.clone().freeze()).is_ok(),
        from_slice::<Bytes>(&trailing).is_ok()
    );
}
