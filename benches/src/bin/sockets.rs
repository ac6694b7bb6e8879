//! Whole systems over loopback TCP; `--help` tells what can be chosen.
//!
//! ```sh
//! cargo run --release -p cndt-benches --bin sockets -- --rounds 3 --json results.json
//! ```
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    cndt_benches::sockets::main(&cndt_benches::sockets::systems())
}
