use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use cndt_core::connection::{Overflow, SendError, SharedMessage};
use cndt_core::message::Typed;
use cndt_core::time::Instant;
use serde::Serialize;

use super::handle::ServerHandle;
use super::paced::PacedBroadcast;
use crate::deliver;
use crate::descriptor::SlowClient;
use crate::link::{Link, Locked};
use crate::peer::{ConnectionId, Peer};
use crate::protocol::Codec;

/// A message to every client. Made by [`ServerHandle::broadcast`]. JSON-RPC peers get it as a
/// notification, if its data is an object or a list.
#[must_use = "a broadcast is only sent by `.send()` or `.send_within()`"]
pub struct Broadcast<'a, T: ?Sized> {
    server: &'a ServerHandle,
    name: &'a str,
    data: &'a T,
    excluded: BTreeSet<ConnectionId>,
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
    /// Clients that do not get it: their send queue is full (or stayed so), they are about to leave, or
    /// they were cut off for being too slow.
    pub refused: usize,
}

impl Delivered {
    pub(super) fn count(&mut self, is_queued: bool) {
        if is_queued {
            self.queued += 1;
        } else {
            self.refused += 1;
        }
    }
}

impl<'a, T: Serialize + ?Sized> Broadcast<'a, T> {
    pub(super) fn new(server: &'a ServerHandle, name: &'a str, data: &'a T) -> Self {
        let slow_client = server.descriptor().slow_client;
        Self { server, name, data, excluded: BTreeSet::new(), filter: None, slow_client }
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
    pub fn send(mut self) -> Result<Delivered, SendError> {
        let mut delivered = Delivered::default();
        let overflow = match self.slow_client {
            SlowClient::DropNewest => Overflow::Refuse,
            SlowClient::DropOldest => Overflow::DropOldest,
            SlowClient::Disconnect => Overflow::Disconnect,
        };
        let mut encoding = self.encoding();
        let receivers = self.receivers();
        for link in receivers.links() {
            if link.codec == Codec::Json {
                delivered.count(deliver::try_send(link, self.name, &Typed(self.data)).is_ok());
                continue;
            }
            let now = encoding.now;
            let Some((mut locked, frame)) = encoding.for_link(link)? else { continue };
            let sent = locked.connection.send_shared(now, frame, overflow);
            delivered.count(sent.is_ok());
            locked.kick();
        }
        Ok(delivered)
    }

    /// Queues the message for everyone else, and waits for those who have no room, all in all for so
    /// long at most. It is for those who broadcast much in a row and want nobody to miss anything:
    /// they get no further than the slowest client, and not much further than their own network.
    /// What [`Broadcast::slow_client`] says does not matter here.
    ///
    /// ```
    /// # use cndt_tokio::{SendError, ServerHandle};
    /// # use std::time::Duration;
    /// # async fn example(server: &ServerHandle) -> Result<(), SendError> {
    /// for number in 0..100_000 {
    ///     server.broadcast("tick", &number).send_within(Duration::from_secs(5)).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the value cannot be sent to anyone. Nobody got it then, unless they speak JSON-RPC.
    pub fn send_within(mut self, timeout: Duration) -> PacedBroadcast<'a, T> {
        let receivers = self.receivers();
        PacedBroadcast::new(self.encoding(), receivers, timeout)
    }

    fn receivers(&mut self) -> Receivers {
        let mut peers = self.server.roster();
        if let Some(wants) = &self.filter {
            peers = peers.iter().filter(|peer| wants(peer)).cloned().collect();
        }
        Receivers { peers, excluded: std::mem::take(&mut self.excluded) }
    }

    fn encoding(&self) -> Encoding<'a, T> {
        let now = self.server.machine().now();
        Encoding { server: self.server, name: self.name, data: self.data, now, frames: Vec::new() }
    }
}

/// Whom a broadcast goes to. Most go to everybody, so nobody is copied who need not be.
pub(super) struct Receivers {
    peers: Arc<[Peer]>,
    excluded: BTreeSet<ConnectionId>,
}

impl Receivers {
    pub(super) fn links(&self) -> impl Iterator<Item = &Arc<Link>> {
        let is_wanted = |peer: &&Peer| !self.excluded.contains(&peer.id());
        self.peers.iter().filter(is_wanted).map(|peer| &peer.link)
    }
}

/// A message, encoded once for each way of writing that its receivers need.
pub(super) struct Encoding<'a, T: ?Sized> {
    server: &'a ServerHandle,
    pub(super) name: &'a str,
    pub(super) data: &'a T,
    pub(super) now: Instant,
    frames: Vec<SharedMessage>,
}

impl<T: Serialize + ?Sized> Encoding<'_, T> {
    /// The frame for this connection, which is locked. `None` if it is over, or not open yet.
    pub(super) fn for_link<'l>(
        &mut self,
        link: &'l Link,
    ) -> Result<Option<(Locked<'l>, &SharedMessage)>, SendError> {
        let locked = link.lock();
        let Some(format) = locked.connection.format() else { return Ok(None) };
        if let Some(known) = self.frames.iter().position(|frame| frame.format() == format) {
            return Ok(Some((locked, &self.frames[known])));
        }
        // The value's own code may take its time: nothing is locked meanwhile.
        drop(locked);
        let millis = self.server.machine().unix_millis();
        let limits = self.server.descriptor().limits();
        let data = &Typed(self.data);
        let frame = SharedMessage::encode(format, millis, self.name, data, &limits)?;
        self.frames.push(frame);
        Ok(self.frames.last().map(|frame| (link.lock(), frame)))
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
