use bytes::{BufMut, Bytes, BytesMut};

use super::ascii::Ascii;
use crate::message::BodyError;

/// Appends one MessagePack value as JSON, in ASCII. Binary data becomes a list of numbers; keys that are no
/// text become text, where they are numbers or booleans.
///
/// # Errors
/// When the bytes are no such value, or it has no JSON form.
pub fn to_json(msgpack: &[u8], out: &mut BytesMut) -> Result<(), BodyError> {
    let mut from = rmp_serde::Deserializer::from_read_ref(msgpack);
    let mut to = serde_json::Serializer::with_formatter(out.writer(), Ascii);
    serde_transcode::transcode(&mut from, &mut to)
        .map_err(|error| BodyError::new(alloc::format!("cannot be written as JSON: {error}")))
}

/// One JSON value as MessagePack.
///
/// # Errors
/// When the bytes are no such value.
pub fn to_msgpack(json: &[u8]) -> Result<Bytes, BodyError> {
    let mut out = BytesMut::new();
    let mut from = serde_json::Deserializer::from_slice(json);
    let mut to = rmp_serde::Serializer::new((&mut out).writer()).with_struct_map();
    serde_transcode::transcode(&mut from, &mut to).map_err(|error| {
        BodyError::new(alloc::format!("cannot be written as MessagePack: {error}"))
    })?;
    Ok(out.freeze())
}
