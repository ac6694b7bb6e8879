//! What is spoken at an address: asks a short question of each protocol and looks how answers begin.

use std::io;
use std::time::Duration;

use cndt_tokio::{Address, Runtime, Tokio};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout};

use crate::exit;

/// How long one question waits for its answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Discovery, as JSON-RPC names it.
const JSONRPC_QUESTION: &[u8] =
    b"{\"jsonrpc\":\"2.0\",\"id\":\"cndt\",\"method\":\"rpc.discover\"}\n";

/// Bytes of a header, in both dialects.
const HEADER: usize = 32;

/// Bytes by which anything but a frame shows itself: as far as the status of HTTP.
const BEGINNING: usize = 13;

/// Bytes of an answer that are looked at.
const ANSWER_MAX: usize = 1024;

/// What somebody speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Spoken {
    Tls,
    Cndt,
    Netconduit,
    Http,
    JsonRpc,
    /// How the answer begins, fit for a terminal.
    Other(String),
}

/// Whether a login may be tried that is known to be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Nothing that a server would take for an attack.
    Polite,
    /// Dialect `netconduit` shows itself by nothing but a refused login. It holds no secret.
    Login,
}

/// What was found out.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// The most telling first; nothing if nobody answers anything.
    pub(crate) spoken: Vec<Spoken>,
    /// What a CNDT peer tells before anybody has logged in.
    pub(crate) told: Option<Told>,
}

/// What a CNDT peer tells strangers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    /// The largest payload that it takes, in bytes.
    pub(crate) frame_max: Option<u64>,
    /// Whether it takes compressed payloads.
    pub(crate) zlib: Option<bool>,
    /// How slow each guess at a password is.
    pub(crate) iterations: Option<u32>,
    /// How far its clock is ahead of this one, in milliseconds, the way there included.
    pub(crate) clock_ahead: i64,
    /// Whether it refuses as the Python package does, without a code.
    pub(crate) is_python: bool,
}

/// What is spoken there.
pub(crate) async fn identify(place: &Address, depth: Depth) -> Findings {
    let (tls, cndt, http, jsonrpc) = tokio::join!(
        ask(place, tls_question()),
        ask(place, cndt_question()),
        ask(place, b"GET / HTTP/1.0\r\n\r\n".to_vec()),
        ask(place, JSONRPC_QUESTION.to_vec()),
    );
    let polite = findings(&[tls, cndt, http, jsonrpc]);
    if depth == Depth::Polite || !polite.spoken.is_empty() {
        return polite;
    }
    findings(&[ask(place, netconduit_question()).await])
}

/// What a web server says to `GET /health`, and how soon.
pub(crate) async fn health(place: &Address) -> (Option<u16>, Duration) {
    let begun = Instant::now();
    let answer = ask(place, b"GET /health HTTP/1.0\r\n\r\n".to_vec()).await;
    let line = String::from_utf8_lossy(&answer.bytes);
    let status = line.strip_prefix("HTTP/").and_then(|line| line.split(' ').nth(1)?.parse().ok());
    (status, begun.elapsed())
}

fn findings(answers: &[Answer]) -> Findings {
    let mut spoken: Vec<Spoken> =
        answers.iter().filter_map(|answer| heard(&answer.bytes)).collect();
    let rank = |spoken: &Spoken| match spoken {
        Spoken::Tls => 0,
        Spoken::Cndt => 1,
        Spoken::Netconduit => 2,
        Spoken::Http => 3,
        Spoken::JsonRpc => 4,
        Spoken::Other(_) => 5,
    };
    spoken.sort_by_key(rank);
    spoken.dedup();
    // Behind TLS, whatever is said without it is about that.
    if spoken.first() == Some(&Spoken::Tls) {
        spoken.truncate(1);
    }
    Findings { spoken, told: answers.iter().find_map(told) }
}

/// What stands in a frame that answers a login.
fn told(answer: &Answer) -> Option<Told> {
    let bytes = answer.bytes.as_slice();
    let (header, body) = bytes.split_at_checked(HEADER)?;
    let stamp_at = match frame(bytes)? {
        Spoken::Cndt => 20,
        Spoken::Netconduit => 24,
        Spoken::Tls | Spoken::Http | Spoken::JsonRpc | Spoken::Other(_) => return None,
    };
    let stamp = u64::from_be_bytes(*header.get(stamp_at..)?.first_chunk()?);
    let body: Value = cndt_tokio::from_slice(body).ok()?;
    let scram = body["scram"].as_str().unwrap_or_default();
    Some(Told {
        frame_max: body["caps"]["max_frame"].as_u64(),
        zlib: body["caps"]["zlib"].as_bool(),
        iterations: scram.split(',').find_map(|part| part.strip_prefix("i=")?.parse().ok()),
        clock_ahead: i64::try_from(stamp).ok()?.checked_sub(i64::try_from(answer.came).ok()?)?,
        is_python: body.get("reason").is_some() && body.get("code").is_none(),
    })
}

/// What an answer that begins so is of.
fn heard(answer: &[u8]) -> Option<Spoken> {
    let text = answer.trim_ascii_start();
    match answer {
        [] => None,
        // An alert, or a handshake.
        [0x15 | 0x16, 0x03, ..] => Some(Spoken::Tls),
        [b'C', b'N', b'D', b'T', ..] => frame(answer),
        _ if answer.starts_with(b"HTTP/") => Some(Spoken::Http),
        _ if text.starts_with(b"{") || text.starts_with(b"[") => Some(Spoken::JsonRpc),
        _ if answer.starts_with(b"Content-Length:") => Some(Spoken::JsonRpc),
        _ => {
            let beginning = answer.get(..40).unwrap_or(answer);
            let beginning = String::from_utf8_lossy(beginning);
            let line = beginning.lines().next().unwrap_or_default();
            Some(Spoken::Other(exit::printable(line)))
        }
    }
}

/// A frame; one that only says that its dialect is not taken says nothing for it.
fn frame(answer: &[u8]) -> Option<Spoken> {
    let spoken = if answer.get(5)? == &0 { Spoken::Netconduit } else { Spoken::Cndt };
    let refusal = answer.get(HEADER..).and_then(|body| cndt_tokio::from_slice::<Value>(body).ok());
    let is_refused = refusal.is_some_and(|refusal| refusal["code"] == "mech_required");
    (!is_refused).then_some(spoken)
}

/// The beginning of what came back; nothing if nothing did.
struct Answer {
    bytes: Vec<u8>,
    /// When it was there, in unix milliseconds.
    came: u64,
}

async fn ask(place: &Address, question: Vec<u8>) -> Answer {
    let mut answer = Vec::new();
    let asking = async {
        match place {
            Address::Tcp { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                exchange(stream, &question, &mut answer).await
            }
            Address::Unix(path) => {
                let stream = UnixStream::connect(path).await?;
                exchange(stream, &question, &mut answer).await
            }
        }
    };
    // Whatever ends it: what has come counts.
    let _ = timeout(PATIENCE, asking).await;
    Answer { bytes: answer, came: Tokio.unix_millis() }
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    question: &[u8],
    answer: &mut Vec<u8>,
) -> io::Result<()> {
    stream.write_all(question).await?;
    let mut piece = [0; ANSWER_MAX];
    while answer.len() < ANSWER_MAX {
        let read = stream.read(&mut piece).await?;
        if read == 0 {
            break;
        }
        answer.extend(piece.iter().take(read));
        if is_enough(answer) {
            break;
        }
    }
    Ok(())
}

/// Frames are read whole; everything else shows itself by its beginning.
fn is_enough(answer: &[u8]) -> bool {
    if !b"CNDT".starts_with(answer.get(..4).unwrap_or(answer)) {
        return answer.len() >= BEGINNING;
    }
    let Some(header) = answer.get(..HEADER) else { return false };
    let at = if header.get(5) == Some(&0) { 12 } else { 8 };
    let length = header.get(at..).and_then(|rest| rest.first_chunk()).copied();
    let length = usize::try_from(u32::from_be_bytes(length.unwrap_or_default()));
    answer.len() - HEADER >= length.unwrap_or(usize::MAX)
}

/// A ClientHello of TLS 1.2 that offers hardly anything: every server answers, if only by an alert.
fn tls_question() -> Vec<u8> {
    let mut hello = vec![0x03, 0x03];
    hello.extend([0x43; 32]);
    hello.extend([0x00, 0x00, 0x04, 0xc0, 0x2f, 0xc0, 0x2b, 0x01, 0x00]);
    let length = u8::try_from(hello.len()).unwrap_or_default();
    let mut record = vec![0x16, 0x03, 0x01, 0x00, length + 4, 0x01, 0x00, 0x00, length];
    record.extend(hello);
    record
}

/// The beginning of a login in dialect `cndt`, which is never finished.
fn cndt_question() -> Vec<u8> {
    let nonce = "Y25kdCBkb2N0b3IgYXNrcyB3aG8gaXMgdGhlcmUgbm8=";
    let payload = encoded(&json!({
        "mechs": ["SCRAM-SHA-256"],
        "scram": format!("n,,n=default,r={nonce}"),
        "caps": {"max_frame": 65536, "zlib": false},
        "client_info": {"name": "cndt", "version": env!("CARGO_PKG_VERSION")},
    }));
    let length = u32::try_from(payload.len()).unwrap_or_default().to_be_bytes();
    let id = 1_u64.to_be_bytes();
    let head = [b"CNDT\x01\x10\x00\x00", &length[..], &id, &[0; 12]].concat();
    [head, payload].concat()
}

/// A login in dialect `netconduit` with the hash of no password.
fn netconduit_question() -> Vec<u8> {
    let payload = encoded(&json!({
        "password_hash": "0".repeat(64),
        "client_info": {"name": "cndt", "version": env!("CARGO_PKG_VERSION")},
    }));
    let length = u32::try_from(payload.len()).unwrap_or_default().to_be_bytes();
    let head = [b"CNDT\x01\x00\x00\x07\x00\x00\x00\x00", &length[..], &[0; 16]].concat();
    [head, payload].concat()
}

fn encoded(value: &Value) -> Vec<u8> {
    // A map of texts can always be written.
    rmp_serde::to_vec_named(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Spoken, heard};

    #[test]
    fn answers_are_told_apart_by_how_they_begin() {
        let other = |text: &str| Spoken::Other(text.to_owned());
        for (answer, expected) in [
            (&b""[..], None),
            (b"\x15\x03\x03\x00\x02\x02\x28", Some(Spoken::Tls)),
            (b"HTTP/1.1 400 Bad Request", Some(Spoken::Http)),
            (b" {\"jsonrpc\"", Some(Spoken::JsonRpc)),
            (b"Content-Length: 3", Some(Spoken::JsonRpc)),
            (b"CNDT\x01\x13\0\0\0\0\0\0", Some(Spoken::Cndt)),
            (b"CNDT\x01\0\0\x09\0\0\0\0", Some(Spoken::Netconduit)),
            (b"CNDT", None),
            (b"SSH-2.0-x\r\nmore", Some(other("SSH-2.0-x"))),
            (b"\x1b[2Jx", Some(other("\\u{1b}[2Jx"))),
        ] {
            assert_eq!(heard(answer), expected, "{answer:?}");
        }
    }
}
