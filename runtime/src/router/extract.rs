//! What a handler may take as its arguments.
//!
//! | extractor | gives |
//! |---|---|
//! | [`Params<T>`] | the parameters of a call, decoded |
//! | [`Data<T>`] | the data of a message, decoded |
//! | [`RawParams`] | either, as MessagePack |
//! | [`State<T>`] | a value that the router provides |
//! | [`Peer`] | who sent it |
//! | [`User`] | by which name the peer has logged in |
//! | [`Meta`] | name, time and size of the message |
//! | [`CallContext`] | all of it, as it is |
//! | [`ServerHandle`], [`ClientHandle`] | the server or client that it came to |
//!
//! Implement [`Extract`] for your own, and compose those that exist:
//!
//! ```
//! use cndt_runtime::{CallContext, ErrorCode, Extract, Peer, RpcError};
//!
//! /// Only peers that call themselves `admin`.
//! struct Admin(Peer);
//!
//! impl Extract for Admin {
//!     fn extract(context: &CallContext) -> Result<Self, RpcError> {
//!         let peer = Peer::extract(context)?;
//!         if peer.name() == "admin" { Ok(Self(peer)) } else { Err(RpcError::permission_denied("admins only")) }
//!     }
//! }
//! ```

use bytes::Bytes;
use cndt_core::auth::UserName;
use cndt_core::jsonrpc::to_msgpack;
use cndt_core::message::BodyError;
use cndt_core::rpc::RpcError;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;

use super::context::{CallContext, States};
use super::schema;
use crate::client::ClientHandle;
use crate::peer::Peer;
use crate::protocol::Codec;
use crate::server::ServerHandle;

/// Something that can be taken from a call or a message.
pub trait Extract: Sized + Send + 'static {
    /// Takes it.
    ///
    /// # Errors
    /// What the caller is told; the handler does not run then. For a message it is logged.
    fn extract(context: &CallContext) -> Result<Self, RpcError>;

    /// Parameter names with their types, as discovery tells them.
    fn parameters() -> Vec<(String, String)> {
        Vec::new()
    }

    /// The schema of the parameters, for OpenRPC; `None` where there are none.
    fn schema(_generator: &mut SchemaGenerator) -> Option<Schema> {
        None
    }

    /// The name of the state that is needed and not there; checked before anything is served.
    fn missing_state(_states: &States) -> Option<&'static str> {
        None
    }
}

/// The parameters of a call, decoded into `T`. Without parameters, `T` is read from an empty map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Params<T>(pub T);

impl<T: DeserializeOwned + JsonSchema + Send + 'static> Extract for Params<T> {
    fn extract(context: &CallContext) -> Result<Self, RpcError> {
        let codec = context.codec();
        let payload = codec.fields(&context.payload);
        let read = codec.read(&payload);
        read.map(Self).map_err(|error| wrong::<T>(context, &payload, error))
    }

    fn parameters() -> Vec<(String, String)> {
        schema::parameters::<T>()
    }

    fn schema(generator: &mut SchemaGenerator) -> Option<Schema> {
        Some(generator.subschema_for::<T>())
    }
}

/// The data of a message, decoded into `T`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Data<T>(pub T);

impl<T: DeserializeOwned + Send + 'static> Extract for Data<T> {
    fn extract(context: &CallContext) -> Result<Self, RpcError> {
        let payload = &context.payload;
        let read = context.codec().read(payload);
        read.map(Self).map_err(|error| wrong::<T>(context, payload, error))
    }
}

/// Names the field that does not fit. Decodes again to find it: only failures pay for the search.
#[cold]
fn wrong<T: DeserializeOwned>(context: &CallContext, payload: &[u8], error: BodyError) -> RpcError {
    let name = context.name();
    let wrong =
        |words: &str| RpcError::validation(format!("Invalid parameters for {name}: {words}"));
    match context.codec().wrong_field::<T>(payload) {
        Some((path, words)) => wrong(&format!("`{path}`: {words}")).field(&path),
        None => wrong(&error.to_string()),
    }
}

/// Parameters or data as they came: one MessagePack value that shares the received memory. What came
/// as JSON is turned into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawParams(pub Bytes);

impl Extract for RawParams {
    fn extract(context: &CallContext) -> Result<Self, RpcError> {
        match context.codec() {
            Codec::MessagePack => Ok(Self(context.payload.clone())),
            Codec::Json => to_msgpack(&context.payload)
                .map(Self)
                .map_err(|error| RpcError::invalid_params(error.to_string())),
        }
    }
}

/// A clone of the value that `.state(…)` provided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State<T>(pub T);

impl<T: Clone + Send + Sync + 'static> Extract for State<T> {
    fn extract(context: &CallContext) -> Result<Self, RpcError> {
        let value = context.states.find::<T>();
        value.cloned().map(Self).ok_or_else(|| RpcError::internal("the server lacks a state"))
    }

    fn missing_state(states: &States) -> Option<&'static str> {
        states.find::<T>().is_none().then(std::any::type_name::<T>)
    }
}

/// What stands around a call or a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// The method's name, or the message's type.
    pub name: String,
    /// When the peer says it sent it, in unix milliseconds; informational.
    pub timestamp: u64,
    /// Bytes of parameters or data, after decompression.
    pub size: usize,
}

impl Extract for Meta {
    fn extract(context: &CallContext) -> Result<Self, RpcError> {
        Ok(Self {
            name: context.name().to_owned(),
            timestamp: context.timestamp,
            size: context.payload.len(),
        })
    }
}

/// Who has logged in. Peers without a user name, as those of dialect `netconduit` are, are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User(pub UserName);

impl Extract for User {
    fn extract(context: &CallContext) -> Result<Self, RpcError> {
        let user = context.peer().and_then(|peer| peer.user());
        user.map(Self).ok_or_else(RpcError::auth_required)
    }
}

impl Extract for CallContext {
    fn extract(context: &CallContext) -> Result<Self, RpcError> {
        Ok(context.clone())
    }
}

impl Extract for Peer {
    fn extract(context: &CallContext) -> Result<Self, RpcError> {
        context.peer().ok_or_else(|| RpcError::internal("the handler takes a Peer from a webhook"))
    }
}

impl Extract for ServerHandle {
    fn extract(context: &CallContext) -> Result<Self, RpcError> {
        let server = context.server();
        server.ok_or_else(|| RpcError::internal("the handler takes a ServerHandle on a client"))
    }
}

impl Extract for ClientHandle {
    fn extract(context: &CallContext) -> Result<Self, RpcError> {
        let client = context.peer().and_then(|peer| peer.client());
        client.ok_or_else(|| RpcError::internal("the handler takes a ClientHandle on a server"))
    }
}
