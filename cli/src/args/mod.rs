//! What can be said on the command line.

mod bench;
mod commands;
mod doctor;
mod serve;
mod webhook;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use cndt_tokio::ClientDescriptor;
use cndt_tokio::users::{ITERATIONS_DEFAULT, UserName};

use crate::address::Address;
use bench::BENCH_EXAMPLES;
pub(crate) use bench::{BenchArgs, WorkloadName};
pub(crate) use commands::{CommandArgs, Named};
use doctor::DOCTOR_EXAMPLES;
pub(crate) use doctor::DoctorArgs;
use serve::SERVE_EXAMPLES;
pub(crate) use serve::{ServeArgs, SlowClientName};
use webhook::WEBHOOK_EXAMPLES;
pub(crate) use webhook::{OutboxCommand, OutboxListArgs, OutboxRetryArgs};
pub(crate) use webhook::{
    WebhookCommand, WebhookKeys, WebhookSendArgs, WebhookServeArgs, WebhookSignArgs,
    WebhookVerifyArgs,
};

/// CNDT at a terminal: serve, call, send, listen, decode.
///
/// The password comes from the variable CNDT_PASSWORD, from --password-file, or is asked for on a
/// terminal. Data goes to stdout, everything else to stderr.
///
/// Exit status: 0 success; 1 the peer answered with an error; 2 wrong usage; 3 could not connect or
/// log in; 4 timed out.
#[derive(Debug, Parser)]
#[command(name = "cndt", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  cndt demo
  CNDT_PASSWORD=secret cndt serve --bind 127.0.0.1:8080
  CNDT_PASSWORD=secret cndt call 127.0.0.1:8080 add a:=10 b:=20
  cndt doctor 127.0.0.1:8080

Every command has examples of its own: cndt call --help";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Shows everything at work: a server and clients in this process, over real TCP
    #[command(after_help = DEMO_EXAMPLES)]
    Demo,
    /// Serves until SIGINT or SIGTERM
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(Box<ServeArgs>),
    /// Calls a method and prints its result as JSON
    #[command(after_help = CALL_EXAMPLES)]
    Call(CallArgs),
    /// Sends a message
    #[command(after_help = SEND_EXAMPLES)]
    Send(SendArgs),
    /// Prints each message as one JSON line {type, data, timestamp}
    #[command(after_help = LISTEN_EXAMPLES)]
    Listen(ListenArgs),
    /// Lists the methods of a server
    #[command(after_help = METHODS_EXAMPLES)]
    Methods(MethodsArgs),
    /// Measures the handshake and heartbeat round trips
    #[command(after_help = PING_EXAMPLES)]
    Ping(PingArgs),
    /// Measures calls under load: how many, how fast, how evenly
    #[command(after_help = BENCH_EXAMPLES)]
    Bench(Box<BenchArgs>),
    /// Finds out what is at an address, and what is wrong with it
    #[command(after_help = DOCTOR_EXAMPLES)]
    Doctor(DoctorArgs),
    /// Prints captured bytes as frames, one per line
    #[command(after_help = DECODE_EXAMPLES)]
    Decode(DecodeArgs),
    /// Speaks JSON-RPC 2.0 over TCP
    #[command(after_help = JSONRPC_EXAMPLES)]
    Jsonrpc {
        #[command(subcommand)]
        command: JsonRpcCommand,
    },
    /// Sends, receives, signs and verifies webhooks
    #[command(after_help = WEBHOOK_EXAMPLES)]
    Webhook {
        #[command(subcommand)]
        command: WebhookCommand,
    },
    /// Makes what a server stores instead of a password
    #[command(after_help = HASH_EXAMPLES)]
    Password {
        #[command(subcommand)]
        command: PasswordCommand,
    },
    /// Prints a completion script
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions {
        /// For which shell
        shell: ShellName,
    },
}

/// What can be done over JSON-RPC.
#[derive(Debug, Subcommand)]
pub(crate) enum JsonRpcCommand {
    /// Calls a method and prints its result as JSON
    #[command(after_help = JSONRPC_CALL_EXAMPLES)]
    Call(JsonRpcCallArgs),
}

#[derive(Debug, Args)]
pub(crate) struct JsonRpcCallArgs {
    /// host:port, `[::1]:port`, jsonrpc://host:port, jsonrpcs://host:port (TLS) or unix:PATH
    pub(crate) address: Address,
    /// The method's name
    pub(crate) method: String,
    #[command(flatten)]
    pub(crate) body: Body,
    /// How texts are told apart on the stream
    #[arg(long, value_enum, default_value_t = FramingName::Newline)]
    pub(crate) framing: FramingName,
    /// Sends a notification: a call without an answer
    #[arg(long)]
    pub(crate) notify: bool,
    /// How long to wait: for the connection, and then for the answer
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time)]
    pub(crate) timeout: Duration,
    #[command(flatten)]
    pub(crate) tls: TlsArgs,
}

/// How JSON texts follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FramingName {
    /// One on each line
    Newline,
    /// With nothing between
    Bare,
    /// Behind headers, as in the Language Server Protocol
    ContentLength,
}

/// What can be done with a password.
#[derive(Debug, Subcommand)]
pub(crate) enum PasswordCommand {
    /// Prints the password's verifier: what `serve --users` reads, and no one can log in with
    #[command(after_help = HASH_EXAMPLES)]
    Hash(HashArgs),
}

#[derive(Debug, Args)]
pub(crate) struct HashArgs {
    /// Puts a user's name in front, as `serve --users` wants it
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<UserName>,
    /// How slow each guess at a stolen verifier is to be
    #[arg(long, value_name = "N", default_value_t = ITERATIONS_DEFAULT)]
    pub(crate) iterations: u32,
    /// Reads the password from a file; one newline at its end is not part of it
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
}

/// A shell that completions are tested for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ShellName {
    Bash,
    Zsh,
    Fish,
}

const HASH_EXAMPLES: &str = "\
Examples:
  cndt password hash --user ann >> users
  cndt serve --users users
  CNDT_PASSWORD=secret cndt password hash

The password is read as everywhere: CNDT_PASSWORD, --password-file, or asked for on a terminal.";
const DEMO_EXAMPLES: &str = "\
Example:
  cndt demo

Each result is checked; the exit status is 1 if one is wrong.";
const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  source <(cndt completions bash)
  cndt completions zsh > \"${fpath[1]}/_cndt\"
  cndt completions fish > ~/.config/fish/completions/cndt.fish";
const CALL_EXAMPLES: &str = "\
Examples:
  cndt call 127.0.0.1:8080 add a:=10 b:=20
  cndt call cndt://localhost:8080 greet name=World --timeout 2s
  cndt call localhost:8080 create_user --data @user.json
  echo '{\"a\": 1, \"b\": 2}' | cndt call localhost:8080 add --data -

In both directions, binary data is {\"$binary\": \"<base64>\"}, and a MessagePack extension
{\"$ext\": [type, \"<base64>\"]}. A map key that is no text is shown as its JSON text, NaN as null.";
const SEND_EXAMPLES: &str = "\
Examples:
  cndt send localhost:8080 greeting name=World
  cndt send localhost:8080 greeting name=World --wait 2s";
const LISTEN_EXAMPLES: &str = "\
Examples:
  cndt listen localhost:8080
  cndt listen localhost:8080 chat user_join --count 10 | jq .data";
const METHODS_EXAMPLES: &str = "\
Examples:
  cndt methods localhost:8080
  cndt methods localhost:8080 --json | jq -r '.[].name'";
const PING_EXAMPLES: &str = "\
Examples:
  cndt ping localhost:8080 --count 5
  cndt ping localhost:8080 --json | jq .median_ms";
const DECODE_EXAMPLES: &str = "\
Examples:
  cndt decode capture.bin
  cndt decode capture.pcapng
  tcpdump -i any -U -w - tcp | cndt decode --json
  echo '434e4454 0105 0000 00000000 0000000000000000 0000019b18daa2b4 00000000' | cndt decode --hex

Each line: offset, dialect, type, flags, length, correlation id, time, payload. Compressed payloads
are shown expanded; one that cannot be read is shown as {\"$binary\": \"<base64>\"}, and stderr says
what is wrong at which byte. Damaged input: exit status 1.

Captures are told by their first bytes. TCP connections on any port are put together, and each line
has in front: time of capture, source -> destination, time since the frame that it answers. What is
missing in a capture is told, and frames are read on behind it.";

const JSONRPC_EXAMPLES: &str = "\
Example:
  cndt jsonrpc call localhost:9001 add a:=10 b:=20";
const JSONRPC_CALL_EXAMPLES: &str = "\
Examples:
  cndt jsonrpc call localhost:9001 add a:=10 b:=20
  cndt jsonrpc call localhost:9001 add --data '[10, 20]' --framing bare
  cndt jsonrpc call localhost:9001 log_event event=startup --notify

Errors of the server are shown with the numbers of JSON-RPC: -32601 for an unknown method.";

/// Whom to talk to, and how.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// host:port, `[::1]:port`, cndt://host:port, cndts://host:port (TLS) or unix:PATH
    pub(crate) address: Address,
    #[command(flatten)]
    pub(crate) tls: TlsArgs,
    /// The wire dialect
    #[arg(long, value_enum, default_value_t = DialectName::Cndt)]
    pub(crate) dialect: DialectName,
    /// Who logs in; dialect cndt only
    #[arg(long, value_name = "NAME", default_value_t)]
    pub(crate) user: UserName,
    /// Accepts servers that ask for no fewer iterations of key derivation
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub(crate) password_iterations_min: u32,
    /// Reads the password from a file; one newline at its end is not part of it
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// How long to wait: for the connection, and then for the answer
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time)]
    pub(crate) timeout: Duration,
}

/// How to speak TLS; with `cndts://` addresses only.
#[derive(Debug, Args)]
pub(crate) struct TlsArgs {
    /// Trusts the authorities in this PEM file, instead of those of the system
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_ca: Option<String>,
    /// Shows the certificate in this PEM file to the server
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<String>,
    /// The certificate's private key, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<String>,
    /// The name that the server's certificate must have, if not the address's
    #[arg(long, value_name = "NAME")]
    pub(crate) tls_server_name: Option<String>,
    /// Does not bind the login to the TLS session: for servers behind a proxy that ends TLS
    #[arg(long)]
    pub(crate) no_tls_channel_binding: bool,
}

impl TlsArgs {
    /// The same settings in a descriptor.
    pub(crate) fn apply(&self, tls: bool, descriptor: ClientDescriptor) -> ClientDescriptor {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        descriptor
            .tls(tls)
            .tls_ca(text(&self.tls_ca))
            .tls_certificate(text(&self.tls_cert))
            .tls_key(text(&self.tls_key))
            .tls_server_name(text(&self.tls_server_name))
            .tls_channel_binding(!self.no_tls_channel_binding)
    }
}

/// A wire dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DialectName {
    /// This project's own; each side proves that it knows the password, and nothing can be replayed
    Cndt,
    /// What the Python package speaks; its login can be recorded and replayed
    Netconduit,
}

/// What goes along.
#[derive(Debug, Args)]
pub(crate) struct Body {
    /// key=text or key:=json
    #[arg(value_name = "ARG")]
    pub(crate) fields: Vec<String>,
    /// The whole value instead: JSON, @FILE, or - for stdin
    #[arg(
        long,
        value_name = "JSON|@FILE|-",
        conflicts_with = "fields",
        allow_hyphen_values = true
    )]
    pub(crate) data: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CallArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// The method's name
    pub(crate) method: String,
    #[command(flatten)]
    pub(crate) body: Body,
}

#[derive(Debug, Args)]
pub(crate) struct SendArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// The message's type
    #[arg(value_name = "TYPE")]
    pub(crate) kind: String,
    #[command(flatten)]
    pub(crate) body: Body,
    /// Waits so long for the message TYPE_response and prints its data
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) wait: Option<Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct ListenArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Only messages of these types
    #[arg(value_name = "TYPE")]
    pub(crate) kinds: Vec<String>,
    /// Ends after so many messages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct MethodsArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Prints a JSON array instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PingArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// How many pings
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) count: u32,
    /// Prints a JSON object instead of lines
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DecodeArgs {
    /// What one side sent, or a capture (pcap, pcapng); stdin without one, or with -
    pub(crate) file: Option<PathBuf>,
    /// The input is hex digits; white space, `0x`, `:` and `,` between them are passed over
    #[arg(long)]
    pub(crate) hex: bool,
    /// Prints each frame as a JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// `30s`, `250ms`, `2m`.
fn time(text: &str) -> Result<Duration, String> {
    let span = humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write it like 30s, 250ms or 2m"))?;
    if span.is_zero() { Err("it must be longer than nothing".into()) } else { Ok(span) }
}
