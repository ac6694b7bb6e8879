//! MessagePack to JSON text, without a tree in between: what a peer sends costs its own size.

use cndt_core::message::msgpack::{MessageError, MessageErrorKind, Reader};
use data_encoding::BASE64;

use super::{BINARY, DEPTH_MAX, EXTENSION};

/// Maps as keys of maps as keys: each level escapes the quotes of the one before, so the text
/// doubles with each.
const KEY_DEPTH_MAX: usize = 3;

/// How the text is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// One line, for programs.
    Compact,
    /// Indented, for people.
    Pretty,
}

/// The one MessagePack value in `bytes` as JSON.
///
/// # Errors
/// When the bytes are not exactly one value, or it is nested too deep; with the byte at fault.
pub(crate) fn from_msgpack(bytes: &[u8], style: Style) -> Result<String, MessageError> {
    // Text that fails half-way is of no use, so all of the value is checked first.
    let mut check = Reader::new(bytes, DEPTH_MAX);
    check.skip()?;
    check.end()?;
    let mut writer = Writer { bytes, out: String::with_capacity(bytes.len()), style };
    let mut reader = Reader::new(bytes, DEPTH_MAX);
    writer.value(&mut reader, 0, 0)?;
    Ok(writer.out)
}

/// The text as a JSON string. DEL and the C1 controls, which JSON lets stand and some terminals
/// obey, are escaped as well.
pub(crate) fn quoted(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    let is_left = |c: char| matches!(c, '\u{7f}'..='\u{9f}');
    if !quoted.contains(is_left) {
        return quoted;
    }
    quoted.chars().fold(String::with_capacity(quoted.len() + 16), |mut out, c| {
        if is_left(c) {
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            out.push(c);
        }
        out
    })
}

/// Binary data as JSON.
pub(crate) fn binary(data: &[u8]) -> String {
    format!("{{\"{BINARY}\":\"{}\"}}", BASE64.encode(data))
}

struct Writer<'a> {
    bytes: &'a [u8],
    out: String,
    style: Style,
}

impl Writer<'_> {
    /// Recursion ends at [`DEPTH_MAX`], which the first pass has made sure of.
    fn value(
        &mut self,
        reader: &mut Reader<'_>,
        depth: usize,
        key_depth: usize,
    ) -> Result<(), MessageError> {
        match reader.peek().unwrap_or_default() {
            0x80..=0x8f | 0xde | 0xdf => {
                let pairs = reader.map_len()?;
                self.items('{', '}', pairs, depth, |writer| {
                    writer.key(reader, depth, key_depth)?;
                    writer.out.push(':');
                    if writer.style == Style::Pretty {
                        writer.out.push(' ');
                    }
                    writer.value(reader, depth + 1, key_depth)
                })
            }
            0x90..=0x9f | 0xdc | 0xdd => {
                let values = reader.array_len()?;
                self.items('[', ']', values, depth, |writer| {
                    writer.value(reader, depth + 1, key_depth)
                })
            }
            0xa0..=0xbf | 0xd9..=0xdb => {
                let text = reader.str()?;
                self.out.push_str(&quoted(text));
                Ok(())
            }
            marker => {
                let range = reader.skip()?;
                self.leaf(marker, self.bytes.get(range).unwrap_or_default());
                Ok(())
            }
        }
    }

    fn items(
        &mut self,
        open: char,
        close: char,
        count: usize,
        depth: usize,
        mut item: impl FnMut(&mut Self) -> Result<(), MessageError>,
    ) -> Result<(), MessageError> {
        self.out.push(open);
        for index in 0..count {
            if index > 0 {
                self.out.push(',');
            }
            self.new_line(depth + 1);
            item(self)?;
        }
        if count > 0 {
            self.new_line(depth);
        }
        self.out.push(close);
        Ok(())
    }

    fn new_line(&mut self, depth: usize) {
        if self.style == Style::Pretty {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n("  ", depth));
        }
    }

    fn key(
        &mut self,
        reader: &mut Reader<'_>,
        depth: usize,
        key_depth: usize,
    ) -> Result<(), MessageError> {
        if matches!(reader.peek(), Some(0xa0..=0xbf | 0xd9..=0xdb)) {
            return self.value(reader, depth, key_depth);
        }
        if key_depth == KEY_DEPTH_MAX {
            let kind = MessageErrorKind::TooDeep { max: KEY_DEPTH_MAX };
            return Err(MessageError { offset: reader.offset(), kind });
        }
        let mut key = Writer { bytes: self.bytes, out: String::new(), style: Style::Compact };
        key.value(reader, depth, key_depth + 1)?;
        self.out.push_str(&quoted(&key.out));
        Ok(())
    }

    /// A value without others inside; `bytes` are all of its own.
    fn leaf(&mut self, marker: u8, bytes: &[u8]) {
        let body = bytes.get(1..).unwrap_or_default();
        let text = match marker {
            0x00..=0x7f => marker.to_string(),
            0xe0..=0xff => i8::from_be_bytes([marker]).to_string(),
            0xc2 => "false".to_owned(),
            0xc3 => "true".to_owned(),
            0xcc..=0xcf => unsigned(body).to_string(),
            0xd0..=0xd3 => signed(body).to_string(),
            0xca => float(body.first_chunk().map_or(f64::NAN, |b| f32::from_be_bytes(*b).into())),
            0xcb => float(body.first_chunk().map_or(f64::NAN, |b| f64::from_be_bytes(*b))),
            0xc4 => binary(body.get(1..).unwrap_or_default()),
            0xc5 => binary(body.get(2..).unwrap_or_default()),
            0xc6 => binary(body.get(4..).unwrap_or_default()),
            0xd4..=0xd8 => extension(body, 0),
            0xc7 => extension(body, 1),
            0xc8 => extension(body, 2),
            0xc9 => extension(body, 4),
            // Nil; nothing else is left that a checked value can begin with.
            _ => "null".to_owned(),
        };
        self.out.push_str(&text);
    }
}

/// Big-endian digits of up to eight bytes.
fn unsigned(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |sum, digit| sum << 8 | u64::from(*digit))
}

fn signed(digits: &[u8]) -> i64 {
    let first = digits.first().map_or(0, |digit| i64::from(i8::from_be_bytes([*digit])));
    digits.iter().skip(1).fold(first, |sum, digit| sum << 8 | i64::from(*digit))
}

/// JSON has no word for NaN and infinities.
fn float(value: f64) -> String {
    serde_json::Number::from_f64(value).map_or_else(|| "null".to_owned(), |n| n.to_string())
}

/// `head` bytes of length, one of type, then the data.
fn extension(body: &[u8], head: usize) -> String {
    let kind = body.get(head).map_or(0, |kind| i8::from_be_bytes([*kind]));
    let data = body.get(head + 1..).unwrap_or_default();
    format!("{{\"{EXTENSION}\":[{kind},\"{}\"]}}", BASE64.encode(data))
}
