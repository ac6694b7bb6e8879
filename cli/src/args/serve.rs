use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use cndt_tokio::users::ITERATIONS_DEFAULT;

use super::{CommandArgs, DialectName, Named, WebhookKeys, time};
use crate::address::Address;

pub(super) const SERVE_EXAMPLES: &str = "\
Examples:
  CNDT_PASSWORD=secret cndt serve
  cndt serve --bind 127.0.0.1:0 --bind '[::1]:0' --password-file secret.txt
  cndt serve --bind 0.0.0.0:8443 --tls-cert server.pem --tls-key server.key
  cndt serve --bind unix:/run/app.sock
  cndt serve --bind 127.0.0.1:8080 --jsonrpc 127.0.0.1:9001 --webhook 127.0.0.1:8081
  CNDT_PASSWORD=secret cndt serve --accept cndt,netconduit
  cndt serve --users users
  cndt serve --heartbeat-interval 5s --heartbeat-timeout 15s --max-connections 500
  cndt serve --no-demo --rpc 'sum=jq .a+.b' --rpc 'load=cut -d\" \" -f1 /proc/loadavg'
  cndt serve --on 'order=./order.sh' --commands-max 4 --command-timeout 5s

Once every listener is bound, one line each is printed: cndt://127.0.0.1:8080

A COMMAND is run by the shell with the parameters or data on its stdin, as JSON; what it prints is the
JSON result or answer, and a status other than 0 an error with its stderr. It is killed when its call is
cancelled or takes too long. Secrets are not in its environment.";
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
    /// Receives webhooks over HTTP there as well, and answers each with its payload as the result; may
    /// be given several times
    #[arg(long, value_name = "ADDR")]
    pub(crate) webhook: Vec<Address>,
    #[command(flatten)]
    pub(crate) webhook_keys: WebhookKeys,
    /// Answers calls of NAME by a shell command, instead of the demonstration's method of that name; may
    /// be given several times
    #[arg(long, value_name = "NAME=COMMAND")]
    pub(crate) rpc: Vec<Named>,
    /// Runs a shell command for each message of this type; what it prints is the answer. May be given
    /// several times, for one TYPE as well
    #[arg(long, value_name = "TYPE=COMMAND")]
    pub(crate) on: Vec<Named>,
    #[command(flatten)]
    pub(crate) commands: CommandArgs,
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
    /// Serves nothing but discovery, --rpc and --on, instead of the built-in methods and messages
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
    /// The largest usual read, in bytes
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
