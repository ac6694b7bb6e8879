//! Bytes from a stranger into one end of a connection.

use core::time::Duration;

use cndt_core::connection::{Event, Stats};
use cndt_core::jsonrpc::{Endpoint, EndpointConfig, Lifetime};
use cndt_core::message::{Nil, Raw};
use cndt_core::time::Instant;
use serde_json::value::RawValue;

use super::{framing_of, is_begun, is_structure, masked, same_however_cut};

const HEADER: &[u8] = b"Content-Length: ";

/// Bytes mean the same however they are cut: the same events, the same answers, the same numbers;
/// what is written are whole texts; the end comes once and last.
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
    let ends = found.events.iter().filter(|event| event.starts_with("Closed")).count();
    assert_eq!(ends, 1, "not one end: {:?}", found.events);
    assert!(found.events.last().is_some_and(|event| event.starts_with("Closed")));
}

fn begin(start: u8, choice: u8) -> Endpoint {
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
    let now = Instant::ZERO;
    let mut endpoint = Endpoint::new(now, config).expect("the limits make sense");
    let span = Duration::from_secs(60);
    for _ in 0..start >> 2 & 3 {
        endpoint.call(now, "m", &Nil, span).expect("there is room");
    }
    if start & 16 == 16 {
        // An empty list.
        let calls = [("a", Raw(&[0x90])), ("b", Raw(&[0x90]))];
        endpoint.batch(now, &calls, span).expect("there is room");
    }
    endpoint
}

#[derive(Debug, PartialEq)]
struct Transcript {
    events: Vec<String>,
    written: Vec<u8>,
    stats: Stats,
}

fn transcript(mut endpoint: Endpoint, pieces: &mut dyn Iterator<Item = &[u8]>) -> Transcript {
    let (now, mut events, mut written) = (Instant::ZERO, Vec::new(), Vec::new());
    for (n, piece) in pieces.enumerate() {
        match n % 2 {
            0 => endpoint.receive(now, piece),
            _ => {
                endpoint.read_buffer().extend_from_slice(piece);
                endpoint.received(now, piece.len());
            }
        }
        take_events(&mut endpoint, &mut events);
    }
    endpoint.receive_eof(now);
    // Only now, so that answers have all left in the same state.
    while endpoint.pending_bytes() > 0 {
        take_events(&mut endpoint, &mut events);
        let before = written.len();
        written.extend(endpoint.transmit().flatten());
        assert_eq!(written.len() - before, endpoint.pending_bytes());
        endpoint.advance_transmit(now, endpoint.pending_bytes());
    }
    take_events(&mut endpoint, &mut events);
    let stats = endpoint.stats();
    if endpoint.wants_shutdown() {
        endpoint.shutdown_done(now);
    }
    endpoint.abort(now);
    assert!(endpoint.is_closed() && endpoint.next_deadline().is_none());
    take_events(&mut endpoint, &mut events);
    endpoint.handle_timeout(now + Duration::from_secs(3600));
    take_events(&mut endpoint, &mut events);
    Transcript { events, written, stats }
}

fn take_events(endpoint: &mut Endpoint, events: &mut Vec<String>) {
    let fresh = core::iter::from_fn(|| endpoint.poll_event());
    events.extend(fresh.map(|event| match event {
        Event::Request(request) => {
            assert!(super::is_json(&request.params), "{request:?}");
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
