//! Handlers by name: methods that are called, messages that arrive.
//!
//! A handler is an async function over [extractors](extract). It is registered once and knows no
//! protocol. Discovery (`listall`) shows what its types say.
//!
//! ```
//! use cndt_runtime::{Method, Params, Router, RpcError, State};
//! use schemars::JsonSchema;
//! use serde::Deserialize;
//!
//! #[derive(Deserialize, JsonSchema)]
//! struct Greet {
//!     name: String,
//! }
//!
//! async fn greet(State(word): State<&'static str>, Params(p): Params<Greet>) -> Result<String, RpcError> {
//!     if p.name.is_empty() {
//!         return Err(RpcError::validation("name must not be empty"));
//!     }
//!     Ok(format!("{word}, {}!", p.name))
//! }
//!
//! let router = Router::new()
//!     .rpc(Method::new("greet").describe("Return a greeting."), greet)
//!     .state("Hello");
//! let methods = router.methods();
//! assert_eq!(methods[0].parameters, [("name".into(), "str".into())]);
//! assert_eq!(methods[0].return_type, "str");
//! ```

mod context;
pub mod extract;
mod handler;
pub(crate) mod listall;
mod reply;
mod respond;
mod schema;

use std::collections::BTreeMap;
use std::sync::Arc;

use cndt_core::connection::{Message, Request};
use cndt_core::rpc::{MethodInfo, RpcError};

pub use context::{CallContext, States};
pub use extract::Extract;
pub use handler::Handler;
pub use reply::{Answer, Fallible, IntoAnswer, IntoReply, Plain, RawBytes, RawReply};

use crate::error::RouterError;
use crate::link::Link;
use crate::rt::Task;
use handler::{Erased, MessageHandler, RpcHandler};
use respond::Responder;

/// A method's name, and what discovery tells of it.
#[derive(Debug, Clone)]
pub struct Method {
    name: String,
    description: String,
}

impl Method {
    /// A method with this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), description: String::new() }
    }

    /// Says what it does, for people.
    #[must_use]
    pub fn describe(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }
}

impl From<&str> for Method {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl From<String> for Method {
    fn from(name: String) -> Self {
        Self::new(name)
    }
}

/// See the [module](self).
#[derive(Default)]
pub struct Router {
    // Ordered, so that discovery is.
    methods: BTreeMap<String, (MethodInfo, Arc<dyn Erased<Responder>>)>,
    messages: BTreeMap<String, Arc<dyn Erased<()>>>,
    states: Arc<States>,
    problems: Vec<RouterError>,
}

impl Router {
    /// Without handlers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers a method.
    #[must_use]
    pub fn rpc<H, A, M>(mut self, method: impl Into<Method>, handler: H) -> Self
    where
        H: Handler<A, Output: IntoReply<M>>,
        A: 'static,
        M: 'static,
    {
        let Method { name, description } = method.into();
        let info = MethodInfo {
            name: name.clone(),
            description,
            parameters: H::parameters(),
            return_type: <H::Output as IntoReply<M>>::return_type(),
            requires_auth: true,
        };
        let handler = Arc::new(RpcHandler::<H, A, M>::new(handler));
        if self.methods.insert(name.clone(), (info, handler)).is_some() {
            self.problems.push(RouterError::Duplicate { kind: "method", name });
        }
        self
    }

    /// Registers a handler for messages of one type.
    #[must_use]
    pub fn on<H, A, M>(mut self, message: impl Into<String>, handler: H) -> Self
    where
        H: Handler<A, Output: IntoAnswer<M>>,
        A: 'static,
        M: 'static,
    {
        let name = message.into();
        let handler = Arc::new(MessageHandler::<H, A, M>::new(handler, &name));
        if self.messages.insert(name.clone(), handler).is_some() {
            self.problems.push(RouterError::Duplicate { kind: "message handler", name });
        }
        self
    }

    /// Provides a value that handlers take by [`State`](extract::State). One of each type; a later
    /// one replaces the earlier.
    #[must_use]
    pub fn state<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        // Nobody shares the states before the router is in use.
        if let Some(states) = Arc::get_mut(&mut self.states) {
            states.insert(value);
        }
        self
    }

    /// What discovery tells, ordered by name. Discovery itself is not listed.
    pub fn methods(&self) -> Vec<MethodInfo> {
        let infos = self.methods.values().map(|(info, _)| info);
        infos.filter(|info| info.name != listall::NAME).cloned().collect()
    }

    /// Makes it ready for use.
    pub(crate) fn finish(mut self) -> Result<Self, RouterError> {
        if let Some(problem) = self.problems.pop() {
            return Err(problem);
        }
        let methods = self
            .methods
            .iter()
            .map(|(name, (_, handler))| (name, handler.missing_state(&self.states)));
        let messages =
            self.messages.iter().map(|(name, handler)| (name, handler.missing_state(&self.states)));
        for (name, missing) in methods.chain(messages) {
            if let Some(type_name) = missing {
                return Err(RouterError::MissingState { handler: name.clone(), type_name });
            }
        }
        if !self.methods.contains_key(listall::NAME) {
            let list = listall::reply(&self.methods());
            let handler = move || std::future::ready(list.clone());
            self = self.rpc(Method::new(listall::NAME).describe(listall::DESCRIPTION), handler);
        }
        Ok(self)
    }

    /// The work of answering a request: not begun.
    pub(crate) fn on_request(&self, link: &Arc<Link>, request: Request) -> Option<Task> {
        let Request { id, method, params, timestamp } = request;
        let responder = Responder::new(Arc::clone(link), id);
        match self.methods.get(method.as_str()) {
            Some((_, handler)) => {
                let context = self.context(link, method, params, timestamp);
                Some(handler.start(context, responder))
            }
            None => {
                responder.fail(&RpcError::method_not_found(&method));
                None
            }
        }
    }

    /// The work of handling a message: not begun.
    pub(crate) fn on_message(&self, link: &Arc<Link>, message: Message) -> Option<Task> {
        match self.messages.get(message.name.as_str()) {
            Some(handler) => {
                let Message { name, data, timestamp } = message;
                Some(handler.start(self.context(link, name, data, timestamp), ()))
            }
            None => {
                link.owner.unhandled(&message);
                None
            }
        }
    }

    fn context(
        &self,
        link: &Arc<Link>,
        name: cndt_core::message::Text,
        payload: bytes::Bytes,
        timestamp: u64,
    ) -> CallContext {
        let states = Arc::clone(&self.states);
        CallContext { link: Arc::clone(link), name, payload, timestamp, states }
    }
}

impl std::fmt::Debug for Router {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Router")
            .field("methods", &self.methods.keys())
            .field("messages", &self.messages.keys())
            .finish_non_exhaustive()
    }
}
