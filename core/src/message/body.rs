use alloc::boxed::Box;
use alloc::string::String;

use bytes::{BufMut, BytesMut};
#[cfg(feature = "std")]
use {super::msgpack::Reader, bytes::Bytes, core::any::Any};

/// Something that can be written as one MessagePack value, straight into a send buffer.
pub trait Body {
    /// Appends exactly one MessagePack value to `out`.
    ///
    /// # Errors
    /// When the value has no MessagePack form. What was appended by then is removed by the caller.
    fn write(&self, out: &mut BytesMut) -> Result<(), BodyError>;

    /// Appends the same value as JSON. Without an implementation of its own it is written as
    /// MessagePack first.
    ///
    /// # Errors
    /// When the value has no JSON form. What was appended by then is removed by the caller.
    #[cfg(feature = "jsonrpc")]
    fn write_json(&self, out: &mut BytesMut) -> Result<(), BodyError> {
        let mut msgpack = BytesMut::new();
        self.write(&mut msgpack)?;
        crate::jsonrpc::to_json(&msgpack, out)
    }
}

impl<B: Body + ?Sized> Body for Box<B> {
    fn write(&self, out: &mut BytesMut) -> Result<(), BodyError> {
        (**self).write(out)
    }

    #[cfg(feature = "jsonrpc")]
    fn write_json(&self, out: &mut BytesMut) -> Result<(), BodyError> {
        (**self).write_json(out)
    }
}

/// A value that cannot be written, read, or sent to this peer: why, and where in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BodyError(String);

impl BodyError {
    /// An error in these words.
    pub fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }
}

/// A MessagePack value that is already written. It is trusted to be exactly one.
#[derive(Debug, Clone, Copy)]
pub struct Raw<'a>(pub &'a [u8]);

impl Body for Raw<'_> {
    fn write(&self, out: &mut BytesMut) -> Result<(), BodyError> {
        out.put_slice(self.0);
        Ok(())
    }
}

/// The value `nil`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nil;

impl Body for Nil {
    fn write(&self, out: &mut BytesMut) -> Result<(), BodyError> {
        out.put_u8(0xc0);
        Ok(())
    }
}

/// Any serde value. Structs become maps, because peers look fields up by name.
///
/// A `Vec<u8>` is a list of numbers to serde; use [`bytes::Bytes`] or `serde_bytes` for binary data.
#[cfg(feature = "std")]
#[derive(Debug)]
pub struct Typed<'a, T: ?Sized>(pub &'a T);

#[cfg(feature = "std")]
impl<T: serde::Serialize + ?Sized> Body for Typed<'_, T> {
    fn write(&self, out: &mut BytesMut) -> Result<(), BodyError> {
        let mut serializer = rmp_serde::Serializer::new(out.writer()).with_struct_map();
        self.0.serialize(&mut serializer).map_err(|error| {
            BodyError::new(alloc::format!("cannot be written as MessagePack: {error}"))
        })
    }

    #[cfg(feature = "jsonrpc")]
    fn write_json(&self, out: &mut BytesMut) -> Result<(), BodyError> {
        crate::jsonrpc::write_ascii(self.0, out)
    }
}

/// Binary data of at least so many bytes is not copied out of what was received: what it keeps of its
/// neighbours' memory, `SHARED_MAX` at most, is in proportion then.
#[cfg(feature = "std")]
const SHARED_MIN: usize = 16 * 1024;

/// As [`from_slice`], but [`Bytes`] themselves share the memory of `payload` if they have 16 KiB or
/// more.
///
/// # Errors
/// As [`from_slice`].
#[cfg(feature = "std")]
#[inline]
pub fn from_bytes<T: serde::de::DeserializeOwned + 'static>(
    payload: &Bytes,
) -> Result<T, BodyError> {
    let mut value = None::<T>;
    if let Some(place) = (&mut value as &mut dyn Any).downcast_mut::<Option<Bytes>>() {
        *place = binary(payload);
    }
    value.map_or_else(|| from_slice(payload), Ok)
}

/// The binary data that `payload` is, if it is nothing else.
#[cfg(feature = "std")]
fn binary(payload: &Bytes) -> Option<Bytes> {
    let mut reader = Reader::new(payload, 1);
    let data = reader.binary()?;
    reader.end().ok()?;
    let is_large = data.len() >= SHARED_MIN;
    Some(if is_large { payload.slice_ref(data) } else { Bytes::copy_from_slice(data) })
}

/// Reads one typed value; every byte must belong to it.
///
/// # Errors
/// When the bytes are no such value; the words say what was found and what was expected.
#[cfg(feature = "std")]
pub fn from_slice<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, BodyError> {
    rmp_serde::from_slice(bytes).map_err(|error| BodyError::new(alloc::format!("{error}")))
}
