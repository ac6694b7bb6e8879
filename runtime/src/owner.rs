//! Whom a connection belongs to: the only place where driver and handles ask for the role.

use std::sync::Arc;
use std::time::Duration;

use cndt_core::auth::scram::Keys;
use cndt_core::connection::Message;

use crate::client::ClientShared;
use crate::link::Link;
use crate::router::Router;
use crate::server::ServerHandle;
use crate::telemetry::Meters;

pub(crate) enum Owner {
    Server(ServerHandle),
    Client(Arc<ClientShared>),
}

impl Owner {
    pub(crate) fn router(&self) -> &Router {
        match self {
            Self::Server(server) => server.router(),
            Self::Client(client) => &client.router,
        }
    }

    pub(crate) fn meters(&self) -> &Meters {
        match self {
            Self::Server(server) => server.meters(),
            Self::Client(client) => &client.meters,
        }
    }

    /// Keys that a login has just succeeded with.
    pub(crate) fn remember(&self, keys: Keys) {
        match self {
            Self::Server(_) => {}
            Self::Client(client) => client.remember(keys),
        }
    }

    /// The login succeeded. Handlers wait until the owner releases the link.
    pub(crate) fn opened(&self, link: &Arc<Link>) {
        match self {
            Self::Server(server) => server.opened(link),
            Self::Client(client) => client.opened(link),
        }
    }

    /// The connection holds so many bytes while its driver rests.
    pub(crate) fn account(&self, link: &Link, bytes: usize) {
        match self {
            Self::Server(server) => {
                if bytes != link.held_bytes() {
                    server.account(link, bytes);
                }
            }
            Self::Client(_) => {}
        }
    }

    /// The connection is over; nothing can be sent any more.
    pub(crate) fn closed(&self, link: &Arc<Link>) {
        match self {
            Self::Server(server) => server.closed(link),
            Self::Client(client) => client.closed(link),
        }
    }

    /// A message that no handler takes.
    pub(crate) fn unhandled(&self, message: &Message) {
        match self {
            Self::Server(_) => {
                tracing::debug!(target: "cndt", name = %message.name, "message without a handler");
            }
            Self::Client(client) => client.subscribers.publish(message),
        }
    }

    pub(crate) fn call_timeout(&self) -> Duration {
        match self {
            Self::Server(_) => crate::descriptor::RPC_TIMEOUT,
            Self::Client(client) => client.descriptor.rpc_timeout,
        }
    }

    pub(crate) fn send_timeout(&self) -> Duration {
        match self {
            Self::Server(_) => crate::descriptor::SEND_TIMEOUT,
            Self::Client(client) => client.descriptor.send_timeout,
        }
    }
}
