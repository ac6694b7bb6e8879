//! Handlers that are shell commands.

use std::process::Stdio;

use cndt_tokio::RpcError;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

/// Bytes that a command may print.
const OUTPUT_MAX: u64 = 16 * 1024 * 1024;

/// Runs a shell line with `input` on its stdin. What it prints is the result, as JSON; nothing is
/// `null`. It is killed when the future is dropped.
///
/// # Errors
/// A status other than 0, with what it said on stderr; or what it printed is no JSON.
pub(crate) async fn run(line: &str, input: &[u8]) -> Result<Value, RpcError> {
    let failed = |what: &str| RpcError::internal(format!("`{line}` {what}"));
    let mut child = Command::new("sh")
        .args(["-c", line])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(&format!("cannot be run: {error}")))?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A command need not read its input.
            let _ = stdin.write_all(input).await;
        }
    };
    let ((), output, errors) = tokio::join!(feed, read(stdout), read(stderr));
    let status = child.wait().await.map_err(|error| failed(&error.to_string()))?;
    if !status.success() {
        let words = String::from_utf8_lossy(&errors);
        return Err(RpcError::internal(words.trim()));
    }
    let text = output.trim_ascii();
    if text.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(text).map_err(|error| failed(&format!("printed no JSON: {error}")))
}

async fn read(from: Option<impl tokio::io::AsyncRead + Unpin>) -> Vec<u8> {
    let mut all = Vec::new();
    if let Some(from) = from {
        // What cannot be read is missing from the JSON, and found there.
        let _ = from.take(OUTPUT_MAX).read_to_end(&mut all).await;
    }
    all
}
