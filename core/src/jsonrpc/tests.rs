mod corpus;

use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, vec};

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::rpc::ErrorCode;

fn whole(text: &str) -> Scan {
    Scanner::new(64).scan(text.as_bytes())
}

#[test]
fn what_is_json_ends_where_it_ends() {
    for text in [
        "{}",
        "[]",
        " \t\r\n{ }",
        r#"{"a":1,"b":[true,false,null,{"c":"d"}],"":-0.5e+10}"#,
        r#"["\"\\\/\b\f\n\r\té\uD834\udd1e", "ž€𝄞"]"#,
        "[0,-0,1.5,1e5,1E-5,10.25e+3]",
        "[1 ,2 , 3 ]",
        "[[[[]]]]",
    ] {
        let expected = Scan::Complete { length: text.len() };
        assert_eq!(whole(text), expected, "{text}");
        assert_eq!(whole(&format!("{text}{{")), expected, "{text}");
        assert!(serde_json::from_str::<serde_json::Value>(text).is_ok(), "{text}");
    }
}

#[test]
fn the_first_byte_that_does_not_fit_is_named() {
    for (text, at) in [
        ("1", 0),
        ("\"a\"", 0),
        ("nul", 0),
        ("{a", 1),
        ("{\"a\"}", 4),
        ("{\"a\":}", 5),
        ("{\"a\":1,}", 7),
        ("[1,]", 3),
        ("[01]", 2),
        ("[1.]", 3),
        ("[.5]", 1),
        ("[-]", 2),
        ("[1e]", 3),
        ("[+1]", 1),
        ("[tru]", 4),
        ("[\"a\nb\"]", 3),
        ("[\"\\x\"]", 3),
        ("[\"\\u12g4\"]", 6),
        ("[1}", 2),
        ("{\"a\":1]", 6),
        ("[1 2]", 3),
        ("[NaN]", 1),
        ("\0[]", 0),
    ] {
        assert_eq!(whole(text), Scan::Invalid { at }, "{text}");
        assert!(serde_json::from_str::<serde_json::Value>(text).is_err() || at == 0, "{text}");
    }
    assert_eq!(Scanner::new(2).scan(b"[[[]]]"), Scan::TooDeep { at: 2 });
    let deep = "[".repeat(512) + &"]".repeat(512);
    assert_eq!(Scanner::new(512).scan(deep.as_bytes()), Scan::Complete { length: 1024 });
    assert_eq!(Scanner::new(9999).scan("[".repeat(513).as_bytes()), Scan::TooDeep { at: 512 });
}

fn values() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::{Value, json};
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn scanner_and_parser_agree(value in values(), damage in any::<Option<(prop::sample::Index, u8)>>()) {
        let mut text = serde_json::to_vec(&serde_json::json!([value])).unwrap();
        if let Some((index, byte)) = damage {
            let at = index.index(text.len());
            text[at] = byte;
        }
        let is_json = serde_json::from_slice::<&serde_json::value::RawValue>(&text).is_ok();
        let length = text.len();
        let found = Scanner::new(64).scan(&text);
        match found {
            Scan::Complete { length: end } if end == length => {
                // The one thing that the scanner leaves to others.
                prop_assert!(is_json || core::str::from_utf8(&text).is_err());
            }
            _ => prop_assert!(!is_json, "{found:?} in {}", String::from_utf8_lossy(&text)),
        }
    }

    #[test]
    fn cuts_do_not_matter(
        texts in prop::collection::vec(values(), 1..5),
        framing in prop::sample::select(vec![Framing::Newline, Framing::Bare, Framing::ContentLength]),
        chosen in any::<bool>(),
        cuts in prop::collection::vec(1_usize..40, 1..40),
    ) {
        let texts: Vec<Vec<u8>> =
            texts.iter().map(|value| serde_json::to_vec(&serde_json::json!([value])).unwrap()).collect();
        let mut stream = BytesMut::new();
        texts.iter().for_each(|text| framing.write(&mut stream, text));
        let mut decoder = TextDecoder::new(chosen.then_some(framing), 1 << 20, 64);
        let (mut found, mut rest, mut cuts) = (Vec::new(), &stream[..], cuts.iter().cycle());
        while !rest.is_empty() {
            let (now, later) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
            decoder.push(now);
            while let Some(text) = decoder.next_text().unwrap() {
                found.push(text.to_vec());
            }
            rest = later;
        }
        prop_assert_eq!(found, texts);
        prop_assert_eq!(decoder.buffered(), 0);
        prop_assert_eq!(decoder.framing(), Some(framing));
    }
}

/// All that a decoder gives for a stream: texts, or the kinds of errors.
fn decode(decoder: &mut TextDecoder, stream: &[u8]) -> Vec<Result<String, TextErrorKind>> {
    decoder.push(stream);
    let mut all = Vec::new();
    loop {
        match decoder.next_text() {
            Ok(Some(text)) => all.push(Ok(String::from_utf8(text.to_vec()).unwrap())),
            Ok(None) => return all,
            Err(error) => all.push(Err(error.kind)),
        }
    }
}

#[test]
fn a_broken_line_does_not_spoil_the_next() {
    use TextErrorKind::{Malformed, NotUtf8, Truncated};
    let ok = |text: &str| Ok(text.into());
    let mut auto = TextDecoder::new(None, 100, 8);
    let stream = b"\xef\xbb\xbf{\"a\":1}\r\n{\"a\": \"foo, \"b\"]\n\n[\"\xff\"]\n[2]\n";
    assert_eq!(
        decode(&mut auto, stream),
        [ok("{\"a\":1}"), Err(Malformed), Err(NotUtf8), ok("[2]")]
    );
    let mut lines = TextDecoder::new(Some(Framing::Newline), 100, 8);
    assert_eq!(
        decode(&mut lines, b"{\"a\":\n1}\n[3]\n"),
        [Err(Truncated), Err(Malformed), ok("[3]")]
    );
    let mut bare = TextDecoder::new(Some(Framing::Bare), 100, 8);
    assert_eq!(
        decode(&mut bare, b"{\"a\":\n1}[4]oops[5]"),
        [ok("{\"a\":\n1}"), ok("[4]"), Err(Malformed)]
    );
    assert_eq!(decode(&mut bare, b"[6]"), [], "nobody knows where the next one begins");
    assert_eq!(bare.buffered(), 0);
}

#[test]
fn headers_are_read_as_they_are_written_elsewhere() {
    let mut decoder = TextDecoder::new(None, 100, 8);
    let stream =
        b"content-length:  2 \r\nContent-Type: x; charset=utf-8\r\n\r\n{}Content-Length: 3\n\n[1]";
    assert_eq!(decode(&mut decoder, stream), [Ok("{}".into()), Ok("[1]".into())]);
    assert_eq!(decoder.framing(), Some(Framing::ContentLength));
    let broken =
        b"Content-Length: 3\r\n\r\n[1}Content-Length: 4\r\n\r\n[1]xContent-Length: 4\r\n\r\n[1] ";
    let malformed = || Err(TextErrorKind::Malformed);
    assert_eq!(decode(&mut decoder, broken), [malformed(), malformed(), Ok("[1] ".into())]);
    let form_feed = b"Content-Length: 3\r\n\r\n{}\x0c";
    assert_eq!(decode(&mut decoder, form_feed), [malformed()], "JSON has no form feed");
    for (headers, kind) in [
        ("Content-Length: -1\r\n\r\n", TextErrorKind::Headers),
        ("Content-Length: 1\r\nContent-Length: 2\r\n\r\n", TextErrorKind::Headers),
        ("Content-Type: x\r\n\r\n", TextErrorKind::Headers),
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", TextErrorKind::Headers),
        ("Content-Length: 101\r\n\r\n", TextErrorKind::TooLarge { max: 100 }),
        ("Content-Length: 99999999999999999999999\r\n\r\n", TextErrorKind::Headers),
    ] {
        let mut decoder = TextDecoder::new(None, 100, 8);
        assert_eq!(decode(&mut decoder, headers.as_bytes()), [Err(kind)], "{headers:?}");
    }
    let mut endless = TextDecoder::new(None, 100, 8);
    assert_eq!(
        decode(&mut endless, "A: b\r\n".repeat(1000).as_bytes()),
        [Err(TextErrorKind::Headers)]
    );
}

#[test]
fn size_and_depth_have_bounds() {
    let mut decoder = TextDecoder::new(None, 100, 8);
    let error = TextErrorKind::TooLarge { max: 100 };
    assert_eq!(decode(&mut decoder, format!("[\"{}\"]", "x".repeat(100)).as_bytes()), [Err(error)]);
    let mut endless = TextDecoder::new(None, 100, 8);
    assert_eq!(decode(&mut endless, &[b'['; 8]), []);
    assert_eq!(decode(&mut endless, &[b' '; 200]), [Err(error)]);
    assert_eq!(endless.buffered(), 0);
    let mut deep = TextDecoder::new(None, 100, 8);
    let (too_deep, next) = ("[".repeat(9), "\n[1]\n");
    let error = TextErrorKind::TooDeep { max: 8 };
    assert_eq!(decode(&mut deep, (too_deep + next).as_bytes()), [Err(error), Ok("[1]".into())]);
}

fn one(text: &'static str) -> Item {
    match read(&Bytes::from_static(text.as_bytes()), 10) {
        Incoming::Single(item) => item,
        other => panic!("{other:?}"),
    }
}

#[test]
fn ids_are_kept_byte_for_byte() {
    for id in ["1", "-7", "1.50", "1e400", "18446744073709551616", "\"a\\u0041\"", "null"] {
        let text = format!("{{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"id\": {id} }}");
        let Incoming::Single(Item::Request { id: found, .. }) = read(&text.into(), 10) else {
            panic!("{id}")
        };
        assert_eq!(found.as_json(), id.as_bytes());
        let mut out = BytesMut::new();
        write_error(&mut out, &found, -1, "no", None);
        assert!(core::str::from_utf8(&out).unwrap().ends_with(&format!("\"id\":{id}}}")));
    }
    assert_eq!(Id::number(7).as_number(), Some(7));
    assert!(Id::NULL.is_null());
}

#[test]
fn what_is_no_request_is_told_why_and_to_whom() {
    for (text, id, why) in [
        (r#"{"jsonrpc":"2.0","method":1,"params":"bar"}"#, "null", "method"),
        (r#"{"jsonrpc":"2.0","method":"m","params":"bar","id":3}"#, "3", "params"),
        (r#"{"jsonrpc":"1.0","method":"m","id":"a"}"#, "\"a\"", "jsonrpc"),
        (r#"{"method":"m","id":4}"#, "4", "jsonrpc"),
        (r#"{"jsonrpc":"2.0","method":"m","id":[1]}"#, "null", "id"),
        (r#"{"jsonrpc":"2.0","method":"m","id":true}"#, "null", "id"),
        (r#"{"jsonrpc":"2.0","id":5}"#, "5", "missing"),
        (r#"{"jsonrpc":"2.0","method":"m","result":1,"id":5}"#, "5", "only one"),
        (r#"{"jsonrpc":"2.0","method":"\ud800","id":6}"#, "6", "string"),
        (r#"{"jsonrpc":"2.0","method":"a","method":"b","id":6}"#, "null", "once"),
        (r#"{"jsonrpc":"2.0","result":1}"#, "null", "id"),
        (r#"{"jsonrpc":"2.0","error":{"message":"x"},"id":1}"#, "1", "code"),
        (r#"{"jsonrpc":"2.0","error":[1,"x"],"id":1}"#, "1", "code"),
    ] {
        let Item::Invalid(invalid) = one(text) else { panic!("{text}") };
        assert_eq!(invalid.id.as_json(), id.as_bytes(), "{text}");
        assert!(invalid.why.contains(why), "{text}: {}", invalid.why);
    }
}

#[test]
fn answers_are_told_from_requests() {
    let item = one(r#"{"jsonrpc":"2.0","result":null,"id":1,"more":[]}"#);
    assert_eq!(item, Item::Result { id: Id::number(1), result: Bytes::from_static(b"null") });
    let item =
        one(r#"{"jsonrpc":"2.0","error":{"code":-32601,"message":"no","data":{"a":1}},"id":null}"#);
    let data = Some(Bytes::from_static(b"{\"a\":1}"));
    let expected = Item::Error { id: Id::NULL, number: -32601, message: "no".into(), data };
    assert_eq!(item, expected);
    let item = one(r#"{"jsonrpc":"2.0","method":"update","params":[1,2]}"#);
    let params = Some(Bytes::from_static(b"[1,2]"));
    assert_eq!(item, Item::Notification { method: "update".into(), params });
}

#[test]
fn batches_have_bounds() {
    let many = |count: usize| read(&format!("[{}]", vec!["1"; count].join(",")).into(), 10);
    assert!(matches!(many(0), Incoming::InvalidBatch(_)));
    assert!(matches!(many(10), Incoming::Batch(items) if items.len() == 10));
    assert!(matches!(many(11), Incoming::InvalidBatch(_)));
}

#[test]
fn names_are_written_in_ascii() {
    let mut out = BytesMut::new();
    write_request(&mut out, Some(&Id::number(1)), "a\"\\\n€𝄞", Some(b"{}"));
    let text = core::str::from_utf8(&out).unwrap();
    assert!(text.is_ascii() && text.contains(r#""a\"\\\u000a\u20ac\ud834\udd1e""#), "{text}");
    let Incoming::Single(Item::Request { method, .. }) = read(&out.freeze(), 1) else { panic!() };
    assert_eq!(&*method, "a\"\\\n€𝄞");
}

#[test]
fn codes_have_their_numbers() {
    for (code, number) in [
        (ErrorCode::MethodNotFound, -32601),
        (ErrorCode::InvalidParams, -32602),
        (ErrorCode::Internal, -32603),
        (ErrorCode::RateLimited, 6000),
        (ErrorCode::Other(42), 42),
        (ErrorCode::Other(-32700), -32700),
    ] {
        assert_eq!((error_number(code), error_code(number)), (number, code));
    }
    assert_eq!(error_number(ErrorCode::Validation), -32602);
}

#[test]
fn a_text_that_is_too_large_and_broken_is_the_same_in_pieces() {
    let too_large = TextErrorKind::TooLarge { max: 4 };
    for (text, kind) in [
        ("[1,2]\n", too_large),
        ("[1,2}\n", TextErrorKind::Malformed),
        ("[1,22}\n", too_large),
        ("[1,2\n", TextErrorKind::Truncated),
        ("[1,22\n", too_large),
        ("[1,[[[[[[[[[\n", too_large),
    ] {
        let decoder = || TextDecoder::new(Some(Framing::Newline), 4, 8);
        let whole = decode(&mut decoder(), text.as_bytes());
        let mut cut = decoder();
        let cut: Vec<_> =
            text.as_bytes().chunks(1).flat_map(|byte| decode(&mut cut, byte)).collect();
        assert_eq!((&whole[..], &cut[..]), (&[Err(kind)][..], &[Err(kind)][..]), "{text}");
    }
}

#[test]
fn a_list_is_no_item_whatever_is_in_it() {
    let text = Bytes::from_static(br#"[["2.0","m",[1],7],["2.0"]]"#);
    let Incoming::Batch(items) = read(&text, 10) else { panic!() };
    assert!(items.iter().all(|item| matches!(item, Item::Invalid(_))), "{items:?}");
    let spaced = one(" {\"jsonrpc\":\"2.0\",\"method\":\"m\"} ");
    assert_eq!(spaced, Item::Notification { method: "m".into(), params: None });
}

#[test]
fn a_text_of_several_lines_is_written_on_one() {
    let mut out = BytesMut::from("before\n");
    Framing::Newline.write(&mut out, b"[1,\r\n \"\\n\"\n]");
    assert_eq!(&out[..], b"before\n[1,\r  \"\\n\" ]\n");
    let mut lines = TextDecoder::new(Some(Framing::Newline), 100, 8);
    assert_eq!(decode(&mut lines, b"[1,\r  \"\\n\" ]\n"), [Ok("[1,\r  \"\\n\" ]".into())]);
}
