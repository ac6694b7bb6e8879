//! `cndt-storm`: plays a server that flaps and its clients, and draws what came of it.
#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use cndt_core::limits::LimitError;
use cndt_testkit::storm::chart::{Chart, Curve};
use cndt_testkit::storm::{self, Health, Report, Scenario, Second, Strategy};

/// Plays clients and a server that goes down and comes back, under four strategies of the clients.
///
/// Writes `offered.svg`, `goodput.svg`, `policy.svg` and `seconds.csv`, and prints tables in Markdown.
/// Exit status: 0; 1 when a file cannot be written; 2 wrong usage.
#[derive(Debug, Parser)]
#[command(name = "cndt-storm", version, after_help = EXAMPLES)]
struct Options {
    /// How many clients; each begins two operations a second
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    clients: u32,
    /// What chance is made of
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The folder to write to; it is made if it is not there
    #[arg(long, default_value = "docs/resilience")]
    out: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  cndt-storm
  cndt-storm --clients 1000 --seed 7 --out /tmp/storm";

fn main() -> ExitCode {
    let options = Options::parse();
    let scenario = Scenario { clients: options.clients, ..Scenario::default() };
    let reports = match play(&scenario, options.seed) {
        Ok(reports) => reports,
        Err(error) => return fail(&error.to_string()),
    };
    match write_all(&options.out, &scenario, &reports) {
        Ok(()) => {
            // Nobody is left to tell if that fails.
            let _ = io::stdout().write_all(tables(&reports).as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => fail(&format!("{}: {error}", options.out.display())),
    }
}

fn fail(words: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "cndt-storm: {words}");
    ExitCode::FAILURE
}

/// Each strategy on a thread of its own.
fn play(scenario: &Scenario<'_>, seed: u64) -> Result<Vec<Report>, LimitError> {
    let strategies = Strategy::all()?;
    std::thread::scope(|scope| {
        let started = strategies.each_ref();
        let started = started.map(|one| scope.spawn(move || storm::run(scenario, one, seed)));
        let ended = started.into_iter().map(|thread| match thread.join() {
            Ok(report) => report,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        ended.collect()
    })
}

fn write_all(out: &Path, scenario: &Scenario<'_>, reports: &[Report]) -> io::Result<()> {
    std::fs::create_dir_all(out)?;
    let outages = storm::outages(scenario.schedule);
    let shaded: Vec<_> = outages.iter().map(|outage| (outage.began, outage.ended)).collect();
    let chart = |title, unit, curves| Chart { title, unit, curves, shaded: shaded.clone() }.svg();
    let each = |of: fn(&Second) -> u64| {
        let curves = reports.iter().map(|report| curve(report.name, report, of));
        curves.collect::<Vec<_>>()
    };
    let title = "What the server is offered, by what its clients do";
    let offered = chart(title, "attempts a second", each(|second| second.offered));
    std::fs::write(out.join("offered.svg"), offered)?;
    let title = "What comes of it, by what the clients do";
    let goodput =
        chart(title, "operations that succeed, a second", each(|second| second.succeeded));
    std::fs::write(out.join("goodput.svg"), goodput)?;
    if let Some(full) = reports.last() {
        let curves = vec![
            curve("repeated", full, |second| second.repeated),
            curve("held back by clients", full, |second| second.held),
            curve("succeeded", full, |second| second.succeeded),
            curve("offered", full, |second| second.offered),
        ];
        let policy = chart("The full policy alone", "a second", curves);
        std::fs::write(out.join("policy.svg"), policy)?;
    }
    std::fs::write(out.join("seconds.csv"), csv(reports))
}

fn curve<'a>(name: &'a str, report: &Report, of: fn(&Second) -> u64) -> Curve<'a> {
    Curve { name, values: report.seconds.iter().map(of).collect() }
}

fn csv(reports: &[Report]) -> String {
    let mut csv = "strategy,second,operations,offered,repeated,held,refused,timed_out,served,\
                   succeeded\n"
        .to_string();
    for report in reports {
        // The names hold commas.
        let name = report.name.replace(", ", " + ");
        for (at, second) in report.seconds.iter().enumerate() {
            let Second { operations, offered, repeated, held, .. } = second;
            let Second { refused, timed_out, served, succeeded, .. } = second;
            let _ = writeln!(
                csv,
                "{name},{at},{operations},{offered},{repeated},{held},{refused},{timed_out},\
                 {served},{succeeded}"
            );
        }
    }
    csv
}

fn tables(reports: &[Report]) -> String {
    let mut tables = "| clients | most attempts in a second | attempts per operation | operations \
                      that succeeded | work that nobody waited for | clients left behind |\n\
                      |---|---|---|---|---|---|\n"
        .to_string();
    for report in reports {
        let _ = writeln!(
            tables,
            "| {} | {:.2} × normal | {:.2} | {:.1} % | {:.1} % | {} |",
            report.name,
            report.peak(),
            report.amplification(),
            report.succeeded() * 100.0,
            report.wasted() * 100.0,
            report.left_behind,
        );
    }
    tables.push_str("\n| outage |");
    reports.iter().for_each(|report| tables.push_str(&format!(" {} |", report.name)));
    tables.push_str("\n|---|");
    reports.iter().for_each(|_| tables.push_str("---|"));
    tables.push('\n');
    let outages = reports.first().map_or(0, |report| report.recoveries.len());
    for number in 0..outages {
        let recoveries = reports.iter().filter_map(|report| report.recoveries.get(number));
        for (column, recovery) in recoveries.enumerate() {
            if column == 0 {
                let storm::Outage { health, began, ended, .. } = recovery.outage;
                let _ = write!(tables, "| {began} to {ended} s, {} |", words(health));
            }
            let after = recovery
                .recovered_after
                .map_or("never".to_string(), |after| format!("{} s", after.as_secs()));
            let _ = write!(tables, " {:.2}, {:.2}, {after} |", recovery.during, recovery.after);
        }
        tables.push('\n');
    }
    tables
}

fn words(health: Health) -> String {
    match health {
        Health::Up => "up".to_string(),
        Health::Slow(percent) => format!("{percent} % of the capacity"),
        Health::Refusing => "refuses connections".to_string(),
        Health::Silent => "silent".to_string(),
    }
}
