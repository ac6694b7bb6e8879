use std::fmt;

use cndt_core::rpc::RpcError;

use super::CallContext;
use crate::peer::Peer;

/// A handler that failed in a way that its peer does not learn of in full: what an error hook is
/// told.
///
/// Errors that a method answers with are results, not failures, and are not told.
#[derive(Debug, Clone)]
pub struct HandlerFailure {
    /// Who sent what was handled; `None` for webhooks.
    pub peer: Option<Peer>,
    /// The method's name, the message's type, or the webhook's path.
    pub name: String,
    /// What kind of handler it was.
    pub kind: HandlerKind,
    /// What went wrong.
    pub cause: FailureCause,
    /// In what words. For methods it is what the caller was answered.
    pub error: RpcError,
}

/// What a handler handles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HandlerKind {
    /// Calls of a method.
    Method,
    /// Messages of a type.
    Message,
    /// Webhooks on a path.
    Webhook,
}

/// How a handler can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureCause {
    /// It returned an error; messages only.
    Returned,
    /// An argument could not be taken from the message; messages only.
    Refused,
    /// It panicked.
    Panicked,
    /// Its result has no MessagePack form, or is too large.
    Unsendable,
}

impl HandlerFailure {
    pub(super) fn new(
        context: &CallContext,
        kind: HandlerKind,
        cause: FailureCause,
        error: RpcError,
    ) -> Self {
        Self { peer: context.peer(), name: context.name().to_owned(), kind, cause, error }
    }
}

impl fmt::Display for HandlerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Method => "method",
            Self::Message => "message",
            Self::Webhook => "webhook",
        })
    }
}

impl fmt::Display for FailureCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Returned => "returned an error",
            Self::Refused => "cannot take its arguments",
            Self::Panicked => "panicked",
            Self::Unsendable => "has a result that cannot be sent",
        })
    }
}
