use bytes::Bytes;

use super::Page;
use crate::message::msgpack::{Bounds, Reader};
use crate::message::rpc::read_beside;

/// The successful answer to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The result, as MessagePack.
    pub data: Bytes,
    /// What stood beside the result (`message`, `metadata`, `pagination`), as one MessagePack map
    /// of the whole answer; `None` when there was nothing but the result.
    pub envelope: Option<Bytes>,
}

impl Reply {
    /// What the peer says about the result, for people.
    pub fn message(&self) -> Option<&str> {
        let envelope = self.envelope.as_ref()?;
        let range = read_beside(envelope)?.message?;
        Reader::new(envelope.get(range)?, 1).str().ok()
    }

    /// What the peer says about the result, for programs: one MessagePack value.
    pub fn metadata(&self) -> Option<Bytes> {
        let envelope = self.envelope.as_ref()?;
        let range = read_beside(envelope)?.metadata?;
        Some(envelope.slice(range))
    }

    /// Which part of a longer list the result is.
    pub fn page(&self) -> Option<Page> {
        let envelope = self.envelope.as_ref()?;
        let range = read_beside(envelope)?.pagination?;
        Page::read(envelope.get(range)?, Bounds::CHECKED)
    }
}
