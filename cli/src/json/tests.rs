use serde_json::{Value, json};

use super::{DEPTH_MAX, Payload, Style, from_msgpack};

fn compact(bytes: &[u8]) -> String {
    from_msgpack(bytes, Style::Compact).unwrap()
}

#[test]
fn what_json_can_say_comes_back_unchanged() {
    let values = json!([
        null, true, false, 0, 127, 128, 255, 256, 65535, 65536, u32::MAX, u64::MAX,
        -1, -32, -33, -128, -129, -32768, -32769, i32::MIN, i64::MIN,
        0.0, -0.5, 1.0, 1e300, 0.1, f64::MIN_POSITIVE,
        "", "text", "žluťoučký 🦀", "nul\u{0}", "csi\u{9b}del\u{7f}", "x".repeat(300), "y".repeat(70_000),
        [], {}, {"a": [1, {"b": [[]]}]}, {"": 1},
        {"$binary": "AAEC"}, {"$ext": [-7, "AAECAw=="]}, {"$ext": [5, "AA=="]},
    ]);
    for value in values.as_array().unwrap() {
        let bytes = Payload::new(value.clone()).unwrap().to_msgpack().unwrap();
        let back: Value = serde_json::from_str(&compact(&bytes)).unwrap();
        assert_eq!(&back, value);
        let pretty: Value =
            serde_json::from_str(&from_msgpack(&bytes, Style::Pretty).unwrap()).unwrap();
        assert_eq!(&pretty, value);
    }
    let bytes = Payload::new(values.clone()).unwrap().to_msgpack().unwrap();
    assert_eq!(serde_json::from_str::<Value>(&compact(&bytes)).unwrap(), values);
}

#[test]
fn what_json_cannot_say_has_its_form() {
    assert_eq!(compact(&[0xcb, 0x40, 0x08, 0, 0, 0, 0, 0, 0]), "3.0");
    assert_eq!(compact(&[0xca, 0x7f, 0xc0, 0, 0]), "null");
    assert_eq!(compact(&[0xc4, 2, 0, 255]), r#"{"$binary":"AP8="}"#);
    assert_eq!(compact(&[0xa2, 0xc2, 0x9b]), r#""\u009b""#);
    assert_eq!(compact(&[0xd4, 0xff, 7]), r#"{"$ext":[-1,"Bw=="]}"#);
    assert_eq!(compact(&[0x81, 7, 0xc3]), r#"{"7":true}"#);
    assert_eq!(compact(&[0x81, 0x92, 1, 2, 0xc3]), r#"{"[1,2]":true}"#);
}

#[test]
fn what_is_no_binary_is_refused_in_words() {
    for (value, words) in [
        (json!({"$binary": 7}), "$binary"),
        (json!([{"$binary": "no base64!"}]), "$binary"),
        (json!({"$ext": ["x", "AA=="]}), "$ext"),
        (json!({"$ext": [300, "AA=="]}), "$ext"),
    ] {
        let error = Payload::new(value).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn hostile_bytes_are_errors() {
    let deep = vec![0x91; DEPTH_MAX + 2];
    let keys = [0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 1, 1, 1, 1, 1, 1, 1];
    for bytes in [
        &[][..],
        &[0xc1],
        &[0xdf, 0xff, 0xff, 0xff, 0xff],
        &[0xdd, 0xff, 0xff, 0xff, 0xff, 1],
        &[0xc6, 0xff, 0xff, 0xff, 0xff],
        &[0xa2, b'a'],
        &[0xa1, 0xff],
        &[1, 2],
        &deep,
        &keys,
    ] {
        assert!(from_msgpack(bytes, Style::Compact).is_err(), "{bytes:02x?}");
    }
    for first in 0..=255_u8 {
        for second in 0..=255_u8 {
            let _ = from_msgpack(&[first, second, 0x80, 1, 0xff, 0], Style::Compact);
        }
    }
}
