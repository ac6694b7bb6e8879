//! Handlers that are shell commands: so many at once, each no longer than it may, and none left behind.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use cndt_tokio::{ErrorCode, RpcError};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;

use crate::secret;

/// Bytes that a command may print.
const OUTPUT_MAX: usize = 16 * 1024 * 1024;

/// Bytes of its complaints that are passed on.
const COMPLAINTS_MAX: usize = 8 * 1024;

/// Runs shell lines. Clones share the places.
#[derive(Debug, Clone)]
pub(crate) struct Shell {
    places: Arc<Semaphore>,
    commands_max: usize,
    timeout: Duration,
}

impl Shell {
    /// At most `commands_max` at once, each for no longer than `timeout`.
    pub(crate) fn new(commands_max: usize, timeout: Duration) -> Self {
        let commands_max = commands_max.min(Semaphore::MAX_PERMITS);
        Self { places: Arc::new(Semaphore::new(commands_max)), commands_max, timeout }
    }

    /// Runs a shell line with `input` on its stdin. What it prints is the result, as JSON; nothing is
    /// `null`. It is killed, with whatever it has started, when it takes too long and when the future
    /// is dropped. Errors do not tell the line: peers read them.
    ///
    /// # Errors
    /// RATE_LIMITED when every place is taken, TIMEOUT; a status other than 0, with what it said on
    /// stderr; or what it printed is no JSON.
    pub(crate) async fn run(&self, line: &str, input: &[u8]) -> Result<Value, RpcError> {
        let Ok(_place) = self.places.try_acquire() else {
            let max = self.commands_max;
            let words = format!("{max} commands are running, as many as may; try again later");
            return Err(RpcError::new(ErrorCode::RateLimited, words));
        };
        match tokio::time::timeout(self.timeout, run(line, input)).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let after = self.timeout;
                let words = format!("the command took longer than {after:?} and was killed");
                Err(RpcError::new(ErrorCode::Timeout, words))
            }
        }
    }
}

async fn run(line: &str, input: &[u8]) -> Result<Value, RpcError> {
    let failed = |what: String| RpcError::internal(format!("the command {what}"));
    let mut command = Command::new("sh");
    for variable in secret::VARIABLES {
        command.env_remove(variable);
    }
    let child = command
        .args(["-c", line])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A group of its own: it can be killed as a whole, and a signal from the terminal is for the
        // server, which lets what is under way finish.
        .process_group(0)
        .spawn()
        .map_err(|error| failed(format!("cannot be run: {error}")))?;
    let mut group = Group(child);
    let child = &mut group.0;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A command need not read its input.
            let _ = stdin.write_all(input).await;
        }
    };
    let ((), output, complaints) = tokio::join!(
        feed,
        read(stdout, OUTPUT_MAX, Beyond::Stop),
        read(stderr, COMPLAINTS_MAX, Beyond::PassOver)
    );
    let status = child.wait().await.map_err(|error| failed(error.to_string()))?;
    if output.is_cut {
        return Err(failed(format!("printed more than {OUTPUT_MAX} bytes")));
    }
    if !status.success() {
        let words = String::from_utf8_lossy(&complaints.bytes);
        return Err(match words.trim() {
            "" => failed(format!("failed without a word ({status})")),
            words => RpcError::internal(words),
        });
    }
    let text = output.bytes.trim_ascii();
    if text.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(text).map_err(|error| failed(format!("printed no JSON: {error}")))
}

/// A command and what it has started, killed when this is dropped before the command has ended.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // Without an id it has ended, and the number may be somebody else's by now.
        let id = self.0.id().and_then(|id| i32::try_from(id).ok());
        if let Some(id) = id.and_then(Pid::from_raw) {
            // It may end by itself in between.
            let _ = kill_process_group(id, Signal::KILL);
        }
    }
}

/// The beginning of what came out of a pipe.
#[derive(Default)]
struct Captured {
    bytes: Vec<u8>,
    is_cut: bool,
}

/// What becomes of bytes beyond the bound.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beyond {
    /// The pipe is closed, which ends most commands.
    Stop,
    /// They are read all the same: a pipe that nobody reads stops its writer.
    PassOver,
}

/// Reads until the end, and keeps no more than `max` bytes.
async fn read(from: Option<impl AsyncRead + Unpin>, max: usize, beyond: Beyond) -> Captured {
    let mut captured = Captured::default();
    let Some(mut from) = from else { return captured };
    let mut piece = vec![0; 16 * 1024];
    while !captured.is_cut || beyond == Beyond::PassOver {
        match from.read(&mut piece).await {
            // What cannot be read is missing from the JSON, and found there.
            Ok(0) | Err(_) => break,
            Ok(read) => {
                let room = max - captured.bytes.len();
                captured.bytes.extend(piece.iter().take(read.min(room)));
                captured.is_cut |= read > room;
            }
        }
    }
    captured
}
