use std::io;

use bytes::{BufMut, BytesMut};
use serde::Serialize;
use serde_json::ser::Formatter;

use crate::message::BodyError;

/// Appends a value as JSON in ASCII: some peers cut characters of several bytes in two.
pub(crate) fn write<T: Serialize + ?Sized>(value: &T, out: &mut BytesMut) -> Result<(), BodyError> {
    let mut serializer = serde_json::Serializer::with_formatter(out.writer(), Ascii);
    value
        .serialize(&mut serializer)
        .map_err(|error| BodyError::new(alloc::format!("cannot be written as JSON: {error}")))
}

/// As compact as serde_json's own, but for characters beyond ASCII. (`RawValue` goes out as it is.)
pub(super) struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(|character: char| !character.is_ascii()) {
            let (plain, other) = rest.split_at(at);
            writer.write_all(plain.as_bytes())?;
            let mut characters = other.chars();
            if let Some(character) = characters.next() {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
            rest = characters.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}
