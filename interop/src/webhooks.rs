//! Our side of the webhook tests: a server with everything that foreign senders ask for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cndt_tokio::webhook::{Headers, Keys, MessageId, Scheme, Secret, Webhook, Webhooks};
use cndt_tokio::{Data, Listener, LocalAddress, RpcError, Runtime, Server, ServerHandle, Tokio};
use serde_json::{Value, json};

use crate::fixture::descriptor;

/// What all but [`Scheme::Standard`] use as it stands.
pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// Another one.
pub const OLD_SECRET: &str = "whsec_b2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xk";

/// A server that receives webhooks.
#[derive(Debug)]
pub struct Receiver {
    /// To stop it.
    pub server: ServerHandle,
    /// Where on 127.0.0.1 it receives them.
    pub port: u16,
    /// How many handlers have run.
    pub runs: Arc<AtomicUsize>,
}

impl Receiver {
    /// Starts it, with a handler of every temper.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn start(settings: Webhooks) -> Self {
        Self::listen(Listener::tcp("127.0.0.1", 0).webhooks(settings)).await
    }

    /// The same with a listener that is more than that.
    ///
    /// # Panics
    /// When it cannot listen there.
    pub async fn listen(listener: Listener) -> Self {
        let runs = Arc::<AtomicUsize>::default();
        let server = handlers(Server::new(descriptor()), &runs).listen(listener);
        let server = server.start().await.expect("a free port");
        let addresses = server.local_addresses();
        let address = addresses.iter().find(|address| matches!(address, LocalAddress::Http(_)));
        let port = address.and_then(LocalAddress::socket_address).expect("a TCP address").port();
        Self { server, port, runs }
    }

    /// How many handlers have run.
    pub fn runs(&self) -> usize {
        self.runs.load(Ordering::Relaxed)
    }
}

fn handlers(server: Server, runs: &Arc<AtomicUsize>) -> Server {
    let [echo, size, flaky] = std::array::from_fn(|_| Arc::clone(runs));
    let tries = AtomicUsize::new(0);
    server
        .webhook("/echo", move |Data(payload): Data<Value>, webhook: Webhook| {
            echo.fetch_add(1, Ordering::Relaxed);
            async move {
                let has_timestamp = webhook.timestamp().is_some();
                json!({"payload": payload, "id": webhook.id(), "has_timestamp": has_timestamp})
            }
        })
        .webhook("/size", move |Data(payload): Data<Value>| {
            size.fetch_add(1, Ordering::Relaxed);
            async move { payload["text"].as_str().map(|text| text.chars().count()) }
        })
        .webhook("/header", |Headers(headers): Headers| async move {
            headers.get("x-custom").and_then(|value| value.to_str().ok()).map(str::to_owned)
        })
        .webhook("/nothing", || async {})
        .webhook("/alerts/*", |webhook: Webhook| async move { webhook.path().to_owned() })
        .webhook("/alerts/exact", || async { "exact" })
        .webhook(
            "/tls",
            |webhook: Webhook| async move { webhook.tls().map(|tls| tls.protocol.clone()) },
        )
        .webhook("/fails", || async { Err::<(), _>(RpcError::internal("out of order")) })
        .webhook("/busy", || async {
            Err::<(), _>(RpcError::rate_limited(Duration::from_millis(1500)))
        })
        .webhook("/flaky", move || {
            flaky.fetch_add(1, Ordering::Relaxed);
            let tried = tries.fetch_add(1, Ordering::Relaxed) + 1;
            async move { if tried > 2 { Ok(tried) } else { Err(RpcError::internal("not yet")) } }
        })
}

/// The scheme of what a Python library signs and verifies.
///
/// # Panics
/// When there is no such library.
pub fn scheme_of(library: &str) -> Scheme {
    match library {
        "standardwebhooks" | "svix" => Scheme::Standard,
        "stripe" => Scheme::Stripe,
        "github" => Scheme::GitHub,
        "hex" => Scheme::Hex,
        other => panic!("no library {other}"),
    }
}

/// Keys with these secrets, the newest first.
///
/// # Panics
/// When they are none.
pub fn keys(scheme: Scheme, secrets: &[&str]) -> Keys {
    let secrets = secrets.iter().map(|text| Secret::parse(scheme, text).expect("a secret"));
    Keys::new(scheme, secrets).expect("keys")
}

/// Names and values of the headers that sign a body as if it were sent `age` seconds ago.
///
/// # Panics
/// When `id` is none.
pub fn headers(keys: &Keys, id: &str, age: u64, body: &str) -> Vec<(String, String)> {
    let now = Tokio.unix_millis() / 1000;
    let id: MessageId = id.parse().expect("an id");
    let signed = keys.sign(&id, now - age, body.as_bytes());
    let owned = signed.headers().map(|(name, value)| (name.to_string(), value.to_owned()));
    owned.collect()
}
