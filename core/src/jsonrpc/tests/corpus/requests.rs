//! Requests at the edge of JSON-RPC 2.0: what the members may be, and how often they may be there.

use alloc::format;

use serde_json::Value;

use super::*;
use crate::connection::Event;
use crate::jsonrpc::{Endpoint, EndpointConfig};
use crate::message::Nil;
use crate::time::Instant;

/// What comes of a text.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Comes {
    /// A request with these parameters, which is answered under this id, written like this.
    Asked(&'static str, &'static str),
    /// A notification with these parameters.
    Told(&'static str),
    /// An error of this number, under this id.
    Refused(i64, &'static str),
    /// Nothing at all is said, for it is an answer to nothing.
    Silence,
}

use Comes::{Asked, Refused, Silence, Told};

const NO_REQUEST: Comes = Refused(-32600, "null");

/// What stands between `{"jsonrpc":"2.0","method":"m"` and `}`.
const TAILS: &[(&str, &str, Comes)] = &[
    ("y_id_zero", r#","id":0"#, Asked("null", "0")),
    ("y_id_minus_zero", r#","id":-0"#, Asked("null", "-0")),
    ("y_id_negative", r#","id":-12"#, Asked("null", "-12")),
    ("y_id_fraction", r#","id":1.5"#, Asked("null", "1.5")),
    ("y_id_fraction_of_zeros", r#","id":1.00"#, Asked("null", "1.00")),
    ("y_id_exponent", r#","id":1E+2"#, Asked("null", "1E+2")),
    ("y_id_exponent_beyond_f64", r#","id":1e999"#, Asked("null", "1e999")),
    (
        "y_id_of_forty_digits",
        r#","id":1234567890123456789012345678901234567890"#,
        Asked("null", "1234567890123456789012345678901234567890"),
    ),
    ("y_id_null", r#","id":null"#, Asked("null", "null")),
    ("y_id_empty_string", r#","id":"""#, Asked("null", r#""""#)),
    ("y_id_string_that_is_a_number", r#","id":"1""#, Asked("null", r#""1""#)),
    ("y_id_string_with_escapes", r#","id":"\u0000\n""#, Asked("null", r#""\u0000\n""#)),
    ("y_id_string_beyond_ascii", r#","id":"é""#, Asked("null", r#""é""#)),
    ("y_id_lone_surrogate", r#","id":"\ud800""#, Asked("null", r#""\ud800""#)),
    ("y_id_with_space_around", ",\"id\" \t:\r 7 ", Asked("null", "7")),
    ("y_id_by_an_escape", r#","\u0069d":7"#, Asked("null", "7")),
    ("y_id_in_capitals_is_none", r#","ID":7"#, Told("null")),
    ("y_id_absent", "", Told("null")),
    ("n_id_true", r#","id":true"#, NO_REQUEST),
    ("n_id_false", r#","id":false"#, NO_REQUEST),
    ("n_id_empty_object", r#","id":{}"#, NO_REQUEST),
    ("n_id_empty_list", r#","id":[]"#, NO_REQUEST),
    ("n_id_list", r#","id":[1]"#, NO_REQUEST),
    ("n_id_object", r#","id":{"id":1}"#, NO_REQUEST),
    ("n_id_twice", r#","id":1,"id":1"#, NO_REQUEST),
    ("n_id_twice_by_an_escape", r#","id":1,"i\u0064":2"#, NO_REQUEST),
    ("n_id_leading_zero", r#","id":01"#, Refused(-32700, "null")),
    ("n_id_without_value", r#","id":"#, Refused(-32700, "null")),
    ("y_params_empty_list", r#","params":[],"id":1"#, Asked("[]", "1")),
    ("y_params_empty_object", r#","params":{},"id":1"#, Asked("{}", "1")),
    ("y_params_behind_the_id", r#","id":1,"params":[2]"#, Asked("[2]", "1")),
    ("y_params_of_nulls", r#","params":[null],"id":1"#, Asked("[null]", "1")),
    ("y_params_keep_their_spaces", ",\"params\": [ 1 , 2 ] ,\"id\":1", Asked("[ 1 , 2 ]", "1")),
    ("y_params_by_name_twice", r#","params":{"a":1,"a":2}"#, Told(r#"{"a":1,"a":2}"#)),
    ("y_params_named_like_members", r#","params":{"id":3,"method":"x"}"#, {
        Told(r#"{"id":3,"method":"x"}"#)
    }),
    ("i_params_null", r#","params":null,"id":1"#, Asked("null", "1")),
    ("i_params_null_of_a_notification", r#","params": null "#, Told("null")),
    ("n_params_null_in_capitals", r#","params":NULL"#, Refused(-32700, "null")),
    ("n_params_null_as_text", r#","params":"null","id":1"#, Refused(-32600, "1")),
    ("n_params_null_twice", r#","params":null,"params":null,"id":1"#, NO_REQUEST),
    ("n_params_false", r#","params":false,"id":1"#, Refused(-32600, "1")),
    ("n_params_zero", r#","params":0,"id":1"#, Refused(-32600, "1")),
    ("n_params_string", r#","params":"[]","id":"x""#, Refused(-32600, r#""x""#)),
    ("n_params_of_a_notification", r#","params":1"#, NO_REQUEST),
    ("n_params_twice", r#","params":[],"params":[],"id":1"#, NO_REQUEST),
    ("n_method_twice", r#","method":"m","id":1"#, NO_REQUEST),
    ("n_method_twice_by_an_escape", r#","\u006dethod":"x","id":1"#, NO_REQUEST),
    ("n_version_twice", r#","jsonrpc":"2.0","id":1"#, NO_REQUEST),
    ("n_version_twice_and_another", r#","jsonrpc":"1.0","id":1"#, NO_REQUEST),
    ("n_result_beside_the_method", r#","result":null,"id":1"#, Refused(-32600, "1")),
    ("n_error_beside_the_method", r#","error":null,"id":1"#, Refused(-32600, "1")),
    ("y_member_of_others", r#","extra":{"id":2},"id":1"#, Asked("null", "1")),
    ("y_member_of_others_twice", r#","x":1,"x":2,"id":1"#, Asked("null", "1")),
    ("y_member_without_name", r#","":0,"id":1"#, Asked("null", "1")),
    ("y_member_in_capitals", r#","METHOD":1,"Params":2,"id":1"#, Asked("null", "1")),
];

/// Whole texts.
const WHOLE: &[(&str, &str, Comes)] = &[
    ("y_version_by_escapes", r#"{"jsonrpc":"\u0032.0","method":"m"}"#, Told("null")),
    ("y_members_in_any_order", r#"{"params":[],"id":2,"method":"m","jsonrpc":"2.0"}"#, {
        Asked("[]", "2")
    }),
    ("y_method_empty", r#"{"jsonrpc":"2.0","method":"","id":1}"#, Asked("null", "1")),
    ("y_method_with_nul", r#"{"jsonrpc":"2.0","method":"\u0000","id":1}"#, Asked("null", "1")),
    ("y_method_of_a_pair", r#"{"jsonrpc":"2.0","method":"\ud834\udd1e"}"#, Told("null")),
    ("n_version_absent", r#"{"method":"m","id":1}"#, Refused(-32600, "1")),
    ("n_version_number", r#"{"jsonrpc":2.0,"method":"m","id":1}"#, Refused(-32600, "1")),
    ("n_version_two", r#"{"jsonrpc":"2","method":"m","id":1}"#, Refused(-32600, "1")),
    ("n_version_with_more_zeros", r#"{"jsonrpc":"2.00","method":"m"}"#, NO_REQUEST),
    ("n_version_with_space", r#"{"jsonrpc":" 2.0","method":"m"}"#, NO_REQUEST),
    ("n_version_null", r#"{"jsonrpc":null,"method":"m","id":1}"#, Refused(-32600, "1")),
    ("n_version_in_capitals", r#"{"JSONRPC":"2.0","method":"m"}"#, NO_REQUEST),
    ("n_method_null", r#"{"jsonrpc":"2.0","method":null,"id":1}"#, Refused(-32600, "1")),
    ("n_method_list", r#"{"jsonrpc":"2.0","method":["m"],"id":1}"#, Refused(-32600, "1")),
    ("n_method_true", r#"{"jsonrpc":"2.0","method":true}"#, NO_REQUEST),
    ("n_method_in_capitals", r#"{"jsonrpc":"2.0","Method":"m","id":1}"#, Refused(-32600, "1")),
    ("n_everything_absent", "{}", NO_REQUEST),
    ("n_string_in_a_batch", r#"["m"]"#, NO_REQUEST),
    ("n_batch_in_a_batch", "[[]]", NO_REQUEST),
    ("n_result_without_id", r#"{"jsonrpc":"2.0","result":1}"#, NO_REQUEST),
    ("n_result_twice", r#"{"jsonrpc":"2.0","result":1,"result":1,"id":1}"#, NO_REQUEST),
    ("n_result_and_error", r#"{"jsonrpc":"2.0","result":1,"error":null,"id":1}"#, {
        Refused(-32600, "1")
    }),
    ("n_error_null", r#"{"jsonrpc":"2.0","error":null,"id":1}"#, Refused(-32600, "1")),
    ("n_error_string", r#"{"jsonrpc":"2.0","error":"no","id":1}"#, Refused(-32600, "1")),
    ("n_error_code_fraction", r#"{"jsonrpc":"2.0","error":{"code":1.5},"id":1}"#, {
        Refused(-32600, "1")
    }),
    ("n_error_code_string", r#"{"jsonrpc":"2.0","error":{"code":"1"},"id":1}"#, {
        Refused(-32600, "1")
    }),
    (
        "n_error_code_beyond_i64",
        r#"{"jsonrpc":"2.0","error":{"code":9223372036854775808},"id":1}"#,
        { Refused(-32600, "1") },
    ),
    ("n_error_code_twice", r#"{"jsonrpc":"2.0","error":{"code":1,"code":2},"id":1}"#, {
        Refused(-32600, "1")
    }),
    ("y_error_without_words", r#"{"jsonrpc":"2.0","error":{"code":1},"id":null}"#, Silence),
    ("y_result_of_nothing", r#"{"jsonrpc":"2.0","result":null,"id":99}"#, Silence),
];

/// What the application hears, and what is answered, line by line as it is written.
fn comes_of(text: &str) -> (Vec<Event>, Vec<String>) {
    let now = Instant::ZERO;
    let mut server = Endpoint::new(now, EndpointConfig::default()).unwrap();
    server.receive(now, text.as_bytes());
    server.receive(now, b"\n");
    let events: Vec<Event> = core::iter::from_fn(|| server.poll_event()).collect();
    for event in &events {
        if let Event::Request(request) = event {
            server.respond(now, request.id, &Nil).unwrap();
        }
    }
    let output: Vec<u8> = server.transmit().flatten().copied().collect();
    let output = String::from_utf8(output).unwrap();
    (events, output.lines().map(String::from).collect())
}

fn check(name: &str, text: &str, expected: Comes) {
    let (events, answers) = comes_of(text);
    let context = format!("{name}: {text}\n{events:?} {answers:?}");
    match (expected, &events[..], &answers[..]) {
        (Asked(params, id), [Event::Request(request)], [answer]) => {
            assert_eq!(request.params, params, "{context}");
            // Byte for byte, for not every reader makes the same of an id.
            assert!(answer.ends_with(&format!("\"id\":{id}}}")), "{context}");
        }
        (Told(params), [Event::Message(message)], []) => {
            assert_eq!(message.data, params, "{context}");
        }
        (Refused(code, id), [], [answer]) => {
            let answer: Value = serde_json::from_str(answer).unwrap();
            let answer = answer.get(0).unwrap_or(&answer);
            assert_eq!(answer["error"]["code"], code, "{context}");
            assert_eq!(answer["id"], serde_json::from_str::<Value>(id).unwrap(), "{context}");
        }
        (Silence, [], []) => {}
        _ => panic!("{context}"),
    }
}

#[test]
fn members_are_what_they_may_be_and_there_once() {
    for (name, tail, expected) in TAILS {
        let text = format!("{{\"jsonrpc\":\"2.0\",\"method\":\"m\"{tail}}}");
        check(name, &text, *expected);
    }
    for (name, text, expected) in WHOLE {
        check(name, text, *expected);
    }
}
