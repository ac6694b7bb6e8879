//! The parent: starts a fresh server and a fresh client for each run, systems in turn.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::clock::{now, sleep};
use super::plan::{Plan, Point};
use super::role::{Drive, SERVE};
use super::{Machine, Metrics, Outcome, Result, Results, Run, System, Task, process};

const SERVER_CPU: usize = 0;
const CLIENT_CPU: usize = 1;
/// The machine is quiet while others use less of a CPU than this.
const QUIET: f64 = 0.1;

/// Measures everything, and calls `tell` after each run.
pub(super) fn run(plan: &mut Plan<'_>, mut tell: impl FnMut(&str)) -> Result<Results> {
    let started = now();
    let mut machine = Machine::here();
    plan.is_pinned &= machine.cpus > CLIENT_CPU && taskset(0).arg("true").status().is_ok();
    let mut runs = empty(plan);
    for round in 1..=plan.rounds {
        let mut at = 0;
        for point in &plan.points.clone() {
            for system in plan.systems.clone() {
                if !system.runs(point.shape) {
                    continue;
                }
                let (outcome, foreign) = watched(plan, system, point);
                machine.foreign_percent_max = machine.foreign_percent_max.max(foreign * 100.0);
                machine.disturbed += usize::from(foreign > QUIET);
                let name = format!("round {round}, {}, {}", point.shape, system.name());
                match &outcome {
                    Outcome::Measured(_) => tell(&name),
                    Outcome::Failed(words) => tell(&format!("{name}: {words}")),
                }
                runs[at].rounds.push(outcome);
                at += 1;
            }
        }
    }
    machine.rounds = plan.rounds;
    machine.window = plan.window.as_secs_f64();
    machine.is_pinned = plan.is_pinned;
    machine.took = started.elapsed().as_secs_f64();
    Ok(Results { machine, runs })
}

/// A run for each point and system, without rounds yet.
fn empty(plan: &Plan<'_>) -> Vec<Run> {
    let mut runs = Vec::new();
    for point in &plan.points {
        for system in plan.systems.iter().filter(|system| system.runs(point.shape)) {
            runs.push(Run {
                group: point.group.clone(),
                shape: point.shape.to_string(),
                system: system.name().to_owned(),
                rounds: Vec::new(),
            });
        }
    }
    runs
}

/// One run, and the part of a CPU that other programs used meanwhile. It is repeated while that is
/// too much and there is patience left.
fn watched(plan: &mut Plan<'_>, system: &dyn System, point: &Point) -> (Outcome, f64) {
    loop {
        let (started, foreign_before) = (now(), foreign_seconds());
        let outcome = match once(plan, system, point) {
            Ok(metrics) => Outcome::Measured(metrics),
            Err(error) => Outcome::Failed(error.to_string()),
        };
        let took = started.elapsed();
        let foreign = (foreign_seconds() - foreign_before).max(0.0) / took.as_secs_f64();
        if foreign <= QUIET || plan.patience < took {
            return (outcome, foreign);
        }
        plan.patience -= took;
    }
}

fn foreign_seconds() -> f64 {
    process::machine_cpu_seconds() - process::own_cpu_seconds()
}

fn once(plan: &Plan<'_>, system: &dyn System, point: &Point) -> Result<Metrics> {
    let server = start_server(plan, system)?;
    let task = Task {
        shape: point.shape,
        server: server.address,
        server_pids: vec![server.child.id()],
        warmup: plan.warmup,
        window: plan.window,
    };
    let arguments = Drive::arguments(system.name(), &task);
    let client = itself(plan, CLIENT_CPU)?.args(arguments).stdin(Stdio::null()).output()?;
    if !client.status.success() {
        let words = String::from_utf8_lossy(&client.stderr);
        return Err(words.lines().next().unwrap_or("the client failed silently").into());
    }
    let said = String::from_utf8(client.stdout)?;
    Ok(serde_json::from_str(said.trim())?)
}

/// A server that is ended with this value.
struct Running {
    child: Child,
    address: SocketAddr,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start_server(plan: &Plan<'_>, system: &dyn System) -> Result<Running> {
    let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    if let Some(program) = system.program(port) {
        let mut command = pinned(plan, SERVER_CPU, &program);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let running = Running { child: command.spawn()?, address };
        return until_open(address).map(|()| running);
    }
    let mut command = itself(plan, SERVER_CPU)?;
    command.args([SERVE, system.name()]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let unknown = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut running = Running { child: command.spawn()?, address: unknown };
    let mut said = String::new();
    if let Some(output) = running.child.stdout.take() {
        BufReader::new(output).read_line(&mut said)?;
    }
    let silent = |_| format!("the server of {} did not start", system.name());
    running.address = said.trim().parse().map_err(silent)?;
    Ok(running)
}

fn until_open(address: SocketAddr) -> Result<()> {
    for _ in 0..200 {
        if TcpStream::connect(address).is_ok() {
            return Ok(());
        }
        sleep(Duration::from_millis(20));
    }
    Err(format!("nothing listens on {address}").into())
}

/// This program on a CPU of its own.
fn itself(plan: &Plan<'_>, cpu: usize) -> Result<Command> {
    let mut command = pinned(plan, cpu, &Command::new(std::env::current_exe()?));
    // One worker each; tokio is told by the program.
    command.env("SMOL_THREADS", "1").env("ASYNC_STD_THREAD_COUNT", "1");
    Ok(command)
}

fn pinned(plan: &Plan<'_>, cpu: usize, program: &Command) -> Command {
    let mut command = if plan.is_pinned {
        let mut command = taskset(cpu);
        command.arg(program.get_program());
        command
    } else {
        Command::new(program.get_program())
    };
    command.args(program.get_args());
    command
}

/// It replaces itself by the program that follows, so the process stays the same.
fn taskset(cpu: usize) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", &cpu.to_string()]);
    command
}
