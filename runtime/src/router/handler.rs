use std::future::Future;
use std::marker::PhantomData;
use std::pin::{Pin, pin};

use bytes::Bytes;
#[cfg(feature = "webhook")]
use cndt_core::message::Body as _;
use cndt_core::rpc::RpcError;
use schemars::{Schema, SchemaGenerator};

use super::context::{CallContext, States};
use super::extract::Extract;
use super::failure::{FailureCause, HandlerFailure, HandlerKind};
use super::reply::{Answer, IntoAnswer, IntoReply};
use super::respond::{Responder, answer_message};
use super::turn::{Begun, Turn};
use crate::contain::{Contained, contain};
use crate::rt::Task;
use crate::telemetry::handler_failed;

/// An async function of up to eight [extractors](super::extract).
///
/// Implemented for functions and closures; there is no need to implement it yourself.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler",
    note = "a handler is an async function whose arguments are extractors (`Params<T>`, `Data<T>`, \
            `State<T>`, `Peer`, …) and whose result is a value, or a `Result<_, RpcError>`",
    note = "types of parameters and results of methods must derive `JsonSchema` as well"
)]
pub trait Handler<A>: Send + Sync + 'static {
    /// What it gives.
    type Output: Send + 'static;
    /// Its future.
    type Future: Future<Output = Self::Output> + Send + 'static;

    /// Takes the arguments and calls the function.
    ///
    /// # Errors
    /// When an argument cannot be taken.
    fn call(&self, context: &CallContext) -> Result<Self::Future, RpcError>;

    /// Parameter names with their types.
    fn parameters() -> Vec<(String, String)>;

    /// The schema of the parameters, for OpenRPC.
    fn schema(generator: &mut SchemaGenerator) -> Option<Schema>;

    /// The name of a state that is needed and not there.
    fn missing_state(states: &States) -> Option<&'static str>;
}

macro_rules! handler {
    ($($argument:ident)*) => {
        impl<F, Fut, $($argument),*> Handler<($($argument,)*)> for F
        where
            F: Fn($($argument),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output: Send + 'static> + Send + 'static,
            $($argument: Extract,)*
        {
            type Output = Fut::Output;
            type Future = Fut;

            #[allow(unused_variables, reason = "a handler may take no arguments")]
            fn call(&self, context: &CallContext) -> Result<Fut, RpcError> {
                Ok(self($($argument::extract(context)?),*))
            }

            fn parameters() -> Vec<(String, String)> {
                let parameters: Vec<Vec<_>> = vec![$($argument::parameters()),*];
                parameters.into_iter().flatten().collect()
            }

            #[allow(unused_variables, reason = "a handler may take no arguments")]
            fn schema(generator: &mut SchemaGenerator) -> Option<Schema> {
                None$(.or_else(|| $argument::schema(generator)))*
            }

            #[allow(unused_variables, reason = "a handler may take no arguments")]
            fn missing_state(states: &States) -> Option<&'static str> {
                None$(.or_else(|| $argument::missing_state(states)))*
            }
        }
    };
}

handler!();
handler!(A1);
handler!(A1 A2);
handler!(A1 A2 A3);
handler!(A1 A2 A3 A4);
handler!(A1 A2 A3 A4 A5);
handler!(A1 A2 A3 A4 A5 A6);
handler!(A1 A2 A3 A4 A5 A6 A7);
handler!(A1 A2 A3 A4 A5 A6 A7 A8);

/// A method's handler whose types are forgotten.
pub(super) trait ErasedMethod: Send + Sync {
    /// Answers a call; what is left to be done of it.
    fn start(&self, turn: &mut Turn<'_, '_>, responder: Responder) -> Option<Task>;
    fn missing_state(&self, states: &States) -> Option<&'static str>;
}

/// A message handler whose types are forgotten.
pub(super) trait ErasedMessage: Send + Sync {
    /// What the handler gives, once it is done.
    fn run(&self, context: CallContext) -> Answering;
    /// The same, and the answer is sent; what is left to be done of it.
    fn start(&self, turn: &mut Turn<'_, '_>) -> Option<Task>;
    fn missing_state(&self, states: &States) -> Option<&'static str>;
}

/// An answer that is being worked out.
pub(super) type Answering = Pin<Box<dyn Future<Output = Option<Bytes>> + Send>>;

pub(super) struct Typed<H, A, M> {
    handler: H,
    types: PhantomData<fn() -> (A, M)>,
}

impl<H, A, M> Typed<H, A, M> {
    pub(super) fn new(handler: H) -> Self {
        Self { handler, types: PhantomData }
    }
}

impl<H, A, M> ErasedMethod for Typed<H, A, M>
where
    H: Handler<A, Output: IntoReply<M>>,
    A: 'static,
    M: 'static,
{
    fn start(&self, turn: &mut Turn<'_, '_>, responder: Responder) -> Option<Task> {
        let outcome = match contain(|| self.handler.call(&turn.context)) {
            Ok(Ok(future)) => match turn.begin(future) {
                Begun::Done(outcome) => outcome,
                Begun::Pending(future) => {
                    let context = turn.context.clone();
                    return Some(Box::pin(async move {
                        let outcome = Contained(future).await;
                        if let Err((cause, error)) = reply(outcome, &context, responder) {
                            report(&context, HandlerKind::Method, cause, error).await;
                        }
                    }));
                }
            },
            Ok(Err(error)) => {
                responder.fail(&error);
                return None;
            }
            Err(why) => Err(why),
        };
        let (cause, error) = reply(outcome, &turn.context, responder).err()?;
        failed(turn, HandlerKind::Method, cause, error)
    }

    fn missing_state(&self, states: &States) -> Option<&'static str> {
        H::missing_state(states)
    }
}

impl<H, A, M> ErasedMessage for Typed<H, A, M>
where
    H: Handler<A, Output: IntoAnswer<M>>,
    A: 'static,
    M: 'static,
{
    fn run(&self, context: CallContext) -> Answering {
        let begun = contain(|| self.handler.call(&context));
        Box::pin(async move {
            let outcome = match begun {
                Ok(Ok(future)) => taken(Contained(pin!(future)).await),
                Ok(Err(error)) => Err((FailureCause::Refused, error)),
                Err(why) => taken::<H::Output, M>(Err(why)),
            };
            match outcome {
                Ok(answer) => answer,
                Err((cause, error)) => {
                    report(&context, HandlerKind::Message, cause, error).await;
                    None
                }
            }
        })
    }

    fn start(&self, turn: &mut Turn<'_, '_>) -> Option<Task> {
        let outcome = match contain(|| self.handler.call(&turn.context)) {
            Ok(Ok(future)) => match turn.begin(future) {
                Begun::Done(outcome) => taken(outcome),
                Begun::Pending(future) => {
                    let context = turn.context.clone();
                    return Some(Box::pin(async move {
                        match taken(Contained(future).await) {
                            Ok(None) => {}
                            Ok(Some(data)) => answer_message(&context, &data).await,
                            Err((cause, error)) => {
                                report(&context, HandlerKind::Message, cause, error).await;
                            }
                        }
                    }));
                }
            },
            Ok(Err(error)) => Err((FailureCause::Refused, error)),
            Err(why) => taken::<H::Output, M>(Err(why)),
        };
        match outcome {
            Ok(None) => None,
            Ok(Some(data)) => {
                let context = turn.context.clone();
                turn.work(Box::pin(async move { answer_message(&context, &data).await }))
            }
            Err((cause, error)) => failed(turn, HandlerKind::Message, cause, error),
        }
    }

    fn missing_state(&self, states: &States) -> Option<&'static str> {
        H::missing_state(states)
    }
}

/// A webhook handler whose types are forgotten.
#[cfg(feature = "webhook")]
pub(crate) trait ErasedWebhook: Send + Sync {
    /// The result as JSON, or what the sender is told instead.
    fn run(&self, context: CallContext) -> Delivering;
    fn missing_state(&self, states: &States) -> Option<&'static str>;
}

/// A webhook that is being handled.
#[cfg(feature = "webhook")]
pub(crate) type Delivering = Pin<Box<dyn Future<Output = Result<Bytes, RpcError>> + Send>>;

#[cfg(feature = "webhook")]
impl<H, A, M> ErasedWebhook for Typed<H, A, M>
where
    H: Handler<A, Output: IntoReply<M>>,
    A: 'static,
    M: 'static,
{
    fn run(&self, context: CallContext) -> Delivering {
        let begun = contain(|| self.handler.call(&context));
        Box::pin(async move {
            let outcome = match begun {
                Ok(Ok(future)) => Contained(pin!(future)).await,
                Ok(Err(error)) => return Err(error),
                Err(why) => Err(why),
            };
            let (cause, words) = match outcome.map(IntoReply::into_reply) {
                Ok(Ok(answered)) => {
                    let mut json = bytes::BytesMut::new();
                    match answered.body.write_json(&mut json) {
                        Ok(()) => return Ok(json.freeze()),
                        Err(error) => (FailureCause::Unsendable, error.to_string()),
                    }
                }
                Ok(Err(error)) => return Err(error),
                Err(why) => (FailureCause::Panicked, why),
            };
            let error = RpcError::internal(format!("Error in {}: {words}", context.name()));
            report(&context, HandlerKind::Webhook, cause, error.clone()).await;
            Err(error)
        })
    }

    fn missing_state(&self, states: &States) -> Option<&'static str> {
        H::missing_state(states)
    }
}

/// Why a handler failed, and what is told of it.
type Failure = (FailureCause, RpcError);

/// Answers with what a method gave. A failure that its caller does not learn of in full.
fn reply<T: IntoReply<M>, M>(
    outcome: Result<T, String>,
    context: &CallContext,
    responder: Responder,
) -> Result<(), Failure> {
    match outcome.map(IntoReply::into_reply) {
        Ok(Ok(answered)) => {
            responder.reply(&answered, context).map_err(|error| (FailureCause::Unsendable, error))
        }
        Ok(Err(error)) => {
            responder.fail(&error);
            Ok(())
        }
        Err(why) => {
            // Wire fact 6 gives the words.
            let error = RpcError::internal(format!("Error in {}: {why}", context.name()));
            responder.fail(&error);
            Err((FailureCause::Panicked, error))
        }
    }
}

/// What a message handler gave.
fn taken<T: IntoAnswer<M>, M>(outcome: Result<T, String>) -> Result<Option<Bytes>, Failure> {
    match outcome.map(IntoAnswer::into_answer) {
        Ok(Answer::Nothing) => Ok(None),
        Ok(Answer::Value(data)) => Ok(Some(data)),
        Ok(Answer::Failed(error)) => Err((FailureCause::Returned, error)),
        Ok(Answer::Unsendable(error)) => Err((FailureCause::Unsendable, error)),
        Err(why) => Err((FailureCause::Panicked, RpcError::internal(why))),
    }
}

/// [`report`] of a handler that was done at once.
#[cold]
fn failed(
    turn: &mut Turn<'_, '_>,
    kind: HandlerKind,
    cause: FailureCause,
    error: RpcError,
) -> Option<Task> {
    let context = turn.context.clone();
    turn.work(Box::pin(async move { report(&context, kind, cause, error).await }))
}

/// Tells of a failure: in the log, and to error hooks.
#[cold]
async fn report(context: &CallContext, kind: HandlerKind, cause: FailureCause, error: RpcError) {
    let name = context.name();
    match cause {
        FailureCause::Panicked => {
            tracing::error!(target: "cndt", %kind, name, %cause, %error, "handler failed");
        }
        FailureCause::Returned | FailureCause::Refused | FailureCause::Unsendable => {
            tracing::warn!(target: "cndt", %kind, name, %cause, %error, "handler failed");
        }
    }
    handler_failed(kind, cause);
    let hooks = context.failures();
    if !hooks.is_empty() {
        hooks.run(HandlerFailure::new(context, kind, cause, error)).await;
    }
}
