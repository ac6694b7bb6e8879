//! What becomes of every case: by itself and as the parameters of a request, in every framing, cut
//! at every byte, and in the eyes of serde_json.

use alloc::collections::BTreeSet;

use bytes::{Bytes, BytesMut};
use serde_json::Value;
use serde_json::value::RawValue;

use super::*;
use crate::connection::Event;
use crate::jsonrpc::{
    Endpoint, EndpointConfig, Framing, Incoming, Item, Scan, Scanner, TextDecoder, TextErrorKind,
    read,
};
use crate::time::Instant;

const NOW: Instant = Instant::ZERO;
const DEPTH_MAX: usize = 512;
const FRAMINGS: [Framing; 3] = [Framing::Newline, Framing::Bare, Framing::ContentLength];
/// Beyond it, texts are cut in some places only.
const CUT_EVERYWHERE_MAX: usize = 2048;

/// Where serde_json's `Value` refuses what we take as JSON: it makes numbers of what it reads, and
/// strings, and calls itself for each level. A text of ours stays as it came, and is checked when
/// somebody reads it as a type.
const REFUSED_BY_VALUE: [&str; 16] = [
    "i_number_1e400",
    "i_number_minus_1e400",
    "i_number_huge_exponent",
    "i_number_exponent_beyond_i64",
    "i_number_of_5000_digits",
    "i_string_lone_high_surrogate",
    "i_string_lone_low_surrogate",
    "i_string_surrogates_the_wrong_way_round",
    "i_string_two_high_surrogates",
    "i_string_high_surrogate_then_letter",
    "i_string_high_surrogate_then_escape",
    "i_string_high_surrogate_then_plain_escape",
    "i_string_lone_surrogate_in_a_key",
    "i_structure_500_lists",
    "i_structure_500_objects",
    BYTE_ORDER_MARK,
];

/// A mark is skipped where the stream begins, which is nothing that a parser of texts knows of. In a
/// text with a header it stands within the text, and is refused.
const BYTE_ORDER_MARK: &str = "i_whole_byte_order_mark_first";

/// Whole, but one level deeper than may be allowed. Whoever only skips values counts no levels.
const TOO_DEEP: &str = "n_structure_513_lists";

fn is_structured(text: &[u8]) -> bool {
    matches!(text.trim_ascii().first(), Some(b'{' | b'['))
}

fn cuts(length: usize) -> impl Iterator<Item = usize> {
    let step = if length <= CUT_EVERYWHERE_MAX { 1 } else { length / 64 };
    (0..length).step_by(step)
}

#[test]
fn there_are_enough_and_each_has_its_name() {
    let names: BTreeSet<&str> = all().iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), all().len(), "two have the same name");
    let count = |wanted| names.iter().filter(|name| rule(name) == wanted).count();
    assert!(count(Rule::Accept) >= 80, "{}", count(Rule::Accept));
    assert!(count(Rule::Refuse) >= 200, "{}", count(Rule::Refuse));
    assert!(count(Rule::Either) >= 20, "{}", count(Rule::Either));
}

#[test]
fn serde_json_agrees_but_where_it_cannot() {
    for (name, text) in all() {
        let raw = serde_json::from_slice::<&RawValue>(&text).is_ok();
        let value = serde_json::from_slice::<Value>(&text).is_ok();
        let is_mark = name == BYTE_ORDER_MARK;
        let expected = match rule(name) {
            Rule::Accept => (true, true),
            Rule::Refuse => (name == TOO_DEEP, false),
            Rule::Either => (!is_mark, !REFUSED_BY_VALUE.contains(&name)),
        };
        assert_eq!((raw, value), expected, "{name}");
        // A bare number or string has no end that a stream could tell: within a list it has.
        let listed = [b"[", &text[..], b"]"].concat();
        let is_whole = |text: &[u8]| {
            let found = Scanner::new(DEPTH_MAX + 1).scan(text);
            found == Scan::Complete { length: text.len() } && core::str::from_utf8(text).is_ok()
        };
        if !is_mark
            && name != TOO_DEEP
            && !name.starts_with("n_whole")
            && !name.starts_with("n_several")
        {
            assert_eq!(is_whole(&listed), raw, "{name} within a list");
        }
    }
}

type Found = Vec<Result<Vec<u8>, TextErrorKind>>;

fn decode<'a>(framing: Option<Framing>, pieces: impl IntoIterator<Item = &'a [u8]>) -> Found {
    let mut decoder = TextDecoder::new(framing, 1 << 20, DEPTH_MAX);
    let mut found = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        loop {
            match decoder.next_text() {
                Ok(Some(text)) => found.push(Ok(text.to_vec())),
                Ok(None) => break,
                Err(error) => found.push(Err(error.kind)),
            }
        }
    }
    found
}

/// What is taken is written as it ought to be; anything else just comes.
fn stream(framing: Framing, rule: Rule, text: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    match (framing, rule) {
        (Framing::Newline, Rule::Refuse) => {
            out.extend_from_slice(text);
            out.extend_from_slice(b"\n");
        }
        _ => framing.write(&mut out, text),
    }
    out.to_vec()
}

#[test]
fn whole_texts_are_told_apart_in_every_framing() {
    for (name, text) in all() {
        for framing in FRAMINGS {
            let stream = stream(framing, rule(name), &text);
            // What is no header is not taken for one: then nobody has to say that these are texts.
            let begins_like_headers = text.first().is_some_and(u8::is_ascii_alphabetic);
            let guesses = (!begins_like_headers).then_some(None);
            for chosen in [Some(framing)].into_iter().chain(guesses) {
                let found = decode(chosen, [&stream[..]]);
                let context = alloc::format!("{name}, {framing}, chosen {chosen:?}: {found:?}");
                let by_lines = chosen.is_some() || framing != Framing::Newline;
                let rules = if by_lines { framing } else { Framing::Bare };
                check_whole(name, &text, rules, &found, &context);
                for cut in cuts(stream.len()) {
                    let pieces = [&stream[..cut], &stream[cut..]];
                    assert_eq!(decode(chosen, pieces), found, "cut at {cut}: {context}");
                }
                assert_eq!(decode(chosen, stream.chunks(1)), found, "in bytes: {context}");
            }
        }
    }
}

fn check_whole(name: &str, text: &[u8], framing: Framing, found: &Found, context: &str) {
    let is_mark_inside = name == BYTE_ORDER_MARK && framing == Framing::ContentLength;
    let is_taken = rule(name) != Rule::Refuse && !is_mark_inside;
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).trim_ascii();
    if is_taken && is_structured(text) {
        let [Ok(found)] = &found[..] else { panic!("{context}") };
        let on_one_line = |text: &[u8]| text.trim_ascii().to_vec().replace_lines();
        assert_eq!(on_one_line(found), on_one_line(text), "{context}");
        let found = Bytes::copy_from_slice(found);
        let items = match read(&found, 1000) {
            Incoming::Single(item) => alloc::vec![item],
            Incoming::Batch(items) => items,
            Incoming::InvalidBatch(_) => Vec::new(),
        };
        let is_no_request = items.iter().all(|item| matches!(item, Item::Invalid(_)));
        assert!(is_no_request, "{context}");
        return;
    }
    // Of several values each is a text; nothing else is.
    let texts: Vec<_> = found.iter().flatten().collect();
    let are_json = texts.iter().all(|text| serde_json::from_slice::<&RawValue>(text).is_ok());
    assert!(are_json && !matches!(&found[..], [Ok(_)]), "{context}");
    let errors: Vec<_> = found.iter().filter_map(|item| item.as_ref().err()).collect();
    match framing {
        Framing::ContentLength => assert!(texts.is_empty() && errors.len() == 1, "{context}"),
        Framing::Newline => {
            let has_text = !text.is_empty();
            assert_eq!(errors.is_empty(), !has_text || texts.len() == 2, "{context}");
        }
        // What is cut off may go on, and what is broken ends with its line.
        Framing::Bare => {
            let lines = text.split(|byte| *byte == b'\n').count();
            assert!(errors.len() <= lines, "{context}");
        }
    }
    if name == TOO_DEEP || name.starts_with("n_structure_100000") {
        assert_eq!(errors[0], &TextErrorKind::TooDeep { max: DEPTH_MAX }, "{context}");
    }
    if name.starts_with("n_utf8") && text.contains(&b'"') {
        assert_eq!(errors[0], &TextErrorKind::NotUtf8, "{context}");
    }
}

trait ReplaceLines {
    fn replace_lines(self) -> Self;
}

impl ReplaceLines for Vec<u8> {
    fn replace_lines(self) -> Self {
        self.into_iter().map(|byte| if byte == b'\n' { b' ' } else { byte }).collect()
    }
}

/// Parameters of requests, and answers as text.
fn ask(framing: Framing, pieces: [&[u8]; 2]) -> (Vec<Bytes>, String) {
    let mut config = EndpointConfig { framing: Some(framing), ..EndpointConfig::default() };
    config.limits.depth_max = DEPTH_MAX;
    let mut server = Endpoint::new(NOW, config).unwrap();
    let mut params = Vec::new();
    let mut take = |server: &mut Endpoint| {
        while let Some(event) = server.poll_event() {
            match event {
                Event::Request(request) => params.push(request.params),
                Event::Message(message) => panic!("{message:?}"),
                _ => {}
            }
        }
    };
    for piece in pieces {
        server.receive(NOW, piece);
        take(&mut server);
    }
    let output = server.transmit().flatten().copied().collect();
    server.receive_eof(NOW);
    take(&mut server);
    (params, String::from_utf8(output).unwrap())
}

#[test]
fn as_parameters_they_reach_the_application_untouched_or_not_at_all() {
    let places: BTreeSet<&str> = places::CASES.iter().map(|(name, _)| *name).collect();
    for (name, text) in all().into_iter().filter(|(name, _)| !places.contains(name)) {
        let params = [b"[", &text[..], b"]"].concat();
        let head = br#"{"jsonrpc":"2.0","method":"m","params":"#;
        let request = [head, &params[..], br#","id":1}"#].concat();
        for framing in FRAMINGS {
            let stream = stream(framing, rule(name), &request);
            for cut in cuts(stream.len()) {
                let (found, output) = ask(framing, [&stream[..cut], &stream[cut..]]);
                let context = alloc::format!("{name}, {framing}, cut at {cut}: {output}");
                if rule(name) != Rule::Refuse {
                    let expected = match framing {
                        Framing::Newline => params.clone().replace_lines(),
                        Framing::Bare | Framing::ContentLength => params.clone(),
                    };
                    assert!(found.len() == 1 && found[0] == expected, "{context}");
                    assert_eq!(output, "", "{context}");
                    continue;
                }
                assert!(found.is_empty(), "{context}");
                let answers = output.matches("\"jsonrpc\"").count();
                assert_eq!(output.matches("\"code\":-32700").count(), answers, "{context}");
                match framing {
                    Framing::ContentLength => assert_eq!(answers, 1, "{context}"),
                    Framing::Newline => assert!(answers >= 1, "{context}"),
                    // What opens a string or a bracket may take the rest with it.
                    Framing::Bare => assert!(answers <= 1, "{context}"),
                }
            }
        }
    }
}
