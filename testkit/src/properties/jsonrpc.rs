//! Laws of JSON-RPC: of texts on a stream, and of what they mean.

mod endpoint;
mod operations;
mod session;

use core::fmt::Debug;

use bytes::{Bytes, BytesMut};
use cndt_core::jsonrpc::{
    Framing, Id, Incoming, InvalidItem, Item, JSONRPC_DEPTH_CEILING, Scan, Scanner, TextDecoder,
    TextError, read, write_error, write_request, write_result,
};
use serde_json::Value;
use serde_json::value::RawValue;

use super::pieces;

pub use endpoint::json_endpoint;
pub use operations::json_operations;
pub use session::json_session;

const FRAMINGS: [Framing; 3] = [Framing::Newline, Framing::Bare, Framing::ContentLength];
/// Bytes that the headers of one text may have.
const HEADERS_MAX: usize = 4 * 1024;

/// A selector, so many sizes of pieces, and the stream.
fn cut(data: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let [selector, cuts, rest @ ..] = data else { return None };
    let (sizes, stream) = rest.split_at(usize::from(*cuts).min(rest.len()));
    Some((*selector, sizes, stream))
}

/// Compares what comes of a stream as a whole, in the given pieces, and byte by byte.
fn same_however_cut<'a, T: PartialEq + Debug>(
    stream: &'a [u8],
    sizes: &[u8],
    told: impl Fn(&mut dyn Iterator<Item = &'a [u8]>) -> T,
) -> T {
    let whole = told(&mut core::iter::once(stream));
    let cut = told(&mut pieces(stream, sizes).into_iter());
    assert_eq!(cut, whole, "cut after {sizes:?} it is something else");
    let single = told(&mut stream.chunks(1));
    assert_eq!(single, whole, "byte by byte it is something else");
    whole
}

fn framing_of(choice: u8) -> Option<Framing> {
    FRAMINGS.get(usize::from(choice & 3)).copied()
}

/// An object or a list, and nothing else.
fn is_structure(text: &[u8]) -> bool {
    let first = text.iter().find(|byte| !byte.is_ascii_whitespace());
    matches!(first, Some(b'{' | b'[')) && is_json(text)
}

fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<&RawValue>(text).is_ok()
}

/// The scanner ends a text where another parser does, however the stream is cut; and the byte that it
/// refuses is the first that no text could have there.
///
/// The first byte of `data` is the depth, the second the number of cuts, then come their sizes.
///
/// # Panics
/// When the law is broken.
pub fn json_scanner(data: &[u8]) {
    let Some((depth, sizes, stream)) = cut(data) else { return };
    let depth_max = (usize::from(depth) * 4).min(JSONRPC_DEPTH_CEILING);
    let found = same_however_cut(stream, sizes, |pieces| scans(depth_max, pieces));
    let masked = masked(stream);
    match found.first() {
        Some((end, Seen::Complete)) => {
            assert!(is_structure(&masked[..*end]), "this is no JSON text");
            assert!(nesting(&masked[..*end]).1 <= depth_max, "too deep a text was taken");
        }
        Some((at, seen)) => {
            assert!(is_begun(&masked[..*at]), "a text cannot have come this far");
            let is_fit = is_begun(&masked[..=*at]);
            let is_too_deep = is_fit && nesting(&masked[..=*at]).1 > depth_max;
            match seen {
                Seen::TooDeep => assert!(is_too_deep, "byte {at} opens nothing too much"),
                _ => assert!(!is_fit, "byte {at} may stand where it does"),
            }
        }
        None => assert!(is_begun(&masked), "no text goes on like this"),
    }
}

/// With letters for what the scanner does not look at. Outside of strings neither may stand.
fn masked(stream: &[u8]) -> Vec<u8> {
    stream.iter().map(|byte| if byte.is_ascii() { *byte } else { b'x' }).collect()
}

#[derive(Debug, PartialEq)]
enum Seen {
    Complete,
    Invalid,
    TooDeep,
}

/// Everything that is found, and where in the stream: the end of a text, or the byte that is wrong.
fn scans(depth_max: usize, pieces: &mut dyn Iterator<Item = &[u8]>) -> Vec<(usize, Seen)> {
    let mut scanner = Scanner::new(depth_max);
    let (mut all, mut offset) = (Vec::new(), 0);
    for mut piece in pieces {
        while !piece.is_empty() {
            let (length, seen) = match scanner.scan(piece) {
                Scan::Incomplete => break,
                Scan::Complete { length } => {
                    all.push((offset + length, Seen::Complete));
                    (length, None)
                }
                Scan::Invalid { at } => (at + 1, Some((offset + at, Seen::Invalid))),
                Scan::TooDeep { at } => (at + 1, Some((offset + at, Seen::TooDeep))),
            };
            all.extend(seen);
            assert!(!scanner.has_begun(), "it does not start anew");
            assert!(length <= piece.len(), "more was seen than there is");
            offset += length;
            piece = &piece[length..];
        }
        offset += piece.len();
    }
    all
}

/// Whether some JSON text begins like this: whether one of a few ways to complete it makes one.
fn is_begun(prefix: &[u8]) -> bool {
    const ENDS: [&str; 26] = [
        "", "0", ":0", "\"\":0", "[]", "rue", "ue", "e", "alse", "lse", "se", "ull", "ll", "l",
        "\"", "n\"", "0\"", "00\"", "000\"", "0000\"", "\":0", "n\":0", "0\":0", "00\":0",
        "000\":0", "0000\":0",
    ];
    let (open, _) = nesting(prefix);
    ENDS.iter().any(|end| {
        let mut text = prefix.to_vec();
        text.extend(end.bytes());
        text.extend(open.iter().rev());
        is_structure(&text)
    })
}

/// What would close the brackets that are open, and how many were open at most.
fn nesting(text: &[u8]) -> (Vec<u8>, usize) {
    let (mut open, mut most, mut in_string, mut is_escaped) = (Vec::new(), 0, false, false);
    for byte in text {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' => open.push(b'}'),
            b'[' => open.push(b']'),
            b'}' | b']' => {
                open.pop();
            }
            _ => {}
        }
        most = most.max(open.len());
    }
    (open, most)
}

/// Texts and errors are the same however the stream is cut; texts are JSON within the limits; nothing
/// follows a fatal error; no more is kept than a text, its headers, and what has just come.
///
/// The first byte of `data` chooses the framing and the limits, the second is the number of cuts,
/// then come their sizes.
///
/// # Panics
/// When the law is broken.
pub fn json_frames(data: &[u8]) {
    let Some((choice, sizes, stream)) = cut(data) else { return };
    let framing = framing_of(choice);
    let text_max = [4, 16, 64, 4096][usize::from(choice >> 2 & 3)];
    let depth_max = [2, 4, 64, 512][usize::from(choice >> 4 & 3)];
    let decoder = || TextDecoder::new(framing, text_max, depth_max);
    let found = same_however_cut(stream, sizes, |pieces| Found::by(decoder(), text_max, pieces));
    let mut last = 0;
    for (index, item) in found.items.iter().enumerate() {
        match item {
            Ok(text) => {
                assert!(text.len() <= text_max, "{} bytes exceed the limit", text.len());
                assert!(core::str::from_utf8(text).is_ok() && is_structure(text), "{text:?}");
                assert!(nesting(text).1 <= depth_max, "too deep: {text:?}");
            }
            Err(error) => {
                assert!(error.offset <= stream.len() as u64, "{error} is not there");
                assert!(error.offset >= last, "{error} lies before the last one");
                assert!(!error.is_fatal || index + 1 == found.items.len(), "it went on");
                last = error.offset;
            }
        }
    }
    let texts = found.items.iter().flatten();
    let on_one_line = |text: &[u8]| -> Vec<u8> {
        text.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }).collect()
    };
    for framing in FRAMINGS {
        let mut stream = BytesMut::new();
        texts.clone().for_each(|text| framing.write(&mut stream, text.trim_ascii()));
        for chosen in [Some(framing), None] {
            let decoder = TextDecoder::new(chosen, text_max, depth_max);
            let again = Found::by(decoder, text_max, &mut core::iter::once(&stream[..]));
            assert_eq!(again.items.len(), texts.clone().count(), "{framing}: {again:?}");
            for (again, text) in again.items.iter().zip(texts.clone()) {
                let again = again.as_ref().expect("a text that was written can be read");
                let (again, text) = (on_one_line(again), on_one_line(text.trim_ascii()));
                assert_eq!(again, text, "{framing} is read differently than written");
            }
        }
    }
}

/// Everything a decoder gives for a stream, and how it is left.
#[derive(Debug, PartialEq)]
struct Found {
    items: Vec<Result<Bytes, TextError>>,
    framing: Option<Framing>,
    buffered: usize,
}

impl Found {
    fn by(
        mut decoder: TextDecoder,
        text_max: usize,
        pieces: &mut dyn Iterator<Item = &[u8]>,
    ) -> Self {
        let mut items = Vec::new();
        for (n, piece) in pieces.enumerate() {
            match n % 2 {
                0 => decoder.push(piece),
                _ => decoder.buffer().extend_from_slice(piece),
            }
            loop {
                assert!(decoder.buffered() <= text_max + HEADERS_MAX + piece.len());
                match decoder.next_text() {
                    Ok(Some(text)) => items.push(Ok(text)),
                    Ok(None) => break,
                    Err(error) => items.push(Err(error)),
                }
            }
            assert!(decoder.buffered() <= text_max + HEADERS_MAX, "too much is kept");
        }
        Self { items, framing: decoder.framing(), buffered: decoder.buffered() }
    }
}

/// Whatever a text is, it has a meaning: items as another reader sees them, whose parts lie within the
/// text and are JSON, and which read the same when they are written again.
///
/// The first byte of `data` is how many items a batch may have.
///
/// # Panics
/// When the law is broken.
pub fn json_messages(data: &[u8]) {
    let Some((&batch_max, text)) = data.split_first() else { return };
    let (batch_max, text) = (usize::from(batch_max), Bytes::copy_from_slice(text));
    match read(&text, batch_max) {
        Incoming::Single(item) => check_item(&item, &text, &text),
        Incoming::Batch(items) => {
            let raw: Vec<&RawValue> = serde_json::from_slice(&text).expect("a batch is a list");
            assert_eq!(items.len(), raw.len(), "items were lost or invented");
            assert!((1..=batch_max).contains(&items.len()), "{} items", items.len());
            for (item, raw) in items.iter().zip(raw) {
                check_item(item, raw.get().as_bytes(), &text);
            }
        }
        Incoming::InvalidBatch(invalid) => {
            check_invalid(&invalid);
            let raw = serde_json::from_slice::<Vec<&RawValue>>(&text);
            let is_fit = raw.is_ok_and(|items| (1..=batch_max).contains(&items.len()));
            assert!(!is_fit, "a batch is refused: {}", invalid.why);
        }
    }
}

fn check_item(item: &Item, raw: &[u8], text: &Bytes) {
    let part = |part: &Bytes| {
        let (inside, whole) = (part.as_ptr_range(), text.as_ptr_range());
        assert!(whole.start <= inside.start && inside.end <= whole.end, "a part was copied");
        assert!(is_json(part), "a part is no JSON: {part:?}");
    };
    // `None` where the other reader has bounds of its own: for numbers, surrogates and depth.
    let value = serde_json::from_slice::<Value>(raw).ok();
    let member = |name: &str, found: Option<&[u8]>| {
        let Some(value) = &value else { return };
        assert!(value.is_object(), "this was taken for an item: {value}");
        let found: Option<Value> = found.map(|json| serde_json::from_slice(json).expect("JSON"));
        assert_eq!(value.get(name), found.as_ref(), "{name} is something else");
    };
    // Null in their place are none.
    let parameters = |found: Option<&[u8]>| {
        let null = value.as_ref().is_some_and(|value| value.get("params") == Some(&Value::Null));
        if null {
            assert_eq!(found, None, "null is no parameters");
        } else {
            member("params", found);
        }
    };
    let mut out = BytesMut::new();
    match item {
        Item::Request { id, method, params } => {
            params.iter().for_each(part);
            member("id", Some(id.as_json()));
            member("method", Some(&json_string(method)));
            parameters(params.as_deref());
            write_request(&mut out, Some(id), method, params.as_deref());
        }
        Item::Notification { method, params } => {
            params.iter().for_each(part);
            member("id", None);
            member("method", Some(&json_string(method)));
            parameters(params.as_deref());
            write_request(&mut out, None, method, params.as_deref());
        }
        Item::Result { id, result } => {
            part(result);
            member("id", Some(id.as_json()));
            member("result", Some(result));
            write_result(&mut out, id, result);
        }
        Item::Error { id, number, message, data } => {
            data.iter().for_each(part);
            if let Some(error) = value.as_ref().and_then(|value| value.get("error")) {
                assert!(error.is_object(), "this was taken for an error: {error}");
                assert_eq!(error["code"].as_i64(), Some(*number));
            }
            write_error(&mut out, id, *number, message, data.as_deref());
        }
        Item::Invalid(invalid) => return check_invalid(invalid),
    }
    assert!(value.is_none_or(|value| value["jsonrpc"] == "2.0"), "another version");
    assert!(is_structure(&out), "what was written is no JSON: {out:?}");
    assert_eq!(read(&out.freeze(), 1), Incoming::Single(item.clone()), "it comes back changed");
}

fn json_string(text: &str) -> Vec<u8> {
    Value::from(text).to_string().into_bytes()
}

/// Its answer names the same id.
fn check_invalid(invalid: &InvalidItem) {
    let mut out = BytesMut::new();
    write_error(&mut out, &invalid.id, -32600, invalid.why, None);
    let Incoming::Single(Item::Error { id, message, .. }) = read(&out.freeze(), 1) else {
        panic!("its answer cannot be read");
    };
    assert_eq!((&id, &*message), (&invalid.id, invalid.why));
    let json = core::str::from_utf8(id.as_json()).expect("ids are text");
    assert!(json == "null" || !json.starts_with(['{', '[', 't', 'f', 'n']), "{json}");
    assert_eq!(id.is_null(), id == Id::NULL);
}
