//! Brings PERFORMANCE.md and the plots in docs/performance up to date with the numbers there.
//!
//! ```sh
//! cargo run --release -p cndt-benches --bin cndt-bench-report
//! ```
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// Turns `sockets.json`, `sweep.json`, `peers.json` and `allocations.json` into tables and plots.
#[derive(Parser)]
struct Arguments {
    /// The page whose tables are replaced.
    #[arg(long, default_value = "PERFORMANCE.md")]
    page: PathBuf,
    /// Where the numbers are, and where the plots go.
    #[arg(long, default_value = "docs/performance")]
    folder: PathBuf,
}

fn main() -> ExitCode {
    let Arguments { page, folder } = Arguments::parse();
    match cndt_benches::report::refresh(&page, &folder) {
        Ok(found) if found.is_empty() => {
            eprintln!("no numbers in {}", folder.display());
            ExitCode::FAILURE
        }
        Ok(found) => {
            eprintln!("{} brought up to date with {}", page.display(), found.join(", "));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
