use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// Far beyond what a busy machine needs: a peer that says nothing for so long never will.
const PATIENCE: Duration = Duration::from_secs(120);

/// What runs a peer's program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Python, with the packages for JSON-RPC.
    Python,
    /// Python, with the packages for webhooks.
    WebhookPython,
    /// Node.js, with the packages for JSON-RPC.
    Node,
}

impl Language {
    /// Installs the packages, once per process; at once when they are there.
    fn prepare(self) {
        static PYTHON: OnceLock<bool> = OnceLock::new();
        static WEBHOOK_PYTHON: OnceLock<bool> = OnceLock::new();
        static NODE: OnceLock<bool> = OnceLock::new();
        let (done, name) = match self {
            Self::Python => (&PYTHON, "jsonrpc"),
            Self::WebhookPython => (&WEBHOOK_PYTHON, "webhooks"),
            Self::Node => (&NODE, "node"),
        };
        let is_done = done.get_or_init(|| {
            let mut setup = std::process::Command::new("bash");
            setup.arg(folder().join("setup-packages.sh")).arg(name);
            setup.status().is_ok_and(|status| status.success())
        });
        assert!(is_done, "interop/setup-packages.sh {name} failed: its words stand above");
    }

    fn command(self, program: &str) -> Command {
        let python = |venv| {
            let interpreter = folder().join(".venvs").join(venv).join("bin/python");
            (Command::new(interpreter), "python")
        };
        let (mut command, scripts) = match self {
            Self::Python => python("jsonrpc"),
            Self::WebhookPython => python("webhooks"),
            Self::Node => {
                let node = std::env::var_os("NODE").map_or_else(|| "node".into(), PathBuf::from);
                let mut command = Command::new(node);
                command.env("NODE_PATH", folder().join(".node/node_modules"));
                (command, "node")
            }
        };
        command.arg(folder().join(scripts).join(program));
        command
    }
}

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A running peer that says one JSON value per line. It ends when this is dropped.
#[derive(Debug)]
pub struct ForeignPeer {
    _child: Child,
    /// The programs end when their input does.
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl ForeignPeer {
    /// Starts it with these arguments.
    ///
    /// # Panics
    /// When it cannot be installed or started: that is a failure, never a skip.
    pub async fn start(language: Language, program: &str, arguments: &[&str]) -> Self {
        tokio::task::spawn_blocking(move || language.prepare()).await.expect("its packages");
        let mut child = language
            .command(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the interpreter starts");
        let input = child.stdin.take().expect("stdin is a pipe");
        let lines = BufReader::new(child.stdout.take().expect("stdout is a pipe")).lines();
        Self { _child: child, input, lines }
    }

    /// What it says next.
    ///
    /// # Panics
    /// When it ends instead, or says nothing for two minutes.
    pub async fn next(&mut self) -> Value {
        let line = in_time(self.lines.next_line()).await.expect("text");
        let line = line.expect("it ended before its time");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// Gives it a line to read.
    ///
    /// # Panics
    /// When it has ended, or reads nothing for two minutes.
    pub async fn tell(&mut self, line: &Value) {
        let line = format!("{line}\n");
        in_time(self.input.write_all(line.as_bytes())).await.expect("it reads");
    }

    /// It says next that this step failed with such a code and such words.
    ///
    /// # Panics
    /// When it says something else.
    pub async fn failed(&mut self, step: &str, code: i64, words: &str) {
        let said = self.next().await;
        let error = said[step].get("error").unwrap_or(&said[step]);
        assert_eq!(error["code"], code, "{said}");
        assert!(error["message"].as_str().is_some_and(|text| text.contains(words)), "{said}");
    }

    /// Where a server listens on 127.0.0.1, which is the first thing it says.
    ///
    /// # Panics
    /// When it says something else.
    pub async fn port(&mut self) -> u16 {
        let said = self.next().await;
        let port = said["port"].as_u64().unwrap_or_else(|| panic!("no port but {said}"));
        u16::try_from(port).expect("a port")
    }
}

/// Waits for something, but not for ever.
///
/// # Panics
/// After two minutes.
pub async fn in_time<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("it takes less than two minutes")
}
