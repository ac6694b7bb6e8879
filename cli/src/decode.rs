//! `cndt decode`: captured bytes as frames.

use std::io::Read;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use cndt_core::limits::{FRAME_CEILING, Limits};
use cndt_core::wire::{Decoder, Dialects, Flags, Frame, HEADER_LEN, InflateLimits, inflate};

use crate::args::DecodeArgs;
use crate::exit::Failure;
use crate::json::{self, Style};
use crate::out;

/// The last millisecond of the year 9999, beyond which RFC 3339 has no form.
const LAST_MILLIS: u64 = 253_402_300_799_999;

pub(crate) fn run(arguments: &DecodeArgs) -> Result<(), Failure> {
    let input = read(arguments.file.as_deref())?;
    let bytes = if arguments.hex { from_hex(&input)? } else { input };
    let mut decoder = Decoder::new(Dialects::BOTH, FRAME_CEILING);
    decoder.push(&bytes);
    loop {
        let offset = decoder.offset();
        match decoder.next_frame() {
            Ok(Some(frame)) => out::line(&describe(offset, &frame))?,
            Ok(None) if decoder.buffered() == 0 => return Ok(()),
            Ok(None) => {
                let (part, missing) = match decoder.needed() {
                    // Without a whole header nothing tells how long the frame is.
                    missing if decoder.buffered() < HEADER_LEN => ("header", missing),
                    missing => ("payload", missing),
                };
                return Err(Failure::Failed(format!(
                    "the input ends inside the frame at byte {offset}: {missing} bytes of its \
                     {part} are missing"
                )));
            }
            Err(error) => return Err(Failure::Failed(error.to_string())),
        }
    }
}

fn read(file: Option<&Path>) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    match file.filter(|path| *path != Path::new("-")) {
        Some(path) => std::fs::File::open(path)
            .and_then(|mut file| file.read_to_end(&mut bytes))
            .map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?,
        None => std::io::stdin()
            .read_to_end(&mut bytes)
            .map_err(|error| Failure::Usage(format!("stdin: {error}")))?,
    };
    Ok(bytes)
}

fn from_hex(text: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::with_capacity(text.len() / 2);
    let mut high = None;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let digit = char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        match (digit, high) {
            (Some(0), None) if matches!(text.get(at + 1), Some(b'x' | b'X')) => at += 1,
            (Some(digit), None) => high = Some(digit),
            (Some(digit), Some(first)) => {
                bytes.push(first << 4 | digit);
                high = None;
            }
            (None, _) if byte.is_ascii_whitespace() || byte == b':' || byte == b',' => {}
            (None, _) => {
                let found = char::from(byte).escape_default();
                return Err(Failure::Failed(format!("`{found}` at byte {at} is no hex digit")));
            }
        }
        at += 1;
    }
    match high {
        None => Ok(bytes),
        Some(_) => Err(Failure::Failed("the hex digits end in the middle of a byte".into())),
    }
}

fn describe(offset: u64, frame: &Frame) -> String {
    let header = &frame.header;
    let mut flags: Vec<String> = header.flags.names().map(str::to_owned).collect();
    if header.unknown_flags != 0 {
        flags.push(format!("0x{:04x}", header.unknown_flags));
    }
    let flags = if flags.is_empty() { "-".to_owned() } else { flags.join("|") };
    let kind = match header.kind {
        cndt_core::wire::Kind::Unknown(code) => format!("UNKNOWN_0x{code:02x}"),
        known => known.name().to_owned(),
    };
    let (dialect, length, id) = (frame.dialect, header.length, header.correlation);
    let (time, payload) = (time(header.timestamp), payload(frame));
    format!("{offset} {dialect} {kind} {flags} {length} {id} {time} {payload}")
}

fn time(millis: u64) -> String {
    match UNIX_EPOCH.checked_add(Duration::from_millis(millis)) {
        Some(moment) if millis <= LAST_MILLIS => {
            humantime::format_rfc3339_millis(moment).to_string()
        }
        _ => format!("{millis}ms"),
    }
}

/// The payload as JSON, or what is wrong with it as text that is no JSON.
fn payload(frame: &Frame) -> String {
    if frame.payload.is_empty() {
        return "-".to_owned();
    }
    let compressed = frame.header.flags.contains(Flags::COMPRESSED);
    let whole = if compressed {
        let ratio_max = Limits::default().compression_ratio_max;
        match inflate(&frame.payload, InflateLimits { output_max: FRAME_CEILING, ratio_max }) {
            Ok(whole) => whole,
            Err(error) => return format!("<{error}>"),
        }
    } else {
        frame.payload.to_vec()
    };
    match json::from_msgpack(&whole, Style::Compact) {
        Ok(text) => text,
        Err(error) => format!("<{error}>"),
    }
}

#[cfg(test)]
mod tests {
    use super::{from_hex, time};

    #[test]
    fn hex_is_read_in_the_forms_that_people_paste() {
        let same = |text: &str| from_hex(text.as_bytes()).unwrap();
        assert_eq!(same("434e 4454\n01"), [0x43, 0x4e, 0x44, 0x54, 1]);
        assert_eq!(same("0x43, 0x4E"), [0x43, 0x4e]);
        assert_eq!(same("43:4e:44"), [0x43, 0x4e, 0x44]);
        assert!(from_hex(b"4").is_err());
        assert!(from_hex(b"4g").is_err());
    }

    #[test]
    fn times_have_a_form_whatever_a_peer_claims() {
        assert_eq!(time(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(time(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
        assert_eq!(time(u64::MAX), "18446744073709551615ms");
    }
}
