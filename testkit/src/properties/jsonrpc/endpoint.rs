//! Bytes from a stranger into one end of a connection.

use core::time::Duration;

use cndt_core::connection::{Event, PhaseName, RequestId, SendError, Stats};
use cndt_core::jsonrpc::{BatchItem, Endpoint, EndpointConfig, Lifetime};
use cndt_core::message::{Nil, Raw, Typed};
use cndt_core::rpc::RpcError;
use cndt_core::time::Instant;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{framing_of, is_begun, is_structure, masked, same_however_cut};

const HEADER: &[u8] = b"Content-Length: ";

/// Bytes mean the same however they are cut: the same events, the same answers, the same numbers;
/// what is written are whole texts within the limit; each request can be answered, and once only; the
/// end comes once and last.
///
/// The first byte of `data` chooses the framing and how many calls are open, the second the limits,
/// the third is the number of cuts, then come their sizes.
///
/// # Panics
/// When the law is broken.
pub fn json_endpoint(data: &[u8]) {
    let Some((&start, data)) = data.split_first() else { return };
    let Some((limits, sizes, stream)) = super::cut(data) else { return };
    let found = same_however_cut(stream, sizes, |pieces| transcript(begin(start, limits), pieces));
    let texts = texts(&found.written);
    assert_eq!(texts.1, found.written.len(), "a text is not whole");
    let largest = texts.0.iter().map(|text| text.len()).max();
    assert!(largest.is_none_or(|largest| largest <= found.text_max), "{largest:?} bytes");
    let ends = found.events.iter().filter(|event| event.starts_with("Closed")).count();
    assert_eq!(ends, 1, "not one end: {:?}", found.events);
    let last = found.events.last().expect("there is an end");
    assert!(last.starts_with("Closed"), "{last}");
    // Whoever breaks the rules may not hear everything.
    if last.contains("reason: Peer") || last.contains("reason: Local") {
        let results = texts.0.iter().map(|text| results(text)).sum::<usize>();
        assert_eq!(results, found.answered, "answers are lost or doubled");
    }
}

/// An endpoint, and how large its texts may be.
fn begin(start: u8, choice: u8) -> (Endpoint, usize) {
    let mut config = EndpointConfig { framing: framing_of(start), ..EndpointConfig::default() };
    if choice & 1 == 1 {
        config.lifetime = Lifetime::OneAnswer;
    }
    if choice & 2 == 2 {
        config.batch_max = 3;
        config.limits.serves_max = 2;
        config.limits.frame_max = 1024;
        config.limits.depth_max = 8;
    }
    if choice & 4 == 4 {
        config.limits.receive_queue_frames = 2;
        config.limits.reply_queue_bytes = 300;
    }
    if choice & 8 == 8 {
        config.limits.strikes_max = 3;
    }
    let (now, text_max) = (Instant::ZERO, config.limits.frame_max);
    let mut endpoint = Endpoint::new(now, config).expect("the limits make sense");
    let span = Duration::from_secs(60);
    for _ in 0..start >> 2 & 3 {
        endpoint.call(now, "m", &Nil, span).expect("there is room");
    }
    if start & 16 == 16 {
        // An empty list.
        let params = Raw(&[0x90]);
        let items = [
            BatchItem::Call { method: "a", params },
            BatchItem::Notification { method: "n", params },
            BatchItem::Call { method: "b", params },
        ];
        endpoint.batch(now, &items, span).expect("there is room");
    }
    (endpoint, text_max)
}

#[derive(Debug, PartialEq)]
struct Transcript {
    events: Vec<String>,
    written: Vec<u8>,
    stats: Stats,
    text_max: usize,
    /// Requests that were answered by a result.
    answered: usize,
}

/// How many results an answer has.
fn results(text: &[u8]) -> usize {
    let items = match serde_json::from_slice(text).expect("it is JSON") {
        Value::Array(items) => items,
        single => vec![single],
    };
    items.iter().filter(|item| item.get("result").is_some()).count()
}

/// Answers everything that is asked, by more than there is room for at times.
fn answer(endpoint: &mut Endpoint, requests: &mut Vec<RequestId>) -> usize {
    let now = Instant::ZERO;
    let mut answered = 0;
    for request in requests.drain(..) {
        let size = request.correlation() as usize * 251 % 1400;
        match endpoint.respond(now, request, &Typed(&"r".repeat(size))) {
            Ok(()) => answered += 1,
            Err(SendError::TooLarge { length, max }) => {
                assert!(length > max);
                let error = RpcError::internal("r".repeat(size));
                endpoint.respond_error(now, request, &error).expect("there is room for an error");
            }
            Err(SendError::NoSuchRequest(_)) => {
                assert_ne!(endpoint.phase(), PhaseName::Open, "a request is lost");
                continue;
            }
            Err(other) => panic!("{other}"),
        }
        let again = endpoint.respond(now, request, &Nil);
        assert!(matches!(again, Err(SendError::NoSuchRequest(_))), "{again:?}");
    }
    answered
}

fn transcript(
    (mut endpoint, text_max): (Endpoint, usize),
    pieces: &mut dyn Iterator<Item = &[u8]>,
) -> Transcript {
    let (now, mut written) = (Instant::ZERO, Vec::new());
    let (mut events, mut requests) = (Vec::new(), Vec::new());
    for (n, piece) in pieces.enumerate() {
        match n % 2 {
            0 => endpoint.receive(now, piece),
            _ => {
                endpoint.read_buffer().extend_from_slice(piece);
                endpoint.received(now, piece.len());
            }
        }
        take_events(&mut endpoint, &mut events, &mut requests);
    }
    endpoint.receive_eof(now);
    // Only now, so that answers have all left in the same state.
    take_events(&mut endpoint, &mut events, &mut requests);
    let mut answered = answer(&mut endpoint, &mut requests);
    while endpoint.pending_bytes() > 0 {
        take_events(&mut endpoint, &mut events, &mut requests);
        answered += answer(&mut endpoint, &mut requests);
        let before = written.len();
        written.extend(endpoint.transmit().flatten());
        assert_eq!(written.len() - before, endpoint.pending_bytes());
        endpoint.advance_transmit(now, endpoint.pending_bytes());
    }
    take_events(&mut endpoint, &mut events, &mut requests);
    let stats = endpoint.stats();
    if endpoint.wants_shutdown() {
        endpoint.shutdown_done(now);
    }
    endpoint.abort(now);
    assert!(endpoint.is_closed() && endpoint.next_deadline().is_none());
    take_events(&mut endpoint, &mut events, &mut requests);
    endpoint.handle_timeout(now + Duration::from_secs(3600));
    take_events(&mut endpoint, &mut events, &mut requests);
    Transcript { events, written, stats, text_max, answered }
}

fn take_events(endpoint: &mut Endpoint, events: &mut Vec<String>, requests: &mut Vec<RequestId>) {
    let fresh = core::iter::from_fn(|| endpoint.poll_event());
    events.extend(fresh.map(|event| match event {
        Event::Request(request) => {
            assert!(super::is_json(&request.params), "{request:?}");
            requests.push(request.id);
            format!("{request:?}")
        }
        other => format!("{other:?}"),
    }));
}

/// The texts of an output, whose framing may change once, and how many of its bytes are whole texts.
pub(super) fn texts(output: &[u8]) -> (Vec<&[u8]>, usize) {
    let (mut texts, mut at) = (Vec::new(), 0);
    loop {
        let rest = &output[at..];
        if HEADER.starts_with(rest) {
            break;
        }
        let text = match rest.strip_prefix(HEADER) {
            Some(header) => {
                let Some(end) = header.windows(4).position(|end| end == b"\r\n\r\n") else { break };
                let length = core::str::from_utf8(&header[..end]).expect("a header is ASCII");
                let body = &header[end + 4..];
                match body.get(..length.parse().expect("a length is a number")) {
                    Some(text) => text,
                    None => break,
                }
            }
            None => {
                let mut values =
                    serde_json::Deserializer::from_slice(rest).into_iter::<&RawValue>();
                match values.next() {
                    Some(Ok(text)) => text.get().as_bytes(),
                    Some(Err(error)) if !is_begun(&masked(rest)) => panic!("{error} in {rest:?}"),
                    Some(Err(_)) | None => break,
                }
            }
        };
        assert!(is_structure(text) && !text.contains(&b'\n'), "{text:?}");
        texts.push(text);
        at += text.as_ptr() as usize - rest.as_ptr() as usize + text.len();
        if output[at..].first() == Some(&b'\n') {
            at += 1;
        }
    }
    (texts, at)
}
