//! A bounded MessagePack reader over a slice, and the few writers that envelopes need.
//!
//! It exists because envelopes need positions (where does `params` begin and end?), a depth bound
//! and no allocation, which a serde decoder does not offer. Lengths and counts that the rest of the
//! input cannot hold are refused before anything is believed.
//!
//! ```
//! use cndt_core::message::msgpack::Reader;
//!
//! let mut reader = Reader::new(&[0x81, 0xa1, b'a', 0x93, 1, 2, 3], 64);
//! assert_eq!(reader.map_len()?, 1);
//! assert_eq!(reader.str()?, "a");
//! assert_eq!(reader.skip()?, 3..7);
//! reader.end()?;
//! # Ok::<(), cndt_core::message::MessageError>(())
//! ```
//!
//! Source: the MessagePack specification.

use alloc::vec::Vec;
use core::ops::Range;

use bytes::{BufMut, BytesMut};

/// What is wrong with a payload, and at which of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {offset} of the payload")]
pub struct MessageError {
    /// The byte's offset in the payload.
    pub offset: usize,
    /// What is wrong there.
    pub kind: MessageErrorKind,
}

impl MessageError {
    /// The same, in a payload that begins so many bytes earlier.
    pub(super) fn moved_by(self, bytes: usize) -> Self {
        Self { offset: self.offset.saturating_add(bytes), ..self }
    }
}

/// What can be wrong with a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageErrorKind {
    /// The payload ends inside a value, or a length says more than is there.
    #[error("MessagePack ends inside a value")]
    Truncated,
    /// The marker 0xc1, which the specification never uses.
    #[error("0xc1 is no MessagePack marker")]
    NeverUsed,
    /// Nesting beyond `Limits::depth_max`.
    #[error("MessagePack nested deeper than {max} (limits.depth_max)")]
    TooDeep {
        /// The limit.
        max: usize,
    },
    /// More values than `Limits::elements_max`.
    #[error("MessagePack of more than {max} values (limits.elements_max)")]
    TooMany {
        /// The limit.
        max: usize,
    },
    /// Bytes after the value.
    #[error("bytes follow the MessagePack value")]
    TrailingBytes,
    /// Another type than the envelope has here.
    #[error("MessagePack {expected} expected")]
    WrongType {
        /// What belongs here.
        expected: &'static str,
    },
    /// Text that is not UTF-8.
    #[error("text is not UTF-8")]
    NotUtf8,
    /// A key of the envelope that is not there.
    #[error("key `{key}` is missing")]
    MissingKey {
        /// The key.
        key: &'static str,
    },
    /// A key of the envelope that stands twice.
    #[error("key `{key}` stands twice")]
    DuplicateKey {
        /// The key.
        key: &'static str,
    },
    /// The payload cannot be decompressed.
    #[error("{0}")]
    Compression(crate::wire::InflateError),
    /// A compressed payload, which this side did not say it would read.
    #[error("a compressed payload was not agreed on at login")]
    CompressionNotAgreed,
    /// A payload that should be empty.
    #[error("this frame carries no payload")]
    NotEmpty,
}

/// What a marker announces.
pub(super) enum Shape {
    /// A value of so many bytes beyond its marker, with nothing inside.
    Leaf(usize),
    /// Text of so many bytes.
    Str(usize),
    /// Binary data of so many bytes.
    Bin(usize),
    /// A list of so many values.
    Array(usize),
    /// A map of so many pairs.
    Map(usize),
}

/// How much may stand in one payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Levels of nesting.
    pub depth_max: usize,
    /// Values inside of others, on all levels together.
    pub elements_max: usize,
}

impl Bounds {
    /// For what was checked before: as much as any configuration allows.
    pub(crate) const CHECKED: Self =
        Self { depth_max: crate::limits::DEPTH_CEILING, elements_max: usize::MAX };
}

impl From<usize> for Bounds {
    /// Only so many levels; values are bounded by the payload's size alone.
    fn from(depth_max: usize) -> Self {
        Self { depth_max, elements_max: usize::MAX }
    }
}

/// Reads MessagePack values from a slice, in order.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    bounds: Bounds,
    elements: usize,
}

impl<'a> Reader<'a> {
    /// Reads `bytes`; what exceeds `bounds` (a depth, or [`Bounds`]) is refused.
    pub fn new(bytes: &'a [u8], bounds: impl Into<Bounds>) -> Self {
        Self { bytes, at: 0, bounds: bounds.into(), elements: 0 }
    }

    /// The offset of the next byte.
    pub fn offset(&self) -> usize {
        self.at
    }

    /// The marker of the next value.
    pub fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// The number of pairs of the map that begins here.
    ///
    /// # Errors
    /// When no map begins here, or the rest cannot hold that many pairs.
    pub fn map_len(&mut self) -> Result<usize, MessageError> {
        let start = self.at;
        match self.shape()? {
            Shape::Map(pairs) => Ok(pairs),
            _ => Err(error(start, MessageErrorKind::WrongType { expected: "map" })),
        }
    }

    /// The number of values of the list that begins here.
    ///
    /// # Errors
    /// When no list begins here, or the rest cannot hold that many values.
    pub fn array_len(&mut self) -> Result<usize, MessageError> {
        let start = self.at;
        match self.shape()? {
            Shape::Array(values) => Ok(values),
            _ => Err(error(start, MessageErrorKind::WrongType { expected: "list" })),
        }
    }

    /// The text that begins here.
    ///
    /// # Errors
    /// When no text begins here, it is cut short, or it is not UTF-8.
    pub fn str(&mut self) -> Result<&'a str, MessageError> {
        let start = self.at;
        core::str::from_utf8(self.text()?).map_err(|_| error(start, MessageErrorKind::NotUtf8))
    }

    /// The bytes of the text that begins here, which need not be UTF-8.
    pub(super) fn text(&mut self) -> Result<&'a [u8], MessageError> {
        let start = self.at;
        match self.shape()? {
            Shape::Str(length) => self.take(length),
            _ => Err(error(start, MessageErrorKind::WrongType { expected: "text" })),
        }
    }

    /// Passes over exactly these bytes. False, and nothing happens, when others are here.
    #[inline]
    pub(super) fn pass<const N: usize>(&mut self, bytes: [u8; N]) -> bool {
        let is_here = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk) == Some(&bytes);
        if is_here {
            self.at = self.at.saturating_add(N);
        }
        is_here
    }

    /// The bytes of the text of at most 31 that begins here; `None` of anything else.
    #[inline]
    pub(super) fn short_text(&mut self) -> Option<&'a [u8]> {
        let marker @ 0xa0..=0xbf = self.peek()? else { return None };
        self.at = self.at.saturating_add(1);
        self.take(usize::from(marker & 0x1f)).ok()
    }

    /// The bytes of the value that begins here, with its marker, if it is short and nothing is inside of
    /// it: most are, and need not pass through all that there is.
    #[inline]
    fn short_len(&self) -> Option<usize> {
        match self.peek()? {
            0x00..=0x7f | 0xe0..=0xff => Some(1),
            marker @ 0xa0..=0xbf => Some(usize::from(marker & 0x1f).saturating_add(1)),
            0xc4 | 0xd9 => {
                let length = self.bytes.get(self.at.saturating_add(1))?;
                Some(usize::from(*length).saturating_add(2))
            }
            _ => None,
        }
    }

    /// The binary data that begins here; `None` of anything else.
    #[cfg(feature = "std")]
    #[inline]
    pub(super) fn binary(&mut self) -> Option<&'a [u8]> {
        if self.peek() == Some(0xc4) {
            let length = self.short_len()?;
            return self.take(length).ok()?.get(2..);
        }
        let Ok(Shape::Bin(length)) = self.shape() else { return None };
        self.take(length).ok()
    }

    /// Passes over the key of a pair. Gives its bytes if it is text: other keys are no envelope's.
    pub(super) fn key(&mut self) -> Result<Option<&'a [u8]>, MessageError> {
        let start = self.at;
        if let Shape::Str(length) = self.shape()? {
            return self.take(length).map(Some);
        }
        self.at = start;
        self.skip().map(|_| None)
    }

    /// The boolean that begins here.
    ///
    /// # Errors
    /// When none begins here.
    pub fn bool(&mut self) -> Result<bool, MessageError> {
        let start = self.at;
        match self.byte()? {
            0xc2 => Ok(false),
            0xc3 => Ok(true),
            _ => Err(error(start, MessageErrorKind::WrongType { expected: "boolean" })),
        }
    }

    /// The integer that begins here.
    ///
    /// # Errors
    /// When none begins here, or it does not fit 64 signed bits.
    pub fn int(&mut self) -> Result<i64, MessageError> {
        let start = self.at;
        let wrong = || error(start, MessageErrorKind::WrongType { expected: "integer" });
        let marker = self.byte()?;
        match marker {
            0x00..=0x7f => Ok(i64::from(marker)),
            0xe0..=0xff => Ok(i64::from(i8::from_be_bytes([marker]))),
            0xcc => Ok(i64::from(u8::from_be_bytes(self.array()?))),
            0xcd => Ok(i64::from(u16::from_be_bytes(self.array()?))),
            0xce => Ok(i64::from(u32::from_be_bytes(self.array()?))),
            0xcf => i64::try_from(u64::from_be_bytes(self.array()?)).map_err(|_| wrong()),
            0xd0 => Ok(i64::from(i8::from_be_bytes(self.array()?))),
            0xd1 => Ok(i64::from(i16::from_be_bytes(self.array()?))),
            0xd2 => Ok(i64::from(i32::from_be_bytes(self.array()?))),
            0xd3 => Ok(i64::from_be_bytes(self.array()?)),
            _ => Err(wrong()),
        }
    }

    /// Passes over one whole value and tells where it lies.
    ///
    /// # Errors
    /// When the value is cut short, nested too deep, has too many values inside, or is no MessagePack. Text inside is not checked
    /// for UTF-8; whoever reads it as text does that.
    pub fn skip(&mut self) -> Result<Range<usize>, MessageError> {
        let start = self.at;
        let mut inside = self.inside()?;
        if inside == 0 {
            return Ok(start..self.at);
        }
        let mut value_at = start;
        let mut open = Levels::default();
        loop {
            if inside > 0 {
                let Bounds { depth_max, elements_max } = self.bounds;
                if open.depth() >= depth_max {
                    return Err(error(value_at, MessageErrorKind::TooDeep { max: depth_max }));
                }
                self.elements = self.elements.saturating_add(inside);
                if self.elements > elements_max {
                    return Err(error(value_at, MessageErrorKind::TooMany { max: elements_max }));
                }
                open.push(inside);
            } else if !open.close_one() {
                return Ok(start..self.at);
            }
            value_at = self.at;
            inside = self.inside()?;
        }
    }

    /// Passes over one value, or as far as what is inside of it: so many values.
    #[inline]
    fn inside(&mut self) -> Result<usize, MessageError> {
        if let Some(length) = self.short_len()
            && self.take(length).is_ok()
        {
            return Ok(0);
        }
        match self.shape()? {
            Shape::Leaf(length) | Shape::Str(length) | Shape::Bin(length) => {
                self.take(length).map(|_| 0)
            }
            Shape::Array(values) => Ok(values),
            // `shape` has checked that so many bytes are there, so it cannot overflow.
            Shape::Map(pairs) => Ok(pairs.saturating_mul(2)),
        }
    }

    /// Checks that nothing follows.
    ///
    /// # Errors
    /// When something does.
    pub fn end(&self) -> Result<(), MessageError> {
        if self.at == self.bytes.len() {
            Ok(())
        } else {
            Err(error(self.at, MessageErrorKind::TrailingBytes))
        }
    }

    /// Reads one marker with its length; a count that the rest cannot hold is refused here.
    pub(super) fn shape(&mut self) -> Result<Shape, MessageError> {
        let start = self.at;
        let marker = self.byte()?;
        let shape = match marker {
            0x00..=0x7f | 0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => Shape::Leaf(0),
            0x80..=0x8f => Shape::Map(usize::from(marker & 0x0f)),
            0x90..=0x9f => Shape::Array(usize::from(marker & 0x0f)),
            0xa0..=0xbf => Shape::Str(usize::from(marker & 0x1f)),
            0xc1 => return Err(error(start, MessageErrorKind::NeverUsed)),
            0xcc | 0xd0 => Shape::Leaf(1),
            0xcd | 0xd1 => Shape::Leaf(2),
            0xca | 0xce | 0xd2 => Shape::Leaf(4),
            0xcb | 0xcf | 0xd3 => Shape::Leaf(8),
            // Extensions: one byte of type, then the data.
            0xd4 => Shape::Leaf(2),
            0xd5 => Shape::Leaf(3),
            0xd6 => Shape::Leaf(5),
            0xd7 => Shape::Leaf(9),
            0xd8 => Shape::Leaf(17),
            0xc7 => Shape::Leaf(self.length::<1>()?.saturating_add(1)),
            0xc8 => Shape::Leaf(self.length::<2>()?.saturating_add(1)),
            0xc9 => Shape::Leaf(self.length::<4>()?.saturating_add(1)),
            0xc4 => Shape::Bin(self.length::<1>()?),
            0xc5 => Shape::Bin(self.length::<2>()?),
            0xc6 => Shape::Bin(self.length::<4>()?),
            0xd9 => Shape::Str(self.length::<1>()?),
            0xda => Shape::Str(self.length::<2>()?),
            0xdb => Shape::Str(self.length::<4>()?),
            0xdc => Shape::Array(self.length::<2>()?),
            0xdd => Shape::Array(self.length::<4>()?),
            0xde => Shape::Map(self.length::<2>()?),
            0xdf => Shape::Map(self.length::<4>()?),
        };
        let least = match shape {
            Shape::Leaf(bytes) | Shape::Str(bytes) | Shape::Bin(bytes) => bytes,
            Shape::Array(values) => values,
            Shape::Map(pairs) => pairs.saturating_mul(2),
        };
        if least > self.bytes.len().saturating_sub(self.at) {
            return Err(error(start, MessageErrorKind::Truncated));
        }
        Ok(shape)
    }

    #[inline]
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], MessageError> {
        let end = self.at.saturating_add(length);
        match self.bytes.get(self.at..end) {
            Some(taken) => {
                self.at = end;
                Ok(taken)
            }
            None => Err(error(self.at, MessageErrorKind::Truncated)),
        }
    }

    fn byte(&mut self) -> Result<u8, MessageError> {
        let byte = self.peek().ok_or(error(self.at, MessageErrorKind::Truncated))?;
        self.at = self.at.saturating_add(1);
        Ok(byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], MessageError> {
        let start = self.at;
        let taken = self.take(N)?;
        taken.first_chunk::<N>().copied().ok_or(error(start, MessageErrorKind::Truncated))
    }

    fn length<const N: usize>(&mut self) -> Result<usize, MessageError> {
        let digits: [u8; N] = self.array()?;
        Ok(digits.iter().fold(0, |sum, digit| (sum << 8) | usize::from(*digit)))
    }
}

pub(super) fn error(offset: usize, kind: MessageErrorKind) -> MessageError {
    MessageError { offset, kind }
}

/// How many levels are counted without allocating; real payloads seldom nest deeper.
const INLINE_LEVELS: usize = 8;

/// How many values are still to come on each open level. A list instead of recursion, so that depth
/// costs no stack.
#[derive(Default)]
struct Levels {
    inline: [usize; INLINE_LEVELS],
    depth: usize,
    deeper: Vec<usize>,
}

impl Levels {
    fn depth(&self) -> usize {
        self.depth
    }

    fn push(&mut self, values: usize) {
        match self.inline.get_mut(self.depth) {
            Some(level) => *level = values,
            None => self.deeper.push(values),
        }
        self.depth = self.depth.saturating_add(1);
    }

    /// Counts one finished value, and every level that it finishes. False: nothing is open any more.
    fn close_one(&mut self) -> bool {
        while let Some(top) = self.depth.checked_sub(1) {
            let left = match self.inline.get_mut(top) {
                Some(level) => {
                    *level = level.saturating_sub(1);
                    *level
                }
                None => match self.deeper.last_mut() {
                    Some(level) => {
                        *level = level.saturating_sub(1);
                        *level
                    }
                    None => 0,
                },
            };
            if left > 0 {
                return true;
            }
            if top >= INLINE_LEVELS {
                self.deeper.pop();
            }
            self.depth = top;
        }
        false
    }
}

/// Appends the head of a map of `pairs` pairs (at most 15, which envelopes never exceed).
pub(crate) fn put_map(out: &mut BytesMut, pairs: u8) {
    out.put_u8(0x80 | (pairs & 0x0f));
}

/// Appends the head of a list of `values` values (at most 15).
pub(crate) fn put_array(out: &mut BytesMut, values: u8) {
    out.put_u8(0x90 | (values & 0x0f));
}

/// Appends text. Longer than `u32::MAX` bytes cannot be sent anyway: frames end far below.
pub(crate) fn put_str(out: &mut BytesMut, text: &str) {
    let length = text.len();
    if let (true, Ok(short)) = (length < 32, u8::try_from(length)) {
        out.put_u8(0xa0 | short);
    } else if let Ok(short) = u8::try_from(length) {
        out.put_slice(&[0xd9, short]);
    } else if let Ok(medium) = u16::try_from(length) {
        out.put_u8(0xda);
        out.put_u16(medium);
    } else {
        out.put_u8(0xdb);
        out.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    }
    out.put_slice(text.as_bytes());
}

/// Appends a boolean.
pub(crate) fn put_bool(out: &mut BytesMut, value: bool) {
    out.put_u8(if value { 0xc3 } else { 0xc2 });
}

/// Appends a number with a fraction.
pub(crate) fn put_float(out: &mut BytesMut, value: f64) {
    out.put_u8(0xcb);
    out.put_f64(value);
}

/// Appends an integer in its shortest form.
pub(crate) fn put_int(out: &mut BytesMut, value: i64) {
    if let Ok(unsigned) = u64::try_from(value) {
        if let (true, Ok(tiny)) = (unsigned < 0x80, u8::try_from(unsigned)) {
            out.put_u8(tiny);
        } else if let Ok(short) = u8::try_from(unsigned) {
            out.put_slice(&[0xcc, short]);
        } else if let Ok(medium) = u16::try_from(unsigned) {
            out.put_u8(0xcd);
            out.put_u16(medium);
        } else if let Ok(long) = u32::try_from(unsigned) {
            out.put_u8(0xce);
            out.put_u32(long);
        } else {
            out.put_u8(0xcf);
            out.put_u64(unsigned);
        }
    } else {
        out.put_u8(0xd3);
        out.put_i64(value);
    }
}
