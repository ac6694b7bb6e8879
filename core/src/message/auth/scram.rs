//! Dialect `cndt`. Every text is read in place; nothing is judged here but its place.

use alloc::vec::Vec;

use bytes::BytesMut;

use super::{Identity, put_identity, read_identity, required_str};
use crate::message::msgpack::{self, MessageError, MessageErrorKind, Reader};
use crate::message::rpc::read_map;

/// Mechanisms that are read of a list; more are refused.
const MECHS_MAX: usize = 16;

/// What a side can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// The longest payload that it reads, in bytes.
    pub frame_max: u32,
    /// Whether it reads compressed payloads.
    pub zlib: bool,
}

/// AUTH_REQUEST: `{mechs, scram, caps: {max_frame, zlib}, client_info: {name, version}}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'a> {
    /// The mechanisms that the client can use, best first.
    pub mechs: Vec<&'a str>,
    /// The client's first SCRAM message.
    pub scram: &'a str,
    /// What the client can take.
    pub caps: Caps,
    /// Who the client says it is.
    pub client: Identity,
}

impl<'a> Request<'a> {
    /// Appends the payload.
    pub fn write(&self, out: &mut BytesMut) {
        msgpack::put_map(out, 4);
        put_mechs(out, &self.mechs);
        msgpack::put_str(out, "scram");
        msgpack::put_str(out, self.scram);
        put_caps(out, self.caps);
        put_identity(out, "client_info", &self.client.name, &self.client.version);
    }

    /// Reads the payload.
    ///
    /// # Errors
    /// When a key but `client_info` is missing, or holds another type.
    pub fn read(payload: &'a [u8], depth_max: usize) -> Result<Self, MessageError> {
        let keys = ["mechs", "scram", "caps", "client_info"];
        let [mechs, scram, caps, info] = read_map(payload, depth_max, keys)?;
        let mechs = required(payload, mechs, "mechs")?;
        let caps = required(payload, caps, "caps")?;
        let info = info.and_then(|range| payload.get(range)).unwrap_or_default();
        Ok(Self {
            mechs: read_mechs(mechs)?,
            scram: required_str(payload, scram, "scram")?,
            caps: read_caps(caps, depth_max)?,
            client: read_identity(info, depth_max),
        })
    }
}

/// AUTH_CHALLENGE: `{mech, mechs, scram, caps: {max_frame, zlib}}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge<'a> {
    /// The mechanism that the server chose.
    pub mech: &'a str,
    /// The mechanisms that the server can use.
    pub mechs: Vec<&'a str>,
    /// The server's first SCRAM message.
    pub scram: &'a str,
    /// What the server can take.
    pub caps: Caps,
}

impl<'a> Challenge<'a> {
    /// Appends the payload.
    pub fn write(&self, out: &mut BytesMut) {
        msgpack::put_map(out, 4);
        msgpack::put_str(out, "mech");
        msgpack::put_str(out, self.mech);
        put_mechs(out, &self.mechs);
        msgpack::put_str(out, "scram");
        msgpack::put_str(out, self.scram);
        put_caps(out, self.caps);
    }

    /// Reads the payload.
    ///
    /// # Errors
    /// When a key is missing, or holds another type.
    pub fn read(payload: &'a [u8], depth_max: usize) -> Result<Self, MessageError> {
        let keys = ["mech", "mechs", "scram", "caps"];
        let [mech, mechs, scram, caps] = read_map(payload, depth_max, keys)?;
        let mechs = required(payload, mechs, "mechs")?;
        let caps = required(payload, caps, "caps")?;
        Ok(Self {
            mech: required_str(payload, mech, "mech")?,
            mechs: read_mechs(mechs)?,
            scram: required_str(payload, scram, "scram")?,
            caps: read_caps(caps, depth_max)?,
        })
    }
}

/// AUTH_RESPONSE: `{scram}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Response<'a> {
    /// The client's last SCRAM message.
    pub scram: &'a str,
}

impl<'a> Response<'a> {
    /// Appends the payload.
    pub fn write(&self, out: &mut BytesMut) {
        msgpack::put_map(out, 1);
        msgpack::put_str(out, "scram");
        msgpack::put_str(out, self.scram);
    }

    /// Reads the payload.
    ///
    /// # Errors
    /// When `scram` is missing, or is no text.
    pub fn read(payload: &'a [u8], depth_max: usize) -> Result<Self, MessageError> {
        let [scram] = read_map(payload, depth_max, ["scram"])?;
        Ok(Self { scram: required_str(payload, scram, "scram")? })
    }
}

/// AUTH_SUCCESS: `{scram, session_token, server_info: {name, version}}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Success<'a> {
    /// The server's last SCRAM message.
    pub scram: &'a str,
    /// 128 hex digits. Nothing asks for them: older readers want them there.
    pub session_token: &'a str,
    /// Who the server says it is.
    pub server: Identity,
}

impl<'a> Success<'a> {
    /// Appends the payload.
    pub fn write(&self, out: &mut BytesMut) {
        msgpack::put_map(out, 3);
        msgpack::put_str(out, "scram");
        msgpack::put_str(out, self.scram);
        msgpack::put_str(out, "session_token");
        msgpack::put_str(out, self.session_token);
        put_identity(out, "server_info", &self.server.name, &self.server.version);
    }

    /// Reads the payload. A missing token is empty.
    ///
    /// # Errors
    /// When `scram` is missing, or holds another type.
    pub fn read(payload: &'a [u8], depth_max: usize) -> Result<Self, MessageError> {
        let keys = ["scram", "session_token", "server_info"];
        let [scram, token, info] = read_map(payload, depth_max, keys)?;
        let info = info.and_then(|range| payload.get(range)).unwrap_or_default();
        let token = token.and_then(|range| payload.get(range)).unwrap_or_default();
        Ok(Self {
            scram: required_str(payload, scram, "scram")?,
            session_token: Reader::new(token, 1).str().unwrap_or_default(),
            server: read_identity(info, depth_max),
        })
    }
}

fn put_mechs(out: &mut BytesMut, mechs: &[&str]) {
    msgpack::put_str(out, "mechs");
    let count = mechs.len().min(MECHS_MAX - 1);
    msgpack::put_array(out, u8::try_from(count).unwrap_or_default());
    for mech in mechs.iter().take(count) {
        msgpack::put_str(out, mech);
    }
}

fn put_caps(out: &mut BytesMut, caps: Caps) {
    msgpack::put_str(out, "caps");
    msgpack::put_map(out, 2);
    msgpack::put_str(out, "max_frame");
    msgpack::put_int(out, i64::from(caps.frame_max));
    msgpack::put_str(out, "zlib");
    msgpack::put_bool(out, caps.zlib);
}

fn read_mechs(value: &[u8]) -> Result<Vec<&str>, MessageError> {
    let mut reader = Reader::new(value, 1);
    let count = reader.array_len()?;
    if count > MECHS_MAX {
        let expected = "list of at most 16 mechanisms";
        return Err(msgpack::error(0, MessageErrorKind::WrongType { expected }));
    }
    (0..count).map(|_| reader.str()).collect()
}

fn read_caps(value: &[u8], depth_max: usize) -> Result<Caps, MessageError> {
    let [frame_max, zlib] = read_map(value, depth_max, ["max_frame", "zlib"])?;
    let frame_max = Reader::new(required(value, frame_max, "max_frame")?, 1).int()?;
    // More than 4 GiB cannot be announced in a header anyway; less than nothing is nothing.
    let frame_max = u32::try_from(frame_max.max(0)).unwrap_or(u32::MAX);
    let zlib = match zlib.and_then(|range| value.get(range)) {
        Some(zlib) => Reader::new(zlib, 1).bool()?,
        None => false,
    };
    Ok(Caps { frame_max, zlib })
}

fn required<'a>(
    payload: &'a [u8],
    range: Option<core::ops::Range<usize>>,
    key: &'static str,
) -> Result<&'a [u8], MessageError> {
    let missing = msgpack::error(0, MessageErrorKind::MissingKey { key });
    range.and_then(|range| payload.get(range)).ok_or(missing)
}
