//! What a connection is for. One type for both ends: after the login it does not matter who
//! connected to whom.

use std::collections::HashMap;
use std::time::Duration;

use cndt_core::connection::{
    CallFailure, CallId, Connection, Event, Message, Outcome, Request, SendError,
};
use cndt_core::message::{Raw, Typed, from_slice};
use cndt_core::rpc::RpcError;
use cndt_core::time::Instant;
use serde::Deserialize;
use serde_json::{Value, json};

const CALL_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) struct Application {
    name: &'static str,
    /// What to call after the login. The connection is closed when all of it has ended.
    plan: Vec<(&'static str, Value)>,
    /// Answers come in any order; the id tells whose each is.
    calls: HashMap<CallId, String>,
    answers: usize,
}

impl Application {
    /// Serves until the peer leaves.
    pub(crate) fn server() -> Self {
        Self { name: "server", plan: Vec::new(), calls: HashMap::new(), answers: 0 }
    }

    /// Greets, makes some calls, and leaves.
    pub(crate) fn caller(name: &'static str) -> Self {
        let add = ("add", json!({ "a": 20, "b": 22 }));
        let echo = ("echo", json!(["it", "is", name]));
        let divide = ("divide", json!({ "a": 1, "b": 0 }));
        Self { name, plan: vec![add, echo, divide], ..Self::server() }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Whether every call was answered; `None` for a server, which wants nothing.
    pub(crate) fn is_satisfied(&self) -> Option<bool> {
        (!self.plan.is_empty()).then_some(self.answers == self.plan.len())
    }

    pub(crate) fn on_event(
        &mut self,
        now: Instant,
        machine: &mut Connection,
        event: Event,
    ) -> Result<(), SendError> {
        let name = self.name;
        match event {
            Event::Opened(opened) => {
                println!("{name}: talking to {}", opened.peer_name);
                self.begin(now, machine)?;
            }
            Event::Request(request) => answer(now, machine, &request)?,
            Event::Message(message) => hear(name, now, machine, &message)?,
            Event::Finished { call, outcome } => self.finish(now, machine, call, outcome),
            Event::Closed(closed) => println!("{name}: {}", closed.reason),
            // The line derives, and every request is answered before it could be cancelled. The others
            // tell what this application does not ask for.
            Event::Derive(_) | Event::Cancelled(_) | Event::Pong { .. } | Event::Writable => {}
        }
        Ok(())
    }

    /// All at once instead of one after the other: it goes out in one write.
    fn begin(&mut self, now: Instant, machine: &mut Connection) -> Result<(), SendError> {
        if !self.plan.is_empty() {
            machine.send(now, "greeting", &Typed(self.name))?;
        }
        for (method, params) in &self.plan {
            let call = machine.call(now, method, &Typed(params), CALL_TIMEOUT)?;
            self.calls.insert(call, format!("{method} {params}"));
        }
        Ok(())
    }

    fn finish(&mut self, now: Instant, machine: &mut Connection, call: CallId, outcome: Outcome) {
        let (name, question) = (self.name, self.calls.remove(&call).unwrap_or_default());
        // An error from the application over there is an answer. Any other failure leaves open
        // whether the call was executed.
        self.answers += usize::from(matches!(outcome, Ok(_) | Err(CallFailure::Remote(_))));
        match outcome {
            Ok(reply) => println!("{name}: {question} = {}", readable(&reply.data)),
            Err(failure) => println!("{name}: {question} failed: {failure}"),
        }
        if self.calls.is_empty() {
            machine.close(now);
        }
    }
}

fn hear(
    name: &str,
    now: Instant,
    machine: &mut Connection,
    message: &Message,
) -> Result<(), SendError> {
    // Only a greeting is returned: two that return everything would never stop.
    if message.name.as_str() == "greeting" {
        machine.send(now, "welcome", &Raw(&message.data))?;
    } else {
        println!("{name}: {} {}", message.name, readable(&message.data));
    }
    Ok(())
}

fn answer(now: Instant, machine: &mut Connection, request: &Request) -> Result<(), SendError> {
    let answered = match request.method.as_str() {
        "add" => match add(&request.params) {
            Ok(sum) => machine.respond(now, request.id, &Typed(&sum)),
            Err(error) => machine.respond_error(now, request.id, &error),
        },
        // MessagePack it was and MessagePack it stays: nobody has to look inside.
        "echo" => machine.respond(now, request.id, &Raw(&request.params)),
        unknown => machine.respond_error(now, request.id, &RpcError::method_not_found(unknown)),
    };
    // A result that is too large leaves the request open, and the caller would wait in vain.
    answered.or_else(|error| {
        machine.respond_error(now, request.id, &RpcError::internal(error.to_string()))
    })
}

#[derive(Deserialize)]
struct Summands {
    a: i64,
    b: i64,
}

fn add(params: &[u8]) -> Result<i64, RpcError> {
    let Summands { a, b } =
        from_slice(params).map_err(|error| RpcError::validation(error.to_string()))?;
    a.checked_add(b).ok_or_else(|| RpcError::validation("the sum is out of range"))
}

fn readable(data: &[u8]) -> String {
    from_slice::<Value>(data).map_or_else(|error| error.to_string(), |value| value.to_string())
}
