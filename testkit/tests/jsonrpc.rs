//! The laws of JSON-RPC for inputs at random, which are near to what peers send.

use cndt_testkit::properties;
use proptest::collection::vec;
use proptest::prelude::*;

/// What streams are made of, so that random ones come far.
const PARTS: [&str; 40] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\n",
    " ",
    "\r\n",
    "\u{feff}",
    "\u{c}",
    "é",
    "1",
    "-0.5e+3",
    "true",
    "null",
    "\\u00e9",
    "[[[[",
    "]]]]",
    "{\"a\":",
    "[1,2]",
    "{}",
    "[]\n",
    "Content-Length: 2\r\n\r\n{}",
    "Content-Length: 5\r\n\r\n",
    "content-length:3\n\n",
    "\"jsonrpc\":\"2.0\"",
    "\"method\":\"m\"",
    "\"params\":[1]",
    "\"id\":1",
    "\"id\":\"x\"",
    "\"result\":",
    "\"error\":{\"code\":1,\"message\":\"\"}",
    "{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"id\":1}",
    "{\"jsonrpc\":\"2.0\",\"method\":\"n\",\"params\":{}}\n",
    "{\"jsonrpc\":\"2.0\",\"result\":[],\"id\":1}",
    "[{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"id\":2},1]",
    "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32601,\"message\":\"?\"},\"id\":null}\n",
];

fn streams() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        8 => prop::sample::select(&PARTS[..]).prop_map(|part| part.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 1..4),
    ];
    vec(part, 0..24).prop_map(|parts| parts.concat())
}

/// So many bytes of choices, the sizes of the pieces, and a stream.
fn cut_streams(choices: usize) -> impl Strategy<Value = Vec<u8>> {
    let sizes = vec(0_u8..20, 0..12);
    (vec(any::<u8>(), choices), sizes, streams()).prop_map(|(choices, sizes, stream)| {
        [&choices[..], &[sizes.len() as u8], &sizes, &stream].concat()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn texts_end_where_they_end(data in cut_streams(1)) {
        properties::json_scanner(&data);
    }

    #[test]
    fn texts_are_found_however_they_are_cut(data in cut_streams(1)) {
        properties::json_frames(&data);
    }

    #[test]
    fn texts_have_a_meaning(batch_max in any::<u8>(), text in streams()) {
        properties::json_messages(&[&[batch_max], &text[..]].concat());
    }

    #[test]
    fn bytes_mean_the_same_however_they_are_cut(data in cut_streams(2)) {
        properties::json_endpoint(&data);
    }

    #[test]
    fn any_order_of_acts_keeps_the_rules(data in vec(any::<u8>(), 0..400)) {
        properties::json_operations(&data);
    }

    #[test]
    fn both_ends_agree(data in vec(any::<u8>(), 0..400)) {
        properties::json_session(&data);
    }
}
