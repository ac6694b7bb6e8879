//! `cndt webhook`.

pub(crate) mod outbox;
mod send;

use std::io::{self, Read};

use cndt_tokio::webhook::{Keys, MessageId, Scheme, Secret, Webhook, Webhooks};
use cndt_tokio::{Data, Listener, RpcError, Runtime, Server, ServerDescriptor, Tokio};
use serde_json::{Value, json};

use crate::args::{WebhookKeys, WebhookServeArgs, WebhookSignArgs, WebhookVerifyArgs};
use crate::exit::{Failure, print_error_line};
use crate::{out, secret, serve};
pub(crate) use send::run as send;

/// What `--scheme` and the secrets make; nothing without a secret.
pub(crate) fn keys(arguments: &WebhookKeys) -> Result<Option<Keys>, Failure> {
    let secrets = secret::webhook_secrets(arguments.secret_file.as_deref())?;
    if secrets.is_empty() { Ok(None) } else { made_of(arguments, &secrets).map(Some) }
}

fn keys_needed(arguments: &WebhookKeys) -> Result<Keys, Failure> {
    let secrets = secret::webhook_secrets_needed(arguments.secret_file.as_deref())?;
    made_of(arguments, &secrets)
}

fn made_of<S: AsRef<str>>(arguments: &WebhookKeys, secrets: &[S]) -> Result<Keys, Failure> {
    let wrong = |error: cndt_tokio::webhook::KeyError| Failure::Usage(error.to_string());
    let scheme = Scheme::from(arguments.scheme);
    let secrets: Result<Vec<_>, _> =
        secrets.iter().map(|secret| Secret::parse(scheme, secret.as_ref())).collect();
    let keys = Keys::new(scheme, secrets.map_err(wrong)?).map_err(wrong)?;
    match &arguments.signature_header {
        Some(name) => keys.with_signature_header(name).map_err(wrong),
        None => Ok(keys),
    }
}

fn stdin() -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    let read = io::stdin().lock().read_to_end(&mut body);
    read.map_err(|error| Failure::Failed(format!("cannot read stdin: {error}")))?;
    Ok(body)
}

fn unix_seconds() -> u64 {
    Tokio.unix_millis() / 1000
}

/// A fresh id.
pub(crate) fn new_id() -> Result<MessageId, Failure> {
    let mut entropy = [0; 16];
    getrandom::fill(&mut entropy)
        .map_err(|error| Failure::Failed(format!("no random numbers: {error}")))?;
    Ok(MessageId::new(entropy))
}

pub(crate) fn sign(arguments: &WebhookSignArgs) -> Result<(), Failure> {
    let keys = keys_needed(&arguments.keys)?;
    let body = stdin()?;
    let id = arguments.id.clone().map_or_else(new_id, Ok)?;
    let signed = keys.sign(&id, arguments.timestamp.unwrap_or_else(unix_seconds), &body);
    let names_id = arguments.id.is_some() || keys.scheme() == Scheme::Standard;
    let id_header = keys.scheme().id_header();
    for (name, value) in signed.headers().filter(|(name, _)| names_id || *name != id_header) {
        out::line(&format!("{name}: {value}"))?;
    }
    Ok(())
}

pub(crate) fn verify(arguments: &WebhookVerifyArgs) -> Result<(), Failure> {
    let keys = keys_needed(&arguments.keys)?;
    let body = stdin()?;
    let lookup = |wanted: &str| {
        let mut found = arguments.header.iter().filter(|(name, _)| name == wanted);
        let first = found.next()?;
        // Of two, nobody can say which one was meant.
        found.next().is_none().then_some(first.1.as_bytes())
    };
    let verified = keys.verify(unix_seconds(), arguments.tolerance, lookup, &body);
    verified.map(drop).map_err(|error| Failure::Failed(error.to_string()))
}

pub(crate) async fn serve(arguments: WebhookServeArgs) -> Result<(), Failure> {
    let mut signals = serve::Signals::new()?;
    let settings = settings(&arguments.keys)?;
    let settings = settings.tolerance(arguments.tolerance).body_max(arguments.body_max);
    serve::without_tls_scheme(&arguments.bind)?;
    let descriptor = ServerDescriptor::new("")
        .tls_certificate(arguments.tls_cert.unwrap_or_default())
        .tls_key(arguments.tls_key.unwrap_or_default());
    let place = Listener::from(arguments.bind.place).webhooks(settings);
    let mut server = Server::new(descriptor).listen_only(place);
    if arguments.on.is_empty() {
        server = server.webhook("/**", |webhook: Webhook, Data(payload): Data<Value>| async move {
            told(&webhook, &payload)
        });
    }
    let shell = arguments.commands.shell();
    for (path, line) in arguments.on {
        let shell = shell.clone();
        server = server.webhook(&path, move |webhook: Webhook, Data(payload): Data<Value>| {
            let (shell, line) = (shell.clone(), line.clone());
            async move {
                told(&webhook, &payload)?;
                shell.run(&line, payload.to_string().as_bytes()).await
            }
        });
    }
    let server = server.start().await.map_err(serve::failure)?;
    for address in server.local_addresses() {
        out::line(&address.to_string())?;
    }
    signals.or(server.stopped()).await;
    server.stop().await;
    Ok(())
}

/// How webhooks are received, with whatever secrets there are.
pub(crate) fn settings(arguments: &WebhookKeys) -> Result<Webhooks, Failure> {
    Ok(match keys(arguments)? {
        Some(keys) => Webhooks::signed(keys),
        None => {
            warn_of_no_secret("webhooks of anybody are taken");
            Webhooks::unsigned()
        }
    })
}

fn warn_of_no_secret(so: &str) {
    let why = "no secret is set (CNDT_WEBHOOK_SECRET, --secret-file)";
    print_error_line(&format!("warning: {why}: {so}"));
}

fn told(webhook: &Webhook, payload: &Value) -> Result<(), RpcError> {
    let line = json!({
        "path": webhook.path(),
        "id": webhook.id(),
        "timestamp": webhook.timestamp(),
        "payload": payload,
    });
    // What was not told was not delivered.
    out::line(&line.to_string()).map_err(|_| RpcError::internal("stdout is closed"))
}
