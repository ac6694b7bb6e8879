use bytes::{Bytes, BytesMut};
use cndt_core::message::{Body, BodyError, Typed};
use cndt_core::rpc::{Beside, Page, RpcError};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;

use super::reply::{Answered, IntoReply, Value};
use super::schema;

/// A result with something beside it: a message, metadata, which page of a list it is.
///
/// ```
/// use cndt_runtime::{Page, Response, Router};
///
/// async fn list_users() -> Response<Vec<String>> {
///     let page = Page { total: 95, page: 1, page_size: 2 };
///     Response::paged(vec!["ann".into(), "bob".into()], page)
/// }
///
/// async fn delete_user() -> Response<()> {
///     Response::ok("User deleted")
/// }
///
/// let router = Router::new().rpc("users.list", list_users).rpc("users.delete", delete_user);
/// assert_eq!(router.methods()[1].return_type, "list");
/// ```
///
/// Callers read it by `client.call(…).raw().await?`: `message()`, `metadata()` and `page()` of the
/// reply.
#[derive(Debug, Clone)]
pub struct Response<T> {
    data: T,
    beside: Result<Beside, BodyError>,
}

/// Marks results that are a [`Response`]. Inferred; never written.
#[derive(Debug)]
pub enum WithBeside {}

impl<T> Response<T> {
    /// A result, with nothing beside it yet.
    pub fn new(data: T) -> Self {
        Self { data, beside: Ok(Beside::default()) }
    }

    /// One page of a longer list.
    pub fn paged(data: T, page: Page) -> Self {
        Self { data, beside: Ok(Beside { page: Some(page), ..Beside::default() }) }
    }

    /// Says something about the result, for people.
    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Self {
        if let Ok(beside) = &mut self.beside {
            beside.message = message.into();
        }
        self
    }

    /// Says something about the result, for programs. A value without a MessagePack form fails the
    /// call as an internal error.
    #[must_use]
    pub fn metadata<U: Serialize + ?Sized>(mut self, metadata: &U) -> Self {
        let mut out = BytesMut::new();
        self.beside = self.beside.and_then(|beside| {
            Typed(metadata).write(&mut out)?;
            Ok(Beside { metadata: Some(Bytes::from(out)), ..beside })
        });
        self
    }
}

impl Response<()> {
    /// Nothing but a message.
    pub fn ok(message: impl Into<String>) -> Self {
        Self::new(()).message(message)
    }
}

impl<T: Serialize + JsonSchema + Send + Sync + 'static> IntoReply<WithBeside> for Response<T> {
    type Body = Value<T>;

    fn into_reply(self) -> Result<Answered<Value<T>>, RpcError> {
        let beside = self.beside.map_err(|error| RpcError::internal(error.to_string()))?;
        Ok(Answered { body: Value(self.data), beside })
    }

    fn return_type() -> String {
        schema::type_name::<T>()
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}

impl<T: Serialize + JsonSchema + Send + Sync + 'static> IntoReply<WithBeside>
    for Result<Response<T>, RpcError>
{
    type Body = Value<T>;

    fn into_reply(self) -> Result<Answered<Value<T>>, RpcError> {
        self.and_then(IntoReply::into_reply)
    }

    fn return_type() -> String {
        schema::type_name::<T>()
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}
