//! `cndt`: serve, call, send, listen and decode CNDT at a terminal.
#![forbid(unsafe_code)]

mod address;
mod advice;
mod args;
mod bench;
mod builtin;
mod client;
mod decode;
mod demo;
mod doctor;
mod exit;
mod handlers;
mod json;
mod jsonrpc;
mod near;
mod out;
mod params;
mod password;
mod probe;
mod secret;
mod serve;
mod shell;
mod webhook;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use clap_complete::Shell;

use args::{
    Cli, Command, JsonRpcCommand, OutboxCommand, PasswordCommand, ShellName, WebhookCommand,
};
use exit::Failure;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers, everything else is wrong usage. clap knows which goes
            // where; nobody is left to tell if that fails.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Decode(arguments) => decode::run(&arguments),
        Command::Completions { shell } => {
            let shell = match shell {
                ShellName::Bash => Shell::Bash,
                ShellName::Zsh => Shell::Zsh,
                ShellName::Fish => Shell::Fish,
            };
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "cndt", &mut script);
            out::bytes(&script)
        }
        Command::Password { command: PasswordCommand::Hash(arguments) } => {
            password::hash(&arguments)
        }
        Command::Jsonrpc { command: JsonRpcCommand::Call(arguments) } => {
            block_on(jsonrpc::call(arguments))
        }
        Command::Webhook { command } => match command {
            WebhookCommand::Sign(arguments) => webhook::sign(&arguments),
            WebhookCommand::Verify(arguments) => webhook::verify(&arguments),
            WebhookCommand::Send(arguments) => block_on(webhook::send(arguments)),
            WebhookCommand::Outbox { command: OutboxCommand::List(arguments) } => {
                block_on(webhook::outbox::list(arguments))
            }
            WebhookCommand::Outbox { command: OutboxCommand::Retry(arguments) } => {
                block_on(webhook::outbox::retry(arguments))
            }
            WebhookCommand::Serve(arguments) => block_on(webhook::serve(arguments)),
        },
        Command::Demo => block_on(demo::run()),
        Command::Serve(arguments) => block_on(serve::run(*arguments)),
        Command::Call(arguments) => block_on(client::call(arguments)),
        Command::Send(arguments) => block_on(client::send(arguments)),
        Command::Listen(arguments) => block_on(client::listen(arguments)),
        Command::Methods(arguments) => block_on(client::methods(arguments)),
        Command::Bench(arguments) => block_on(bench::run(*arguments)),
        Command::Doctor(arguments) => block_on(doctor::run(arguments)),
        Command::Ping(arguments) => block_on(client::ping(arguments)),
    }
}

fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("cannot start threads: {error}")))?
        .block_on(work)
}
