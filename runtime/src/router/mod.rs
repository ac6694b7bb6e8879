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
mod failure;
mod handler;
pub(crate) mod listall;
mod openrpc;
mod reply;
mod respond;
mod response;
mod route;
mod schema;
mod turn;
#[cfg(feature = "webhook")]
mod webhooks;

use std::collections::BTreeMap;
use std::future::Future;
use std::mem;
use std::sync::Arc;

use cndt_core::connection::{Message, Request};
#[cfg(feature = "webhook")]
use cndt_core::message::Text;
use cndt_core::rpc::{MethodInfo, RpcError};
#[cfg(feature = "webhook")]
use cndt_core::webhook::{Found, PathError};
use schemars::{Schema, SchemaGenerator};

#[cfg(feature = "webhook")]
pub(crate) use context::Origin;
pub use context::{CallContext, States};
pub use extract::Extract;
pub use failure::{FailureCause, HandlerFailure, HandlerKind};
pub use handler::Handler;
pub(crate) use openrpc::About;
pub use reply::{Answer, Answered, Fallible, IntoAnswer, IntoReply, Plain, RawBytes, RawReply};
pub use response::{Response, WithBeside};
pub(crate) use route::registration;
pub use route::{Method, Route};
pub(crate) use turn::{Spare, Turn};

use crate::error::RouterError;
use crate::hooks::{HookOutcome, Hooks};
use crate::protocol::Codec;
use crate::rt::Task;
use crate::telemetry::MethodMeter;
#[cfg(feature = "webhook")]
use crate::webhook::Webhook;
use handler::{ErasedMessage, ErasedMethod, Typed};
use respond::{Responder, answer_message};
use route::Access;
#[cfg(feature = "webhook")]
pub(crate) use webhooks::WebhookHandler;
#[cfg(feature = "webhook")]
use webhooks::Webhooks;

/// See the [module](self). Cheap to clone: clones share handlers and states.
#[derive(Clone)]
pub struct Router {
    // Ordered, so that discovery is.
    methods: BTreeMap<String, RegisteredMethod>,
    default_method: Option<Arc<dyn ErasedMethod>>,
    other_methods: MethodMeter,
    messages: BTreeMap<String, Vec<RegisteredMessage>>,
    default_message: Option<Arc<dyn ErasedMessage>>,
    #[cfg(feature = "webhook")]
    webhooks: Webhooks,
    failures: Hooks<HandlerFailure>,
    states: Arc<States>,
    problems: Vec<RouterError>,
}

#[derive(Clone)]
struct RegisteredMethod {
    info: MethodInfo,
    access: Access,
    handler: Arc<dyn ErasedMethod>,
    /// Parameters and result.
    types: fn(&mut SchemaGenerator) -> (Option<Schema>, Schema),
    meter: MethodMeter,
}

#[derive(Clone)]
struct RegisteredMessage {
    priority: i32,
    access: Access,
    handler: Arc<dyn ErasedMessage>,
}

impl Default for Router {
    fn default() -> Self {
        Self {
            methods: BTreeMap::new(),
            default_method: None,
            other_methods: MethodMeter::of_others(),
            messages: BTreeMap::new(),
            default_message: None,
            #[cfg(feature = "webhook")]
            webhooks: Webhooks::default(),
            failures: Hooks::new("on_error"),
            states: Arc::default(),
            problems: Vec::new(),
        }
    }
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
        let Method { name, description, access } = method.into();
        let info = MethodInfo {
            name: name.clone(),
            description,
            parameters: H::parameters(),
            return_type: <H::Output as IntoReply<M>>::return_type(),
            requires_auth: access == Access::LoggedIn,
        };
        let handler = Arc::new(Typed::<H, A, M>::new(handler));
        let meter = MethodMeter::new(&name);
        let types = |generator: &mut SchemaGenerator| {
            (H::schema(generator), <H::Output as IntoReply<M>>::schema(generator))
        };
        let method = RegisteredMethod { info, access, handler, types, meter };
        if self.methods.insert(name.clone(), method).is_some() {
            self.problems.push(RouterError::Duplicate { kind: "method", name });
        }
        self
    }

    /// Registers a handler for calls of methods that are not registered; without one they are
    /// answered by METHOD_NOT_FOUND. It learns the name from `CallContext` or [`Meta`](extract::Meta).
    #[must_use]
    pub fn rpc_default<H, A, M>(mut self, handler: H) -> Self
    where
        H: Handler<A, Output: IntoReply<M>>,
        A: 'static,
        M: 'static,
    {
        let handler = Arc::new(Typed::<H, A, M>::new(handler));
        if self.default_method.replace(handler).is_some() {
            let name = "rpc_default".to_owned();
            self.problems.push(RouterError::Duplicate { kind: "default handler", name });
        }
        self
    }

    /// Registers a handler for messages of one type.
    ///
    /// There may be several for one type: all of them run, one after the other, in order of priority
    /// and then of registration. The value of the last one that gives any is the answer.
    #[must_use]
    pub fn on<H, A, M>(mut self, message: impl Into<Route>, handler: H) -> Self
    where
        H: Handler<A, Output: IntoAnswer<M>>,
        A: 'static,
        M: 'static,
    {
        let Route { name, priority, access } = message.into();
        let handler = Arc::new(Typed::<H, A, M>::new(handler));
        let all = self.messages.entry(name).or_default();
        let behind = all.partition_point(|other| other.priority >= priority);
        all.insert(behind, RegisteredMessage { priority, access, handler });
        self
    }

    /// Registers a handler for messages that no other handler takes. On clients they are not handed
    /// to subscriptions then.
    #[must_use]
    pub fn on_default<H, A, M>(mut self, handler: H) -> Self
    where
        H: Handler<A, Output: IntoAnswer<M>>,
        A: 'static,
        M: 'static,
    {
        let handler = Arc::new(Typed::<H, A, M>::new(handler));
        if self.default_message.replace(handler).is_some() {
            let name = "on_default".to_owned();
            self.problems.push(RouterError::Duplicate { kind: "default handler", name });
        }
        self
    }

    /// Registers a handler for webhooks on a path: exact, or a pattern with `*`; see [`Routes`]. It
    /// takes the payload as [`Data`](extract::Data), and what it returns is the `result` of the answer.
    ///
    /// [`Routes`]: cndt_core::webhook::Routes
    #[cfg(feature = "webhook")]
    #[must_use]
    pub fn webhook<H, A, M>(mut self, path: impl AsRef<str>, handler: H) -> Self
    where
        H: Handler<A, Output: IntoReply<M>>,
        A: 'static,
        M: 'static,
    {
        let handler = Arc::new(Typed::<H, A, M>::new(handler));
        self.problems.extend(self.webhooks.add(path.as_ref(), handler).err());
        self
    }

    /// Runs whenever a handler fails in a way that its peer does not learn of in full; see
    /// [`HandlerFailure`]. Several may be registered. The failure is logged either way.
    #[must_use]
    pub fn on_error<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn(HandlerFailure) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: HookOutcome> + Send + 'static,
    {
        self.failures.add(hook);
        self
    }

    /// Provides a value that handlers take by [`State`](extract::State). One of each type; a later
    /// one replaces the earlier.
    #[must_use]
    pub fn state<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        Arc::make_mut(&mut self.states).insert(value);
        self
    }

    /// What discovery tells, ordered by name. Discovery itself is not listed.
    pub fn methods(&self) -> Vec<MethodInfo> {
        self.listed().map(|method| method.info.clone()).collect()
    }

    fn listed(&self) -> impl Iterator<Item = &RegisteredMethod> {
        let is_discovery = |name: &str| name == listall::NAME || name == openrpc::NAME;
        self.methods.values().filter(move |method| !is_discovery(&method.info.name))
    }

    /// Makes it ready for use.
    pub(crate) fn finish(mut self, about: About<'_>) -> Result<Self, RouterError> {
        if let Some(problem) = self.problems.pop() {
            return Err(problem);
        }
        if let Some((handler, type_name)) = self.missing_state() {
            return Err(RouterError::MissingState { handler, type_name });
        }
        // Not before: whoever wants numbers has installed a recorder by now.
        self.other_methods = MethodMeter::of_others();
        for (name, method) in &mut self.methods {
            method.meter = MethodMeter::new(name);
        }
        if !self.methods.contains_key(openrpc::NAME) {
            let entries = self.listed().map(|method| openrpc::Entry {
                name: &method.info.name,
                description: &method.info.description,
                types: method.types,
            });
            let document = openrpc::reply(about, entries);
            let handler = move || std::future::ready(document.clone());
            self = self.rpc(Method::new(openrpc::NAME).describe(openrpc::DESCRIPTION), handler);
        }
        if !self.methods.contains_key(listall::NAME) {
            let list = listall::reply(&self.methods());
            let handler = move || std::future::ready(list.clone());
            self = self.rpc(Method::new(listall::NAME).describe(listall::DESCRIPTION), handler);
        }
        Ok(self)
    }

    fn missing_state(&self) -> Option<(String, &'static str)> {
        let states = &self.states;
        let methods = self.methods.iter().map(|(name, method)| (name.as_str(), &method.handler));
        let default = self.default_method.iter().map(|handler| ("rpc_default", handler));
        for (name, handler) in methods.chain(default) {
            if let Some(missing) = handler.missing_state(states) {
                return Some((name.to_owned(), missing));
            }
        }
        let messages = self.messages.iter().flat_map(|(name, all)| {
            all.iter().map(move |message| (name.as_str(), &message.handler))
        });
        let default = self.default_message.iter().map(|handler| ("on_default", handler));
        for (name, handler) in messages.chain(default) {
            if let Some(missing) = handler.missing_state(states) {
                return Some((name.to_owned(), missing));
            }
        }
        #[cfg(feature = "webhook")]
        if let Some(missing) = self.webhooks.missing_state(states) {
            return Some(missing);
        }
        None
    }

    /// Whoever takes webhooks on this path.
    ///
    /// # Errors
    /// A path that nobody could take.
    #[cfg(feature = "webhook")]
    pub(crate) fn find_webhook<'a>(
        &'a self,
        path: &'a str,
    ) -> Result<Option<Found<'a, WebhookHandler>>, PathError> {
        self.webhooks.find(path)
    }

    #[cfg(feature = "webhook")]
    pub(crate) fn webhook_context(&self, webhook: Webhook, payload: bytes::Bytes) -> CallContext {
        let states = Arc::clone(&self.states);
        let timestamp = webhook.timestamp().unwrap_or(0).saturating_mul(1000);
        let name = Text::from(webhook.path());
        let origin = Origin::Webhook(Arc::new(webhook));
        CallContext { origin, name, payload, timestamp, states }
    }

    pub(crate) fn failures(&self) -> &Hooks<HandlerFailure> {
        &self.failures
    }

    /// Answers a request, out of which it takes what it needs; what is left to be done of it.
    pub(crate) fn on_request(
        &self,
        turn: &mut Turn<'_, '_>,
        request: &mut Request,
    ) -> Option<Task> {
        let Request { id, method, params, timestamp } = request;
        let link = turn.link;
        let registered = self.methods.get(method.as_str());
        let meter = registered.map_or(&self.other_methods, |method| &method.meter);
        let responder = Responder::new(Arc::clone(link), Some(*id), meter);
        let is_closed_to = |access| access == Access::LoggedIn && !link.is_logged_in();
        let handler = match (registered, &self.default_method) {
            (Some(method), _) if is_closed_to(method.access) => {
                responder.fail(&auth_required());
                return None;
            }
            (Some(method), _) => &method.handler,
            (None, Some(handler)) => handler,
            (None, None) => {
                responder.fail(&RpcError::method_not_found(method));
                return None;
            }
        };
        let span = tracing::debug_span!(target: "cndt", "call", connection = %link.id, %method);
        turn.to(mem::take(method), mem::take(params), *timestamp);
        within(&span, || handler.start(turn, responder))
    }

    /// Handles a message, out of which it takes what it needs; what is left to be done of it.
    pub(crate) fn on_message(
        &self,
        turn: &mut Turn<'_, '_>,
        message: &mut Message,
    ) -> Option<Task> {
        let link = turn.link;
        let registered = self.messages.get(message.name.as_str()).map_or(&[][..], Vec::as_slice);
        let is_stranger = !link.is_logged_in();
        let may_run = |route: &&RegisteredMessage| route.access == Access::Everyone || !is_stranger;
        let mut handlers = registered.iter().filter(may_run).map(|route| &route.handler);
        let (first, second) = (handlers.next(), handlers.next());
        let Some(handler) = first.or(self.default_message.as_ref()) else {
            return self.on_notification(turn, message);
        };
        let Message { name, data, timestamp } = message;
        let span = tracing::debug_span!(target: "cndt", "message", connection = %link.id, %name);
        turn.to(mem::take(name), mem::take(data), *timestamp);
        if second.is_none() {
            return within(&span, || handler.start(turn));
        }
        let handlers = registered.iter().filter(may_run);
        let handlers = handlers.map(|route| Arc::clone(&route.handler)).collect();
        let task = run_all(handlers, turn.context.clone());
        within(&span, || turn.work(task))
    }

    /// A message without a handler. In JSON-RPC it is a call that wants no answer.
    fn on_notification(&self, turn: &mut Turn<'_, '_>, message: &mut Message) -> Option<Task> {
        let link = turn.link;
        let method = self.methods.get(message.name.as_str()).filter(|method| {
            link.codec == Codec::Json && (method.access == Access::Everyone || link.is_logged_in())
        });
        let Some(method) = method else {
            link.owner.unhandled(message);
            return None;
        };
        let responder = Responder::new(Arc::clone(link), None, &method.meter);
        let Message { name, data, timestamp } = message;
        let span =
            tracing::debug_span!(target: "cndt", "notification", connection = %link.id, %name);
        turn.to(mem::take(name), mem::take(data), *timestamp);
        within(&span, || method.handler.start(turn, responder))
    }
}

/// Only peers without a login get here: what their server can do about it.
fn auth_required() -> RpcError {
    let advice = "this method wants a login; the server may make it public, or trust this listener";
    RpcError { message: advice.into(), ..RpcError::auth_required() }
}

/// What a handler logs tells where it comes from, if anybody wants to know.
fn within(span: &tracing::Span, start: impl FnOnce() -> Option<Task>) -> Option<Task> {
    use tracing::Instrument;
    if span.is_disabled() {
        return start();
    }
    let task = span.in_scope(start)?;
    Some(Box::pin(task.instrument(span.clone())))
}

/// All handlers of one message, one after the other; the last value is the answer.
fn run_all(handlers: Vec<Arc<dyn ErasedMessage>>, context: CallContext) -> Task {
    Box::pin(async move {
        let mut answer = None;
        for handler in handlers {
            answer = handler.run(context.clone()).await.or(answer);
        }
        if let Some(data) = answer {
            answer_message(&context, &data).await;
        }
    })
}

impl std::fmt::Debug for Router {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Router")
            .field("methods", &self.methods.keys())
            .field("messages", &self.messages.keys())
            .finish_non_exhaustive()
    }
}
