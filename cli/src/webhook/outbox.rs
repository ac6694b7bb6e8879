//! `cndt webhook outbox`, and `cndt webhook send --outbox`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cndt_tokio::webhook::outbox::{Entry, EntryState, LastAttempt, OutboxConfig, OutboxError};
use cndt_tokio::webhook::{MessageId, WebhookClientDescriptor};
use cndt_tokio::{Outbox, Runtime, Tokio, WebhookClient};
use serde_json::{Value, json};

use crate::args::{OutboxListArgs, OutboxRetryArgs, WebhookSendArgs};
use crate::exit::{Failure, print_error_line, printable};
use crate::{out, serve};

/// Entries that are read at a time.
const PAGE: usize = 100;
/// How often somebody looks whether an attempt has ended.
const POLL: Duration = Duration::from_millis(20);
/// What no webhook is sent to.
const UNUSED: &str = "http://localhost/";

/// The file that is meant by none.
fn file(named: &Path) -> Result<PathBuf, Failure> {
    if !named.as_os_str().is_empty() {
        return Ok(named.to_owned());
    }
    let set = |variable: &str| std::env::var_os(variable).filter(|value| !value.is_empty());
    if let Some(path) = set("CNDT_OUTBOX") {
        return Ok(path.into());
    }
    let state = set("XDG_STATE_HOME").map(PathBuf::from);
    let state = state.or_else(|| set("HOME").map(|home| Path::new(&home).join(".local/state")));
    let none = || Failure::Usage("no outbox: name a file by --outbox, or set CNDT_OUTBOX".into());
    Ok(state.ok_or_else(none)?.join("cndt").join("webhooks.outbox"))
}

fn wrong(error: OutboxError) -> Failure {
    match error {
        OutboxError::Config(wrong) => Failure::Usage(wrong.to_string()),
        other => Failure::Failed(other.to_string()),
    }
}

/// Accepts all of them, then sends until each is delivered or dead. What was not by a signal is left
/// for the next run.
pub(super) async fn send(
    path: &Path,
    client: WebhookClient,
    arguments: &WebhookSendArgs,
    payloads: Vec<Value>,
) -> Result<(), Failure> {
    let path = file(path)?;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)
            .map_err(|error| Failure::Failed(format!("{}: {error}", folder.display())))?;
    }
    let mut signals = serve::Signals::new()?;
    let config = OutboxConfig::new(path).parallel_max(arguments.parallel);
    let outbox = Outbox::open(config.attempt_timeout(arguments.timeout)).await.map_err(wrong)?;
    let before = outbox.stats();
    for payload in payloads {
        let mut webhook = outbox.enqueue(&*arguments.url, &payload);
        for (name, value) in &arguments.header {
            webhook = webhook.header(&**name, &**value);
        }
        let accepted = webhook.await;
        let accepted = accepted.map_err(|error| Failure::Failed(error.to_string()))?;
        out::line(&json!({"id": accepted.id.as_str()}).to_string())?;
    }
    outbox.start(client).map_err(wrong)?;
    signals.or(async { drop(outbox.drained().await) }).await;
    let after = outbox.stats();
    outbox.close().await;
    if after.pending > 0 {
        let words = format!("{} wait for the next run; cndt webhook outbox list", after.pending);
        print_error_line(&words);
    }
    let dead = after.dead.saturating_sub(before.dead);
    if dead > 0 {
        return Err(Failure::Failed(format!("{dead} were given up; cndt webhook outbox list")));
    }
    Ok(())
}

/// What waits, then what is dead. Nothing, where there is no outbox yet.
async fn entries(path: &Path) -> Result<Option<(Outbox, Vec<Entry>)>, Failure> {
    let outbox = match Outbox::open(OutboxConfig::existing(path)).await {
        Ok(outbox) => outbox,
        Err(OutboxError::Missing { .. }) => return Ok(None),
        Err(error) => return Err(wrong(error)),
    };
    let mut all = Vec::new();
    let mut last = None;
    loop {
        let page = outbox.pending(last, PAGE).await.map_err(wrong)?;
        let Some(end) = page.last() else { break };
        last = Some(end.place);
        all.extend(page);
    }
    last = None;
    loop {
        let page = outbox.dead(last, PAGE).await.map_err(wrong)?;
        let Some(end) = page.last() else { break };
        last = Some(end.place);
        all.extend(page);
    }
    Ok(Some((outbox, all)))
}

fn row(entry: &Entry) -> Value {
    let (state, at) = match entry.state {
        EntryState::Pending { next_at } => ("pending", next_at),
        EntryState::Dead { at } => ("dead", at),
    };
    json!({
        "state": state,
        "id": entry.id.as_str(),
        "url": entry.url,
        "size": entry.payload_size,
        "created": seconds(entry.created_at),
        "attempts": entry.attempts,
        "at": seconds(at),
        "status": entry.last.as_ref().and_then(|last| last.status),
        "reason": entry.last.as_ref().map(|last| &last.reason),
    })
}

fn seconds(millis: u64) -> f64 {
    Duration::from_millis(millis).as_secs_f64()
}

pub(crate) async fn list(arguments: OutboxListArgs) -> Result<(), Failure> {
    let found = entries(&file(&arguments.file.outbox)?).await?;
    let all = found.map(|(_, all)| all).unwrap_or_default();
    if arguments.json {
        return out::line(&Value::Array(all.iter().map(row).collect()).to_string());
    }
    let now = Tokio.unix_millis();
    for entry in &all {
        let state = match entry.state {
            EntryState::Pending { next_at } => {
                let wait = Duration::from_secs(next_at.saturating_sub(now).div_ceil(1000));
                format!("pending, due in {}", humantime::format_duration(wait))
            }
            EntryState::Dead { .. } => "dead".to_owned(),
        };
        let reason = entry.last.as_ref().map(|last| last.reason.as_str()).unwrap_or_default();
        let Entry { id, url, attempts, .. } = entry;
        let line = format!("{id}  {state}  {attempts} attempts  {url}  {reason}");
        out::line(printable(&line).trim_end())?;
    }
    Ok(())
}

pub(crate) async fn retry(arguments: OutboxRetryArgs) -> Result<(), Failure> {
    let keys = super::keys(&arguments.keys)?;
    let found = entries(&file(&arguments.file.outbox)?).await?;
    let (outbox, all) = match found {
        Some((outbox, all)) => (Some(outbox), all),
        None => (None, Vec::new()),
    };
    if let Some(unknown) = arguments.ids.iter().find(|id| !all.iter().any(|entry| entry.id == **id))
    {
        return Err(Failure::Usage(format!("there is no {unknown} in the outbox")));
    }
    let Some(outbox) = outbox else { return Ok(()) };
    let now = Tokio.unix_millis();
    let is_meant = |entry: &&Entry| match entry.state {
        _ if !arguments.ids.is_empty() => arguments.ids.contains(&entry.id),
        EntryState::Pending { next_at } => next_at <= now,
        EntryState::Dead { .. } => true,
    };
    let meant: Vec<MessageId> = all.iter().filter(is_meant).map(|entry| entry.id.clone()).collect();
    if meant.is_empty() {
        return Ok(());
    }
    // Each webhook has a URL of its own.
    let mut descriptor = WebhookClientDescriptor::new(UNUSED).timeout(arguments.timeout);
    if let Some(keys) = keys {
        descriptor = descriptor.keys(keys);
    }
    let client =
        WebhookClient::new(descriptor).map_err(|error| Failure::Failed(error.to_string()))?;
    for id in &meant {
        outbox.retry(id).await.map_err(wrong)?;
    }
    outbox.start(client).map_err(wrong)?;
    let mut failed = 0;
    for id in &meant {
        let line = match attempted(&outbox, id, now).await? {
            None => json!({"id": id.as_str(), "delivered": true}),
            Some(last) => {
                failed += 1;
                let error = json!({"code": last.status, "message": last.reason});
                json!({"id": id.as_str(), "delivered": false, "error": error})
            }
        };
        out::line(&line.to_string())?;
    }
    outbox.close().await;
    if failed > 0 {
        return Err(Failure::Failed(format!("{failed} were not delivered")));
    }
    Ok(())
}

/// Waits for the end of an attempt that begins after this time: nothing is left of what was
/// delivered.
async fn attempted(
    outbox: &Outbox,
    id: &MessageId,
    since: u64,
) -> Result<Option<LastAttempt>, Failure> {
    loop {
        let Some((entry, _)) = outbox.find(id).await.map_err(wrong)? else { return Ok(None) };
        if let Some(last) = entry.last.filter(|last| last.at >= since) {
            return Ok(Some(last));
        }
        tokio::time::sleep(POLL).await;
    }
}
