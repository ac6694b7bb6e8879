use std::future::Future;
use std::marker::PhantomData;
use std::pin::pin;

use cndt_core::rpc::RpcError;

use super::context::{CallContext, States};
use super::extract::Extract;
use super::reply::{Answer, IntoAnswer, IntoReply};
use super::respond::{Responder, answer_message};
use crate::contain::{Contained, contain};
use crate::rt::Task;

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

/// A handler whose types are forgotten. `T` is where its outcome goes.
pub(super) trait Erased<T>: Send + Sync {
    fn start(&self, context: CallContext, to: T) -> Task;
    fn missing_state(&self, states: &States) -> Option<&'static str>;
}

pub(super) struct RpcHandler<H, A, M> {
    handler: H,
    types: PhantomData<fn() -> (A, M)>,
}

impl<H, A, M> RpcHandler<H, A, M> {
    pub(super) fn new(handler: H) -> Self {
        Self { handler, types: PhantomData }
    }
}

impl<H, A, M> Erased<Responder> for RpcHandler<H, A, M>
where
    H: Handler<A, Output: IntoReply<M>>,
    A: 'static,
    M: 'static,
{
    fn start(&self, context: CallContext, responder: Responder) -> Task {
        let begun = contain(|| self.handler.call(&context));
        Box::pin(async move {
            let outcome = match begun {
                Ok(Ok(future)) => Contained(pin!(future)).await,
                Ok(Err(error)) => return responder.fail(&error),
                Err(why) => Err(why),
            };
            match outcome.map(IntoReply::into_reply) {
                Ok(Ok(body)) => responder.reply(&body, context.name()),
                Ok(Err(error)) => responder.fail(&error),
                Err(why) => {
                    let name = context.name();
                    tracing::error!(target: "cndt", method = name, %why, "handler panicked");
                    // Wire fact 6 gives the words.
                    let words = format!("Error in {name}: {why}");
                    responder.fail(&RpcError::internal(words));
                }
            }
        })
    }

    fn missing_state(&self, states: &States) -> Option<&'static str> {
        H::missing_state(states)
    }
}

pub(super) struct MessageHandler<H, A, M> {
    handler: H,
    /// Wire fact 5: a value answers as a message of this type.
    answer_name: std::sync::Arc<str>,
    types: PhantomData<fn() -> (A, M)>,
}

impl<H, A, M> MessageHandler<H, A, M> {
    pub(super) fn new(handler: H, name: &str) -> Self {
        Self { handler, answer_name: format!("{name}_response").into(), types: PhantomData }
    }
}

impl<H, A, M> Erased<()> for MessageHandler<H, A, M>
where
    H: Handler<A, Output: IntoAnswer<M>>,
    A: 'static,
    M: 'static,
{
    fn start(&self, context: CallContext, (): ()) -> Task {
        let begun = contain(|| self.handler.call(&context));
        let answer_name = std::sync::Arc::clone(&self.answer_name);
        Box::pin(async move {
            let name = context.name();
            let outcome = match begun {
                Ok(Ok(future)) => Contained(pin!(future)).await,
                Ok(Err(error)) => {
                    tracing::warn!(target: "cndt", message = name, %error, "message not taken");
                    return;
                }
                Err(why) => Err(why),
            };
            match outcome.map(IntoAnswer::into_answer) {
                Ok(Answer::Nothing) => {}
                Ok(Answer::Value(data)) => {
                    answer_message(&context.link, &answer_name, &data).await;
                }
                Ok(Answer::Failed(why)) => {
                    tracing::warn!(target: "cndt", message = name, %why, "message handler failed");
                }
                Err(why) => {
                    tracing::error!(target: "cndt", message = name, %why, "handler panicked");
                }
            }
        })
    }

    fn missing_state(&self, states: &States) -> Option<&'static str> {
        H::missing_state(states)
    }
}
