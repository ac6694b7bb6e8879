use alloc::format;
use alloc::string::String;
use core::fmt;

use bytes::Bytes;

use super::ErrorCode;

/// A failure that the application on the other side reports for one call.
///
/// It does not implement `From` for other errors on purpose: what a handler tells a stranger is
/// its own decision.
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

    /// 2000: the arguments are not what the method takes.
    pub fn validation(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Validation, message)
    }

    /// 3002: the caller may not do that.
    pub fn permission_denied(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::PermissionDenied, message)
    }

    /// 4000: there is no such method. Wire fact 6 gives the words.
    pub fn method_not_found(method: &str) -> Self {
        Self::new(ErrorCode::MethodNotFound, format!("RPC method not found: {method}"))
    }

    /// 6000: too many requests; try again later.
    pub fn rate_limited(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::RateLimited, message)
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
        let mut out = bytes::BytesMut::new();
        Typed(details).write(&mut out)?;
        Ok(self.with_raw_details(out.freeze()))
    }
}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", self.code, self.message)
    }
}

impl core::error::Error for RpcError {}
