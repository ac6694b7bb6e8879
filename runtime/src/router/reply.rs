use std::any::TypeId;

use bytes::{Bytes, BytesMut};
use cndt_core::message::{Body, BodyError, RawShared, Splices, Typed};
use cndt_core::rpc::{Beside, RpcError};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;

use super::schema;

/// Marks results that are values. Inferred; never written.
#[derive(Debug)]
pub enum Plain {}

/// Marks results that are `Result<_, RpcError>`. Inferred; never written.
#[derive(Debug)]
pub enum Fallible {}

/// Marks results that are MessagePack already. Inferred; never written.
#[derive(Debug)]
pub enum RawBytes {}

/// What a method may return: any `T: Serialize + JsonSchema`, [`RawReply`], a
/// [`Response`](super::Response) with something beside the result, or any of them in a
/// `Result<_, RpcError>`.
#[diagnostic::on_unimplemented(
    message = "a method cannot return `{Self}`",
    note = "it may return a value that is `Serialize + JsonSchema`, a `RawReply`, a `Response<_>`, or \
            a `Result<_, RpcError>` of those"
)]
pub trait IntoReply<M>: Send + 'static {
    /// The result, ready to be written.
    type Body: Body + Send + Sync + 'static;

    /// The result or the failure.
    ///
    /// # Errors
    /// What the handler reports.
    fn into_reply(self) -> Result<Answered<Self::Body>, RpcError>;

    /// The result's type, as discovery tells it.
    fn return_type() -> String;

    /// The result's schema, for OpenRPC. Anything.
    fn schema(_generator: &mut SchemaGenerator) -> Schema {
        true.into()
    }
}

/// A result with what stands beside it.
#[derive(Debug)]
pub struct Answered<B> {
    /// The result.
    pub body: B,
    /// Mostly nothing.
    pub beside: Beside,
}

impl<B> Answered<B> {
    fn plain(body: B) -> Self {
        Self { body, beside: Beside::default() }
    }
}

/// A serde value, ready to be written.
#[derive(Debug)]
pub struct Value<T>(pub(super) T);

impl<T: Serialize> Body for Value<T> {
    fn write(&self, out: &mut BytesMut) -> Result<(), BodyError> {
        Typed(&self.0).write(out)
    }

    fn write_sharing(&self, out: &mut BytesMut, splices: &mut Splices) -> Result<(), BodyError> {
        Typed(&self.0).write_sharing(out, splices)
    }
}

impl<T: Serialize + JsonSchema + Send + Sync + 'static> IntoReply<Plain> for T {
    type Body = Value<T>;

    fn into_reply(self) -> Result<Answered<Value<T>>, RpcError> {
        Ok(Answered::plain(Value(self)))
    }

    fn return_type() -> String {
        schema::type_name::<T>()
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}

impl<T: Serialize + JsonSchema + Send + Sync + 'static> IntoReply<Fallible>
    for Result<T, RpcError>
{
    type Body = Value<T>;

    fn into_reply(self) -> Result<Answered<Value<T>>, RpcError> {
        self.map(|value| Answered::plain(Value(value)))
    }

    fn return_type() -> String {
        schema::type_name::<T>()
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}

/// A result that is one MessagePack value already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawReply(pub Bytes);

impl IntoReply<RawBytes> for RawReply {
    type Body = RawShared;

    fn into_reply(self) -> Result<Answered<RawShared>, RpcError> {
        Ok(Answered::plain(RawShared(self.0)))
    }

    fn return_type() -> String {
        schema::ANY.to_owned()
    }
}

impl IntoReply<RawBytes> for Result<RawReply, RpcError> {
    type Body = RawShared;

    fn into_reply(self) -> Result<Answered<RawShared>, RpcError> {
        self.and_then(RawReply::into_reply)
    }

    fn return_type() -> String {
        schema::ANY.to_owned()
    }
}

/// What follows from a message that was handled.
#[derive(Debug)]
pub enum Answer {
    /// No answer.
    Nothing,
    /// A message with this data, one MessagePack value.
    Value(Bytes),
    /// The handler failed. It is logged, and error hooks are told.
    Failed(RpcError),
    /// What it gave cannot be sent.
    Unsendable(RpcError),
}

/// What a message handler may return: any `T: Serialize`, a `Result` of it whose error is logged, or
/// a [`RawReply`].
/// Unit and `None` answer nothing.
#[diagnostic::on_unimplemented(
    message = "a message handler cannot return `{Self}`",
    note = "it may return a value that is `Serialize`, or a `Result<_, RpcError>` of one"
)]
pub trait IntoAnswer<M>: Send + 'static {
    /// What follows.
    fn into_answer(self) -> Answer;
}

impl<T: Serialize + Send + 'static> IntoAnswer<Plain> for T {
    fn into_answer(self) -> Answer {
        answer(&self)
    }
}

impl<T: Serialize + Send + 'static> IntoAnswer<Fallible> for Result<T, RpcError> {
    fn into_answer(self) -> Answer {
        match self {
            Ok(value) => answer(&value),
            Err(error) => Answer::Failed(error),
        }
    }
}

impl IntoAnswer<RawBytes> for RawReply {
    fn into_answer(self) -> Answer {
        Answer::Value(self.0)
    }
}

/// Whether a value is `nil` shows only once it is written, so it cannot go straight out.
fn answer<T: Serialize + 'static>(value: &T) -> Answer {
    const NIL: &[u8] = &[0xc0];
    if TypeId::of::<T>() == TypeId::of::<()>() {
        return Answer::Nothing;
    }
    let mut data = BytesMut::new();
    match Typed(value).write(&mut data) {
        Ok(()) if data == NIL => Answer::Nothing,
        Ok(()) => Answer::Value(data.freeze()),
        Err(error) => Answer::Unsendable(RpcError::internal(error.to_string())),
    }
}
