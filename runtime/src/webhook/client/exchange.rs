//! One attempt: a request, and its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use cndt_core::webhook::{MessageId, Scheme};
use http::header::USER_AGENT;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, PROXY_AUTHORIZATION};
use http::{HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;

use super::Shared;
use super::answer::{WebhookAnswer, retry_after};
use super::endpoint::Endpoint;
use super::error::WebhookFailure;
use super::pool::Sender;
use crate::race::{First, race};

const AGENT: HeaderValue = HeaderValue::from_static(concat!("cndt/", env!("CARGO_PKG_VERSION")));
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What is sent, at each attempt.
pub(super) struct Letter {
    pub(super) endpoint: Endpoint,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) timeout: Duration,
}

/// Headers that say how a message is framed or forwarded, which is not for callers to say.
const RESERVED: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

pub(super) fn is_reserved(name: &HeaderName) -> bool {
    RESERVED.contains(&name.as_str())
}

impl Shared {
    /// Makes one attempt to deliver `letter`. `sent` becomes true once it may have arrived.
    pub(super) async fn attempt(
        &self,
        letter: &Letter,
        id: Option<&MessageId>,
        sent: &AtomicBool,
    ) -> Result<WebhookAnswer, WebhookFailure> {
        let after = letter.timeout;
        let sleep = self.machine.sleep_until(self.machine.now() + after);
        match race(self.exchange(letter, id, sent), sleep).await {
            First::Left(outcome) => outcome,
            First::Right(()) => Err(WebhookFailure::TimedOut { after }),
        }
    }

    async fn exchange(
        &self,
        letter: &Letter,
        id: Option<&MessageId>,
        sent: &AtomicBool,
    ) -> Result<WebhookAnswer, WebhookFailure> {
        let origin = &letter.endpoint.origin;
        if let Some(mut sender) = self.pool.take(origin)
            && sender.ready().await.is_ok()
        {
            let request = self.request(letter, id)?;
            match sender.try_send_request(request).await {
                Ok(response) => {
                    sent.store(true, Ordering::Relaxed);
                    return self.read(letter, sender, response).await;
                }
                Err(mut error) => {
                    let is_unsent = error.take_message().is_some();
                    let error = error.into_error();
                    // Receivers end connections that wait, now and then just when they are used again.
                    // If one did so without a byte of an answer, that is most likely why; if not, the
                    // id is the same.
                    if !is_unsent && !is_cut(&error) {
                        sent.store(true, Ordering::Relaxed);
                        return Err(WebhookFailure::Lost(error));
                    }
                    sent.fetch_or(!is_unsent, Ordering::Relaxed);
                    tracing::debug!(target: "cndt", %error, "a webhook connection was stale");
                }
            }
        }
        let mut sender = self.connector.connect(&letter.endpoint, letter.timeout).await?;
        let request = self.request(letter, id)?;
        sent.store(true, Ordering::Relaxed);
        let response = sender.send_request(request).await.map_err(WebhookFailure::Lost)?;
        self.read(letter, sender, response).await
    }

    /// The request, signed now.
    fn request(
        &self,
        letter: &Letter,
        id: Option<&MessageId>,
    ) -> Result<Request<Full<Bytes>>, WebhookFailure> {
        let Letter { endpoint, method, headers, body, .. } = letter;
        let form = self.connector.form(endpoint)?;
        let mut request = Request::new(Full::new(body.clone()));
        *request.method_mut() = method.clone();
        *request.uri_mut() = form.uri;
        let all = request.headers_mut();
        if let Ok(host) = HeaderValue::from_str(endpoint.authority.as_str()) {
            all.insert(HOST, host);
        }
        all.insert(USER_AGENT, AGENT);
        if let Some(value) = &endpoint.authorization {
            all.insert(AUTHORIZATION, value.clone());
        }
        if let Some(id) = id {
            all.insert(CONTENT_TYPE, JSON);
            all.extend(headers.clone());
            self.sign(all, id, body);
        }
        if let Some(value) = form.proxy_authorization {
            all.insert(PROXY_AUTHORIZATION, value);
        }
        Ok(request)
    }

    /// Whatever was signed replaces what a caller may have put there.
    fn sign(&self, headers: &mut HeaderMap, id: &MessageId, body: &[u8]) {
        let mut insert = |name: &str, value: &str| {
            // Both are printable ASCII.
            if let (Ok(name), Ok(value)) =
                (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value))
            {
                headers.insert(name, value);
            }
        };
        match &self.keys {
            Some(keys) => {
                let signed = keys.sign(id, self.machine.unix_millis() / 1000, body);
                signed.headers().for_each(|(name, value)| insert(name.lower(), value));
            }
            None => insert(Scheme::Standard.id_header().lower(), id.as_str()),
        }
    }

    /// Reads an answer, and keeps its connection if that is possible.
    async fn read(
        &self,
        letter: &Letter,
        sender: Sender,
        response: Response<Incoming>,
    ) -> Result<WebhookAnswer, WebhookFailure> {
        let (head, mut body) = response.into_parts();
        let mut read = BytesMut::new();
        let mut is_cut = false;
        while let Some(frame) = body.frame().await {
            let data = match frame {
                Ok(frame) => frame.into_data().unwrap_or_default(),
                // The receiver has not said all that it had to say.
                Err(error) if head.status.is_success() => return Err(WebhookFailure::Lost(error)),
                Err(_) => {
                    is_cut = true;
                    break;
                }
            };
            let room = self.response_max.saturating_sub(read.len());
            read.extend_from_slice(data.get(..room).unwrap_or(&data));
            if data.len() > room {
                is_cut = true;
                break;
            }
        }
        if !is_cut {
            Arc::clone(&self.pool).park(&letter.endpoint.origin, sender);
        }
        let (status, headers, body) = (head.status, head.headers, read.freeze());
        let retry_after = retry_after(&headers, self.machine.unix_millis());
        Ok(WebhookAnswer { status, headers, body, is_cut, retry_after })
    }
}

/// Whether a connection ended before any byte of an answer.
fn is_cut(error: &hyper::Error) -> bool {
    use std::error::Error as _;
    let io = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    let is_reset = io.is_some_and(|error| {
        matches!(
            error.kind(),
            std::io::ErrorKind::ConnectionReset
                | std::io::ErrorKind::ConnectionAborted
                | std::io::ErrorKind::BrokenPipe
        )
    });
    error.is_incomplete_message() || error.is_canceled() || error.is_closed() || is_reset
}
