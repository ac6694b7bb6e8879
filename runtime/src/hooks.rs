//! Lifecycle hooks: async functions that are told when something begins or ends.
//!
//! Several may be registered for one occasion; they run one after the other, in order. A hook that
//! fails or panics is logged and does not stop the next.
//!
//! ```
//! use cndt_tokio::{Peer, Server, ServerDescriptor, ServerHandle};
//!
//! async fn check_database(_: ServerHandle) -> Result<(), std::io::Error> {
//!     Ok(())
//! }
//!
//! let server = Server::new(ServerDescriptor::new("secret"))
//!     .on_startup(check_database)
//!     .on_client_connect(|peer: Peer| async move { println!("{} is here", peer.name()) });
//! # drop(server);
//! ```

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::contain::{Contained, contain};

type HookFuture = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// What a hook may return: nothing, or a `Result` whose error is logged.
pub trait HookOutcome: Send + 'static {
    /// The error's words.
    ///
    /// # Errors
    /// What the hook returned.
    fn into_words(self) -> Result<(), String>;
}

impl HookOutcome for () {
    fn into_words(self) -> Result<(), String> {
        Ok(())
    }
}

impl<E: fmt::Display + Send + 'static> HookOutcome for Result<(), E> {
    fn into_words(self) -> Result<(), String> {
        self.map_err(|error| error.to_string())
    }
}

/// The hooks of one occasion.
#[derive(Clone)]
pub(crate) struct Hooks<A> {
    occasion: &'static str,
    hooks: Vec<Arc<dyn Fn(A) -> HookFuture + Send + Sync>>,
}

impl<A: Clone + Send + 'static> Hooks<A> {
    pub(crate) fn new(occasion: &'static str) -> Self {
        Self { occasion, hooks: Vec::new() }
    }

    pub(crate) fn add<F, Fut>(&mut self, hook: F)
    where
        F: Fn(A) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: HookOutcome> + Send + 'static,
    {
        self.hooks.push(Arc::new(move |argument| {
            let hook = hook(argument);
            Box::pin(async move { hook.await.into_words() })
        }));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.hooks.is_empty()
    }

    /// Runs all of them, in order.
    pub(crate) async fn run(&self, argument: A) {
        for hook in &self.hooks {
            let outcome = match contain(|| hook(argument.clone())) {
                Ok(hook) => Contained(hook).await.unwrap_or_else(Err),
                Err(why) => Err(why),
            };
            if let Err(why) = outcome {
                tracing::error!(target: "cndt", hook = self.occasion, %why, "hook failed");
            }
        }
    }
}
