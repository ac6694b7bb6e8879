use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;
use core::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

use super::ErrorCode;
use crate::message::msgpack::{self, Reader};

/// Entries that `with_detail` can put into one map of details.
const DETAILS_MAX: usize = 15;

/// A failure that the application on the other side reports for one call.
///
/// It does not implement `From` for other errors on purpose: what a handler tells a stranger is
/// its own decision.
///
/// ```
/// use cndt_core::rpc::{ErrorCode, RpcError};
///
/// let error = RpcError::validation("Amount must be positive")
///     .field("amount")
///     .expected("a positive number")
///     .received(-3);
/// assert_eq!(error.code, ErrorCode::Validation);
/// assert_eq!(error.to_string(), "[2000] Amount must be positive");
/// assert!(error.details.is_some());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RpcError {
    /// What kind of failure.
    pub code: ErrorCode,
    /// For people.
    pub message: String,
    /// For programs: one MessagePack value.
    pub details: Option<Bytes>,
}

impl RpcError {
    /// A failure of this kind.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: None }
    }

    /// 1001: the handler failed.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Internal, message)
    }

    /// 1003: the caller did not want the answer any more.
    pub fn cancelled() -> Self {
        Self::new(ErrorCode::Cancelled, "cancelled by the caller")
    }

    /// 2000: the arguments are not what the method takes. Say which by [`RpcError::field`],
    /// [`RpcError::expected`] and [`RpcError::received`].
    pub fn validation(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Validation, message)
    }

    /// 2001: a required field is missing.
    pub fn missing_field(field: &str) -> Self {
        Self::new(ErrorCode::MissingField, format!("Missing field: {field}")).field(field)
    }

    /// 2002: a field has the wrong type.
    pub fn invalid_type(field: &str, expected: &str) -> Self {
        let message = format!("Invalid type of {field}: expected {expected}");
        Self::new(ErrorCode::InvalidType, message).field(field).expected(expected)
    }

    /// 3000: the method wants a login.
    pub fn auth_required() -> Self {
        Self::new(ErrorCode::AuthRequired, "Authentication required")
    }

    /// 3001: the login was refused.
    pub fn auth_failed(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::AuthFailed, message)
    }

    /// 3002: the caller may not do that.
    pub fn permission_denied(action: &str) -> Self {
        Self::new(ErrorCode::PermissionDenied, format!("Permission denied: {action}"))
    }

    /// 4000: there is no such method. Wire fact 6 gives the words.
    pub fn method_not_found(method: &str) -> Self {
        Self::new(ErrorCode::MethodNotFound, format!("RPC method not found: {method}"))
    }

    /// 4000: there is no such thing. The Python package has one number for this and for unknown
    /// methods; the details `resource` and `identifier` tell them apart.
    pub fn not_found(resource: &str, identifier: impl fmt::Display) -> Self {
        let message = format!("{resource} not found: {identifier}");
        Self::new(ErrorCode::MethodNotFound, message)
            .with_detail("resource", resource)
            .with_detail("identifier", identifier)
    }

    /// 4001: the parameters are unusable as a whole.
    pub fn invalid_params(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidParams, message)
    }

    /// 5000: a connection that the handler needs failed.
    pub fn connection_error(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::ConnectionError, message)
    }

    /// 5001: it took too long.
    pub fn timeout(operation: &str) -> Self {
        Self::new(ErrorCode::Timeout, format!("Operation timed out: {operation}"))
    }

    /// 6000: too many requests; try again after this time, if it is known. It is told in seconds,
    /// as the detail `retry_after`.
    pub fn rate_limited(retry_after: impl Into<Option<Duration>>) -> Self {
        let error = Self::new(ErrorCode::RateLimited, "Rate limit exceeded");
        match retry_after.into() {
            Some(wait) => error.put_detail(RETRY_AFTER, |out| {
                msgpack::put_float(out, wait.as_secs_f64());
            }),
            None => error,
        }
    }

    /// Names the field that is wrong, as the detail `field`.
    #[must_use]
    pub fn field(self, field: &str) -> Self {
        self.with_detail("field", field)
    }

    /// What the field should be, as the detail `expected`.
    #[must_use]
    pub fn expected(self, expected: &str) -> Self {
        self.with_detail("expected", expected)
    }

    /// What the field was, as the detail `received`. It is sent as text.
    #[must_use]
    pub fn received(self, received: impl fmt::Display) -> Self {
        self.with_detail("received", received)
    }

    /// The same failure with one more detail, as text. Details become a map of at most 15 entries;
    /// what does not fit is left out.
    #[must_use]
    pub fn with_detail(self, key: &str, value: impl fmt::Display) -> Self {
        let value = value.to_string();
        self.put_detail(key, |out| msgpack::put_str(out, &value))
    }

    fn put_detail(mut self, key: &str, value: impl FnOnce(&mut BytesMut)) -> Self {
        let before = self.details.as_deref().unwrap_or(&[0x80]);
        let mut reader = Reader::new(before, 1);
        let Ok(count) = reader.map_len() else { return self };
        let Some(more) = u8::try_from(count + 1).ok().filter(|_| count < DETAILS_MAX) else {
            return self;
        };
        let mut details = BytesMut::new();
        msgpack::put_map(&mut details, more);
        details.put_slice(before.get(reader.offset()..).unwrap_or_default());
        msgpack::put_str(&mut details, key);
        value(&mut details);
        self.details = Some(details.freeze());
        self
    }

    /// The same failure with details for programs, as one MessagePack value.
    #[must_use]
    pub fn with_raw_details(mut self, details: Bytes) -> Self {
        self.details = Some(details);
        self
    }

    /// The same failure with details for programs.
    ///
    /// # Errors
    /// When `details` cannot be written as MessagePack.
    #[cfg(feature = "std")]
    pub fn with_details<T: serde::Serialize + ?Sized>(
        self,
        details: &T,
    ) -> Result<Self, crate::message::BodyError> {
        use crate::message::{Body, Typed};
        let mut out = BytesMut::new();
        Typed(details).write(&mut out)?;
        Ok(self.with_raw_details(out.freeze()))
    }

    /// The details as `T`; `None` if there are none.
    ///
    /// # Errors
    /// When they are of another type.
    #[cfg(feature = "std")]
    pub fn details_as<T: serde::de::DeserializeOwned>(
        &self,
    ) -> Result<Option<T>, crate::message::BodyError> {
        self.details.as_deref().map(crate::message::from_slice).transpose()
    }

    /// When the peer says that a retry makes sense: the detail `retry_after`, in seconds.
    #[cfg(feature = "std")]
    pub fn retry_after(&self) -> Option<Duration> {
        #[derive(serde::Deserialize)]
        struct Details {
            retry_after: f64,
        }
        let details: Details = self.details_as().ok()??;
        Duration::try_from_secs_f64(details.retry_after).ok()
    }
}

const RETRY_AFTER: &str = "retry_after";

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", self.code, self.message)
    }
}

impl core::error::Error for RpcError {}
