//! Frames and their meaning: the one bridge between bytes of a payload and what they say.
//!
//! Envelopes are small MessagePack maps, read and written here without serde. What the application
//! put inside (`params`, `result`, `data`) stays raw bytes until somebody asks for a type.
//!
//! ```
//! use bytes::{Bytes, BytesMut};
//! use cndt_core::message::{Raw, rpc};
//!
//! let mut payload = BytesMut::new();
//! rpc::write_request(&mut payload, "add", &Raw(&[0x82, 0xa1, b'a', 10, 0xa1, b'b', 20]))?;
//! let request = rpc::read_request(payload.freeze(), 64)?;
//! assert_eq!(request.method.as_str(), "add");
//! assert_eq!(request.params[0], 0x82);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod auth;
#[cfg(feature = "std")]
mod blob;
mod body;
pub mod msgpack;
pub mod rpc;
mod splices;
mod strict;
#[cfg(test)]
mod tests;
mod text;

#[cfg(feature = "std")]
pub use blob::Blob;
pub use body::{Body, BodyError, Nil, Raw, RawShared};
#[cfg(feature = "std")]
pub use body::{Typed, from_bytes, from_slice};
pub use msgpack::{Bounds, MessageError, MessageErrorKind};
pub use splices::Splices;
pub use strict::{PYTHON_DEPTH_MAX, check_for_python};
pub use text::Text;
