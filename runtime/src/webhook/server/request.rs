//! One request: whether it is one, whether its signature is right, what its handler says.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use cndt_core::rpc::RpcError;
use cndt_core::webhook::{DeliveryId, ReplayError, Verified, VerifyError};
use http::header::{CONNECTION, CONTENT_ENCODING};
use http::request::Parts;
use http::{HeaderMap, Method, Request, StatusCode};
use hyper::body::Incoming;
use serde_json::value::RawValue;

use super::body::{self, BodyError};
use super::envelope::{self, Reply};
use super::settings::{Claim, Reception};
use crate::net::TlsInfo;
use crate::router::WebhookHandler;
use crate::server::{Permit, ServerHandle, TaskCount};
use crate::watched::Watched;
use crate::webhook::received::{Received, Webhook};

/// What the requests of one connection have in common.
pub(super) struct Front {
    pub(super) server: ServerHandle,
    pub(super) reception: Arc<Reception>,
    pub(super) remote: Option<SocketAddr>,
    /// Known once something was read.
    pub(super) tls: Arc<OnceLock<Arc<TlsInfo>>>,
    /// Whether the connection closes with bytes that nobody has read.
    pub(super) lingers: Arc<AtomicBool>,
    /// Held by handlers that outlive the connection as well: nobody gathers them by hanging up.
    pub(super) place: Arc<Permit>,
}

impl Front {
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Reply {
        let (parts, body) = request.into_parts();
        let is_health = parts.uri.path() == self.reception.settings.health_path;
        match parts.method {
            Method::POST => match self.receive(&parts, body).await {
                Ok(reply) => reply,
                Err(reply) => {
                    if reply.headers().contains_key(CONNECTION) {
                        self.lingers.store(true, Ordering::Relaxed);
                    }
                    reply
                }
            },
            Method::GET | Method::HEAD if is_health => envelope::healthy(),
            Method::GET | Method::HEAD => envelope::refused(StatusCode::NOT_FOUND, "Not found"),
            _ if is_health => envelope::only("GET"),
            _ => envelope::only("POST"),
        }
    }

    /// What a webhook is answered; an `Err` was not handled.
    async fn receive(&self, parts: &Parts, body: Incoming) -> Result<Reply, Reply> {
        let coding = parts.headers.get(CONTENT_ENCODING);
        if coding.is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
            let words = "the body must not be compressed";
            return Err(envelope::refused_for_good(StatusCode::UNSUPPORTED_MEDIA_TYPE, words));
        }
        let now = self.server.machine().unix_millis() / 1000;
        let (body, verified) = self.verified(now, parts, body).await?;
        // Not before: a stranger learns nothing of the paths.
        let path = parts.uri.path();
        let found = self
            .server
            .router()
            .find_webhook(path)
            .map_err(|error| envelope::refused(StatusCode::BAD_REQUEST, &error.to_string()))?;
        let Some(found) = found else {
            return Err(envelope::refused(StatusCode::NOT_FOUND, "Not found"));
        };
        // Text, one value, and nothing around it. What is in it, the handler's types say.
        let payload = serde_json::from_slice::<&RawValue>(&body)
            .map(|value| body.slice_ref(value.get().as_bytes()))
            .map_err(|error| {
                let words = format!("Invalid JSON: {error}");
                envelope::refused(StatusCode::BAD_REQUEST, &words)
            })?;
        let claim = verified.as_ref().map(|verified| self.reception.claim(now, verified));
        let claim = claim.transpose().map_err(|error| not_again(&error))?;
        let params = found.params().into_iter();
        let params = params.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let webhook = self.webhook(parts, params, verified);
        match self.handle(found.value.clone(), webhook, payload, claim).await {
            Ok(result) => Ok(envelope::received(&result)),
            Err(error) => Ok(envelope::failed(&error)),
        }
    }

    /// Reads the body, and checks its signature on the way.
    async fn verified(
        &self,
        now: u64,
        parts: &Parts,
        body: Incoming,
    ) -> Result<(Bytes, Option<Verified>), Reply> {
        let settings = &self.reception.settings;
        let headers = &parts.headers;
        let verifier = settings
            .keys
            .as_ref()
            .map(|keys| keys.verifier(now, settings.tolerance, |name| only(headers, name)));
        // With headers that are wrong the body need not be read.
        let mut verifier = verifier
            .transpose()
            .map_err(|error| self.unsigned(&error, envelope::refused_for_good))?;
        let look = |piece: &[u8]| {
            if let Some(verifier) = &mut verifier {
                verifier.update(piece);
            }
        };
        let machine = self.server.machine();
        let body = body::read(body, machine, settings.body_max, settings.read_timeout, look).await;
        let body = body.map_err(|error| {
            let (status, words) = match error {
                BodyError::TooLarge => (
                    StatusCode::PAYLOAD_TOO_LARGE,
                    format!("more than {} bytes", settings.body_max),
                ),
                BodyError::TooSlow => {
                    (StatusCode::REQUEST_TIMEOUT, "the body came too slowly".to_owned())
                }
                BodyError::Lost(error) => (StatusCode::BAD_REQUEST, error.to_string()),
            };
            envelope::refused_for_good(status, &words)
        })?;
        let verified = verifier.map(|verifier| verifier.finish()).transpose();
        let verified = verified.map_err(|error| self.unsigned(&error, envelope::refused))?;
        Ok((body, verified))
    }

    fn unsigned(&self, error: &VerifyError, refused: fn(StatusCode, &str) -> Reply) -> Reply {
        let remote = self.remote;
        tracing::warn!(target: "cndt", ?remote, %error, "webhook refused");
        refused(StatusCode::UNAUTHORIZED, error.for_peer())
    }

    fn webhook(
        &self,
        parts: &Parts,
        params: Vec<(String, String)>,
        verified: Option<Verified>,
    ) -> Webhook {
        let is_verified = verified.is_some();
        let (id, timestamp) = verified.map_or((None, None), |verified| {
            let id = verified.id.and_then(|id| match id {
                DeliveryId::Signed(id) => Some(id),
                DeliveryId::Unsigned(_) => None,
            });
            (id, verified.timestamp)
        });
        Webhook(Arc::new(Received {
            server: self.server.clone(),
            path: parts.uri.path().to_owned(),
            params,
            query: parts.uri.query().map(str::to_owned),
            headers: parts.headers.clone(),
            remote: self.remote,
            tls: self.tls.get().cloned(),
            id,
            timestamp,
            is_verified,
        }))
    }

    /// Runs the handler to its end, whoever waits for it. It counts as handled only if it says so.
    async fn handle(
        &self,
        handler: WebhookHandler,
        webhook: Webhook,
        payload: Bytes,
        claim: Option<Claim>,
    ) -> Result<Bytes, RpcError> {
        let outcome = Arc::new(Watched::new(None));
        let told = Arc::clone(&outcome);
        let (count, place) = (TaskCount::new(&self.server), Arc::clone(&self.place));
        let context = self.server.router().webhook_context(webhook, payload);
        let tell = Tell(told);
        self.server.machine().spawn(async move {
            let outcome = handler.run(context).await;
            if let (Ok(_), Some(claim)) = (&outcome, claim) {
                claim.keep();
            }
            tell.0.change(|told| *told = Some(outcome));
            drop((place, count));
        });
        std::future::poll_fn(|cx| outcome.poll_take(cx, Option::take)).await
    }
}

/// What is answered to a delivery that is not to be handled, now or ever.
fn not_again(error: &ReplayError) -> Reply {
    match error {
        ReplayError::Replayed => envelope::received_before(),
        ReplayError::InProgress => {
            let words = "this delivery is being handled; ask again later";
            envelope::refused(StatusCode::CONFLICT, words)
        }
        ReplayError::Full { .. } | ReplayError::ClockWentBack { .. } => {
            tracing::warn!(target: "cndt", %error, "webhook refused");
            let words = "no more deliveries can be told apart; try again later";
            envelope::refused(StatusCode::SERVICE_UNAVAILABLE, words)
        }
    }
}

/// Whoever waits hears of the end, even of a task that is dropped with its runtime.
struct Tell(Arc<Watched<Option<Result<Bytes, RpcError>>>>);

impl Drop for Tell {
    fn drop(&mut self) {
        self.0.change(|told| {
            told.get_or_insert_with(|| Err(RpcError::internal("the handler was dropped")));
        });
    }
}

/// A header that is there once. Of two, nobody can say which one was meant.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let mut all = headers.get_all(name).iter();
    let first = all.next()?;
    all.next().is_none().then(|| first.as_bytes())
}
