use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use cndt_tokio::webhook::{MessageId, Scheme};

use super::{Body, CommandArgs, time};
use crate::address::Address;

/// What can be done with webhooks.
#[derive(Debug, Subcommand)]
pub(crate) enum WebhookCommand {
    /// Receives webhooks and prints each verified one as a JSON line
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(WebhookServeArgs),
    /// Sends a signed webhook and prints the JSON of its answer
    #[command(after_help = SEND_EXAMPLES)]
    Send(WebhookSendArgs),
    /// Shows and retries what `send --outbox` has accepted and not delivered
    #[command(after_help = OUTBOX_EXAMPLES)]
    Outbox {
        #[command(subcommand)]
        command: OutboxCommand,
    },
    /// Signs the bytes on stdin and prints the headers to send
    #[command(after_help = SIGN_EXAMPLES)]
    Sign(WebhookSignArgs),
    /// Checks the bytes on stdin against the headers that came with them
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(WebhookVerifyArgs),
}

pub(super) const WEBHOOK_EXAMPLES: &str = "\
Examples:
  cndt webhook serve --bind 127.0.0.1:8080 --on '/echo=cat'
  cndt webhook send http://127.0.0.1:8080/echo event=test id:=7";
const SERVE_EXAMPLES: &str = "\
Examples:
  CNDT_WEBHOOK_SECRET=your-secret-key cndt webhook serve --bind 127.0.0.1:8080
  cndt webhook serve --bind 127.0.0.1:0 --scheme github --secret-file secret.txt
  cndt webhook serve --bind 127.0.0.1:8080 --on '/trading/signal=./trade.sh' --on '/alerts/*=cat'

The address is printed first, then each delivery as {path, id, timestamp, payload}. A COMMAND is run by
the shell with the payload on its stdin; what it prints is the JSON result, and a status other than 0 an
error with its stderr. Secrets are not in its environment. Without a secret, anybody's webhooks are taken.";
/// What can be done with an outbox.
#[derive(Debug, Subcommand)]
pub(crate) enum OutboxCommand {
    /// Lists what waits and what is dead
    #[command(after_help = OUTBOX_EXAMPLES)]
    List(OutboxListArgs),
    /// Sends dead ones, and those that are due, once more
    #[command(after_help = OUTBOX_EXAMPLES)]
    Retry(OutboxRetryArgs),
}

const OUTBOX_EXAMPLES: &str = "\
Examples:
  cndt webhook outbox list
  cndt webhook outbox list --json | jq -r '.[] | select(.state == \"dead\") | .id'
  cndt webhook outbox retry
  cndt webhook outbox retry msg_0123456789abcdef0123456789abcdef --outbox orders.outbox

What is delivered leaves the outbox. Exit status of retry: 1 if something was not delivered.";
const SEND_EXAMPLES: &str = "\
Examples:
  CNDT_WEBHOOK_SECRET=your-secret-key cndt webhook send https://example.org/hook event=test id:=7
  cndt webhook send http://localhost:8080/orders --data @order.json --scheme standard --retries 5
  cndt webhook send http://localhost:8080/orders --batch orders.jsonl --parallel 8 | jq .result

A batch has one JSON payload per line; answers are printed in the same order, a failure as {error}.
Exit status: 1 if an answer is no success, with the HTTP status as code.";
const SIGN_EXAMPLES: &str = "\
Examples:
  echo -n '{\"a\": 1}' | CNDT_WEBHOOK_SECRET=secret cndt webhook sign
  cndt webhook sign --scheme standard --id msg_1 --secret-file secret.txt < body.json";
const VERIFY_EXAMPLES: &str = "\
Examples:
  cndt webhook verify --header X-Webhook-Signature=0a1b… < body.json
  cndt webhook verify --scheme stripe --tolerance 1h --header 'Stripe-Signature=t=1,v1=…' < body.json

Exit status: 0 if the signature is right, 1 if not, with the reason.";

/// How webhooks are signed.
#[derive(Debug, Clone, Args)]
pub(crate) struct WebhookKeys {
    /// How webhooks are signed
    #[arg(long, value_enum, default_value_t = SchemeName::Hex)]
    pub(crate) scheme: SchemeName,
    /// The header with the signature, in scheme hex
    #[arg(long, value_name = "NAME")]
    pub(crate) signature_header: Option<String>,
    /// Reads the secret from a file, instead of CNDT_WEBHOOK_SECRET; up to four lines, of which the
    /// first signs and each verifies
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_file: Option<PathBuf>,
}

impl WebhookKeys {
    /// Whether more was said than nothing, which does without a secret.
    pub(crate) fn is_asked_for(&self) -> bool {
        self.signature_header.is_some() || self.scheme != SchemeName::Hex
    }
}

/// How a signature is made and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemeName {
    /// Of the body alone, in X-Webhook-Signature
    Hex,
    /// As GitHub does, in X-Hub-Signature-256
    #[value(name = "github")]
    GitHub,
    /// As Stripe does, in Stripe-Signature
    Stripe,
    /// As Standard Webhooks says, in webhook-signature
    Standard,
}

impl From<SchemeName> for Scheme {
    fn from(name: SchemeName) -> Self {
        match name {
            SchemeName::Hex => Self::Hex,
            SchemeName::GitHub => Self::GitHub,
            SchemeName::Stripe => Self::Stripe,
            SchemeName::Standard => Self::Standard,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct WebhookServeArgs {
    /// Where to listen: host:port or unix:PATH; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    pub(crate) bind: Address,
    #[command(flatten)]
    pub(crate) keys: WebhookKeys,
    /// Runs COMMAND for each delivery on this path, a pattern with * included; may be given several
    /// times. Without it every path is taken
    #[arg(long, value_name = "PATH=COMMAND", value_parser = path_and_command)]
    pub(crate) on: Vec<(String, String)>,
    #[command(flatten)]
    pub(crate) commands: CommandArgs,
    /// How old or new a signed timestamp may be; `off` takes any
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = tolerance)]
    pub(crate) tolerance: Tolerance,
    /// The largest payload, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 1024 * 1024)]
    pub(crate) body_max: usize,
    /// Speaks TLS, with the certificate in this PEM file
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<String>,
    /// The certificate's private key, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct WebhookSendArgs {
    /// http:// or https://
    pub(crate) url: String,
    #[command(flatten)]
    pub(crate) body: Body,
    #[command(flatten)]
    pub(crate) keys: WebhookKeys,
    /// One more header; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = header)]
    pub(crate) header: Vec<(String, String)>,
    /// How often it is tried again
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(..1000))]
    pub(crate) retries: u32,
    /// The first pause before that; each further one is longer
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time)]
    pub(crate) retry_delay: Duration,
    /// How long one attempt may take
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    pub(crate) timeout: Duration,
    /// Sends each line of a file, or of stdin with -, as a webhook of its own
    #[arg(long, value_name = "FILE", conflicts_with_all = ["fields", "data"])]
    pub(crate) batch: Option<String>,
    /// So many at once, 1 to 256
    #[arg(long, value_name = "N", default_value_t = 1, requires = "batch", value_parser = parallel)]
    pub(crate) parallel: usize,
    /// Accepts it in a file first, and sends it from there until it is delivered or dead: a crash
    /// loses nothing, and the next run goes on. CNDT_OUTBOX, or webhooks.outbox in the state directory,
    /// unless a file is named
    #[arg(
        long,
        value_name = "FILE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "",
        conflicts_with_all = ["retries", "retry_delay"]
    )]
    pub(crate) outbox: Option<PathBuf>,
    /// Trusts the authorities in this PEM file, instead of those of the system
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_ca: Option<String>,
    /// Connects to no private, loopback or link-local address, whatever the URL says
    #[arg(long)]
    pub(crate) block_private_addresses: bool,
}

/// Which outbox.
#[derive(Debug, Args)]
pub(crate) struct OutboxFile {
    /// The file of the outbox; CNDT_OUTBOX, or webhooks.outbox in the state directory
    #[arg(long, value_name = "FILE", default_value = "", hide_default_value = true)]
    pub(crate) outbox: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct OutboxListArgs {
    #[command(flatten)]
    pub(crate) file: OutboxFile,
    /// Prints a JSON array instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct OutboxRetryArgs {
    /// Only these, whether they are due or not
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<MessageId>,
    #[command(flatten)]
    pub(crate) file: OutboxFile,
    #[command(flatten)]
    pub(crate) keys: WebhookKeys,
    /// How long one attempt may take
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    pub(crate) timeout: Duration,
}

fn parallel(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (1..=256).contains(count));
    count.ok_or_else(|| "a whole number from 1 to 256".to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct WebhookSignArgs {
    #[command(flatten)]
    pub(crate) keys: WebhookKeys,
    /// The delivery's id; a random one where the scheme wants one
    #[arg(long)]
    pub(crate) id: Option<MessageId>,
    /// When it is signed, in seconds since 1970; now
    #[arg(long, value_name = "UNIX")]
    pub(crate) timestamp: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct WebhookVerifyArgs {
    #[command(flatten)]
    pub(crate) keys: WebhookKeys,
    /// A header as it came; may be given several times
    #[arg(long, value_name = "NAME=VALUE", required = true, value_parser = header)]
    pub(crate) header: Vec<(String, String)>,
    /// How old or new a signed timestamp may be; `off` takes any
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = tolerance)]
    pub(crate) tolerance: Tolerance,
}

type Tolerance = cndt_tokio::webhook::Tolerance;

fn tolerance(text: &str) -> Result<Tolerance, String> {
    match text {
        "off" => Ok(Tolerance::Off),
        "0" | "0s" => Ok(Tolerance::Within(Duration::ZERO)),
        text => time(text).map(Tolerance::Within),
    }
}

/// `NAME=VALUE`, or `NAME: VALUE` as `sign` prints it.
fn header(text: &str) -> Result<(String, String), String> {
    let colon = text.split_once(": ").filter(|(name, _)| !name.contains('='));
    let (name, value) = colon
        .or_else(|| text.split_once('='))
        .ok_or_else(|| "write it like X-Webhook-Signature=0a1b…".to_owned())?;
    Ok((name.to_ascii_lowercase(), value.to_owned()))
}

fn path_and_command(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((path, command)) if path.starts_with('/') && !command.trim().is_empty() => {
            Ok((path.to_owned(), command.to_owned()))
        }
        _ => Err("write it like /path=COMMAND".to_owned()),
    }
}
