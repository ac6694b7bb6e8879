//! Frames as lines: for people, or as JSON.

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, UNIX_EPOCH};

use cndt_core::limits::{FRAME_CEILING, Limits};
use cndt_core::wire::{Decoder, Flags, Frame, HEADER_LEN, InflateLimits, Kind, inflate};

use crate::exit::{self, Failure};
use crate::json::{self, Style};
use crate::out;

/// The last second of the year 9999, beyond which RFC 3339 has no form.
const LAST_SECOND: u64 = 253_402_300_799;

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Words between spaces.
    Text,
    /// One JSON object.
    Json,
}

/// From whom to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) source: SocketAddr,
    pub(super) destination: SocketAddr,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.source, self.destination)
    }
}

/// What a capture knows of a frame besides its bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Captured {
    pub(super) route: Route,
    /// When its last byte was captured, since 1970; unknown in captures without times.
    pub(super) time: Option<Duration>,
    /// Since the frame that it answers.
    pub(super) response_time: Option<Duration>,
}

/// Prints frames, and counts what could not be read.
#[derive(Debug)]
pub(super) struct Printer {
    format: Format,
    /// Frames whose payload was no MessagePack.
    unreadable: u64,
    /// Faults besides, each told already.
    faults: u64,
}

impl Printer {
    pub(super) fn new(format: Format) -> Self {
        Self { format, unreadable: 0, faults: 0 }
    }

    /// The bounds of a frame do not depend on its payload, so a payload that cannot be read hides
    /// none of those behind it. `offset` is that of its first byte in the stream.
    pub(super) fn frame(
        &mut self,
        captured: Option<&Captured>,
        offset: u64,
        frame: &Frame,
    ) -> Result<(), Failure> {
        let payload = payload(offset, frame).unwrap_or_else(|words| {
            self.unreadable += 1;
            let route = captured.map(|captured| format!("{}: ", captured.route));
            exit::print_error_line(&format!("error: {}{words}", route.unwrap_or_default()));
            Some(json::binary(&frame.payload))
        });
        out::line(&match self.format {
            Format::Text => text(captured, offset, frame, payload.as_deref()),
            Format::Json => json_line(captured, offset, frame, payload.as_deref()),
        })
    }

    /// Something could not be read; the rest can.
    pub(super) fn fault(&mut self, words: &str) {
        self.faults += 1;
        exit::print_error_line(&format!("error: {words}"));
    }

    /// Something to know that is no fault.
    pub(super) fn note(words: &str) {
        exit::print_error_line(&format!("note: {words}"));
    }

    pub(super) fn end(self) -> Result<(), Failure> {
        match (self.faults, self.unreadable) {
            (0, 0) => Ok(()),
            (0, unreadable) => {
                Err(Failure::Failed(format!("payloads that cannot be read: {unreadable}")))
            }
            (faults, unreadable) => Err(Failure::Failed(format!(
                "places that cannot be read: {faults}, payloads that cannot be read: {unreadable}"
            ))),
        }
    }
}

/// What of the frame at the end of a stream is missing; `None` when the stream ends between frames.
/// `base` is where in the stream the decoder began.
pub(super) fn cut_off(decoder: &Decoder, base: u64) -> Option<String> {
    let offset = base.saturating_add(decoder.offset());
    match (decoder.buffered(), decoder.needed()) {
        (0, _) => None,
        (buffered, missing) => {
            // Without a whole header nothing tells how long the frame is.
            let part = if buffered < HEADER_LEN { "header" } else { "payload" };
            Some(format!(
                "inside the frame at byte {offset}: {missing} bytes of its {part} are missing"
            ))
        }
    }
}

fn text(captured: Option<&Captured>, offset: u64, frame: &Frame, payload: Option<&str>) -> String {
    let header = &frame.header;
    let flags = flags(frame).join("|");
    let flags = if flags.is_empty() { "-" } else { &flags };
    let (dialect, length, id) = (frame.dialect, header.length, header.correlation);
    let time = millis(header.timestamp);
    let kind = kind(header.kind);
    let payload = payload.unwrap_or("-");
    let line = format!("{offset} {dialect} {kind} {flags} {length} {id} {time} {payload}");
    let Some(captured) = captured else { return line };
    let at = captured.time.and_then(micros).unwrap_or_else(|| "-".to_owned());
    let after = captured.response_time.map_or_else(|| "-".to_owned(), seconds);
    format!("{at} {} {after} {line}", captured.route)
}

fn json_line(
    captured: Option<&Captured>,
    offset: u64,
    frame: &Frame,
    payload: Option<&str>,
) -> String {
    let header = &frame.header;
    let flags: Vec<String> = flags(frame).iter().map(|flag| json::quoted(flag)).collect();
    let flags = flags.join(",");
    let (dialect, length, id) = (frame.dialect, header.length, header.correlation);
    let (kind, timestamp) = (kind(header.kind), header.timestamp);
    let payload = payload.unwrap_or("null");
    let place = captured.map(captured_json).unwrap_or_default();
    format!(
        "{{{place}\"offset\":{offset},\"dialect\":\"{dialect}\",\"type\":\"{kind}\",\
         \"flags\":[{flags}],\"length\":{length},\"correlation_id\":{id},\
         \"timestamp\":{timestamp},\"payload\":{payload}}}"
    )
}

fn captured_json(captured: &Captured) -> String {
    let time = captured.time.and_then(micros);
    let time = time.map_or_else(|| "null".to_owned(), |time| json::quoted(&time));
    let after = captured.response_time;
    let after = after.map_or_else(|| "null".to_owned(), |after| after.as_secs_f64().to_string());
    let Route { source, destination } = captured.route;
    format!(
        "\"captured\":{time},\"source\":\"{source}\",\"destination\":\"{destination}\",\
         \"response_time\":{after},"
    )
}

fn flags(frame: &Frame) -> Vec<String> {
    let mut flags: Vec<String> = frame.header.flags.names().map(str::to_owned).collect();
    if frame.header.unknown_flags != 0 {
        flags.push(format!("0x{:04x}", frame.header.unknown_flags));
    }
    flags
}

fn kind(kind: Kind) -> String {
    match kind {
        Kind::Unknown(code) => format!("UNKNOWN_0x{code:02x}"),
        known => known.name().to_owned(),
    }
}

fn millis(millis: u64) -> String {
    match UNIX_EPOCH.checked_add(Duration::from_millis(millis)) {
        Some(moment) if millis / 1000 <= LAST_SECOND => {
            humantime::format_rfc3339_millis(moment).to_string()
        }
        _ => format!("{millis}ms"),
    }
}

fn micros(time: Duration) -> Option<String> {
    let moment = UNIX_EPOCH.checked_add(time).filter(|_| time.as_secs() <= LAST_SECOND)?;
    Some(humantime::format_rfc3339_micros(moment).to_string())
}

fn seconds(time: Duration) -> String {
    format!("{}.{:06}s", time.as_secs(), time.subsec_micros())
}

/// The payload as JSON, `None` for an empty one, or what is wrong with it and at which byte of the
/// stream.
fn payload(offset: u64, frame: &Frame) -> Result<Option<String>, String> {
    if frame.payload.is_empty() {
        return Ok(None);
    }
    if frame.header.flags.contains(Flags::BINARY) {
        return Ok(Some(json::binary(&frame.payload)));
    }
    let begins_at = offset.saturating_add(HEADER_LEN as u64);
    if frame.header.flags.contains(Flags::COMPRESSED) {
        let ratio_max = Limits::default().compression_ratio_max;
        let limits = InflateLimits { output_max: FRAME_CEILING, ratio_max };
        let whole = inflate(&frame.payload, limits)
            .map_err(|error| format!("the payload at byte {begins_at}: {error}"))?;
        return json::from_msgpack(&whole, Style::Compact)
            .map(Some)
            .map_err(|error| format!("the payload at byte {begins_at}, decompressed: {error}"));
    }
    json::from_msgpack(&frame.payload, Style::Compact).map(Some).map_err(|error| {
        let at = begins_at.saturating_add(u64::try_from(error.offset).unwrap_or(u64::MAX));
        format!("{} (byte {at} of the stream)", error.kind)
    })
}

#[cfg(test)]
mod tests {
    use super::{micros, millis, seconds};
    use std::time::Duration;

    #[test]
    fn times_have_a_form_whatever_a_peer_claims() {
        assert_eq!(millis(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(millis(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
        assert_eq!(millis(u64::MAX), "18446744073709551615ms");
        assert_eq!(micros(Duration::from_secs(u64::MAX)), None);
        assert_eq!(seconds(Duration::from_nanos(1_000_250_999)), "1.000250s");
    }
}
