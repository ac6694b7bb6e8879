use std::fmt::Display;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use super::plan::{Plan, workloads};
use super::role::{self, DRIVE, SERVE};
use super::{Result, System, markdown, run, sweep};

/// What to measure. Medians with the least and the most in brackets; ratios to `raw` are taken
/// within each round.
#[derive(Debug, Parser)]
#[command(name = "sockets")]
pub struct Arguments {
    /// One round of short windows: to see that it works, not to compare.
    #[arg(long)]
    pub quick: bool,
    /// Rounds, outermost; in each every system has its turn.
    #[arg(long, value_name = "N")]
    pub rounds: Option<usize>,
    /// Seconds of each measured window.
    #[arg(long, value_name = "S")]
    pub secs: Option<f64>,
    /// Seconds before it.
    #[arg(long, value_name = "S")]
    pub warmup: Option<f64>,
    /// Some of w1 to w7.
    #[arg(long, value_delimiter = ',', default_value = "w1,w2,w3,w4,w5,w6,w7")]
    pub workloads: Vec<String>,
    /// Some of the systems; all unless given.
    #[arg(long, value_delimiter = ',')]
    pub systems: Vec<String>,
    /// How cost grows with connections, outstanding calls, payload and receivers, instead of the
    /// workloads.
    #[arg(long)]
    pub sweep: bool,
    /// Let the system choose CPUs, instead of one for the server and one for the client.
    #[arg(long)]
    pub unpinned: bool,
    /// Seconds in all for runs that are repeated because other programs disturbed them.
    #[arg(long, value_name = "S", default_value_t = 0.0)]
    pub patience: f64,
    /// Writes all numbers to this file.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Keeps what the file holds of other workloads and systems.
    #[arg(long, requires = "json")]
    pub append: bool,
    /// Accepted because cargo passes it.
    #[arg(long, hide = true)]
    pub bench: bool,
    /// Benchmarks to run, as cargo passes it: measures only if `sockets` contains it.
    #[arg(hide = true)]
    pub filter: Option<String>,
}

/// The whole program, for these systems.
pub fn main(systems: &[&dyn System]) -> ExitCode {
    match dispatch(systems) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(systems: &[&dyn System]) -> Result<()> {
    let role = std::env::args().nth(1);
    let behind = std::env::args().skip(1);
    match role.as_deref() {
        Some(SERVE) => role::serve(systems, &role::Serve::parse_from(behind)),
        Some(DRIVE) => role::drive(systems, role::Drive::parse_from(behind)),
        _ => measure(systems, &Arguments::parse()),
    }
}

fn measure(systems: &[&dyn System], arguments: &Arguments) -> Result<()> {
    if arguments.filter.as_ref().is_some_and(|filter| !"sockets".contains(filter.as_str())) {
        return Ok(());
    }
    let mut plan = arguments.plan(systems)?;
    let results = run::run(&mut plan, |what| eprintln!("{what}"))?;
    print(&markdown(&results));
    if let Some(file) = &arguments.json {
        let named = |error: &dyn Display| format!("{}: {error}", file.display());
        let mut all = results.clone();
        if arguments.append && file.exists() {
            let text = std::fs::read_to_string(file).map_err(|error| named(&error))?;
            all.follow(serde_json::from_str(&text).map_err(|error| named(&error))?);
        }
        let text = serde_json::to_string_pretty(&all)? + "\n";
        std::fs::write(file, text).map_err(|error| named(&error))?;
    }
    match results.runs.iter().find_map(|run| run.failure()) {
        Some(words) => Err(format!("not everything could be measured: {words}").into()),
        None => Ok(()),
    }
}

#[allow(clippy::print_stdout, reason = "tables are what this program is for")]
fn print(text: &str) {
    println!("{text}");
}

impl Arguments {
    fn plan<'a>(&self, systems: &[&'a dyn System]) -> Result<Plan<'a>> {
        let chosen = match self.systems.as_slice() {
            [] => systems.to_vec(),
            names => {
                let found = names.iter().map(|name| role::find(systems, name));
                found.collect::<Result<_>>()?
            }
        };
        let (rounds, warmup, window) = match (self.quick, self.sweep) {
            (true, _) => (1, 0.1, 0.4),
            (false, true) => (1, 0.2, 0.6),
            (false, false) => (5, 0.4, 1.5),
        };
        let seconds = |given: Option<f64>, default: f64| {
            let given = given.unwrap_or(default);
            Duration::try_from_secs_f64(given).map_err(|error| format!("{given} s: {error}"))
        };
        let points = match self.sweep {
            true => sweep::points(role::more_descriptors()),
            false => workloads(&self.workloads)?,
        };
        Ok(Plan {
            systems: chosen,
            points,
            rounds: self.rounds.unwrap_or(rounds).max(1),
            warmup: seconds(self.warmup, warmup)?,
            window: seconds(self.secs, window)?,
            is_pinned: !self.unpinned,
            patience: seconds(Some(self.patience), 0.0)?,
        })
    }
}
