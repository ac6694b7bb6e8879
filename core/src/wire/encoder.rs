//! Frames to bytes.

use super::{Dialect, HEADER_LEN, Header, Kind};
use bytes::BytesMut;

/// Why a frame was not written. The buffer is as it was before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError<E> {
    /// The payload could not be encoded.
    #[error("the payload could not be encoded: {0}")]
    Payload(E),
    /// The payload is larger than the limit.
    #[error("the payload has {length} bytes, and {max} are allowed: raise the limit, or send less")]
    TooLarge {
        /// Bytes of the payload.
        length: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// The dialect cannot say this.
    #[error("dialect {dialect} has no frame of type {kind}")]
    NoSuchKind {
        /// What was to be said.
        kind: Kind,
        /// The dialect in use.
        dialect: Dialect,
    },
}

/// Appends one frame to `out` and returns its size in bytes, header included.
///
/// `write` appends the payload behind the header, straight into `out`: nothing is copied. It may
/// only append; what it does to earlier bytes is done to the frames before this one. The length
/// is patched in afterwards, `header.length` is not looked at. `frame_max` bounds the payload, in
/// bytes, as [`Decoder`](super::Decoder) does on the other side.
///
/// # Errors
///
/// See [`FrameError`]; `out` is then as it was, apart from its capacity.
#[inline]
pub fn write_frame<E>(
    out: &mut BytesMut,
    dialect: Dialect,
    header: &Header,
    frame_max: usize,
    write: impl FnOnce(&mut BytesMut) -> Result<(), E>,
) -> Result<usize, FrameError<E>> {
    write_frame_around(out, dialect, header, frame_max, |out| write(out).map(|()| 0))
}

/// The same for a payload of which a part is not written here: `write` tells of how many bytes, and
/// they count as if they were.
#[inline]
pub(crate) fn write_frame_around<E>(
    out: &mut BytesMut,
    dialect: Dialect,
    header: &Header,
    frame_max: usize,
    write: impl FnOnce(&mut BytesMut) -> Result<usize, E>,
) -> Result<usize, FrameError<E>> {
    let Some(unfinished) = header.encode(dialect) else {
        return Err(FrameError::NoSuchKind { kind: header.kind, dialect });
    };
    let start = out.len();
    out.extend_from_slice(&unfinished);
    let elsewhere = match write(out) {
        Ok(elsewhere) => elsewhere,
        Err(error) => {
            out.truncate(start);
            return Err(FrameError::Payload(error));
        }
    };
    let size = out.len().saturating_sub(start).saturating_add(elsewhere);
    let length = size.saturating_sub(HEADER_LEN);
    let announced = u32::try_from(length).ok().filter(|_| length <= frame_max);
    let Some(announced) = announced else {
        out.truncate(start);
        return Err(FrameError::TooLarge { length, max: frame_max });
    };
    let at = start.saturating_add(usize::from(Header::length_offset(dialect)));
    if let Some(field) = out.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *field = announced.to_be_bytes();
    }
    Ok(size)
}
