//! Whole systems over loopback TCP, as a benchmark that `cargo bench` runs.

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args().len() == 1 {
        // `cargo test --all-targets` runs benchmarks too, to see that they start.
        eprintln!("nothing is measured without arguments: see --help");
        return ExitCode::SUCCESS;
    }
    cndt_benches::sockets::main(&cndt_benches::sockets::systems())
}
