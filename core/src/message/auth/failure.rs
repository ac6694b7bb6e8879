use alloc::string::String;
use core::time::Duration;

use bytes::BytesMut;

use super::{Reader, shortened};
use crate::message::msgpack::{self, MessageError};
use crate::message::rpc::read_map;

/// Why a login was refused, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusalCode {
    /// `auth_failed`: user or password is wrong. Trying again is of no use.
    AuthFailed,
    /// `mech_required`: the server does not take this kind of login.
    MechRequired,
    /// `busy`: the server has no room at the moment.
    Busy,
    /// `protocol`: the login itself was malformed.
    Protocol,
    /// No code, or one that nobody here knows. The Python package gives none.
    Unspecified,
}

impl RefusalCode {
    const ALL: [Self; 4] = [Self::AuthFailed, Self::MechRequired, Self::Busy, Self::Protocol];

    /// The code as it is sent; `None` when there is none to send.
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::AuthFailed => Some("auth_failed"),
            Self::MechRequired => Some("mech_required"),
            Self::Busy => Some("busy"),
            Self::Protocol => Some("protocol"),
            Self::Unspecified => None,
        }
    }
}

/// The payload of AUTH_FAILURE in both dialects: `{reason, code?, retry_after_ms?}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// For people; at most 512 bytes are kept.
    pub reason: String,
    /// For programs.
    pub code: RefusalCode,
    /// When it may be worth another try, in milliseconds on the wire; only with
    /// [`RefusalCode::Busy`].
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A refusal without a hint when to try again.
    pub fn new(reason: &str, code: RefusalCode) -> Self {
        Self { reason: shortened(reason), code, retry_after: None }
    }

    /// Appends the payload.
    pub fn write(&self, out: &mut BytesMut) {
        let code = self.code.name();
        let retry = self.retry_after.map(|after| {
            let millis = after.as_millis().min(u128::from(u32::MAX));
            i64::try_from(millis).unwrap_or(i64::MAX)
        });
        let pairs = 1_u8 + u8::from(code.is_some()) + u8::from(retry.is_some());
        msgpack::put_map(out, pairs);
        msgpack::put_str(out, "reason");
        msgpack::put_str(out, &self.reason);
        if let Some(code) = code {
            msgpack::put_str(out, "code");
            msgpack::put_str(out, code);
        }
        if let Some(millis) = retry {
            msgpack::put_str(out, "retry_after_ms");
            msgpack::put_int(out, millis);
        }
    }

    /// Reads the payload. Whatever is missing or odd inside is left out: the refusal stands.
    ///
    /// # Errors
    /// When the payload is no map.
    pub fn read(payload: &[u8], depth_max: usize) -> Result<Self, MessageError> {
        let [reason, code, retry] =
            read_map(payload, depth_max, ["reason", "code", "retry_after_ms"])?;
        let value = |range: Option<core::ops::Range<usize>>| {
            range.and_then(|range| payload.get(range)).map(|value| Reader::new(value, 1))
        };
        let reason = value(reason).and_then(|mut value| value.str().ok());
        let code = value(code).and_then(|mut value| value.str().ok());
        let known = |known: &RefusalCode| code.is_some() && known.name() == code;
        let retry = value(retry)
            .and_then(|mut value| value.int().ok())
            .and_then(|millis| u32::try_from(millis).ok())
            .map(|millis| Duration::from_millis(u64::from(millis)));
        Ok(Self {
            reason: shortened(reason.unwrap_or("no reason given")),
            code: RefusalCode::ALL.into_iter().find(known).unwrap_or(RefusalCode::Unspecified),
            retry_after: retry,
        })
    }
}
