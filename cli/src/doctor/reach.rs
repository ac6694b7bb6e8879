//! Whether anybody is there: the name, and a connection to each address.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use cndt_tokio::Address;
use serde_json::json;
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::{Instant, timeout};

use super::report::{Check, Report, State, millis, milliseconds};
use crate::advice;
use crate::args::Target;
use crate::exit::Failure;

/// Addresses of a host that are tried.
const ADDRESSES_MAX: usize = 8;

/// How long the name, and then each address, may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether the rest makes sense.
pub(super) async fn examine(target: &Target, report: &mut Report) -> Result<bool, Failure> {
    let patience = target.timeout.min(PATIENCE);
    match &target.address.place {
        Address::Tcp { host, port } => {
            let Some(addresses) = resolve(host, *port, patience, target, report).await? else {
                return Ok(false);
            };
            connect(&addresses, patience, target, report).await
        }
        Address::Unix(path) => {
            let begun = Instant::now();
            let outcome = within(patience, UnixStream::connect(path)).await;
            let words = path.display().to_string();
            let outcomes = vec![(words, outcome.map(|_| begun.elapsed()))];
            conclude(outcomes, target, report)
        }
    }
}

async fn resolve(
    host: &str,
    port: u16,
    patience: Duration,
    target: &Target,
    report: &mut Report,
) -> Result<Option<Vec<SocketAddr>>, Failure> {
    let begun = Instant::now();
    let found = within(patience, lookup_host((host, port))).await;
    let took = begun.elapsed();
    let found: io::Result<Vec<SocketAddr>> = found.map(|all| all.take(ADDRESSES_MAX).collect());
    match found {
        Ok(addresses) if !addresses.is_empty() => {
            let names: Vec<String> =
                addresses.iter().map(|address| address.ip().to_string()).collect();
            let words = match host.parse::<IpAddr>() {
                Ok(_) => format!("{host} needs no look-up"),
                Err(_) => format!("{host} is {}, {}", names.join(", "), millis(took)),
            };
            let facts = json!({"addresses": names, "milliseconds": milliseconds(took)});
            report.add(Check::new("name", State::Good, words).facts(facts))?;
            Ok(Some(addresses))
        }
        Ok(_) => {
            let check = Check::new("name", State::Unreachable, format!("{host} has no address"));
            report.add(check.advice(format!("check the host name `{host}`")))?;
            Ok(None)
        }
        Err(error) => {
            report.add(unreachable("name", &error, target))?;
            Ok(None)
        }
    }
}

/// Tries every address: one that is dead makes others slow.
async fn connect(
    addresses: &[SocketAddr],
    patience: Duration,
    target: &Target,
    report: &mut Report,
) -> Result<bool, Failure> {
    let mut outcomes = Vec::new();
    for address in addresses {
        let begun = Instant::now();
        let outcome = within(patience, TcpStream::connect(address)).await;
        outcomes.push((address.to_string(), outcome.map(|_| begun.elapsed())));
    }
    conclude(outcomes, target, report)
}

fn conclude(
    outcomes: Vec<(String, io::Result<Duration>)>,
    target: &Target,
    report: &mut Report,
) -> Result<bool, Failure> {
    let (mut reached, mut facts, mut words) = (0, Vec::new(), Vec::new());
    let mut last = None;
    for (place, outcome) in outcomes {
        match outcome {
            Ok(took) => {
                reached += 1;
                facts.push(json!({"address": place, "milliseconds": milliseconds(took)}));
                words.push(format!("{place}, {}", millis(took)));
            }
            Err(error) => {
                facts.push(json!({"address": place, "error": error.to_string()}));
                words.push(format!("{place}: {error}"));
                last = Some(error);
            }
        }
    }
    let facts = json!({"attempts": facts});
    match last {
        Some(error) if reached == 0 => {
            report.add(unreachable("connection", &error, target).facts(facts))?;
        }
        // Clients try one after the other, so this is no fault, but it costs them time.
        Some(_) => {
            report.add(Check::new("connection", State::Note, words.join("; ")).facts(facts))?
        }
        None => report.add(Check::new("connection", State::Good, words.join("; ")).facts(facts))?,
    }
    Ok(reached > 0)
}

fn unreachable(name: &'static str, error: &io::Error, target: &Target) -> Check {
    let words = advice::unreachable(error, &target.address);
    let (what, advice) = words.split_once("; ").unwrap_or((&words, ""));
    let check = Check::new(name, State::Unreachable, what);
    if advice.is_empty() { check } else { check.advice(advice) }
}

async fn within<T>(patience: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(patience, work).await.unwrap_or_else(|_| {
        let words = format!(
            "no answer within {patience:?}; is the host up, and does a firewall drop the packets?"
        );
        Err(io::Error::new(io::ErrorKind::TimedOut, words))
    })
}
