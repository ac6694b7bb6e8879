//! The payloads of a login.
//!
//! Dialect `netconduit` (wire fact 1): AUTH_REQUEST `{password_hash, client_info: {name, version}}`,
//! AUTH_SUCCESS `{session_token, server_info: {name, version}}`, AUTH_FAILURE `{reason}`.
//!
//! ```
//! use bytes::BytesMut;
//! use cndt_core::message::auth;
//!
//! let mut payload = BytesMut::new();
//! auth::write_failure(&mut payload, "Invalid password");
//! assert_eq!(auth::read_failure(&payload, 64)?, "Invalid password");
//! # Ok::<(), cndt_core::message::MessageError>(())
//! ```

use alloc::string::String;

use bytes::BytesMut;

use super::msgpack::{self, MessageError, MessageErrorKind, Reader};
use super::rpc::read_map;

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

/// Writes the payload of AUTH_REQUEST, in the key order of the Python package.
pub(crate) fn write_legacy_request(out: &mut BytesMut, hash: &str, name: &str, version: &str) {
    msgpack::put_map(out, 2);
    msgpack::put_str(out, "password_hash");
    msgpack::put_str(out, hash);
    put_identity(out, "client_info", name, version);
}

/// Reads the payload of AUTH_REQUEST: the proof and who presents it.
pub(crate) fn read_legacy_request(
    payload: &[u8],
    depth_max: usize,
) -> Result<(&str, Identity), MessageError> {
    let [hash, info] = read_map(payload, depth_max, ["password_hash", "client_info"])?;
    let hash = hash
        .ok_or(msgpack::error(0, MessageErrorKind::MissingKey { key: "password_hash" }))
        .and_then(|range| Reader::new(payload.get(range).unwrap_or_default(), 1).str())?;
    let info = info.and_then(|range| payload.get(range)).unwrap_or_default();
    Ok((hash, read_identity(info, depth_max)))
}

/// Writes the payload of AUTH_SUCCESS.
pub(crate) fn write_success(out: &mut BytesMut, token: &str, name: &str, version: &str) {
    msgpack::put_map(out, 2);
    msgpack::put_str(out, "session_token");
    msgpack::put_str(out, token);
    put_identity(out, "server_info", name, version);
}

/// Reads the payload of AUTH_SUCCESS: who the server says it is.
pub(crate) fn read_success(payload: &[u8], depth_max: usize) -> Result<Identity, MessageError> {
    let [info] = read_map(payload, depth_max, ["server_info"])?;
    let info = info.and_then(|range| payload.get(range)).unwrap_or_default();
    Ok(read_identity(info, depth_max))
}

/// Writes the payload of AUTH_FAILURE.
pub fn write_failure(out: &mut BytesMut, reason: &str) {
    msgpack::put_map(out, 1);
    msgpack::put_str(out, "reason");
    msgpack::put_str(out, reason);
}

/// Reads the payload of AUTH_FAILURE: the reason, at most 512 bytes of it.
///
/// # Errors
/// When the payload is no map.
pub fn read_failure(payload: &[u8], depth_max: usize) -> Result<String, MessageError> {
    let [reason] = read_map(payload, depth_max, ["reason"])?;
    let reason = reason
        .and_then(|range| payload.get(range))
        .and_then(|value| Reader::new(value, 1).str().ok())
        .unwrap_or("no reason given");
    Ok(shortened(reason))
}

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
    let text = |range: Option<core::ops::Range<usize>>| {
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
