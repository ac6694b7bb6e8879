//! `cndt doctor`: what is at an address, and what is wrong with it.

mod login;
mod other;
mod reach;
mod report;

use cndt_tokio::Client;
use serde_json::json;

use crate::advice::{self, Wanted};
use crate::args::{DialectName, DoctorArgs, Target};
use crate::exit::Failure;
use crate::probe::{self, Depth, Findings, Spoken};
use crate::{client, jsonrpc};
use report::{Check, Report, State};

pub(crate) async fn run(arguments: DoctorArgs) -> Result<(), Failure> {
    let mut report = Report::new(&arguments);
    examine(&arguments.target, &mut report).await?;
    report.end()
}

/// Goes on until something is so wrong that the rest makes no sense.
async fn examine(target: &Target, report: &mut Report) -> Result<(), Failure> {
    if !reach::examine(target, report).await? {
        return Ok(());
    }
    let findings = probe::identify(&target.address.place, Depth::Login).await;
    let Some(plan) = protocol(target, &findings, report)? else { return Ok(()) };
    match plan {
        Plan::Http => other::http(target, report).await,
        Plan::JsonRpc => match connected(target, plan, &findings, report).await? {
            Some(client) => login::jsonrpc(&client, target, report).await,
            None => Ok(()),
        },
        Plan::Cndt => match connected(target, plan, &findings, report).await? {
            Some(client) => login::cndt(&client, target, &findings, report).await,
            None => Ok(()),
        },
    }
}

/// What there is to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    Cndt,
    JsonRpc,
    Http,
}

/// Which protocol answers, and whether it is the one that was asked for.
fn protocol(
    target: &Target,
    findings: &Findings,
    report: &mut Report,
) -> Result<Option<Plan>, Failure> {
    let (address, spoken) = (&target.address, findings.spoken.as_slice());
    let names: Vec<&str> = spoken.iter().map(name).collect();
    let facts = json!({"spoken": names});
    let ask = if address.is_jsonrpc { Plan::JsonRpc } else { Plan::Cndt };
    let wanted = wanted(target);
    let words = names.join(", ");
    let plan = match spoken.first() {
        None => {
            let words = "no question is answered; a login is tried all the same";
            report.add(Check::new("protocol", State::Note, words).facts(facts))?;
            return Ok(Some(ask));
        }
        Some(first) if address.tls == (first == &Spoken::Tls) => match first {
            Spoken::Tls => Some(ask),
            // Asked for by its own name, or by none.
            Spoken::Http if !address.is_jsonrpc => Some(Plan::Http),
            Spoken::JsonRpc => Some(Plan::JsonRpc),
            Spoken::Cndt if !address.is_jsonrpc => Some(Plan::Cndt),
            Spoken::Netconduit if target.dialect == DialectName::Netconduit => Some(ask),
            Spoken::Cndt | Spoken::Netconduit | Spoken::Http | Spoken::Other(_) => None,
        },
        Some(_) => None,
    };
    if plan.is_none() {
        let check = Check::new("protocol", State::Unreachable, words).facts(facts);
        report.add(check.advice(advice::mismatch(spoken, address, wanted)))?;
        return Ok(None);
    }
    let check = Check::new("protocol", State::Good, words).facts(facts);
    let check = match (plan, address.is_jsonrpc) {
        (Some(Plan::JsonRpc), false) => check.advice(advice::mismatch(spoken, address, wanted)),
        _ => check,
    };
    report.add(check)?;
    Ok(plan)
}

fn wanted(target: &Target) -> Wanted {
    if target.address.is_jsonrpc { Wanted::JsonRpc } else { Wanted::Cndt(target.dialect) }
}

fn name(spoken: &Spoken) -> &str {
    match spoken {
        Spoken::Tls => "tls",
        Spoken::Cndt => "cndt",
        Spoken::Netconduit => "netconduit",
        Spoken::Http => "http",
        Spoken::JsonRpc => "json-rpc",
        Spoken::Other(beginning) => beginning,
    }
}

/// What may be wrong with somebody who takes connections and answers nothing at all.
const SILENT: &str = "what listens there speaks neither CNDT nor TLS, JSON-RPC or HTTP, is full, or \
                      turns this machine away: look into its log";

/// A connection that is logged in, if it comes about.
async fn connected(
    target: &Target,
    plan: Plan,
    findings: &Findings,
    report: &mut Report,
) -> Result<Option<cndt_tokio::ClientHandle>, Failure> {
    let Target { address, timeout, tls, .. } = target;
    let (descriptor, wanted) = match plan {
        Plan::JsonRpc => {
            let framing = crate::args::FramingName::Newline;
            (Ok(jsonrpc::descriptor(address, framing, *timeout, tls)), Wanted::JsonRpc)
        }
        Plan::Cndt | Plan::Http => (client::descriptor(target), Wanted::Cndt(target.dialect)),
    };
    let outcome = match descriptor {
        Ok(descriptor) => advice::connect(Client::new(descriptor), address, wanted).await,
        Err(failure) => Err(failure),
    };
    match outcome {
        Ok(client) => Ok(Some(client)),
        Err(Failure::StdoutClosed) => Err(Failure::StdoutClosed),
        Err(failure) => {
            let words = failure.into_words();
            // What is wrong, and what to do about it, are parts of one sentence there.
            let (what, advice) = words.split_once("; ").unwrap_or((&words, ""));
            let advice = if findings.spoken.is_empty() { SILENT } else { advice };
            let check = Check::new("login", State::Unreachable, what);
            report.add(if advice.is_empty() { check } else { check.advice(advice) })?;
            Ok(None)
        }
    }
}
