use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::time::Duration;

use serde_json::Value;

use crate::PASSWORD;

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn interpreter(version: &str) -> PathBuf {
    folder().join(".venvs").join(version).join("bin").join("python")
}

fn script(name: &str) -> PathBuf {
    folder().join("python").join(name)
}

/// Installs the Python peers, once per process; at once when they are there.
///
/// # Panics
/// When they cannot be installed: what the script said stands above.
pub fn prepare() {
    static DONE: OnceLock<bool> = OnceLock::new();
    let done = DONE.get_or_init(|| {
        let setup = folder().join("setup.sh");
        Command::new("bash").arg(setup).status().is_ok_and(|status| status.success())
    });
    assert!(done, "interop/setup.sh failed: the Python peers are not installed");
}

/// Runs one scenario of `client.py` against a port and gives the facts that it reports.
///
/// # Panics
/// When the scenario fails; the message holds what it reported.
pub async fn python_client(
    version: &str,
    port: u16,
    options: &[&str],
    scenario: &str,
    arguments: Value,
) -> Value {
    run_scenario(version, "client.py", port, options, scenario, arguments).await
}

/// Runs `complete.py` against the server of the "Complete Example", and gives the facts that it
/// reports.
///
/// # Panics
/// When it fails; the message holds what it reported.
pub async fn python_complete(version: &str, port: u16, password: &str) -> Value {
    let options = ["--password", password];
    run_scenario(version, "complete.py", port, &options, "complete", Value::Null).await
}

async fn run_scenario(
    version: &str,
    program: &str,
    port: u16,
    options: &[&str],
    scenario: &str,
    arguments: Value,
) -> Value {
    prepare();
    let output = tokio::process::Command::new(interpreter(version))
        .arg(script(program))
        .args(["--port", &port.to_string(), "--password", PASSWORD])
        .args(options)
        .args([scenario, &arguments.to_string()])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("the interpreter starts");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let facts: Value = serde_json::from_str(stdout.trim())
        .unwrap_or_else(|error| panic!("{scenario}: {error}: {stdout}\n{stderr}"));
    assert_eq!(facts["ok"], true, "{scenario} with {version}: {facts:#}\n{stderr}");
    facts
}

/// The bytes that a version writes to log in.
///
/// # Panics
/// When the script fails.
pub fn python_login_bytes(version: &str) -> Vec<u8> {
    prepare();
    let output = Command::new(interpreter(version))
        .arg(script("raw.py"))
        .args(["login_bytes", "--version", version, "--password", PASSWORD])
        .stdin(Stdio::null())
        .output()
        .expect("the interpreter starts");
    let facts: Value = serde_json::from_slice(&output.stdout).expect("one line of JSON");
    let hex = facts["hex"].as_str().expect("hex digits").as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("a hex digit") as u8;
    hex.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// A running `server.py`. It ends when this is dropped.
#[derive(Debug)]
pub struct PythonServer {
    child: Child,
    /// The script ends when its input does.
    _input: ChildStdin,
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    events: Arc<Mutex<Vec<Value>>>,
}

impl PythonServer {
    /// Starts a server and waits until it listens.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(version: &str, options: &[&str]) -> Self {
        prepare();
        let mut child = Command::new(interpreter(version))
            .arg(script("server.py"))
            .args(["--password", PASSWORD])
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the interpreter starts");
        let input = child.stdin.take().expect("stdin is a pipe");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout is a pipe")).lines();
        let ready = lines.next().expect("a line").expect("text");
        let port = ready
            .strip_prefix("READY ")
            .and_then(|port| port.parse().ok())
            .unwrap_or_else(|| panic!("not ready but {ready:?}"));
        let events = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&events);
        // A full pipe would stop the server, so its lines are read all the time.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Ok(event) = serde_json::from_str(&line) {
                    sink.lock().unwrap_or_else(PoisonError::into_inner).push(event);
                }
            }
        });
        Self { child, _input: input, port, events }
    }

    /// What the server has reported so far, by the name of the event.
    pub fn events(&self, name: &str) -> Vec<Value> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.iter().filter(|event| event["event"] == name).cloned().collect()
    }

    /// Waits until the server has reported `count` events of that name.
    ///
    /// # Panics
    /// After ten seconds.
    pub async fn wait_for(&self, name: &str, count: usize) -> Vec<Value> {
        for _ in 0..500 {
            let seen = self.events(name);
            if seen.len() >= count {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the Python server reported {:?} instead of {count} `{name}`", self.events(name));
    }
}

impl Drop for PythonServer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A running `cndt_peer.py`: an independent peer of dialect `cndt`. It ends when this is dropped.
#[derive(Debug)]
pub struct CndtPeer {
    child: Child,
    input: ChildStdin,
    lines: mpsc::Receiver<Value>,
}

impl CndtPeer {
    /// Starts it with these arguments.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(arguments: &[&str]) -> Self {
        prepare();
        let mut child = Command::new(interpreter("5.0.0"))
            .arg(script("cndt_peer.py"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the interpreter starts");
        let input = child.stdin.take().expect("stdin is a pipe");
        let output = BufReader::new(child.stdout.take().expect("stdout is a pipe")).lines();
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in output.map_while(Result::ok) {
                let line = serde_json::from_str(&line).expect("one JSON object per line");
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, input, lines }
    }

    /// What it reports next.
    ///
    /// # Panics
    /// When that takes longer than twenty seconds.
    pub fn next(&self) -> Value {
        self.lines.recv_timeout(Duration::from_secs(20)).expect("it has something to say")
    }

    /// Tells a client to end, and waits until it has. Gives its exit status.
    ///
    /// # Panics
    /// When it cannot be told.
    pub fn end(mut self) -> Option<i32> {
        // One that has ended already need not be told.
        let _ = self.input.write_all(b"\n");
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for CndtPeer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
