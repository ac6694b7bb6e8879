//! JSON to MessagePack.

use bytes::BytesMut;
use cndt_core::message::{Body, BodyError, Typed};
use data_encoding::BASE64;
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::{BINARY, EXTENSION};

/// JSON that is known to have a MessagePack form, which is what it serializes to.
#[derive(Debug, Clone)]
pub(crate) struct Payload(Value);

impl Payload {
    /// Checks the value.
    ///
    /// # Errors
    /// When a `$binary` or `$ext` in it is none.
    pub(crate) fn new(value: Value) -> Result<Self, BodyError> {
        let payload = Self(value);
        payload.to_msgpack()?;
        Ok(payload)
    }

    /// The value as MessagePack.
    ///
    /// # Errors
    /// As those of [`Payload::new`].
    pub(crate) fn to_msgpack(&self) -> Result<BytesMut, BodyError> {
        let mut out = BytesMut::new();
        Typed(self).write(&mut out)?;
        Ok(out)
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Node(&self.0).serialize(serializer)
    }
}

struct Node<'a>(&'a Value);

impl Serialize for Node<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Array(values) => {
                let mut list = serializer.serialize_seq(Some(values.len()))?;
                for value in values {
                    list.serialize_element(&Node(value))?;
                }
                list.end()
            }
            Value::Object(fields) => match only_field(fields) {
                Some((BINARY, value)) => {
                    let bytes =
                        bytes_of(value).map_err(|why| wrong(BINARY, "base64 text", &why))?;
                    serializer.serialize_bytes(&bytes)
                }
                Some((EXTENSION, value)) => {
                    let (kind, bytes) = extension_of(value).map_err(|why| {
                        wrong(EXTENSION, "[a type from -128 to 127, base64 text]", &why)
                    })?;
                    let name = rmp_serde::MSGPACK_EXT_STRUCT_NAME;
                    serializer.serialize_newtype_struct(name, &(kind, Binary(&bytes)))
                }
                Some(_) | None => {
                    let mut map = serializer.serialize_map(Some(fields.len()))?;
                    for (key, value) in fields {
                        map.serialize_entry(key, &Node(value))?;
                    }
                    map.end()
                }
            },
            leaf @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
                leaf.serialize(serializer)
            }
        }
    }
}

struct Binary<'a>(&'a [u8]);

impl Serialize for Binary<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

fn only_field(fields: &Map<String, Value>) -> Option<(&str, &Value)> {
    let mut fields = fields.iter();
    match (fields.next(), fields.next()) {
        (Some((key, value)), None) => Some((key.as_str(), value)),
        _ => None,
    }
}

fn bytes_of(value: &Value) -> Result<Vec<u8>, String> {
    let text = value.as_str().ok_or_else(|| value.to_string())?;
    BASE64.decode(text.as_bytes()).map_err(|error| format!("{value} ({error})"))
}

fn extension_of(value: &Value) -> Result<(i8, Vec<u8>), String> {
    let (kind, data) = match value.as_array().map(Vec::as_slice) {
        Some([kind, data]) => (kind, data),
        _ => return Err(value.to_string()),
    };
    let kind = kind.as_i64().and_then(|kind| i8::try_from(kind).ok());
    Ok((kind.ok_or_else(|| value.to_string())?, bytes_of(data)?))
}

fn wrong<E: serde::ser::Error>(key: &str, expected: &str, found: &str) -> E {
    E::custom(format_args!("\"{key}\" takes {expected}, not {found}"))
}
