//! The payloads of a login.
//!
//! Dialect `netconduit` (wire fact 1): AUTH_REQUEST `{password_hash, client_info: {name, version}}`,
//! AUTH_SUCCESS `{session_token, server_info: {name, version}}`, AUTH_FAILURE `{reason}`.
//!
//! Dialect `cndt` (PROTOCOL.md, "Login, dialect `cndt`") carries the texts of SCRAM-SHA-256, and
//! what each side can take: see [`Request`], [`Challenge`], [`Response`], [`Success`].
//!
//! Both have AUTH_FAILURE, [`Failure`].
//!
//! ```
//! use bytes::BytesMut;
//! use cndt_core::message::auth::{Failure, RefusalCode};
//!
//! let mut payload = BytesMut::new();
//! let failure = Failure::new("Invalid password", RefusalCode::AuthFailed);
//! failure.write(&mut payload);
//! assert_eq!(Failure::read(&payload, 64)?, failure);
//! # Ok::<(), cndt_core::message::MessageError>(())
//! ```

mod failure;
mod legacy;
mod scram;

use alloc::string::String;
use core::ops::Range;

use bytes::BytesMut;

use super::msgpack::{self, MessageError, MessageErrorKind, Reader};
use super::rpc::read_map;

pub use failure::{Failure, RefusalCode};
pub(crate) use legacy::{read_legacy_request, read_legacy_success};
pub(crate) use legacy::{write_legacy_request, write_legacy_success};
pub use scram::{Caps, Challenge, Request, Response, Success};

/// What a peer tells of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// Its name; empty if it gave none.
    pub name: String,
    /// Its version; empty if it gave none.
    pub version: String,
}

/// The longest text that is kept of what a peer says about itself or about a refusal, in bytes.
const WORDS_MAX: usize = 512;

fn put_identity(out: &mut BytesMut, key: &str, name: &str, version: &str) {
    msgpack::put_str(out, key);
    msgpack::put_map(out, 2);
    msgpack::put_str(out, "name");
    msgpack::put_str(out, name);
    msgpack::put_str(out, "version");
    msgpack::put_str(out, version);
}

/// Whatever a peer says of itself is informational: what cannot be read is empty.
fn read_identity(info: &[u8], depth_max: usize) -> Identity {
    let Ok([name, version]) = read_map(info, depth_max, ["name", "version"]) else {
        return Identity::default();
    };
    let text = |range: Option<Range<usize>>| {
        range
            .and_then(|range| info.get(range))
            .and_then(|value| Reader::new(value, 1).str().ok())
            .map(shortened)
            .unwrap_or_default()
    };
    Identity { name: text(name), version: text(version) }
}

fn shortened(text: &str) -> String {
    let end = text
        .char_indices()
        .map(|(at, c)| at + c.len_utf8())
        .take_while(|end| *end <= WORDS_MAX)
        .last();
    String::from(text.get(..end.unwrap_or(0)).unwrap_or_default())
}

/// The text under a key that must be there.
fn required_str<'a>(
    payload: &'a [u8],
    range: Option<Range<usize>>,
    key: &'static str,
) -> Result<&'a str, MessageError> {
    let missing = msgpack::error(0, MessageErrorKind::MissingKey { key });
    let range = range.ok_or(missing)?;
    let start = range.start;
    let value = payload.get(range).unwrap_or_default();
    Reader::new(value, 1).str().map_err(|error| error.moved_by(start))
}
