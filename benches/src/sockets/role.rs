//! The processes that this one starts: itself again, as a server or as a client.

use std::io::Read;
use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;

use super::clock::sleep;
use super::{Result, Shape, System, Task};

/// The first argument of a process that serves.
pub(super) const SERVE: &str = "serve-one";
/// The first argument of a process that calls.
pub(super) const DRIVE: &str = "drive-one";

/// A client that takes longer has hung.
const PATIENCE: Duration = Duration::from_secs(180);

#[derive(Parser)]
pub(super) struct Serve {
    system: String,
}

#[derive(Parser)]
pub(super) struct Drive {
    system: String,
    shape: Shape,
    server: SocketAddr,
    #[arg(value_delimiter = ',')]
    server_pids: Vec<u32>,
    #[arg(long)]
    warmup: f64,
    #[arg(long)]
    window: f64,
}

impl Drive {
    /// The arguments of a client.
    pub(super) fn arguments(system: &str, task: &Task) -> Vec<String> {
        let pids: Vec<_> = task.server_pids.iter().map(u32::to_string).collect();
        vec![
            DRIVE.to_owned(),
            system.to_owned(),
            task.shape.to_string(),
            task.server.to_string(),
            pids.join(","),
            format!("--warmup={}", task.warmup.as_secs_f64()),
            format!("--window={}", task.window.as_secs_f64()),
        ]
    }
}

/// Finds a system by its name.
pub(super) fn find<'a>(systems: &[&'a dyn System], name: &str) -> Result<&'a dyn System> {
    let names: Vec<_> = systems.iter().map(|system| system.name()).collect();
    let found = systems.iter().find(|system| system.name() == name);
    let unknown = || format!("no system `{name}`: there are {}", names.join(", "));
    Ok(*found.ok_or_else(unknown)?)
}

/// Serves, tells the address on the standard output, and ends with the standard input.
#[allow(clippy::print_stdout, reason = "this is how the parent learns the address")]
pub(super) fn serve(systems: &[&dyn System], arguments: &Serve) -> Result<()> {
    let system = find(systems, &arguments.system)?;
    more_descriptors();
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    system.serve(|address| println!("{address}"))
}

/// Calls, and tells the numbers on the standard output.
#[allow(clippy::print_stdout, reason = "this is how the parent learns the numbers")]
pub(super) fn drive(systems: &[&dyn System], arguments: Drive) -> Result<()> {
    let system = find(systems, &arguments.system)?;
    more_descriptors();
    std::thread::spawn(|| {
        sleep(PATIENCE);
        eprintln!("no result within {PATIENCE:?}");
        std::process::exit(1);
    });
    let task = Task {
        shape: arguments.shape,
        server: arguments.server,
        server_pids: arguments.server_pids,
        warmup: Duration::from_secs_f64(arguments.warmup),
        window: Duration::from_secs_f64(arguments.window),
    };
    println!("{}", serde_json::to_string(&system.drive(task)?)?);
    Ok(())
}

/// As many descriptors as the system lets this process have.
pub(super) fn more_descriptors() -> u64 {
    rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1024)
}
