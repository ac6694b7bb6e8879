//! `cndt-sim`: runs simulated worlds until a rule is broken or enough have kept them all.
#![forbid(unsafe_code)]

use std::io::{IsTerminal, Write};
use std::num::ParseIntError;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use cndt_testkit::sim::{self, Failure, Summary};
use indicatif::{ProgressBar, ProgressStyle};

/// Runs connections in simulated time with everything going wrong that can.
///
/// Exit status: 0 when every rule held in every world; 1 when one did not; 2 wrong usage.
#[derive(Debug, Parser)]
#[command(name = "cndt-sim", version, after_help = EXAMPLES)]
struct Options {
    /// How many worlds
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 0)]
    start: u64,
    /// Threads; all cores unless told otherwise
    #[arg(long)]
    jobs: Option<usize>,
    /// Runs one world and prints what happens in it
    #[arg(long, value_name = "SEED", conflicts_with = "replay_tape")]
    replay: Option<u64>,
    /// Runs what a tape says: hex digits, four for each number, or a file of them
    #[arg(long, value_name = "HEX|FILE")]
    replay_tape: Option<String>,
    /// How many seconds a failure may be cut down for
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    shrink: u64,
}

const EXAMPLES: &str = "\
Examples:
  cndt-sim --seeds 100000
  cndt-sim --replay 4711
  cndt-sim --replay-tape testkit/regressions/late-answer.tape";

fn main() -> ExitCode {
    let options = Options::parse();
    if let Some(seed) = options.replay {
        return show(&sim::tape(seed));
    }
    if let Some(text) = &options.replay_tape {
        return match read_tape(text) {
            Ok(tape) => show(&tape),
            Err(words) => {
                eprintln!("--replay-tape: {words}");
                ExitCode::from(2)
            }
        };
    }
    let began = now();
    match run_all(&options) {
        Ok(total) => {
            let seconds = began.elapsed().as_secs_f64();
            let per_minute = options.seeds as f64 / seconds.max(0.001) * 60.0;
            say(&format!(
                "{} worlds kept every rule: {} steps, {} events, {:.1} days in {seconds:.1} s \
                 ({per_minute:.0} worlds a minute)",
                options.seeds,
                total.steps,
                total.events,
                total.micros as f64 / 86_400e6,
            ));
            ExitCode::SUCCESS
        }
        Err((seed, failure)) => {
            report(seed, failure, Duration::from_secs(options.shrink));
            ExitCode::FAILURE
        }
    }
}

/// The sum over all worlds, or the first failure that was found.
fn run_all(options: &Options) -> Result<Summary, (u64, Failure)> {
    let jobs = options
        .jobs
        .or_else(|| std::thread::available_parallelism().ok().map(usize::from))
        .unwrap_or(1)
        .max(1);
    let bar = if std::io::stderr().is_terminal() {
        let style = "{bar:40} {pos}/{len} worlds, {per_sec}, {eta} left";
        let style = ProgressStyle::with_template(style);
        ProgressBar::new(options.seeds)
            .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
    } else {
        ProgressBar::hidden()
    };
    let next = AtomicU64::new(0);
    let state = Mutex::new((Summary::default(), None));
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= options.seeds {
                        return;
                    }
                    let seed = options.start.wrapping_add(index);
                    let outcome = sim::run(seed);
                    bar.inc(1);
                    let Ok(mut state) = state.lock() else { return };
                    match outcome {
                        Ok(summary) => {
                            state.0.steps += summary.steps;
                            state.0.events += summary.events;
                            state.0.micros += summary.micros;
                        }
                        Err(failure) => {
                            state.1.get_or_insert((seed, failure));
                            next.store(options.seeds, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    bar.finish_and_clear();
    match state.into_inner() {
        Ok((total, None)) => Ok(total),
        Ok((_, Some(failure))) => Err(failure),
        Err(_) => unreachable!("no thread panics while it holds the lock"),
    }
}

fn report(seed: u64, failure: Failure, patience: Duration) {
    say(&format!("seed {seed}: {failure}"));
    let began = now();
    let small = sim::shrink(failure, || began.elapsed() < patience);
    say(&format!("cut down to {} steps: {}", small.steps, small.words));
    for line in sim::trace(&small.tape) {
        say(&format!("  {line}"));
    }
    say(&format!("replay it:\n  cndt-sim --replay {seed}"));
    say(&format!("replay what is left of it:\n  cndt-sim --replay-tape {}", as_hex(&small.tape)));
}

fn show(tape: &[u16]) -> ExitCode {
    for line in sim::trace(tape) {
        say(&line);
    }
    match sim::replay(tape) {
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn as_hex(tape: &[u16]) -> String {
    tape.iter().map(|number| format!("{number:04x}")).collect()
}

fn read_tape(text: &str) -> Result<Vec<u16>, String> {
    let path = PathBuf::from(text);
    let digits = if path.is_file() {
        std::fs::read_to_string(&path).map_err(|error| format!("{text}: {error}"))?
    } else {
        text.to_owned()
    };
    sim::parse_tape(&digits).map_err(|error: ParseIntError| error.to_string())
}

/// One line on stdout; nobody is left to tell if that fails.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Only for the figures that people are shown: worlds have clocks of their own.
#[allow(clippy::disallowed_methods, reason = "measures the simulation, drives nothing")]
fn now() -> Instant {
    Instant::now()
}
