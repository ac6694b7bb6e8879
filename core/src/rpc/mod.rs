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
mod page;
mod reply;

pub use code::ErrorCode;
pub use error::RpcError;
pub use method::MethodInfo;
pub use page::{Beside, Page};
pub use reply::Reply;
