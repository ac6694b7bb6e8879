//! Runs the built command, and a server of it that ends with its test.
#![allow(dead_code, reason = "each test file uses what it needs")]

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

pub(crate) const PASSWORD: &str = "secret";

/// What a run of the command gave.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code().expect("it ended by itself"),
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }
}

impl Ran {
    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.status, 0, "{self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cndt"));
    command
        .args(arguments)
        .env("CNDT_PASSWORD", PASSWORD)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

pub(crate) fn run(arguments: &[&str]) -> Ran {
    command(arguments).output().expect("the command runs").into()
}

pub(crate) fn run_with_input(arguments: &[&str], input: &[u8]) -> Ran {
    let mut child = command(arguments).stdin(Stdio::piped()).spawn().expect("the command runs");
    let mut stdin = child.stdin.take().expect("stdin is a pipe");
    stdin.write_all(input).expect("it reads its input");
    drop(stdin);
    child.wait_with_output().expect("it ends").into()
}

/// Nothing takes so long, whatever else the machine does.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `is` holds.
#[allow(clippy::disallowed_methods, reason = "no runtime is at work here")]
pub(crate) fn until(what: &str, is: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// `cndt serve`, or another command that serves, on a free port.
pub(crate) struct Serve {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub(crate) address: String,
}

impl Serve {
    pub(crate) fn start(options: &[&str]) -> Self {
        Self::run(command(&[&["serve", "--bind", "127.0.0.1:0"], options].concat()))
    }

    /// Any command that prints where it listens.
    pub(crate) fn run(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::inherit()).spawn().expect("the command runs");
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        let address = next_address(&mut stdout);
        Self { child, stdout, address }
    }

    pub(crate) fn next_address(&mut self) -> String {
        next_address(&mut self.stdout)
    }

    /// Sends a signal, by the child's own pid.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status().expect("kill runs");
        assert!(status.success());
    }

    /// What it prints until it ends, which it must do well.
    pub(crate) fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).expect("text");
        assert_eq!(self.child.wait().expect("it ends").code(), Some(0));
        rest
    }

    pub(crate) fn wait(mut self) -> i32 {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).expect("text");
        assert_eq!(rest, "", "stdout carries data only");
        self.child.wait().expect("it ends").code().expect("it ends by itself")
    }
}

fn next_address(stdout: &mut impl BufRead) -> String {
    let mut line = String::new();
    stdout.read_line(&mut line).expect("a line");
    let address = line.trim_end();
    let known = ["cndt://", "cndts://", "unix:", "jsonrpc", "http://"]
        .iter()
        .any(|start| address.starts_with(start));
    assert!(known, "the address it listens on, not {line:?}");
    address.strip_prefix("cndt://").unwrap_or(address).to_owned()
}

impl Drop for Serve {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
