//! What parameters become in JSON.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;
use serde_json::{Value, json};

use super::*;

fn written<P: Serialize + ?Sized>(params: &P) -> Result<Vec<u8>, BodyError> {
    let mut out = BytesMut::from("before");
    Arguments(params).write_json(&mut out)?;
    Ok(out.strip_prefix(b"before").expect("what was there stays").to_vec())
}

/// As a body without JSON of its own is written.
fn through_msgpack<P: Serialize + ?Sized>(params: &P) -> Result<Vec<u8>, BodyError> {
    struct Plain<'a, P: ?Sized>(Arguments<'a, P>);
    impl<P: Serialize + ?Sized> Body for Plain<'_, P> {
        fn write(&self, out: &mut BytesMut) -> Result<(), BodyError> {
            self.0.write(out)
        }
    }
    let mut out = BytesMut::new();
    Plain(Arguments(params)).write_json(&mut out)?;
    Ok(out.to_vec())
}

/// Both ways, as text.
fn both<P: Serialize + ?Sized>(params: &P) -> (String, String) {
    let text = |json: Result<Vec<u8>, BodyError>| match json {
        Ok(json) => String::from_utf8(json).expect("JSON is text"),
        Err(error) => format!("error: {error}"),
    };
    (text(written(params)), text(through_msgpack(params)))
}

#[derive(Serialize)]
struct Unit;

#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
struct Newtype(u8);

#[derive(Serialize)]
struct Fields<'a> {
    text: &'a str,
    letter: char,
    small: i8,
    large: u64,
    lowest: i64,
    single: f32,
    double: f64,
    none: Option<u8>,
    some: Option<bool>,
    list: [u16; 3],
    tuple: (u8, &'a str),
    newtype: Newtype,
    variants: [Variant; 4],
}

#[derive(Serialize)]
enum Variant {
    Unit,
    Newtype(u8),
    Tuple(u8, u8),
    Struct { a: u8 },
}

#[test]
fn what_both_write_is_the_same() {
    let fields = Fields {
        text: "a\"\\\n\u{7f}é€𝄞",
        letter: '€',
        small: -128,
        large: u64::MAX,
        lowest: i64::MIN,
        single: 0.1,
        double: -1.5e300,
        none: None,
        some: Some(true),
        list: [0, 1, u16::MAX],
        tuple: (1, "b"),
        newtype: Newtype(7),
        variants: [
            Variant::Unit,
            Variant::Newtype(1),
            Variant::Tuple(1, 2),
            Variant::Struct { a: 1 },
        ],
    };
    let (direct, before) = both(&fields);
    assert_eq!(direct, before);
    assert!(direct.is_ascii(), "{direct}");
    let nothing = Option::<u8>::None;
    for (direct, before) in [
        both(&()),
        both(&nothing),
        both(&Empty {}),
        both(&json!(null)),
        both(&json!({"a": [1, -1, 1.5, true, null, "é"], "": {}})),
        both(&BTreeMap::from([(1_u64, "a"), (u64::MAX, "b")])),
        both(&BTreeMap::from([(-1_i8, 1)])),
        both(&BTreeMap::from([(true, 1), (false, 2)])),
        both(&BTreeMap::from([('a', 1)])),
        both(bytes::Bytes::from_static(b"\x00\xff")[..].as_ref()),
        both(&bytes::Bytes::from_static(b"\x00\xff")),
        both(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY]),
        both(&[f32::NAN, f32::MIN_POSITIVE]),
        both("text"),
    ] {
        assert_eq!(direct, before);
    }
    assert_eq!(both(&()).0, "{}");
    assert_eq!(both(&[f64::NAN]).0, "[null]");
    assert_eq!(both(&bytes::Bytes::from_static(b"\x00\xff")).0, "[0,255]");
    assert_eq!(both(&BTreeMap::from([(true, 1)])).0, r#"{"true":1}"#);
}

#[test]
fn what_is_readable_stays_so() {
    // MessagePack has other forms for them, which nobody could read from JSON again.
    let address: [IpAddr; 1] = ["127.0.0.1".parse().expect("an address")];
    let (direct, before) = both(&address);
    assert_eq!(direct, r#"["127.0.0.1"]"#);
    assert_ne!(before, direct);
    let large = [i128::MAX, i128::MIN, 1];
    let json = written(&large).expect("a number of any size");
    assert_eq!(serde_json::from_slice::<[i128; 3]>(&json).expect("the same"), large);
    let huge = [u128::MAX];
    let json = written(&huge).expect("a number of any size");
    assert_eq!(serde_json::from_slice::<[u128; 1]>(&json).expect("the same"), huge);
    assert_eq!(both(&Unit).0, "{}", "nothing at all");
}

#[test]
fn what_json_cannot_say_is_an_error() {
    let keys = BTreeMap::from([(vec![1], 1)]);
    let error = written(&keys).expect_err("a list is no key");
    assert!(error.to_string().contains("key must be a string"), "{error}");
    assert!(through_msgpack(&keys).is_err());
    let keys = BTreeMap::from([(Option::<u8>::None, 1)]);
    assert!(written(&keys).is_err(), "null is no key");

    struct Fails;
    impl Serialize for Fails {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("on purpose"))
        }
    }
    let error = written(&[Fails]).expect_err("it says so itself");
    assert!(error.to_string().contains("on purpose"), "{error}");
    let value: Value = json!(1);
    assert_eq!(both(&value).0, "1", "whether it has a structure is judged by whoever sends it");
}
