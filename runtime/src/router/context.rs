use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use cndt_core::message::Text;

use crate::link::Link;
use crate::peer::Peer;

/// What is known of one call or message: what extractors take their values from.
#[derive(Clone)]
pub struct CallContext {
    pub(crate) link: Arc<Link>,
    pub(crate) name: Text,
    pub(crate) payload: Bytes,
    pub(crate) timestamp: u64,
    pub(crate) states: Arc<States>,
}

impl CallContext {
    /// The method's name, or the message's type.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Parameters or data, as one MessagePack value. Shares the memory of what was received.
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// When the peer says it sent it, in unix milliseconds; informational.
    pub fn timestamp(&self) -> u64 {
        self.timestamp
    }

    /// Who sent it.
    pub fn peer(&self) -> Peer {
        Peer::new(Arc::clone(&self.link))
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
