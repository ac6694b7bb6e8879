use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::body::BodyError;
use super::msgpack::{MessageErrorKind, Reader, Shape};

/// How deep a value may nest that goes to a Python peer. Its reader gives up near 1024 (wire fact
/// 11); the envelope needs a few levels of its own.
pub const PYTHON_DEPTH_MAX: usize = 1000;

/// Checks that the Python package can read this value: map keys are text or binary, nesting stays
/// below [`PYTHON_DEPTH_MAX`], text is UTF-8.
///
/// A frame that the package cannot read turns it into a zombie: it pings on and answers nothing
/// (wire facts 11 and 12). So such a value is refused before it is sent.
///
/// # Errors
/// Names the value's place in the data (`users[3].tags`) and what is wrong with it.
///
/// ```
/// use cndt_core::message::check_for_python;
///
/// // {"users": [{1: true}]}
/// let data = [0x81, 0xa5, b'u', b's', b'e', b'r', b's', 0x91, 0x81, 0x01, 0xc3];
/// let error = check_for_python(&data).unwrap_err();
/// assert!(error.to_string().contains("users[0]"), "{error}");
/// ```
pub fn check_for_python(value: &[u8]) -> Result<(), BodyError> {
    let mut reader = Reader::new(value, PYTHON_DEPTH_MAX);
    let mut open: Vec<Level> = Vec::new();
    loop {
        if let Some(Level::Map { key, .. }) = open.last_mut() {
            *key = reader.offset();
            check_key(&mut reader).map_err(|words| refuse(value, &open, &words))?;
        }
        let shape = reader.shape().map_err(|error| refuse(value, &open, &error.to_string()))?;
        let inside = match shape {
            Shape::Leaf(length) | Shape::Bin(length) => {
                reader.take(length).map_err(|error| refuse(value, &open, &error.to_string()))?;
                None
            }
            Shape::Str(length) => {
                let text = reader
                    .take(length)
                    .map_err(|error| refuse(value, &open, &error.to_string()))?;
                if core::str::from_utf8(text).is_err() {
                    return Err(refuse(value, &open, "text is not UTF-8"));
                }
                None
            }
            Shape::Array(0) | Shape::Map(0) => None,
            Shape::Array(values) => Some(Level::Array { left: values, index: 0 }),
            Shape::Map(pairs) => Some(Level::Map { left: pairs, key: reader.offset() }),
        };
        if let Some(level) = inside {
            if open.len() >= PYTHON_DEPTH_MAX {
                let words =
                    format!("nested deeper than {PYTHON_DEPTH_MAX}, which Python cannot read");
                return Err(refuse(value, &[], &words));
            }
            open.push(level);
            continue;
        }
        while open.last_mut().is_some_and(Level::close_one) {
            open.pop();
        }
        if open.is_empty() {
            return reader.end().map_err(|error| refuse(value, &[], &error.to_string()));
        }
    }
}

enum Level {
    Array { left: usize, index: usize },
    Map { left: usize, key: usize },
}

impl Level {
    /// Counts one finished value; true when it was the level's last.
    fn close_one(&mut self) -> bool {
        match self {
            Self::Array { left, index } => {
                *index = index.saturating_add(1);
                *left = left.saturating_sub(1);
                *left == 0
            }
            Self::Map { left, .. } => {
                *left = left.saturating_sub(1);
                *left == 0
            }
        }
    }
}

fn check_key(reader: &mut Reader<'_>) -> Result<(), String> {
    let at = reader.offset();
    let marker = reader.peek();
    match reader.shape().map_err(|error| error.to_string())? {
        Shape::Str(length) => match core::str::from_utf8(reader.take(length).unwrap_or_default()) {
            Ok(_) => Ok(()),
            Err(_) => Err(MessageErrorKind::NotUtf8.to_string()),
        },
        Shape::Bin(length) => reader.take(length).map(|_| ()).map_err(|error| error.to_string()),
        Shape::Leaf(_) | Shape::Array(_) | Shape::Map(_) => Err(format!(
            "a map key is {} (byte {at}); Python peers read only text or binary keys",
            describe(marker.unwrap_or_default())
        )),
    }
}

fn describe(marker: u8) -> &'static str {
    match marker {
        0x00..=0x7f | 0xcc..=0xd3 | 0xe0..=0xff => "an integer",
        0xc0 => "nil",
        0xc2 | 0xc3 => "a boolean",
        0xca | 0xcb => "a float",
        0x80..=0x8f | 0xde | 0xdf => "a map",
        0x90..=0x9f | 0xdc | 0xdd => "a list",
        _ => "an extension",
    }
}

/// Only a value that is refused pays for finding out where it stands.
fn refuse(value: &[u8], open: &[Level], words: &str) -> BodyError {
    let mut path = String::new();
    for level in open {
        match level {
            Level::Array { index, .. } => path.push_str(&format!("[{index}]")),
            Level::Map { key, .. } => {
                let name = value
                    .get(*key..)
                    .and_then(|rest| Reader::new(rest, 1).str().ok())
                    .unwrap_or("?");
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(name);
            }
        }
    }
    if path.is_empty() {
        BodyError::new(words)
    } else {
        BodyError::new(format!("at `{path}`: {words}"))
    }
}
