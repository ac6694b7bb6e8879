//! Bytes to frames and back, in both wire dialects. Knows no connection: what a frame means, and
//! whether it may arrive now, is decided above.
//!
//! A frame is a header of [`HEADER_LEN`] bytes and a payload. [`write_frame`] appends one to a
//! buffer; a [`Decoder`] takes bytes cut anywhere and gives frames whose payloads share its buffer.
//!
//! ```
//! use bytes::BytesMut;
//! use cndt_core::wire::{Decoder, Dialect, Dialects, Header, Kind, write_frame};
//!
//! // The length is patched in once the payload is written.
//! let header = Header { correlation: 1, ..Header::new(Kind::RpcRequest) };
//! let mut out = BytesMut::new();
//! write_frame(&mut out, Dialect::Cndt, &header, 8192, |payload| {
//!     payload.extend_from_slice(b"\x80");
//!     Ok::<_, core::convert::Infallible>(())
//! })?;
//!
//! let mut decoder = Decoder::new(Dialects::BOTH, 8192);
//! let (first, second) = out.split_at(20);
//! decoder.push(first);
//! assert_eq!(decoder.next_frame()?, None);
//! decoder.push(second);
//! let frame = decoder.next_frame()?.ok_or("a whole frame was pushed")?;
//! assert_eq!(frame.dialect, Dialect::Cndt);
//! assert_eq!(frame.header, Header { length: 1, ..header });
//! assert_eq!(&frame.payload[..], b"\x80");
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod compress;
mod decoder;
mod dialect;
mod encoder;
mod error;
mod flags;
mod header;
mod kind;

pub use compress::{COMPRESS_MIN, InflateError, InflateLimits, RATIO_FREE, deflate, inflate};
pub(crate) use decoder::kept_max;
pub use decoder::{Decoder, Frame, SHARED_MAX};
pub use dialect::{Dialect, Dialects, UnknownDialect};
pub(crate) use encoder::write_frame_around;
pub use encoder::{FrameError, write_frame};
pub use error::{WireError, WireErrorKind};
pub use flags::Flags;
pub use header::{HEADER_LEN, Header, MAGIC};
pub use kind::Kind;
