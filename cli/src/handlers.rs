//! The methods and messages of `cndt serve --rpc` and `--on`: each is a shell command.

use std::collections::BTreeSet;
use std::sync::Arc;

use cndt_tokio::{CallContext, Extract, Method, Peer, RawParams, RawReply, RpcError, Server};

use crate::args::Named;
use crate::exit::{Failure, print_error_line, printable};
use crate::json::{self, Payload, Style};
use crate::shell::Shell;

/// Discovery: a server that answers it otherwise cannot be asked what it serves.
const RESERVED: [&str; 2] = ["listall", "rpc.discover"];

/// Which names are commands. Those of the demonstration give way to them.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    methods: BTreeSet<String>,
    messages: BTreeSet<String>,
}

impl Taken {
    /// Checks the names.
    ///
    /// # Errors
    /// A method that is named twice, or that discovery needs. Messages may have several commands,
    /// which run one after the other.
    pub(crate) fn new(rpc: &[Named], on: &[Named]) -> Result<Self, Failure> {
        let mut methods = BTreeSet::new();
        for Named { name, .. } in rpc {
            if RESERVED.contains(&name.as_str()) {
                let words = format!("--rpc {name}: discovery has this name; choose another");
                return Err(Failure::Usage(words));
            }
            if !methods.insert(name.clone()) {
                let words = format!("--rpc {name}: this method is given twice; remove one of them");
                return Err(Failure::Usage(words));
            }
        }
        Ok(Self { methods, messages: on.iter().map(|named| named.name.clone()).collect() })
    }

    pub(crate) fn has_method(&self, name: &str) -> bool {
        self.methods.contains(name)
    }

    pub(crate) fn has_message(&self, name: &str) -> bool {
        self.messages.contains(name)
    }
}

/// Adds the commands.
pub(crate) fn install(
    mut server: Server,
    shell: &Shell,
    rpc: Vec<Named>,
    on: Vec<Named>,
) -> Server {
    for Named { name, command } in rpc {
        let (shell, command) = (shell.clone(), Arc::<str>::from(command));
        let method = Method::new(name).describe("Run a command of the server.");
        server = server.rpc(method, move |peer: Peer, Input(input): Input| {
            let (shell, command) = (shell.clone(), command.clone());
            async move {
                tokio::select! {
                    outcome = run(&shell, &command, &input) => reply(&outcome?),
                    // A caller that is gone wants no answer.
                    _ = peer.closed() => Err(RpcError::cancelled()),
                }
            }
        });
    }
    for Named { name, command } in on {
        let (shell, command) = (shell.clone(), Arc::<str>::from(command));
        let kind = name.clone();
        server = server.on(name, move |Input(input): Input| {
            let (shell, command, kind) = (shell.clone(), command.clone(), kind.clone());
            async move {
                let outcome = run(&shell, &command, &input).await;
                if let Err(error) = &outcome {
                    // Whoever sent the message is not told.
                    let words = printable(&error.message);
                    print_error_line(&format!("warning: --on {kind}: {words}"));
                }
                outcome
            }
        });
    }
    server
}

async fn run(shell: &Shell, command: &str, input: &str) -> Result<Payload, RpcError> {
    let value = shell.run(command, input.as_bytes()).await?;
    Payload::new(value).map_err(|error| RpcError::internal(format!("the command printed {error}")))
}

fn reply(payload: &Payload) -> Result<RawReply, RpcError> {
    let written = payload.to_msgpack().map_err(|error| RpcError::internal(error.to_string()))?;
    Ok(RawReply(written.freeze()))
}

/// Parameters or data as JSON text.
struct Input(String);

impl Extract for Input {
    fn extract(context: &CallContext) -> Result<Self, RpcError> {
        let RawParams(bytes) = RawParams::extract(context)?;
        json::from_msgpack(&bytes, Style::Compact)
            .map(Self)
            .map_err(|error| RpcError::invalid_params(error.to_string()))
    }
}
