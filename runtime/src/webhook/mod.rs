//! Webhooks: signed HTTP, received by a server's own handlers, sent by a [client], kept in an
//! outbox (`webhook::outbox`, feature `outbox`) where none may be lost.
//!
//! A server receives webhooks on a [`Listener`](crate::Listener) of their own, by the same router,
//! states and hooks as everything else. A handler of a path gets the payload as
//! [`Data`](crate::Data), and what stands around it as [`Webhook`] or [`Headers`]; what it returns is
//! the `result` of the answer.
//!
//! ```
//! use cndt_tokio::webhook::{Keys, Scheme, Webhook, Webhooks};
//! use cndt_tokio::{Data, Listener, Server, ServerDescriptor};
//! use serde_json::{Value, json};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let descriptor = ServerDescriptor::new("secret").host("127.0.0.1").port(0);
//! let keys = Keys::parse(Scheme::Hex, "your-secret-key-here")?;
//! let server = Server::new(descriptor)
//!     .webhook("/trading/signal", |Data(signal): Data<Value>| async move {
//!         println!("{}", signal["symbol"]);
//!         json!({"status": "signal_received"})
//!     })
//!     .webhook("/alerts/*", |webhook: Webhook| async move {
//!         println!("{}", webhook.path());
//!         json!({"status": "alert_processed"})
//!     })
//!     .listen(Listener::tcp("127.0.0.1", 0).webhooks(Webhooks::signed(keys)))
//!     .start()
//!     .await?;
//! println!("{}", server.local_addresses()[1]);
//! server.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! # What is answered
//!
//! | status | when |
//! |---|---|
//! | 200 | handled: `{"status": "success", "message": "Webhook received", "result": …}`; or handled before: `"status": "duplicate"` |
//! | 400 | the body is no JSON |
//! | 401 | no signature, or a wrong one; no handler runs |
//! | 403, 422, 429, 500, … | the handler's error, by its code: `{"status": "error", "code": …, "message": …}` |
//! | 404 | no handler for the path, which only whoever signs learns |
//! | 405 | anything but `POST`; `GET /health` is answered by 200 |
//! | 408, 413, 415 | the body comes too slowly, is too large, or is compressed |
//! | 409 | the same delivery is being handled |
//! | 503 | more deliveries than can be told apart |
//!
//! The signature is checked over the bytes as they came, before anything reads them. A handler that has
//! begun runs to its end, even if its sender hangs up.

pub mod client;
#[cfg(feature = "outbox")]
pub mod outbox;
mod received;
pub(crate) mod server;

pub use client::{
    AnswerError, Detached, Proxy, SendBatch, SendWebhook, WebhookAnswer, WebhookClient,
    WebhookClientDescriptor, WebhookError, WebhookFailure,
};
pub use cndt_core::webhook::{
    Dead, DeliveryId, DeliveryPolicy, KeyError, Keys, MessageId, ReplayLimits, Scheme, Secret,
    Statuses, Tolerance, VerifyError,
};
pub use http;
pub use received::{Headers, Webhook};
pub use server::Webhooks;
