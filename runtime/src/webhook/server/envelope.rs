//! What senders are answered.

use bytes::{BufMut, Bytes, BytesMut};
use cndt_core::rpc::{ErrorCode, RpcError};
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde_json::json;

pub(super) type Reply = Response<Full<Bytes>>;

fn json(status: StatusCode, body: Bytes) -> Reply {
    let mut reply = Response::new(Full::new(body));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}

/// The handler's result is JSON already.
pub(super) fn received(result: &[u8]) -> Reply {
    const BEFORE: &[u8] = br#"{"status": "success", "message": "Webhook received", "result": "#;
    let mut body = BytesMut::with_capacity(BEFORE.len() + result.len() + 1);
    body.put_slice(BEFORE);
    body.put_slice(result);
    body.put_u8(b'}');
    json(StatusCode::OK, body.freeze())
}

/// It was handled before: its sender has missed the answer, and must not send it again.
pub(super) fn received_before() -> Reply {
    let body = json!({"status": "duplicate", "message": "Webhook received before", "result": null});
    json(StatusCode::OK, body.to_string().into())
}

pub(super) fn healthy() -> Reply {
    let body = json!({"status": "healthy", "service": "webhook-server"});
    json(StatusCode::OK, body.to_string().into())
}

/// Nothing was handled.
pub(super) fn refused(status: StatusCode, message: &str) -> Reply {
    let body = json!({"status": "error", "message": message});
    json(status, body.to_string().into())
}

/// The same, and nothing more is read from the connection: its next byte need not begin a request.
pub(super) fn refused_for_good(status: StatusCode, message: &str) -> Reply {
    let mut reply = refused(status, message);
    reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    reply
}

pub(super) fn only(methods: &'static str) -> Reply {
    let mut reply =
        refused(StatusCode::METHOD_NOT_ALLOWED, &format!("webhooks are sent by {methods}"));
    reply.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    reply
}

/// The handler's error.
pub(super) fn failed(error: &RpcError) -> Reply {
    let status = match error.code {
        ErrorCode::Validation
        | ErrorCode::MissingField
        | ErrorCode::InvalidType
        | ErrorCode::InvalidParams => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorCode::AuthRequired | ErrorCode::AuthFailed => StatusCode::UNAUTHORIZED,
        ErrorCode::PermissionDenied => StatusCode::FORBIDDEN,
        ErrorCode::MethodNotFound => StatusCode::NOT_FOUND,
        ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::ConnectionError => StatusCode::BAD_GATEWAY,
        ErrorCode::Timeout => StatusCode::GATEWAY_TIMEOUT,
        ErrorCode::Unknown | ErrorCode::Internal | ErrorCode::Cancelled | ErrorCode::Other(_) => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    let body = json!({"status": "error", "code": error.code.number(), "message": error.message});
    let mut reply = json(status, body.to_string().into());
    if let Some(span) = error.retry_after() {
        // Whole seconds are all that HTTP knows (RFC 9110, section 10.2.3).
        let seconds = span.as_secs() + u64::from(span.subsec_nanos() > 0);
        reply.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    reply
}
