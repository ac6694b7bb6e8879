//! Dialect `netconduit`.

use bytes::BytesMut;

use super::{Identity, put_identity, read_identity, required_str};
use crate::message::msgpack::{self, MessageError};
use crate::message::rpc::read_map;

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
    let hash = required_str(payload, hash, "password_hash")?;
    let info = info.and_then(|range| payload.get(range)).unwrap_or_default();
    Ok((hash, read_identity(info, depth_max)))
}

/// Writes the payload of AUTH_SUCCESS.
pub(crate) fn write_legacy_success(out: &mut BytesMut, token: &str, name: &str, version: &str) {
    msgpack::put_map(out, 2);
    msgpack::put_str(out, "session_token");
    msgpack::put_str(out, token);
    put_identity(out, "server_info", name, version);
}

/// Reads the payload of AUTH_SUCCESS: who the server says it is.
pub(crate) fn read_legacy_success(
    payload: &[u8],
    depth_max: usize,
) -> Result<Identity, MessageError> {
    let [info] = read_map(payload, depth_max, ["server_info"])?;
    let info = info.and_then(|range| payload.get(range)).unwrap_or_default();
    Ok(read_identity(info, depth_max))
}
