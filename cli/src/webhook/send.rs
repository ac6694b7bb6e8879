//! `cndt webhook send`.

use std::collections::VecDeque;
use std::io::{self, BufRead, IsTerminal};

use cndt_tokio::webhook::{
    Keys, WebhookAnswer, WebhookClientDescriptor, WebhookError, WebhookFailure,
};
use cndt_tokio::{Address, ConnectErrorKind, ErrorCode, RpcError, WebhookClient};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::outbox;
use crate::args::WebhookSendArgs;
use crate::exit::Failure;
use crate::probe::{self, Depth, Spoken};
use crate::{out, params};

pub(crate) async fn run(arguments: WebhookSendArgs) -> Result<(), Failure> {
    let keys = super::keys(&arguments.keys)?;
    if keys.is_none() && arguments.keys.is_asked_for() {
        let words = "--scheme and --signature-header want a secret: set CNDT_WEBHOOK_SECRET, or \
                     name a file by --secret-file";
        return Err(Failure::Usage(words.to_owned()));
    }
    if keys.is_none() {
        super::warn_of_no_secret("the webhook is not signed");
    }
    let client = WebhookClient::new(descriptor(&arguments, keys))
        .map_err(|error| Failure::Usage(error.to_string()))?;
    if let Some(path) = &arguments.outbox {
        let payloads = match &arguments.batch {
            Some(path) => lines(path)?,
            None => vec![params::value(&arguments.body)?],
        };
        return outbox::send(path, client, &arguments, payloads).await;
    }
    match &arguments.batch {
        Some(path) => batch(&client, lines(path)?, arguments.parallel).await,
        None => {
            let payload = params::value(&arguments.body)?;
            match client.send(&payload).await {
                Ok(answer) => out::line(&told(&answer)),
                Err(error) => Err(explained(error, &arguments.url).await),
            }
        }
    }
}

fn descriptor(arguments: &WebhookSendArgs, keys: Option<Keys>) -> WebhookClientDescriptor {
    let mut descriptor = WebhookClientDescriptor::new(&*arguments.url)
        .timeout(arguments.timeout)
        .retry_count(arguments.retries.saturating_add(1))
        .retry_delay(arguments.retry_delay);
    if let Some(keys) = keys {
        descriptor = descriptor.keys(keys);
    }
    if let Some(path) = &arguments.tls_ca {
        descriptor = descriptor.tls_ca(&**path);
    }
    if arguments.block_private_addresses {
        descriptor = descriptor.block_private_addresses();
    }
    for (name, value) in &arguments.header {
        descriptor = descriptor.header(&**name, &**value);
    }
    descriptor
}

/// One JSON payload per line; empty lines are passed over.
fn lines(path: &str) -> Result<Vec<Value>, Failure> {
    let wrong = |words: &dyn std::fmt::Display| Failure::Usage(format!("--batch {path}: {words}"));
    let input: Box<dyn BufRead> = match path {
        "-" => Box::new(io::stdin().lock()),
        path => {
            let file = std::fs::File::open(path).map_err(|error| wrong(&error))?;
            Box::new(io::BufReader::new(file))
        }
    };
    let mut payloads = Vec::new();
    for (number, line) in input.lines().enumerate() {
        let line = line.map_err(|error| wrong(&error))?;
        if !line.trim().is_empty() {
            let payload = serde_json::from_str(&line);
            payloads.push(payload.map_err(|error| {
                wrong(&format_args!("line {} is no JSON: {error}", number + 1))
            })?);
        }
    }
    Ok(payloads)
}

type Sending = JoinHandle<Result<WebhookAnswer, WebhookError>>;

/// Sends all of them, so many at once, and prints what came back in their order. One that failed is a
/// line of its own; the first failure is the command's.
async fn batch(
    client: &WebhookClient,
    payloads: Vec<Value>,
    parallel: usize,
) -> Result<(), Failure> {
    let bar = bar(payloads.len());
    let mut left = payloads.into_iter();
    let mut running: VecDeque<Sending> = VecDeque::with_capacity(parallel);
    let mut first = None;
    loop {
        while running.len() < parallel {
            let Some(payload) = left.next() else { break };
            let client = client.clone();
            running.push_back(tokio::spawn(async move { client.send(&payload).await }));
        }
        let Some(next) = running.pop_front() else { break };
        let outcome = next.await.map_err(|error| Failure::Failed(error.to_string()))?;
        bar.inc(1);
        match outcome {
            Ok(answer) => bar.suspend(|| out::line(&told(&answer)))?,
            Err(error) => {
                let line = json!({"error": {"code": code(&error), "message": error.to_string()}});
                bar.suspend(|| out::line(&line.to_string()))?;
                first.get_or_insert(error);
            }
        }
    }
    bar.finish_and_clear();
    first.map_or(Ok(()), |error| Err(failure(error)))
}

/// Only for whoever watches.
fn bar(length: usize) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style =
        ProgressStyle::with_template("{bar:40} {pos}/{len} webhooks, {per_sec}, {eta} left");
    let bar = ProgressBar::new(length as u64);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// The answer's body as one line: the JSON that it is, or a text.
fn told(answer: &WebhookAnswer) -> String {
    match serde_json::from_slice::<Value>(answer.body()) {
        Ok(value) => value.to_string(),
        Err(_) if answer.body().is_empty() => Value::Null.to_string(),
        Err(_) => Value::from(String::from_utf8_lossy(answer.body())).to_string(),
    }
}

fn code(error: &WebhookError) -> Option<u16> {
    error.status().map(|status| status.as_u16())
}

/// What becomes of a webhook whose receiver may speak something else: it is asked.
async fn explained(error: WebhookError, url: &str) -> Failure {
    let is_doubtful = match &error.failure {
        WebhookFailure::Lost(_) => true,
        WebhookFailure::Connect(kind) => matches!(kind, ConnectErrorKind::Tls { .. }),
        WebhookFailure::Config(_)
        | WebhookFailure::Encode(_)
        | WebhookFailure::TimedOut { .. }
        | WebhookFailure::Expired
        | WebhookFailure::Entropy(_)
        | WebhookFailure::Full { .. }
        | WebhookFailure::Stopped
        | WebhookFailure::Blocked { .. }
        | WebhookFailure::Proxy(_)
        | WebhookFailure::Status(_) => false,
    };
    let failure = failure(error);
    let Some((is_tls, place)) = place(url).filter(|_| is_doubtful) else { return failure };
    let spoken = probe::identify(&place, Depth::Polite).await.spoken;
    let advice = match spoken.first() {
        Some(Spoken::Tls) if !is_tls => format!("TLS is spoken there: use https://{place}"),
        Some(Spoken::Http) if is_tls => format!("no TLS is spoken there: use http://{place}"),
        Some(Spoken::Cndt | Spoken::Netconduit) => {
            format!("CNDT is spoken there: use `cndt send {place} TYPE`")
        }
        Some(Spoken::JsonRpc) => {
            format!("JSON-RPC is spoken there: use `cndt jsonrpc call {place} METHOD`")
        }
        Some(Spoken::Tls | Spoken::Http | Spoken::Other(_)) | None => return failure,
    };
    Failure::Connection(format!("{}; {advice}", failure.into_words()))
}

/// Whether a URL wants TLS, and where it leads to.
fn place(url: &str) -> Option<(bool, Address)> {
    let (scheme, rest) = url.split_once("://")?;
    let is_tls = scheme == "https";
    let authority = rest.split(['/', '?', '#']).next()?;
    let authority = authority.rsplit('@').next()?;
    let port = if is_tls { 443 } else { 80 };
    let address = authority.parse().or_else(|_| format!("{authority}:{port}").parse());
    Some((is_tls, address.ok()?))
}

fn failure(error: WebhookError) -> Failure {
    let words = error.to_string();
    if let Some(status) = code(&error) {
        // The receiver's own words, if it has any.
        let body = error.answer.as_ref().and_then(|answer| answer.json::<Value>().ok());
        let said = body.as_ref().and_then(|body| body["message"].as_str());
        let refusal =
            RpcError::new(ErrorCode::Other(status.into()), said.map_or(words, str::to_owned));
        let detailed = body.as_ref().map(|body| refusal.clone().with_details(body));
        return Failure::Remote(detailed.and_then(Result::ok).unwrap_or(refusal));
    }
    match error.failure {
        WebhookFailure::Config(_) | WebhookFailure::Encode(_) => Failure::Usage(words),
        WebhookFailure::TimedOut { .. } | WebhookFailure::Expired => {
            Failure::TimedOut(format!("{words}; --timeout gives it longer"))
        }
        WebhookFailure::Entropy(_) | WebhookFailure::Full { .. } | WebhookFailure::Stopped => {
            Failure::Failed(words)
        }
        WebhookFailure::Blocked { .. }
        | WebhookFailure::Connect(_)
        | WebhookFailure::Proxy(_)
        | WebhookFailure::Lost(_)
        | WebhookFailure::Status(_) => Failure::Connection(words),
    }
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn urls_lead_somewhere() {
        for (url, is_tls, address) in [
            ("http://host/a?b", false, "host:80"),
            ("https://host", true, "host:443"),
            ("http://host:8080#x", false, "host:8080"),
            ("https://user:word@[::1]:1/", true, "[::1]:1"),
        ] {
            let (tls, found) = place(url).expect(url);
            assert_eq!((tls, found.to_string().as_str()), (is_tls, address));
        }
        assert!(place("host").is_none());
    }
}
