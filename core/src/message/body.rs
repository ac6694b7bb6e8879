use alloc::boxed::Box;
use alloc::string::String;

use bytes::{BufMut, Bytes, BytesMut};
#[cfg(feature = "std")]
use {super::blob, super::msgpack::Reader, core::any::Any, std::io};

#[cfg(feature = "std")]
use super::splices::SHARED_MIN;
use super::splices::Splices;

/// Something that can be written as one MessagePack value, straight into a send buffer.
pub trait Body {
    /// Appends exactly one MessagePack value to `out`.
    ///
    /// # Errors
    /// When the value has no MessagePack form. What was appended by then is removed by the caller.
    fn write(&self, out: &mut BytesMut) -> Result<(), BodyError>;

    /// The same, but large binary data may be given to `splices` instead. Without an implementation of
    /// its own all of it is appended.
    ///
    /// # Errors
    /// As `write`. What was spliced by then is removed by the caller as well.
    fn write_sharing(&self, out: &mut BytesMut, splices: &mut Splices) -> Result<(), BodyError> {
        let _ = splices;
        self.write(out)
    }

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

    fn write_sharing(&self, out: &mut BytesMut, splices: &mut Splices) -> Result<(), BodyError> {
        (**self).write_sharing(out, splices)
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

/// As [`Raw`], but a large one goes out from where it lies.
///
/// ```
/// use bytes::Bytes;
/// use cndt_core::message::{Body, Raw, RawShared};
///
/// let (mut copied, mut shared) = Default::default();
/// Raw(b"\xa2ok").write(&mut copied)?;
/// RawShared(Bytes::from_static(b"\xa2ok")).write(&mut shared)?;
/// assert_eq!(copied, shared);
/// # Ok::<(), cndt_core::message::BodyError>(())
/// ```
#[derive(Debug, Clone)]
pub struct RawShared(pub Bytes);

impl Body for RawShared {
    fn write(&self, out: &mut BytesMut) -> Result<(), BodyError> {
        Raw(&self.0).write(out)
    }

    fn write_sharing(&self, out: &mut BytesMut, splices: &mut Splices) -> Result<(), BodyError> {
        splices.put(out, &self.0);
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
/// A `Vec<u8>` is a list of numbers to serde; use [`Blob`](super::Blob), [`bytes::Bytes`] or
/// `serde_bytes` for binary data.
#[cfg(feature = "std")]
#[derive(Debug)]
pub struct Typed<'a, T: ?Sized>(pub &'a T);

/// Where serde writes to. One type for both ways of writing: each costs a copy of all of the code.
#[cfg(feature = "std")]
struct Sink<'a> {
    out: &'a mut BytesMut,
    splices: Option<&'a mut Splices>,
}

#[cfg(feature = "std")]
impl io::Write for Sink<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.splices {
            Some(splices) if bytes.len() >= SHARED_MIN => match blob::owner_of(bytes) {
                Some(blob) => splices.put(self.out, &blob),
                None => self.out.put_slice(bytes),
            },
            Some(_) | None => self.out.put_slice(bytes),
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(feature = "std")]
impl<T: serde::Serialize + ?Sized> Typed<'_, T> {
    fn write_to(&self, sink: Sink<'_>) -> Result<(), BodyError> {
        let mut serializer = rmp_serde::Serializer::new(sink).with_struct_map();
        self.0.serialize(&mut serializer).map_err(|error| {
            BodyError::new(alloc::format!("cannot be written as MessagePack: {error}"))
        })
    }
}

#[cfg(feature = "std")]
impl<T: serde::Serialize + ?Sized> Body for Typed<'_, T> {
    fn write(&self, out: &mut BytesMut) -> Result<(), BodyError> {
        self.write_to(Sink { out, splices: None })
    }

    fn write_sharing(&self, out: &mut BytesMut, splices: &mut Splices) -> Result<(), BodyError> {
        self.write_to(Sink { out, splices: Some(splices) })
    }

    #[cfg(feature = "jsonrpc")]
    fn write_json(&self, out: &mut BytesMut) -> Result<(), BodyError> {
        crate::jsonrpc::write_ascii(self.0, out)
    }
}

/// As [`from_slice`], but [`Blob`](super::Blob)s in it, and [`Bytes`] that are all of it, share the
/// memory of `payload` if they have 16 KiB or more.
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
    if let Some(value) = value {
        return Ok(value);
    }
    let _noted = (payload.len() >= SHARED_MIN).then(|| blob::Noted::reading(payload));
    from_slice(payload)
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
