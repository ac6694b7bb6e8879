//! Examples, run as the programs that they are: documentation that only compiles is none.
//!
//! Every adapter has the same two, `quickstart` and `chat`. Programs are found where cargo builds
//! them, next to the directory of the test binaries.
//!
//! ```
//! use cndt_runtime::conformance::examples::Running;
//! use std::path::Path;
//!
//! // Any program that reads lines and prints some.
//! let mut sorting = Running::start(Path::new("sort"), &[]);
//! sorting.type_line("b");
//! sorting.type_line("a");
//! let (status, lines) = sorting.finish();
//! assert!(status.success());
//! assert_eq!(lines, ["a", "b"]);
//! ```

use std::env::consts::EXE_SUFFIX;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, SystemTime};

/// No program takes nearly as long to say what it should, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The program of an example.
///
/// Cargo builds examples for a plain `cargo test` of their own package or of the workspace, but not
/// when other packages or single tests are named: then there may be none, or one of old sources.
///
/// # Panics
/// When there is none, or its sources have changed since; the message says how to build it.
pub fn program(package: &str, example: &str) -> PathBuf {
    let tests = std::env::current_exe().expect("a test has a path");
    let profile = tests.parent().and_then(Path::parent).expect("cargo puts it two levels deep");
    let program = profile.join("examples").join(format!("{example}{EXE_SUFFIX}"));
    let release = if profile.ends_with("release") { " --release" } else { "" };
    let advice = format!("build it first: cargo build{release} -p {package} --example {example}");
    assert!(program.exists(), "{} is missing; {advice}", program.display());
    let sources = fs::read_to_string(program.with_extension("d")).expect("cargo lists the sources");
    let (_, sources) = sources.split_once(": ").expect("a rule of make");
    for source in sources.split_whitespace().filter(|source| Path::new(source).exists()) {
        assert!(changed(Path::new(source)) <= changed(&program), "{source} is newer; {advice}");
    }
    program
}

fn changed(file: &Path) -> SystemTime {
    fs::metadata(file).and_then(|about| about.modified()).expect("the system tells")
}

/// A program that runs. It is ended when this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Running {
    /// Starts it; standard error goes to that of the test.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(program: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("stdout is a pipe")).lines();
        let (sender, lines) = channel();
        // A full pipe would stop the program, so its lines are read all the time.
        thread::spawn(move || output.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, input, lines }
    }

    /// The operating system's number for it, to send signals to.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it prints next.
    ///
    /// # Panics
    /// When it prints nothing for half a minute, or has ended.
    pub fn next_line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("the program prints one more line")
    }

    /// What stands behind `start` in the line that it prints next.
    ///
    /// # Panics
    /// When it prints another line, or none.
    pub fn next_after(&self, start: &str) -> String {
        let line = self.next_line();
        let Some(rest) = line.strip_prefix(start) else { panic!("{line:?} instead of {start:?}") };
        rest.to_owned()
    }

    /// What it prints, up to and with the next line that begins with `start`.
    ///
    /// # Panics
    /// When no such line comes.
    pub fn lines_until(&self, start: &str) -> Vec<String> {
        let mut lines = Vec::new();
        while lines.last().is_none_or(|line: &String| !line.starts_with(start)) {
            lines.push(self.next_line());
        }
        lines
    }

    /// Types a line.
    ///
    /// # Panics
    /// When its input is closed.
    pub fn type_line(&mut self, line: &str) {
        let input = self.input.as_mut().expect("it has not been told that nothing follows");
        writeln!(input, "{line}").expect("it reads");
    }

    /// Ends its input and waits until it ends. Gives the lines that it has printed since.
    ///
    /// # Panics
    /// When it neither prints nor ends for half a minute.
    pub fn finish(mut self) -> (ExitStatus, Vec<String>) {
        drop(self.input.take());
        let mut rest = Vec::new();
        // Its output ends when it does.
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => rest.push(line),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                    panic!("it does not end: {rest:?}")
                }
            }
        }
        (self.child.wait().expect("it ends"), rest)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The quick start answers a greeting and two calls, and ends by itself.
///
/// # Panics
/// When it does not.
pub fn quickstart(program: &Path) {
    let running = Running::start(program, &[]);
    let address = running.next_after("Server starting on ");
    assert!(address.starts_with("127.0.0.1:"), "{address}");
    let (status, mut rest) = running.finish();
    assert!(status.success(), "{status}");
    // Hooks and handlers run beside the program: what they print may come before or after the rest.
    let connected = rest.iter().position(|line| line.starts_with("Client connected: "));
    let line = rest.remove(connected.expect("the server tells of the client"));
    assert_eq!(line.len(), "Client connected: ".len() + 36, "{line}");
    rest.sort();
    let mut expected = [
        "Connected to server!",
        "Reply received: Hello, World!",
        "10 + 20 = 30",
        "3.5 * 2.0 = 7.0",
        r#"Available methods: ["add", "multiply"]"#,
    ];
    expected.sort_unstable();
    assert_eq!(rest, expected);
}

/// The chat: two members, rooms, a server that goes away and comes back, an end by end of input.
///
/// # Panics
/// When somebody is not told what they should be, or is told more.
pub fn chat(program: &Path) {
    let serve = |address: &str| {
        let server = Running::start(program, &["serve", address]);
        let address = server.next_after("listening on ");
        (server, address)
    };
    let (server, address) = serve("127.0.0.1:0");
    let mut ada = Running::start(program, &["join", &address, "ada"]);
    assert_eq!(ada.next_line(), "* you are in lobby with nobody");
    let mut bob = Running::start(program, &["join", &address, "bob"]);
    assert_eq!(bob.next_line(), "* you are in lobby with ada");
    assert_eq!(ada.next_line(), "* bob joined");

    ada.type_line("hello, everyone");
    assert_eq!(bob.next_line(), "ada: hello, everyone");
    bob.type_line("hello, ada");
    assert_eq!(ada.next_line(), "bob: hello, ada");

    bob.type_line("/room tea");
    assert_eq!(bob.next_line(), "* you are in tea with nobody");
    assert_eq!(ada.next_line(), "* bob left");
    ada.type_line("is anybody here?");
    ada.type_line("/room tea");
    assert_eq!(ada.next_line(), "* you are in tea with bob");
    assert_eq!(bob.next_line(), "* ada joined");

    drop(server);
    for member in [&ada, &bob] {
        member.next_after("* disconnected: ");
    }
    ada.type_line("is this on?");
    ada.next_after("* not connected");
    let (server, _) = serve(&address);
    let mut ada_heard = ada.lines_until("* you are in tea with ");
    let mut bob_heard = bob.lines_until("* you are in tea with ");
    ada.type_line("still here");
    bob_heard.extend(bob.lines_until("ada: still here"));
    bob.type_line("so am I");
    ada_heard.extend(ada.lines_until("bob: so am I"));
    // Nobody can tell who is back first; but either learns of the other.
    for (heard, other) in [(ada_heard, "bob"), (bob_heard, "ada")] {
        assert_eq!(heard[0], "* connected again", "{heard:?}");
        let met = [format!("* you are in tea with {other}"), format!("* {other} joined")];
        assert!(met.iter().any(|line| heard.contains(line)), "{heard:?}");
    }

    let (status, rest) = ada.finish();
    assert!(status.success(), "{status}");
    assert_eq!(rest, ["* disconnected: closed by this side"]);
    assert_eq!(bob.next_line(), "* ada left");
    let (status, rest) = bob.finish();
    assert!(status.success(), "{status}");
    assert_eq!(rest, ["* disconnected: closed by this side"]);
    drop(server);
}
