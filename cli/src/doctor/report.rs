//! What was found, one check after the other.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::args::DoctorArgs;
use crate::exit::{self, Failure};
use crate::out;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Good,
    /// Good to know.
    Note,
    /// It works, but not as it should.
    Wrong,
    /// Nobody can be talked to.
    Unreachable,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Note => "note",
            Self::Wrong => "wrong",
            Self::Unreachable => "unreachable",
        }
    }

    /// The sign, and its colour.
    fn sign(self) -> (&'static str, &'static str) {
        match self {
            Self::Good => ("✓", "32"),
            Self::Note => ("·", "36"),
            Self::Wrong => ("!", "33"),
            Self::Unreachable => ("✗", "31"),
        }
    }

    fn status(self) -> u8 {
        match self {
            Self::Good | Self::Note => 0,
            Self::Wrong => 1,
            Self::Unreachable => 3,
        }
    }
}

/// One thing that was looked at.
pub(super) struct Check {
    name: &'static str,
    state: State,
    words: String,
    facts: Map<String, Value>,
    advice: Vec<String>,
}

impl Check {
    pub(super) fn new(name: &'static str, state: State, words: impl Into<String>) -> Self {
        let (facts, advice) = (Map::new(), Vec::new());
        Self { name, state, words: words.into(), facts, advice }
    }

    /// What stands beside the words for programs: an object.
    pub(super) fn facts(mut self, facts: Value) -> Self {
        if let Value::Object(facts) = facts {
            self.facts.extend(facts);
        }
        self
    }

    /// What to change.
    pub(super) fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice.push(advice.into());
        self
    }
}

/// Prints checks as they come, or all of them as one object at the end.
pub(super) struct Report {
    address: String,
    json: bool,
    colour: bool,
    checks: Vec<Check>,
}

impl Report {
    pub(super) fn new(arguments: &DoctorArgs) -> Self {
        let (address, json) = (arguments.target.address.to_string(), arguments.json);
        Self { address, json, colour: exit::stdout_takes_colour(), checks: Vec::new() }
    }

    pub(super) fn add(&mut self, check: Check) -> Result<(), Failure> {
        if !self.json {
            let (sign, code) = check.state.sign();
            let sign =
                if self.colour { format!("\x1b[{code}m{sign}\x1b[0m") } else { sign.to_owned() };
            let words = exit::printable(&check.words).replace('\n', " ");
            out::line(&format!("{sign} {:<10} {words}", check.name))?;
        }
        self.checks.push(check);
        Ok(())
    }

    /// What to do, and the exit status.
    pub(super) fn end(self) -> Result<(), Failure> {
        let status = self.checks.iter().map(|check| check.state.status()).max().unwrap_or(0);
        let advice = self.checks.iter().flat_map(|check| check.advice.iter());
        if self.json {
            let all: Map<String, Value> = self
                .checks
                .iter()
                .map(|check| {
                    let mut facts = check.facts.clone();
                    facts.insert("state".into(), check.state.name().into());
                    facts.insert("words".into(), check.words.as_str().into());
                    (check.name.to_owned(), Value::Object(facts))
                })
                .collect();
            let advice: Vec<&String> = advice.collect();
            let report = json!({
                "address": self.address,
                "ok": status == 0,
                "status": status,
                "checks": all,
                "advice": advice,
            });
            out::line(&report.to_string())?;
        } else {
            for advice in advice {
                out::line(&format!("→ {}", exit::printable(advice)))?;
            }
        }
        if status == 0 { Ok(()) } else { Err(Failure::Reported(status)) }
    }
}

/// For people.
pub(super) fn millis(span: Duration) -> String {
    format!("{:.3} ms", span.as_secs_f64() * 1000.0)
}

/// For programs.
pub(super) fn milliseconds(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}
