//! What can be said on the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use cndt_tokio::ClientDescriptor;
use cndt_tokio::users::{ITERATIONS_DEFAULT, UserName};

use crate::address::Address;

/// CNDT at a terminal: serve, call, send, listen, decode.
///
/// The password comes from the variable CNDT_PASSWORD, from --password-file, or is asked for on a
/// terminal. Data goes to stdout, everything else to stderr.
///
/// Exit status: 0 success; 1 the peer answered with an error; 2 wrong usage; 3 could not connect or
/// log in; 4 timed out.
#[derive(Debug, Parser)]
#[command(name = "cndt", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Shows everything at work: a server and clients in this process, over real TCP
    #[command(after_help = DEMO_EXAMPLES)]
    Demo,
    /// Serves until SIGINT or SIGTERM
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(ServeArgs),
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
    /// Prints captured bytes as frames, one per line
    #[command(after_help = DECODE_EXAMPLES)]
    Decode(DecodeArgs),
    /// Speaks JSON-RPC 2.0 over TCP
    Jsonrpc {
        #[command(subcommand)]
        command: JsonRpcCommand,
    },
    /// Makes what a server stores instead of a password
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
const SERVE_EXAMPLES: &str = "\
Examples:
  CNDT_PASSWORD=secret cndt serve
  cndt serve --bind 127.0.0.1:0 --bind '[::1]:0' --password-file secret.txt
  cndt serve --bind 0.0.0.0:8443 --tls-cert server.pem --tls-key server.key
  cndt serve --bind unix:/run/app.sock
  cndt serve --bind 127.0.0.1:8080 --jsonrpc 127.0.0.1:9001
  CNDT_PASSWORD=secret cndt serve --accept cndt,netconduit
  cndt serve --users users
  cndt serve --heartbeat-interval 5s --heartbeat-timeout 15s --max-connections 500

Once every listener is bound, one line each is printed: cndt://127.0.0.1:8080";
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
Example:
  cndt ping localhost:8080 --count 5";
const DECODE_EXAMPLES: &str = "\
Examples:
  cndt decode capture.bin
  echo '434e4454 0105 0000 00000000 0000000000000000 0000019b18daa2b4 00000000' | cndt decode --hex

Each line: offset, dialect, type, flags, length, correlation id, time, payload. Compressed payloads
are shown expanded; one that cannot be read is shown as {\"$binary\": \"<base64>\"}, and stderr says
what is wrong at which byte. Damaged input: exit status 1.";

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

/// What happens to a client that reads too slowly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SlowClientName {
    /// It does not get that broadcast
    DropNewest,
    /// Those that have been waiting longest make room
    DropOldest,
    /// It is cut off
    Disconnect,
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
}

#[derive(Debug, Args)]
pub(crate) struct DecodeArgs {
    /// A file; stdin without one, or with -
    pub(crate) file: Option<PathBuf>,
    /// The input is hex digits; white space, `0x`, `:` and `,` between them are passed over
    #[arg(long)]
    pub(crate) hex: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Where to listen: host:port or unix:PATH; may be given several times; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(crate) bind: Vec<Address>,
    /// Speaks TLS on every host:port, with the certificate in this PEM file
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<String>,
    /// The certificate's private key, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<String>,
    /// Wants certificates of clients, issued by the authorities in this PEM file
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_client_ca: Option<String>,
    /// Keeps IPv4 away from a server on `[::]`
    #[arg(long)]
    pub(crate) ipv6_only: bool,
    /// Speaks JSON-RPC 2.0 there as well, without a login: for networks where nobody else is; may be
    /// given several times
    #[arg(long, value_name = "ADDR")]
    pub(crate) jsonrpc: Vec<Address>,
    /// Closes each JSON-RPC connection after its first answer, for peers that wait for that
    #[arg(long, requires = "jsonrpc")]
    pub(crate) jsonrpc_one_answer: bool,
    /// The dialects whose logins are accepted, separated by commas
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [DialectName::Cndt])]
    pub(crate) accept: Vec<DialectName>,
    /// Lets these users in, instead of whoever knows the password: one NAME:VERIFIER on each line,
    /// as `cndt password hash --user NAME` prints them; dialect cndt only
    #[arg(long, value_name = "FILE")]
    pub(crate) users: Option<PathBuf>,
    /// How slow each guess at a captured login is to be
    #[arg(long, value_name = "N", default_value_t = ITERATIONS_DEFAULT)]
    pub(crate) password_iterations: u32,
    /// Reads the password from a file; one newline at its end is not part of it
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// Serves nothing but discovery, instead of the built-in methods and messages
    #[arg(long)]
    pub(crate) no_demo: bool,
    /// The name that clients are told
    #[arg(long, default_value = "cndt")]
    pub(crate) name: String,
    /// The version that clients are told
    #[arg(long, value_name = "VERSION", default_value = env!("CARGO_PKG_VERSION"))]
    pub(crate) server_version: String,
    /// For the log, never sent
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) description: String,
    /// How long calls that are under way may take when the server stops
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = time)]
    pub(crate) shutdown_timeout: Duration,
    /// What happens to a broadcast for which a client has no room
    #[arg(long, value_enum, default_value_t = SlowClientName::DropNewest)]
    pub(crate) slow_client: SlowClientName,
    /// Wrong logins per second, from anywhere, beyond which only addresses are looked at that were
    /// not wrong lately
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) failed_logins_per_second_max: u64,
    /// Clients that may be logged in at a time
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) max_connections: usize,
    /// How long a login may take
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    pub(crate) auth_timeout: Duration,
    /// A client that takes no byte for so long is cut off
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time)]
    pub(crate) connection_timeout: Duration,
    /// How often clients are pinged
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time)]
    pub(crate) heartbeat_interval: Duration,
    /// A client that is silent for so long is taken for dead
    #[arg(long, value_name = "TIME", default_value = "90s", value_parser = time)]
    pub(crate) heartbeat_timeout: Duration,
    /// The largest payload, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 10 * 1024 * 1024)]
    pub(crate) max_message_size: usize,
    /// The largest single read, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 64 * 1024)]
    pub(crate) buffer_size: usize,
    /// Messages to one client that may wait to be sent
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(crate) send_queue_size: usize,
    /// Messages of one client that may wait to be handled
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(crate) receive_queue_size: usize,
    /// Messages and calls that one client may send per second
    #[arg(long, value_name = "MSGS/s", value_parser = rate)]
    pub(crate) rate_limit: Option<u64>,
    /// Bytes of messages and calls that one client may send per second
    #[arg(long, value_name = "BYTES/s", value_parser = rate)]
    pub(crate) rate_limit_bytes: Option<u64>,
    /// Closes clients with which nothing but heartbeats was exchanged for so long
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) idle_timeout: Option<Duration>,
    /// Connections that may be logging in at a time
    #[arg(long, value_name = "N", default_value_t = 128)]
    pub(crate) half_open_max: usize,
    /// The same from one address
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub(crate) half_open_per_address_max: usize,
    /// Wrong logins that one address has at once
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) failed_logins_max: u32,
    /// How long it takes until one of them comes back
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = time)]
    pub(crate) failed_login_interval: Duration,
    /// Holds loopback to the rules for single addresses, too
    #[arg(long)]
    pub(crate) limit_loopback: bool,
    /// Bytes that may wait for all clients together; 0 sets no bound
    #[arg(long, value_name = "BYTES", default_value_t = 256 * 1024 * 1024)]
    pub(crate) memory_budget: usize,
    /// Sends large payloads compressed
    #[arg(long)]
    pub(crate) compress: bool,
    /// Never asks clients to pause
    #[arg(long)]
    pub(crate) no_backpressure: bool,
}

/// `100`, or `100/s`.
fn rate(text: &str) -> Result<u64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    match number.parse() {
        Ok(0) | Err(_) => Err("a whole number per second, from 1 on: 100 or 100/s".into()),
        Ok(rate) => Ok(rate),
    }
}

/// `30s`, `250ms`, `2m`.
fn time(text: &str) -> Result<Duration, String> {
    let span = humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write it like 30s, 250ms or 2m"))?;
    if span.is_zero() { Err("it must be longer than nothing".into()) } else { Ok(span) }
}
