//! Sending webhooks: signed, tried again, over connections that are kept.
//!
//! A [`WebhookClient`] delivers at least once: what has not been answered by a status of 2xx is sent
//! again, up to `retry_count` attempts in all, with pauses between them. All attempts of a delivery
//! have the same id, by which a receiver tells that it has done its work before; each is signed anew.
//!
//! ```
//! use cndt_tokio::webhook::{Keys, Scheme, WebhookClientDescriptor, Webhooks};
//! use cndt_tokio::{Data, Listener, Server, ServerDescriptor, WebhookClient};
//! use serde_json::{Value, json};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let keys = Keys::parse(Scheme::Hex, "your-secret-key-here")?;
//! # let descriptor = ServerDescriptor::new("secret").host("127.0.0.1").port(0);
//! let server = Server::new(descriptor)
//!     .webhook("/events", |Data(event): Data<Value>| async move { event["type"].clone() })
//!     .listen(Listener::tcp("127.0.0.1", 0).webhooks(Webhooks::signed(keys.clone())))
//!     .start()
//!     .await?;
//!
//! let url = format!("{}/events", server.local_addresses()[1]);
//! let client = WebhookClient::new(WebhookClientDescriptor::new(url).keys(keys))?;
//! // Any answer will do, such as that there is nothing to be had by HEAD.
//! assert!(client.test_connection().await.is_ok());
//!
//! let answer = client.send(&json!({"type": "test"})).await?;
//! assert_eq!(answer.json::<Value>()?["result"], "test");
//!
//! // Nobody need wait for it.
//! let detached = client.send_detached(&json!({"type": "heartbeat"}))?;
//! detached.await?;
//!
//! let trades = [json!({"type": "a"}), json!({"type": "b"}), json!({"type": "c"})];
//! let outcomes = client.send_batch(&trades).parallel(2).await;
//! assert!(outcomes.iter().all(Result::is_ok));
//! server.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! # What is tried again
//!
//! No connection, none in time, a connection that ended early, and statuses 408, 425, 429, 500, 502,
//! 503 and 504. Other statuses are final: 3xx too, since no redirect is followed, and 410 says that
//! the receiver wants no more. `Retry-After` makes a pause longer, up to a cap. All of it can be
//! changed by a [`DeliveryPolicy`].
//!
//! A connection that waited and turns out to be closed costs no attempt: the request is sent on a fresh
//! one at once, if not a byte of an answer had come.

mod answer;
mod batch;
mod connect;
mod descriptor;
mod detached;
mod endpoint;
mod error;
mod exchange;
#[cfg(feature = "outbox")]
mod outbox;
mod pool;
mod private;
mod proxy;
mod send;
mod tls;

use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use cndt_core::webhook::{DeliveryPolicy, Keys};
use http::header::HeaderMap;
use http::{Method, StatusCode};
use serde::Serialize;

pub use answer::{AnswerError, WebhookAnswer};
pub use batch::SendBatch;
use connect::{Connector, dial_of};
pub use descriptor::WebhookClientDescriptor;
pub use detached::Detached;
use endpoint::Endpoint;
pub use error::{WebhookError, WebhookFailure};
use exchange::Letter;
use pool::Pool;
use proxy::Proxies;
pub use proxy::Proxy;
pub use send::SendWebhook;
use tls::Tls;

use crate::error::ConfigError;
use crate::rt::{Machine, Runtime};

/// See the [module](self). Cheap to clone: clones share their connections.
pub struct WebhookClient<R> {
    shared: Arc<Shared>,
    runtime: PhantomData<fn() -> R>,
}

struct Shared {
    machine: Machine,
    endpoint: Endpoint,
    keys: Option<Keys>,
    headers: HeaderMap,
    timeout: Duration,
    policy: DeliveryPolicy,
    response_max: usize,
    connector: Connector,
    pool: Arc<Pool>,
    detached_max: usize,
    detached: Arc<AtomicUsize>,
}

impl<R: Runtime> WebhookClient<R> {
    /// A client. Nothing is connected yet.
    ///
    /// # Errors
    /// The first setting that makes no sense, with what would.
    pub fn new(descriptor: WebhookClientDescriptor) -> Result<Self, ConfigError> {
        Self::with(descriptor, OnceLock::new())
    }

    /// A client that speaks TLS as this says, in place of what the descriptor says. It must offer no
    /// protocol by ALPN but `http/1.1`.
    ///
    /// # Errors
    /// The first setting that makes no sense, with what would.
    #[cfg(feature = "tls")]
    pub fn with_tls(
        descriptor: WebhookClientDescriptor,
        config: Arc<crate::net::rustls::ClientConfig>,
    ) -> Result<Self, ConfigError> {
        Self::with(descriptor, OnceLock::from(Ok(crate::net::TlsClient::new(config, false))))
    }

    fn with(
        descriptor: WebhookClientDescriptor,
        tls: OnceLock<Result<crate::net::TlsClient, ConfigError>>,
    ) -> Result<Self, ConfigError> {
        descriptor.validate()?;
        let machine = Machine::of::<R>();
        let endpoint = Endpoint::parse(&descriptor.url)?;
        let tls = Tls { files: descriptor.tls.clone(), client: tls };
        if endpoint.origin.is_tls {
            tls.client()?;
        }
        let (proxies, admits) = match descriptor.blocks_private {
            true => (Proxies::none(), private::is_public as fn(&_) -> _),
            false => (Proxies::new(&descriptor.proxy)?, (|_| true) as fn(&_) -> _),
        };
        let connector = Connector { machine, dial: dial_of::<R>(), proxies, admits, tls };
        let WebhookClientDescriptor { idle_per_host_max, idle_timeout, .. } = descriptor;
        let shared = Shared {
            machine,
            endpoint,
            headers: descriptor.header_map()?,
            policy: descriptor.delivery_policy()?,
            timeout: descriptor.timeout,
            response_max: descriptor.response_max,
            connector,
            pool: Arc::new(Pool::new(machine, idle_per_host_max, idle_timeout)),
            detached_max: descriptor.detached_max,
            detached: Arc::default(),
            keys: descriptor.keys,
        };
        Ok(Self { shared: Arc::new(shared), runtime: PhantomData })
    }
}

impl<R> WebhookClient<R> {
    /// Sends a payload as JSON; await it.
    pub fn send<T: Serialize + ?Sized>(&self, payload: &T) -> SendWebhook {
        let body = serde_json::to_vec(payload).map(Bytes::from).map_err(WebhookFailure::Encode);
        SendWebhook::new(Arc::clone(&self.shared), body)
    }

    /// Sends bytes as they are. They are called JSON, unless the header `Content-Type` is set.
    pub fn send_raw(&self, body: impl Into<Bytes>) -> SendWebhook {
        SendWebhook::new(Arc::clone(&self.shared), Ok(body.into()))
    }

    /// Sends a payload without anyone waiting for it: [`send`](Self::send) and
    /// [`detach`](SendWebhook::detach).
    ///
    /// # Errors
    /// What is wrong with it, and [`WebhookFailure::Full`].
    pub fn send_detached<T: Serialize + ?Sized>(
        &self,
        payload: &T,
    ) -> Result<Detached, WebhookError> {
        self.send(payload).detach()
    }

    /// Sends payloads one after the other, or several [at once](SendBatch::parallel). Each is tried as
    /// often as any other, and none stops the others.
    pub fn send_batch<'a, I>(&'a self, payloads: I) -> SendBatch<'a>
    where
        I: IntoIterator<IntoIter: Send + 'a>,
        I::Item: Serialize,
    {
        SendBatch::new(payloads.into_iter().map(|payload| self.send(&payload)))
    }

    /// Whether the receiver can be reached: one `HEAD` request to the URL, without headers of one's
    /// own and without a signature. Any answer will do; its status is returned.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn test_connection(&self) -> Result<StatusCode, WebhookError> {
        let Shared { endpoint, timeout, .. } = &*self.shared;
        let letter = Letter {
            endpoint: endpoint.clone(),
            method: Method::HEAD,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            timeout: *timeout,
        };
        let sent = AtomicBool::new(false);
        let outcome = self.shared.attempt(&letter, None, &sent).await;
        outcome.map(|answer| answer.status).map_err(|failure| {
            let mut error = WebhookError::unsent(endpoint.to_string(), failure);
            (error.attempts, error.may_have_arrived) = (1, sent.into_inner());
            error
        })
    }
}

impl Shared {
    /// A place for one more webhook that nobody waits for, if there is any.
    fn place(&self) -> Option<Place> {
        let max = self.detached_max;
        let more = |count: usize| (count < max).then_some(count + 1);
        let taken = self.detached.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.ok().map(|_| Place(Arc::clone(&self.detached)))
    }
}

struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<R> Clone for WebhookClient<R> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), runtime: PhantomData }
    }
}

impl<R> std::fmt::Debug for WebhookClient<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Shared { endpoint, keys, .. } = &*self.shared;
        f.debug_struct("WebhookClient")
            .field("url", &format_args!("{endpoint}"))
            .field("keys", keys)
            .finish_non_exhaustive()
    }
}
