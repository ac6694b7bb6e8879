//! What a peer shows to whoever has logged in.

use std::time::Duration;

use cndt_tokio::{ClientHandle, Dialect};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use super::report::{Check, Report, State, millis, milliseconds};
use crate::args::Target;
use crate::exit::Failure;
use crate::probe::{Findings, Told};

/// Heartbeats that are measured.
const PINGS: u32 = 5;

/// The gap between them.
const PING_GAP: Duration = Duration::from_millis(50);

/// A clock that differs more makes timestamps of messages and webhooks useless.
const CLOCK_MAX: Duration = Duration::from_secs(60);

/// Names of methods that are shown; programs get all of them.
const NAMES_SHOWN: usize = 12;

/// What the Python package is known for, whatever its version: all of them are one wire.
const QUIRKS: [&str; 6] = [
    "its login can be recorded and repeated: keep to networks that you trust",
    "handles one thing at a time: pongs wait behind handlers",
    "keys of maps must be text, or it falls silent",
    "messages of unknown types are not answered",
    "a client that has gone keeps its place until the heartbeat timeout",
    "ends without a word: the connection is just closed",
];

pub(super) async fn cndt(
    client: &ClientHandle,
    target: &Target,
    findings: &Findings,
    report: &mut Report,
) -> Result<(), Failure> {
    login(client, report)?;
    heartbeats(client, target, report).await?;
    methods(client, target, report).await?;
    match &findings.told {
        Some(told) => {
            limits(told, report)?;
            clock(told, report)?;
        }
        None => {
            let words = "not told: they are read from the beginning of a login without TLS";
            report.add(Check::new("limits", State::Note, words))?;
        }
    }
    if client.server_info().and_then(|info| info.dialect) == Some(Dialect::Netconduit) {
        quirks(findings.told.as_ref(), report)?;
    }
    client.disconnect().await;
    Ok(())
}

pub(super) async fn jsonrpc(
    client: &ClientHandle,
    target: &Target,
    report: &mut Report,
) -> Result<(), Failure> {
    secured(client, report)?;
    // JSON-RPC has no login and no heartbeat; an ordinary call stands in for the latter.
    heartbeats(client, target, report).await?;
    jsonrpc_methods(client, target, report).await?;
    client.disconnect().await;
    Ok(())
}

fn login(client: &ClientHandle, report: &mut Report) -> Result<(), Failure> {
    secured(client, report)?;
    let Some(info) = client.server_info() else {
        let words = "the connection ended right after the login";
        return report.add(Check::new("login", State::Wrong, words));
    };
    let dialect = info.dialect.map(|dialect| dialect.to_string()).unwrap_or_default();
    let user = info.user.as_ref().map(|user| user.as_str().to_owned());
    let server = [info.peer_name.as_str(), info.peer_version.as_str()].join(" ");
    let as_user = user.as_ref().map(|user| format!(" as user {user}")).unwrap_or_default();
    let words =
        format!("at `{}`{as_user}, dialect {dialect}, {}", server.trim(), millis(info.handshake));
    let facts = json!({
        "server": info.peer_name,
        "server_version": info.peer_version,
        "user": user,
        "dialect": dialect,
        "milliseconds": milliseconds(info.handshake),
    });
    report.add(Check::new("login", State::Good, words).facts(facts))
}

fn secured(client: &ClientHandle, report: &mut Report) -> Result<(), Failure> {
    let Some(tls) = client.peer().and_then(|peer| peer.tls()) else { return Ok(()) };
    let words = format!("{}, {}, certificate verified", tls.protocol, tls.cipher_suite);
    let facts = json!({"protocol": tls.protocol, "cipher_suite": tls.cipher_suite});
    report.add(Check::new("tls", State::Good, words).facts(facts))
}

async fn heartbeats(
    client: &ClientHandle,
    target: &Target,
    report: &mut Report,
) -> Result<(), Failure> {
    let mut trips = Vec::new();
    for number in 0..PINGS {
        if number > 0 {
            sleep(PING_GAP).await;
        }
        match timeout(target.timeout, client.ping()).await {
            Ok(Ok(trip)) => trips.push(trip),
            Ok(Err(error)) => {
                let words = format!("the connection ended at heartbeat {}: {error}", number + 1);
                return report.add(Check::new("heartbeat", State::Wrong, words));
            }
            Err(_) => {
                let words = format!("no pong within {:?}", target.timeout);
                let advice = "the server is busy or stuck: look at what its handlers wait for";
                return report.add(Check::new("heartbeat", State::Wrong, words).advice(advice));
            }
        }
    }
    trips.sort_unstable();
    let at = |index: usize| trips.get(index).copied().unwrap_or_default();
    let (least, middle, most) = (at(0), at(trips.len() / 2), at(trips.len().saturating_sub(1)));
    let words = format!("{} to {}, median {}", millis(least), millis(most), millis(middle));
    let facts = json!({
        "min_ms": milliseconds(least),
        "median_ms": milliseconds(middle),
        "max_ms": milliseconds(most),
    });
    report.add(Check::new("heartbeat", State::Good, words).facts(facts))
}

async fn methods(
    client: &ClientHandle,
    target: &Target,
    report: &mut Report,
) -> Result<(), Failure> {
    let begun = Instant::now();
    match timeout(target.timeout, client.discover()).await {
        Ok(Ok(methods)) => {
            let names = methods.into_iter().map(|method| method.name).collect();
            listed(names, begun.elapsed(), report)
        }
        Ok(Err(error)) => undiscovered(&Failure::from(error).into_words(), report),
        Err(_) => undiscovered(&format!("no answer within {:?}", target.timeout), report),
    }
}

async fn jsonrpc_methods(
    client: &ClientHandle,
    target: &Target,
    report: &mut Report,
) -> Result<(), Failure> {
    let begun = Instant::now();
    let document = client.call::<_, serde_json::Value>("rpc.discover", &()).await;
    match document.as_ref().map(|document| document["methods"].as_array()) {
        Ok(Some(methods)) => {
            let name = |method: &serde_json::Value| method["name"].as_str().map(str::to_owned);
            listed(methods.iter().filter_map(name).collect(), begun.elapsed(), report)
        }
        // Discovery is no duty in JSON-RPC.
        Ok(None) | Err(_) => {
            let words = format!("the server at {} tells none", target.address);
            report.add(Check::new("methods", State::Note, words))
        }
    }
}

fn listed(names: Vec<String>, took: Duration, report: &mut Report) -> Result<(), Failure> {
    let shown: Vec<&str> = names.iter().take(NAMES_SHOWN).map(String::as_str).collect();
    let more = if names.len() > shown.len() { ", …" } else { "" };
    let words = format!("{}: {}{more}", names.len(), shown.join(", "));
    let facts = json!({"count": names.len(), "names": names, "milliseconds": milliseconds(took)});
    report.add(Check::new("methods", State::Good, words.trim_end_matches([':', ' '])).facts(facts))
}

fn undiscovered(words: &str, report: &mut Report) -> Result<(), Failure> {
    let words = format!("discovery failed: {words}");
    let advice = "the server should answer `listall`; calls by name may work all the same";
    report.add(Check::new("methods", State::Wrong, words).advice(advice))
}

fn limits(told: &Told, report: &mut Report) -> Result<(), Failure> {
    let Told { frame_max, zlib, iterations, .. } = told;
    let mut words = Vec::new();
    if let Some(bytes) = frame_max {
        words.push(format!("payloads up to {bytes} bytes"));
    }
    if let Some(zlib) = zlib {
        words.push(if *zlib { "takes compressed ones" } else { "no compression" }.to_owned());
    }
    if let Some(iterations) = iterations {
        words.push(format!("{iterations} iterations of key derivation"));
    }
    if words.is_empty() {
        words.push("this dialect tells none".to_owned());
    }
    let facts = json!({"max_frame": frame_max, "zlib": zlib, "iterations": iterations});
    report.add(Check::new("limits", State::Note, words.join(", ")).facts(facts))
}

fn clock(told: &Told, report: &mut Report) -> Result<(), Failure> {
    let ahead = Duration::from_millis(told.clock_ahead.unsigned_abs());
    let words = match told.clock_ahead {
        0 => "shows the same time as this machine's".to_owned(),
        ..0 => format!("{ahead:?} behind this machine's, the way here included"),
        1.. => format!("{ahead:?} ahead of this machine's, the way here included"),
    };
    let facts = json!({"ahead_ms": told.clock_ahead});
    if ahead <= CLOCK_MAX {
        return report.add(Check::new("clock", State::Good, words).facts(facts));
    }
    let advice = "set the clocks of both machines: timestamps of messages and webhooks go by them";
    report.add(Check::new("clock", State::Wrong, words).facts(facts).advice(advice))
}

fn quirks(told: Option<&Told>, report: &mut Report) -> Result<(), Failure> {
    let is_python = told.is_some_and(|told| told.is_python);
    let shown = if is_python { &QUIRKS[..] } else { &QUIRKS[..1] };
    let words = shown.join("; ");
    let facts = json!({"is_python_package": is_python, "list": shown});
    report.add(Check::new("quirks", State::Note, words).facts(facts))
}
