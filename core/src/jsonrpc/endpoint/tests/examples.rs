//! The examples of the specification.

use serde_json::Value;

use super::*;

/// Section 7 of the specification: what is sent, and what comes back. Words of errors are ours.
const EXAMPLES: [(&str, Option<&str>); 15] = [
    (
        r#"{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}"#,
        Some(r#"{"jsonrpc": "2.0", "result": 19, "id": 1}"#),
    ),
    (
        r#"{"jsonrpc": "2.0", "method": "subtract", "params": [23, 42], "id": 2}"#,
        Some(r#"{"jsonrpc": "2.0", "result": -19, "id": 2}"#),
    ),
    (
        r#"{"jsonrpc": "2.0", "method": "subtract", "params": {"subtrahend": 23, "minuend": 42}, "id": 3}"#,
        Some(r#"{"jsonrpc": "2.0", "result": 19, "id": 3}"#),
    ),
    (
        r#"{"jsonrpc": "2.0", "method": "subtract", "params": {"minuend": 42, "subtrahend": 23}, "id": 4}"#,
        Some(r#"{"jsonrpc": "2.0", "result": 19, "id": 4}"#),
    ),
    (r#"{"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]}"#, None),
    (r#"{"jsonrpc": "2.0", "method": "foobar"}"#, None),
    (
        r#"{"jsonrpc": "2.0", "method": "foobar", "id": "1"}"#,
        Some(r#"{"jsonrpc": "2.0", "error": {"code": -32601}, "id": "1"}"#),
    ),
    (
        r#"{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]"#,
        Some(r#"{"jsonrpc": "2.0", "error": {"code": -32700}, "id": null}"#),
    ),
    (
        r#"{"jsonrpc": "2.0", "method": 1, "params": "bar"}"#,
        Some(r#"{"jsonrpc": "2.0", "error": {"code": -32600}, "id": null}"#),
    ),
    (
        r#"[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},{"jsonrpc": "2.0", "method"]"#,
        Some(r#"{"jsonrpc": "2.0", "error": {"code": -32700}, "id": null}"#),
    ),
    ("[]", Some(r#"{"jsonrpc": "2.0", "error": {"code": -32600}, "id": null}"#)),
    ("[1]", Some(r#"[{"jsonrpc": "2.0", "error": {"code": -32600}, "id": null}]"#)),
    (
        "[1,2,3]",
        Some(
            r#"[{"jsonrpc": "2.0", "error": {"code": -32600}, "id": null},
              {"jsonrpc": "2.0", "error": {"code": -32600}, "id": null},
              {"jsonrpc": "2.0", "error": {"code": -32600}, "id": null}]"#,
        ),
    ),
    (
        r#"[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},
         {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]},
         {"jsonrpc": "2.0", "method": "subtract", "params": [42,23], "id": "2"},
         {"foo": "boo"},
         {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},
         {"jsonrpc": "2.0", "method": "get_data", "id": "9"}]"#,
        Some(
            r#"[{"jsonrpc": "2.0", "error": {"code": -32600}, "id": null},
              {"jsonrpc": "2.0", "result": 7, "id": "1"},
              {"jsonrpc": "2.0", "result": 19, "id": "2"},
              {"jsonrpc": "2.0", "error": {"code": -32601}, "id": "5"},
              {"jsonrpc": "2.0", "result": ["hello", 5], "id": "9"}]"#,
        ),
    ),
    (
        r#"[{"jsonrpc": "2.0", "method": "notify_sum", "params": [1,2,4]},
         {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]}]"#,
        None,
    ),
];

/// Without the words of errors, which are everyone's own.
fn bare(mut answer: Value) -> Value {
    if let Value::Array(items) = &mut answer {
        items.iter_mut().for_each(|item| *item = bare(item.take()));
    } else if let Some(error) = answer.get_mut("error").and_then(Value::as_object_mut) {
        error.remove("message");
    }
    answer
}

#[test]
fn the_examples_of_the_specification_hold_in_every_framing_however_they_are_cut() {
    for framing in [Framing::Newline, Framing::Bare, Framing::ContentLength] {
        for (sent, expected) in EXAMPLES {
            let sent =
                if framing == Framing::Newline { sent.replace('\n', " ") } else { sent.into() };
            let mut stream = BytesMut::new();
            framing.write(&mut stream, sent.as_bytes());
            for cut in 0..stream.len() {
                let mut server = endpoint();
                server.receive(at(1), &stream[..cut]);
                serve(&mut server);
                server.receive(at(1), &stream[cut..]);
                serve(&mut server);
                let answer = output(at(1), &mut server);
                let json = match framing {
                    Framing::ContentLength => {
                        answer.split_once("\r\n\r\n").map_or("", |(_, json)| json)
                    }
                    Framing::Newline | Framing::Bare => {
                        answer.strip_suffix('\n').unwrap_or(&answer)
                    }
                };
                let found = (!json.is_empty()).then(|| bare(serde_json::from_str(json).unwrap()));
                let expected = expected.map(|json| serde_json::from_str::<Value>(json).unwrap());
                assert_eq!(found, expected, "{framing}, cut at {cut}: {sent}");
            }
        }
    }
}

#[test]
fn a_broken_line_is_answered_and_the_next_is_served() {
    let mut server = endpoint();
    let good = r#"{"jsonrpc":"2.0","method":"sum","params":[1,2],"id":7}"#;
    server.receive(at(1), ["{oops}\n", good, "\n[1}\n", good, "\n"].concat().as_bytes());
    serve(&mut server);
    let answers: Vec<Value> = output(at(1), &mut server)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let codes: Vec<_> = answers.iter().map(|answer| answer["error"]["code"].as_i64()).collect();
    assert_eq!(codes, [Some(-32700), Some(-32700), None, None]);
    assert_eq!(server.stats().strikes, 2);
    assert_eq!(server.phase(), PhaseName::Open);
}
