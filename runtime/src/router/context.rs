use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use cndt_core::message::Text;

use super::HandlerFailure;
use crate::hooks::Hooks;
use crate::link::Link;
use crate::peer::Peer;
use crate::protocol::Codec;
use crate::server::ServerHandle;
#[cfg(feature = "webhook")]
use crate::webhook::Webhook;

/// Where it came from.
#[derive(Clone)]
pub(crate) enum Origin {
    Link(Arc<Link>),
    #[cfg(feature = "webhook")]
    Webhook(Arc<Webhook>),
}

/// What is known of one call or message: what extractors take their values from.
#[derive(Clone)]
pub struct CallContext {
    pub(crate) origin: Origin,
    pub(crate) name: Text,
    pub(crate) payload: Bytes,
    pub(crate) timestamp: u64,
    pub(crate) states: Arc<States>,
}

impl CallContext {
    /// The method's name, the message's type, or the webhook's path.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Parameters or data as they came, one value: MessagePack, or JSON from JSON-RPC and webhooks.
    /// Shares the memory of what was received.
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// When the peer says it sent it, in unix milliseconds; informational.
    pub fn timestamp(&self) -> u64 {
        self.timestamp
    }

    /// Who sent it; `None` for webhooks, which come without a connection that lasts.
    pub fn peer(&self) -> Option<Peer> {
        self.link().cloned().map(Peer::new)
    }

    /// The delivery that it is; `None` for anything but webhooks.
    #[cfg(feature = "webhook")]
    pub fn webhook(&self) -> Option<&Webhook> {
        match &self.origin {
            Origin::Link(_) => None,
            Origin::Webhook(webhook) => Some(webhook.as_ref()),
        }
    }

    /// The server that it came to; `None` on clients.
    pub fn server(&self) -> Option<ServerHandle> {
        match &self.origin {
            Origin::Link(link) => Peer::new(Arc::clone(link)).server(),
            #[cfg(feature = "webhook")]
            Origin::Webhook(webhook) => Some(webhook.server().clone()),
        }
    }

    /// The connection that it came over, if there is one that lasts.
    pub(super) fn link(&self) -> Option<&Arc<Link>> {
        match &self.origin {
            Origin::Link(link) => Some(link),
            #[cfg(feature = "webhook")]
            Origin::Webhook(_) => None,
        }
    }

    pub(super) fn codec(&self) -> Codec {
        match &self.origin {
            Origin::Link(link) => link.codec,
            #[cfg(feature = "webhook")]
            Origin::Webhook(_) => Codec::Json,
        }
    }

    /// Whom failures of handlers are told to.
    pub(super) fn failures(&self) -> &Hooks<HandlerFailure> {
        match &self.origin {
            Origin::Link(link) => link.owner.router().failures(),
            #[cfg(feature = "webhook")]
            Origin::Webhook(webhook) => webhook.server().router().failures(),
        }
    }

    /// The router's states.
    pub fn states(&self) -> &States {
        &self.states
    }
}

impl std::fmt::Debug for CallContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallContext").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Values that a router provides to its handlers, one of each type.
#[derive(Clone, Default)]
pub struct States(HashMap<TypeId, Arc<dyn Any + Send + Sync>>);

impl States {
    pub(crate) fn insert<T: Any + Send + Sync>(&mut self, value: T) {
        self.0.insert(TypeId::of::<T>(), Arc::new(value));
    }

    /// The value of this type, if one is provided.
    pub fn find<T: Any>(&self) -> Option<&T> {
        self.0.get(&TypeId::of::<T>())?.downcast_ref()
    }
}

impl std::fmt::Debug for States {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("States").field("count", &self.0.len()).finish_non_exhaustive()
    }
}
