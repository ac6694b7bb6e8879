//! What every protocol of this crate shares about calls: errors, their codes, replies, method
//! descriptions.
//!
//! ```
//! use cndt_core::rpc::{ErrorCode, RpcError};
//!
//! let error = RpcError::method_not_found("nope");
//! assert_eq!(error.code, ErrorCode::MethodNotFound);
//! assert_eq!(error.to_string(), "[4000] RPC method not found: nope");
//! ```

mod code;
mod error;
mod method;

pub use code::ErrorCode;
pub use error::RpcError;
pub use method::MethodInfo;

use bytes::Bytes;

/// The successful answer to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The result, as MessagePack.
    pub data: Bytes,
    /// What stood beside the result (`message`, `metadata`, `pagination`), as one MessagePack map
    /// of the whole answer; `None` when there was nothing but the result.
    pub envelope: Option<Bytes>,
}
