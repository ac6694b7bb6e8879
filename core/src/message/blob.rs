use alloc::vec::Vec;
use core::cell::Cell;
use core::fmt;
use core::ops::Deref;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde::{Serialize, Serializer};

use super::splices::SHARED_MIN;

/// Room that is made at once for a list of numbers, whatever it says of its length.
const LIST_GUESS: usize = 4096;

/// Binary data in parameters, results and messages, which is not copied if it is large.
///
/// To serde it is bytes, like [`Bytes`] (MessagePack's binary data; in JSON a list of numbers). Between
/// two `Blob`s, however deep in other values, data of 16 KiB or more goes out from where it lies, and
/// shares the memory of what was received. It keeps that memory, its neighbours' as well: 256 KiB or
/// sixteen times its own at most. Copy what is to stay for long.
///
/// It is copied all the same where a frame must be looked at as a whole, to be compressed or for a peer
/// of dialect `netconduit`, and if less than 1 MiB, where more than that waits to be sent already.
///
/// ```
/// use bytes::Bytes;
/// use cndt_core::message::{Blob, Body, Typed, from_bytes};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Picture {
///     title: String,
///     pixels: Blob,
/// }
///
/// let mut payload = bytes::BytesMut::new();
/// let pixels = Blob::from(vec![0; 100_000]);
/// Typed(&Picture { title: "Night".into(), pixels }).write(&mut payload)?;
///
/// let payload = payload.freeze();
/// let picture: Picture = from_bytes(&payload)?;
/// assert!(payload.as_ptr_range().contains(&picture.pixels.as_ptr()), "not copied");
/// # Ok::<(), cndt_core::message::BodyError>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Blob(pub Bytes);

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Deref for Blob {
    type Target = Bytes;

    fn deref(&self) -> &Bytes {
        &self.0
    }
}

impl AsRef<[u8]> for Blob {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Bytes> for Blob {
    fn from(data: Bytes) -> Self {
        Self(data)
    }
}

impl From<Vec<u8>> for Blob {
    fn from(data: Vec<u8>) -> Self {
        Self(data.into())
    }
}

impl From<Blob> for Bytes {
    fn from(blob: Blob) -> Self {
        blob.0
    }
}

// serde passes slices on, which do not tell whose they are. So what is being written, and what is being
// read, is noted here, for as long as that takes.
std::thread_local! {
    static WRITTEN: Cell<Option<Bytes>> = const { Cell::new(None) };
    static READ: Cell<Option<Bytes>> = const { Cell::new(None) };
}

/// What is noted, until it is dropped; then again what was noted before.
pub(super) struct Noted {
    place: &'static std::thread::LocalKey<Cell<Option<Bytes>>>,
    before: Option<Bytes>,
}

impl Noted {
    fn new(place: &'static std::thread::LocalKey<Cell<Option<Bytes>>>, data: &Bytes) -> Self {
        let before = place.try_with(|place| place.replace(Some(data.clone())));
        Self { place, before: before.ok().flatten() }
    }

    /// `payload` is being read.
    pub(super) fn reading(payload: &Bytes) -> Self {
        Self::new(&READ, payload)
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        let before = self.before.take();
        // At the end of a thread there may be no place any more, and nothing in it.
        let _ = self.place.try_with(|place| place.set(before));
    }
}

/// The blob that is being written, if `slice` is all of it.
pub(super) fn owner_of(slice: &[u8]) -> Option<Bytes> {
    let blob = WRITTEN.try_with(Cell::take).ok().flatten()?;
    (blob.as_ptr() == slice.as_ptr() && blob.len() == slice.len()).then_some(blob)
}

/// `slice` as a part of the payload that is being read, if it is one.
fn part(slice: &[u8]) -> Option<Bytes> {
    if slice.len() < SHARED_MIN {
        return None;
    }
    let payload = READ.try_with(Cell::take).ok().flatten()?;
    let (whole, here) = (payload.as_ptr_range(), slice.as_ptr_range());
    let is_inside = whole.start <= here.start && here.end <= whole.end;
    let part = is_inside.then(|| payload.slice_ref(slice));
    let _ = READ.try_with(|place| place.set(Some(payload)));
    part
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_large = self.0.len() >= SHARED_MIN;
        let _noted = is_large.then(|| Noted::new(&WRITTEN, &self.0));
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_byte_buf(BlobVisitor)
    }
}

struct BlobVisitor;

impl<'de> Visitor<'de> for BlobVisitor {
    type Value = Blob;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("binary data")
    }

    fn visit_borrowed_bytes<E: Error>(self, data: &'de [u8]) -> Result<Blob, E> {
        part(data).map_or_else(|| self.visit_bytes(data), |data| Ok(Blob(data)))
    }

    fn visit_bytes<E: Error>(self, data: &[u8]) -> Result<Blob, E> {
        Ok(Blob(Bytes::copy_from_slice(data)))
    }

    fn visit_byte_buf<E: Error>(self, data: Vec<u8>) -> Result<Blob, E> {
        Ok(data.into())
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Blob, E> {
        self.visit_borrowed_bytes(text.as_bytes())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Blob, E> {
        self.visit_bytes(text.as_bytes())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Blob, A::Error> {
        let mut data = Vec::with_capacity(list.size_hint().unwrap_or_default().min(LIST_GUESS));
        while let Some(byte) = list.next_element()? {
            data.push(byte);
        }
        Ok(data.into())
    }
}

#[cfg(feature = "schemars")]
impl schemars::JsonSchema for Blob {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> alloc::borrow::Cow<'static, str> {
        "Blob".into()
    }

    /// As JSON has it: a list of numbers, marked as `bytes`.
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let mut schema = Vec::<u8>::json_schema(generator);
        schema.insert("format".into(), "bytes".into());
        schema
    }
}

#[cfg(test)]
mod tests;
