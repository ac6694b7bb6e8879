//! The examples and limits of PROTOCOL.md are those of the implementation.

use core::time::Duration;

use cndt_core::limits::Limits;
use cndt_core::message::from_slice;
use cndt_core::resilience::Rate;
use cndt_core::wire::{Decoder, Dialect, Dialects, HEADER_LEN};
use serde_json::Value;

const DOCUMENT: &str = include_str!("../../PROTOCOL.md");

struct Example {
    dialect: Dialect,
    kind: &'static str,
    correlation: u64,
    payload: Option<Value>,
    bytes: Vec<u8>,
}

/// The blocks of the form: dialect, type, correlation id, payload as JSON; then hex digits.
fn examples() -> Vec<Example> {
    let blocks = DOCUMENT.split("```frame\n").skip(1);
    blocks
        .map(|block| {
            let block = block.split("```").next().expect("the block ends");
            let (head, digits) = block.split_once('\n').expect("a first line");
            let mut words = head.splitn(4, ' ');
            let mut word = || words.next().expect("dialect, type, id");
            let dialect = word().parse().expect("a dialect");
            let kind = word();
            let correlation = word().parse().expect("an id");
            let payload = words.next().map(|json| serde_json::from_str(json).expect("JSON"));
            let digits: String = digits.split_whitespace().collect();
            let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hex digits");
            let bytes = (0..digits.len()).step_by(2).map(byte).collect();
            Example { dialect, kind, correlation, payload, bytes }
        })
        .collect()
}

#[test]
fn every_example_is_the_frame_that_it_is_said_to_be() {
    let all = examples();
    assert!(all.len() >= 10, "the document has lost its examples");
    for Example { dialect, kind, correlation, payload, bytes } in all {
        let mut decoder = Decoder::new(Dialects::BOTH, 8192);
        decoder.push(&bytes);
        let frame = decoder.next_frame().expect(kind).expect(kind);
        assert_eq!((decoder.buffered(), frame.dialect), (0, dialect), "{kind}");
        assert_eq!(frame.header.kind.name(), kind);
        assert_eq!(frame.header.correlation, correlation, "{kind}");
        assert_eq!(frame.header.encode(dialect).expect(kind)[..], bytes[..HEADER_LEN], "{kind}");
        match payload {
            Some(expected) => assert_eq!(from_slice::<Value>(&frame.payload), Ok(expected)),
            None => assert!(frame.payload.is_empty(), "{kind}"),
        }
    }
}

#[test]
fn the_login_of_the_document_is_the_known_one() {
    let known: Value = serde_json::from_str(include_str!("login.json")).expect("JSON");
    let known = known["cases"][0]["frames"].as_object().expect("frames");
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    for (name, frame) in known {
        let kind = name.rsplit_once('_').expect("a type and its code").0;
        let shown = examples()
            .into_iter()
            .find(|example| example.kind == kind && example.dialect == Dialect::Cndt)
            .expect(kind);
        assert_eq!(Some(&*hex(&shown.bytes)), frame.as_str(), "{kind}");
    }
}

fn bytes(size: usize) -> String {
    match size {
        size if size.is_multiple_of(1 << 20) => format!("{} MiB", size >> 20),
        size if size.is_multiple_of(1 << 10) => format!("{} KiB", size >> 10),
        size => size.to_string(),
    }
}

fn span(span: Duration) -> String {
    match span.subsec_millis() {
        0 => format!("{} s", span.as_secs()),
        _ => format!("{} ms", span.as_millis()),
    }
}

fn rate(Rate { per_second, burst }: Rate) -> String {
    format!("{per_second}/s, {burst} at once")
}

fn or_none<T>(value: Option<T>, show: impl Fn(T) -> String) -> String {
    value.map_or_else(|| "none".to_string(), show)
}

#[test]
fn every_limit_is_in_the_table_with_its_default() {
    // Named one by one: a new limit does not compile before it stands here, and in the document.
    let Limits {
        frame_max,
        preauth_frame_max,
        iterations_min,
        iterations_max,
        refusal_delay,
        busy_retry_after,
        decompressed_max,
        compression_ratio_max,
        depth_max,
        elements_max,
        calls_max,
        serves_max,
        rate_messages,
        rate_bytes,
        frame_deadline,
        frame_rate_min,
        idle_timeout,
        rate_pings,
        rate_cancels,
        rate_pauses,
        send_queue_frames,
        send_queue_bytes,
        reply_queue_bytes,
        receive_queue_frames,
        receive_queue_bytes,
        receive_reserve_bytes,
        queue_high_percent,
        queue_low_percent,
        pause_max,
        stall_max,
        drain,
        linger,
        strikes_max,
        strikes_window,
        join_grace,
    } = Limits::default();
    let expected = [
        ("frame_max", bytes(frame_max)),
        ("preauth_frame_max", bytes(preauth_frame_max)),
        ("iterations_min", iterations_min.to_string()),
        ("iterations_max", iterations_max.to_string()),
        ("refusal_delay", span(refusal_delay)),
        ("busy_retry_after", span(busy_retry_after)),
        ("decompressed_max", bytes(decompressed_max)),
        ("compression_ratio_max", compression_ratio_max.to_string()),
        ("depth_max", depth_max.to_string()),
        ("elements_max", elements_max.to_string()),
        ("calls_max", calls_max.to_string()),
        ("serves_max", serves_max.to_string()),
        ("rate_messages", or_none(rate_messages, rate)),
        ("rate_bytes", or_none(rate_bytes, rate)),
        ("frame_deadline", span(frame_deadline)),
        ("frame_rate_min", bytes(frame_rate_min)),
        ("idle_timeout", or_none(idle_timeout, span)),
        ("rate_pings", rate(rate_pings)),
        ("rate_cancels", rate(rate_cancels)),
        ("rate_pauses", rate(rate_pauses)),
        ("send_queue_frames", send_queue_frames.to_string()),
        ("send_queue_bytes", bytes(send_queue_bytes)),
        ("reply_queue_bytes", bytes(reply_queue_bytes)),
        ("receive_queue_frames", receive_queue_frames.to_string()),
        ("receive_queue_bytes", bytes(receive_queue_bytes)),
        ("receive_reserve_bytes", bytes(receive_reserve_bytes)),
        ("queue_high_percent", queue_high_percent.to_string()),
        ("queue_low_percent", queue_low_percent.to_string()),
        ("pause_max", span(pause_max)),
        ("stall_max", span(stall_max)),
        ("drain", span(drain)),
        ("linger", span(linger)),
        ("strikes_max", strikes_max.to_string()),
        ("strikes_window", span(strikes_window)),
        ("join_grace", span(join_grace)),
    ];
    let table = DOCUMENT.split("| limit | default |").nth(1).expect("the table of limits");
    let rows: Vec<(&str, &str)> = table
        .lines()
        .filter_map(|line| {
            let mut cells = line.split('|').map(str::trim).skip(1);
            Some((cells.next()?.strip_prefix('`')?.strip_suffix('`')?, cells.next()?))
        })
        .collect();
    let expected: Vec<(&str, &str)> =
        expected.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(rows, expected);
}
