use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use cndt_core::connection::SendError;
use cndt_core::message::Raw;
use cndt_core::rpc::MethodInfo;
use serde::Serialize;

use super::PoolShared;
use super::call::{PoolCall, PoolRawCall};
use crate::client::{ClientHandle, Health};
use crate::deliver::SendMessage;
use crate::error::{CallError, DeliveryError, NotConnected};
use crate::router::listall;
use crate::server::Delivered;

/// A pool that has connected. Cheap to clone; when the last one is dropped, all members are closed
/// gracefully.
#[derive(Clone)]
pub struct PoolHandle {
    shared: Arc<PoolShared>,
    // Only held: see `Guard`.
    _guard: Arc<Guard>,
}

/// Ends the members when the last handle is gone. Calls hold none.
struct Guard(Arc<PoolShared>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// How one member of a pool is doing.
#[derive(Debug, Clone)]
pub struct MemberHealth {
    /// Its server, as `host:port` or `unix:PATH`.
    pub server: String,
    /// The client itself.
    pub client: Health,
    /// How much longer it is left out because its calls failed; `None` if it is not.
    pub ejected_for: Option<Duration>,
}

impl PoolShared {
    fn stop(&self) {
        self.members.iter().for_each(ClientHandle::stop);
    }
}

impl PoolHandle {
    pub(super) fn new(shared: Arc<PoolShared>) -> Self {
        let guard = Arc::new(Guard(Arc::clone(&shared)));
        Self { shared, _guard: guard }
    }

    pub(super) fn shared(&self) -> &PoolShared {
        &self.shared
    }

    /// Calls a method on one member; see [`PoolCall`].
    ///
    /// While no member is connected, it fails at once with [`NotConnected`].
    pub fn call<'a, P: Serialize + ?Sized, T>(
        &self,
        method: &'a str,
        params: &'a P,
    ) -> PoolCall<'a, P, T> {
        PoolCall::new(&self.shared, method, params)
    }

    /// Calls a method on one member, with parameters that are MessagePack already.
    pub fn call_raw<'a>(&self, method: &'a str, params: &'a [u8]) -> PoolRawCall<'a, Raw<'a>> {
        PoolRawCall::new(&self.shared, method, Raw(params))
    }

    /// Sends a message by one member, which is chosen now; resolves once it is handed to the operating
    /// system. It is never sent again by another member.
    pub fn send<'a, T: Serialize + ?Sized>(
        &self,
        name: &'a str,
        data: &'a T,
    ) -> SendMessage<'a, T> {
        match self.shared.choose(None) {
            Some((_, client)) => client.send(name, data),
            None => SendMessage::new(None, name, data, Duration::ZERO),
        }
    }

    /// Queues a message on one member at once, or refuses at once.
    ///
    /// # Errors
    /// When no member is connected, the chosen one's queue is full, or the value cannot be sent.
    pub fn try_send<T: Serialize + ?Sized>(
        &self,
        name: &str,
        data: &T,
    ) -> Result<(), DeliveryError> {
        let (first, client) = self.shared.choose(None).ok_or(NotConnected)?;
        match client.try_send(name, data) {
            Err(DeliveryError::NotConnected(_)) => {
                let (_, client) = self.shared.choose(Some(first)).ok_or(NotConnected)?;
                client.try_send(name, data)
            }
            outcome => outcome,
        }
    }

    /// Queues a message on every member that is connected: a server with several members gets it
    /// several times. One that has no room is left out and counted as refused, as one that is not
    /// connected is.
    ///
    /// # Errors
    /// When the value cannot be sent by anyone. Nobody got it then.
    pub fn broadcast<T: Serialize + ?Sized>(
        &self,
        name: &str,
        data: &T,
    ) -> Result<Delivered, SendError> {
        let mut delivered = Delivered::default();
        let mut unfit = None;
        for member in &self.shared.members {
            match member.try_send(name, data) {
                Ok(()) => delivered.queued += 1,
                Err(error) => {
                    delivered.refused += 1;
                    if let DeliveryError::Send(error) = error
                        && error != SendError::Blocked
                    {
                        unfit = Some(error);
                    }
                }
            }
        }
        match unfit {
            // Limits of servers may differ: what fits one may be too large for the next.
            Some(error) if delivered.queued == 0 => Err(error),
            Some(_) | None => Ok(delivered),
        }
    }

    /// The methods of the server of one member.
    ///
    /// # Errors
    /// As any call.
    pub async fn discover(&self) -> Result<Vec<MethodInfo>, CallError> {
        let listed: listall::Listed = self.call(listall::NAME, &()).await?;
        Ok(listed.into_methods())
    }

    /// Measures the time there and back of all members at once, in the order of
    /// [`PoolHandle::members`]. A member that does not answer is waited for until its heartbeat gives
    /// it up.
    pub async fn ping_all(&self) -> Vec<Result<Duration, NotConnected>> {
        let mut pings: Vec<_> =
            self.shared.members.iter().map(|member| (member.ping(), None)).collect();
        poll_fn(|cx| {
            let mut is_done = true;
            for (ping, outcome) in &mut pings {
                if outcome.is_none() {
                    match Pin::new(ping).poll(cx) {
                        Poll::Ready(measured) => *outcome = Some(measured),
                        Poll::Pending => is_done = false,
                    }
                }
            }
            if is_done { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        pings.into_iter().map(|(_, outcome)| outcome.unwrap_or(Err(NotConnected))).collect()
    }

    /// One member, chosen as for a call: for several calls that belong on one connection. How they end
    /// does not count for the member's standing. The handle does not keep the pool open.
    ///
    /// # Errors
    /// When no member is connected.
    pub fn member(&self) -> Result<ClientHandle, NotConnected> {
        self.shared.choose(None).map(|(_, client)| client.clone()).ok_or(NotConnected)
    }

    /// All members, connected or not. Members of different servers take turns, beginning with the
    /// template's. The handles do not keep the pool open.
    pub fn members(&self) -> Vec<ClientHandle> {
        self.shared.members.clone()
    }

    /// Whether any member can make calls now.
    pub fn is_connected(&self) -> bool {
        self.shared.members.iter().any(ClientHandle::is_connected)
    }

    /// How all members are doing, in the order of [`PoolHandle::members`].
    pub fn health(&self) -> Vec<MemberHealth> {
        let now = self.shared.machine.now();
        let health = |(place, client): (usize, &ClientHandle)| MemberHealth {
            server: client.descriptor().address(),
            client: client.health(),
            ejected_for: self.shared.chooser().ejected_for(place, now),
        };
        self.shared.members.iter().enumerate().map(health).collect()
    }

    /// Closes all members gracefully, at the same time; see [`ClientHandle::disconnect`]. Not to be
    /// awaited in a hook or handler of a member, which would wait for itself.
    pub async fn disconnect(&self) {
        self.shared.stop();
        for member in &self.shared.members {
            member.disconnect().await;
        }
    }
}

impl fmt::Debug for PoolHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolHandle").field("members", &self.shared.members).finish_non_exhaustive()
    }
}
