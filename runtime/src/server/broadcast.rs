use std::collections::HashSet;

use cndt_core::connection::{Format, Overflow, SendError, SendId, SharedMessage};
use cndt_core::message::Typed;
use serde::Serialize;

use super::handle::ServerHandle;
use crate::deliver;
use crate::descriptor::SlowClient;
use crate::peer::{ConnectionId, Peer};
use crate::protocol::Codec;

/// A message to every client. Made by [`ServerHandle::broadcast`]. JSON-RPC peers get it as a
/// notification, if its data is an object or a list.
#[must_use = "a broadcast is only sent by `.send()`"]
pub struct Broadcast<'a, T: ?Sized> {
    server: &'a ServerHandle,
    name: &'a str,
    data: &'a T,
    excluded: HashSet<ConnectionId>,
    filter: Option<Filter<'a>>,
    slow_client: SlowClient,
}

/// Whether a client is to get it.
type Filter<'a> = Box<dyn Fn(&Peer) -> bool + 'a>;

/// How many clients a broadcast went to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delivered {
    /// Clients whose send queue has it.
    pub queued: usize,
    /// Clients that do not get it: their send queue is full, they are about to leave, or they were
    /// cut off for being too slow.
    pub refused: usize,
}

impl Delivered {
    fn count(&mut self, sent: Result<SendId, SendError>) {
        match sent {
            Ok(_) => self.queued += 1,
            Err(_) => self.refused += 1,
        }
    }
}

impl<'a, T: Serialize + ?Sized> Broadcast<'a, T> {
    pub(super) fn new(server: &'a ServerHandle, name: &'a str, data: &'a T) -> Self {
        let slow_client = server.descriptor().slow_client;
        Self { server, name, data, excluded: HashSet::new(), filter: None, slow_client }
    }

    /// Leaves one client out.
    pub fn exclude(mut self, id: ConnectionId) -> Self {
        self.excluded.insert(id);
        self
    }

    /// Leaves some clients out.
    pub fn exclude_all(mut self, ids: impl IntoIterator<Item = ConnectionId>) -> Self {
        self.excluded.extend(ids);
        self
    }

    /// Only to clients for which `wants` is true: those in one room, say. A later filter replaces an
    /// earlier one.
    ///
    /// ```
    /// # use cndt_tokio::{Peer, SendError, ServerHandle};
    /// # fn example(server: &ServerHandle) -> Result<(), SendError> {
    /// # #[derive(Clone, PartialEq)] struct Room(u32);
    /// let in_blue = |peer: &Peer| peer.attached::<Room>() == Some(Room(7));
    /// server.broadcast("news", "hello").filter(in_blue).send()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn filter(mut self, wants: impl Fn(&Peer) -> bool + 'a) -> Self {
        self.filter = Some(Box::new(wants));
        self
    }

    /// What happens if a client has no room, in place of what the descriptor says.
    pub fn slow_client(mut self, policy: SlowClient) -> Self {
        self.slow_client = policy;
        self
    }

    /// Queues the message for everyone else. It is encoded once, and a client that reads too slowly
    /// does not hold the others up. What it does not get is counted, here and in
    /// `Peer::stats().messages_dropped`.
    ///
    /// # Errors
    /// When the value cannot be sent to anyone. Nobody got it then.
    pub fn send(self) -> Result<Delivered, SendError> {
        let mut frames: Vec<SharedMessage> = Vec::new();
        let mut delivered = Delivered::default();
        let overflow = match self.slow_client {
            SlowClient::DropNewest => Overflow::Refuse,
            SlowClient::DropOldest => Overflow::DropOldest,
            SlowClient::Disconnect => Overflow::Disconnect,
        };
        for peer in self.server.connections() {
            let is_wanted = self.filter.as_ref().is_none_or(|wants| wants(&peer));
            if !is_wanted || self.excluded.contains(&peer.id()) {
                continue;
            }
            let link = &peer.link;
            if link.codec == Codec::Json {
                delivered.count(deliver::try_send(link, self.name, &Typed(self.data)));
                continue;
            }
            let Some(format) = link.lock().connection.format() else { continue };
            let known = frames.iter().position(|frame| frame.format() == format);
            let index = match known {
                Some(index) => index,
                None => {
                    frames.push(self.encode(format)?);
                    frames.len() - 1
                }
            };
            let (mut locked, now) = (link.lock(), link.machine.now());
            let sent = locked.connection.send_shared(now, &frames[index], overflow);
            delivered.count(sent);
            locked.kick();
        }
        Ok(delivered)
    }

    fn encode(&self, format: Format) -> Result<SharedMessage, SendError> {
        let descriptor = self.server.descriptor();
        let millis = self.server.machine().unix_millis();
        let limits = descriptor.limits();
        SharedMessage::encode(format, millis, self.name, &Typed(self.data), &limits)
    }
}

impl<T: ?Sized> std::fmt::Debug for Broadcast<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broadcast")
            .field("name", &self.name)
            .field("excluded", &self.excluded)
            .field("slow_client", &self.slow_client)
            .finish_non_exhaustive()
    }
}
