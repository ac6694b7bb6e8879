//! `cndt decode`: captured bytes as frames.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use bytes::{BufMut, BytesMut};
use cndt_core::limits::{FRAME_CEILING, Limits};
use cndt_core::wire::{Decoder, Dialects, Flags, Frame, HEADER_LEN, InflateLimits, inflate};

use crate::args::DecodeArgs;
use crate::exit::{self, Failure};
use crate::json::{self, Style};
use crate::out;

/// Bytes taken from the input at a time.
const CHUNK: usize = 64 * 1024;

/// The last millisecond of the year 9999, beyond which RFC 3339 has no form.
const LAST_MILLIS: u64 = 253_402_300_799_999;

pub(crate) fn run(arguments: &DecodeArgs) -> Result<(), Failure> {
    let (mut input, name) = open(arguments.file.as_deref())?;
    let mut hex = arguments.hex.then(Hex::default);
    let mut frames = Frames { decoder: Decoder::new(Dialects::BOTH, FRAME_CEILING), unreadable: 0 };
    let mut chunk = vec![0; CHUNK];
    loop {
        let length = match input.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Failure::Usage(format!("{name}: {error}"))),
        };
        let bytes = chunk.get(..length).unwrap_or_default();
        let outcome = match &mut hex {
            Some(hex) => hex.read(bytes, frames.decoder.buffer()),
            None => {
                frames.decoder.push(bytes);
                Ok(())
            }
        };
        // What stands before the damage is shown first.
        frames.print()?;
        outcome?;
    }
    hex.map_or(Ok(()), Hex::end)?;
    frames.end()
}

fn open(file: Option<&Path>) -> Result<(Box<dyn Read>, String), Failure> {
    match file.filter(|path| *path != Path::new("-")) {
        Some(path) => {
            let name = path.display().to_string();
            let file =
                File::open(path).map_err(|error| Failure::Usage(format!("{name}: {error}")))?;
            Ok((Box::new(file), name))
        }
        None => Ok((Box::new(io::stdin().lock()), "stdin".to_owned())),
    }
}

/// The frames of the input, printed as soon as they are whole.
struct Frames {
    decoder: Decoder,
    /// Frames whose payload was no MessagePack.
    unreadable: u64,
}

impl Frames {
    fn print(&mut self) -> Result<(), Failure> {
        loop {
            let offset = self.decoder.offset();
            match self.decoder.next_frame() {
                Ok(Some(frame)) => self.print_one(offset, &frame)?,
                Ok(None) => return Ok(()),
                Err(error) => return Err(Failure::Failed(error.to_string())),
            }
        }
    }

    /// The bounds of a frame do not depend on its payload, so a payload that cannot be read hides
    /// none of those behind it.
    fn print_one(&mut self, offset: u64, frame: &Frame) -> Result<(), Failure> {
        let payload = payload(offset, frame).unwrap_or_else(|words| {
            self.unreadable += 1;
            exit::print_error_line(&format!("error: {words}"));
            json::binary(&frame.payload)
        });
        out::line(&describe(offset, frame, &payload))
    }

    fn end(&self) -> Result<(), Failure> {
        let offset = self.decoder.offset();
        match (self.decoder.buffered(), self.decoder.needed()) {
            (0, _) if self.unreadable == 0 => Ok(()),
            (0, _) => {
                Err(Failure::Failed(format!("payloads that cannot be read: {}", self.unreadable)))
            }
            (buffered, missing) => {
                // Without a whole header nothing tells how long the frame is.
                let part = if buffered < HEADER_LEN { "header" } else { "payload" };
                Err(Failure::Failed(format!(
                    "the input ends inside the frame at byte {offset}: {missing} bytes of its \
                     {part} are missing"
                )))
            }
        }
    }
}

/// Hex digits, however the input comes cut.
#[derive(Debug, Default)]
struct Hex {
    /// The first digit of a byte whose second has not come yet.
    high: Option<u8>,
    /// Characters read.
    at: u64,
}

impl Hex {
    fn read(&mut self, text: &[u8], out: &mut BytesMut) -> Result<(), Failure> {
        out.reserve(text.len() / 2 + 1);
        for &byte in text {
            let digit = char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            match (digit, self.high) {
                (Some(digit), None) => self.high = Some(digit),
                (Some(digit), Some(high)) => {
                    out.put_u8(high << 4 | digit);
                    self.high = None;
                }
                // `0x` in front of a byte.
                (None, Some(0)) if matches!(byte, b'x' | b'X') => self.high = None,
                (None, _) if byte.is_ascii_whitespace() || matches!(byte, b':' | b',') => {}
                (None, _) => {
                    let (found, at) = (char::from(byte).escape_default(), self.at);
                    return Err(Failure::Failed(format!("`{found}` at byte {at} is no hex digit")));
                }
            }
            self.at += 1;
        }
        Ok(())
    }

    fn end(self) -> Result<(), Failure> {
        match self.high {
            None => Ok(()),
            Some(_) => Err(Failure::Failed("the hex digits end in the middle of a byte".into())),
        }
    }
}

fn describe(offset: u64, frame: &Frame, payload: &str) -> String {
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
    let time = time(header.timestamp);
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

/// The payload as JSON, or what is wrong with it and at which byte of the input.
fn payload(offset: u64, frame: &Frame) -> Result<String, String> {
    if frame.payload.is_empty() {
        return Ok("-".to_owned());
    }
    if frame.header.flags.contains(Flags::BINARY) {
        return Ok(json::binary(&frame.payload));
    }
    let begins_at = offset.saturating_add(HEADER_LEN as u64);
    if frame.header.flags.contains(Flags::COMPRESSED) {
        let ratio_max = Limits::default().compression_ratio_max;
        let limits = InflateLimits { output_max: FRAME_CEILING, ratio_max };
        let whole = inflate(&frame.payload, limits)
            .map_err(|error| format!("the payload at byte {begins_at}: {error}"))?;
        return json::from_msgpack(&whole, Style::Compact)
            .map_err(|error| format!("the payload at byte {begins_at}, decompressed: {error}"));
    }
    json::from_msgpack(&frame.payload, Style::Compact).map_err(|error| {
        let at = begins_at.saturating_add(u64::try_from(error.offset).unwrap_or(u64::MAX));
        format!("{} (byte {at} of the stream)", error.kind)
    })
}

#[cfg(test)]
mod tests {
    use super::{Hex, time};
    use crate::exit::Failure;
    use bytes::BytesMut;

    /// Byte by byte, which must make no difference.
    fn from_hex(text: &[u8]) -> Result<Vec<u8>, Failure> {
        let (mut hex, mut cut, mut out) = (Hex::default(), Hex::default(), BytesMut::new());
        hex.read(text, &mut out)?;
        let mut pieces = BytesMut::new();
        text.iter().try_for_each(|byte| cut.read(&[*byte], &mut pieces))?;
        assert_eq!(out, pieces);
        hex.end().map(|()| out.to_vec())
    }

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
