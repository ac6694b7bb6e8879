//! What is spoken at an address: asks a short question of each protocol and looks how answers begin.

use std::io;
use std::time::Duration;

use cndt_tokio::Address;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::exit;

/// How long one question waits for its answer.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Discovery, as JSON-RPC names it.
const JSONRPC_QUESTION: &[u8] =
    b"{\"jsonrpc\":\"2.0\",\"id\":\"cndt\",\"method\":\"rpc.discover\"}\n";

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

/// What is spoken there, the most telling first; nothing if nobody answers anything.
pub(crate) async fn identify(place: &Address, depth: Depth) -> Vec<Spoken> {
    let login = async {
        match depth {
            Depth::Polite => Vec::new(),
            Depth::Login => ask(place, netconduit_question()).await,
        }
    };
    let (tls, cndt, netconduit, http, jsonrpc) = tokio::join!(
        ask(place, tls_question()),
        ask(place, cndt_question()),
        login,
        ask(place, b"GET / HTTP/1.0\r\n\r\n".to_vec()),
        ask(place, JSONRPC_QUESTION.to_vec()),
    );
    let mut all: Vec<Spoken> = [&tls, &cndt, &netconduit, &http, &jsonrpc]
        .into_iter()
        .filter_map(|answer| heard(answer))
        .collect();
    let rank = |spoken: &Spoken| match spoken {
        Spoken::Tls => 0,
        Spoken::Cndt => 1,
        Spoken::Netconduit => 2,
        Spoken::Http => 3,
        Spoken::JsonRpc => 4,
        Spoken::Other(_) => 5,
    };
    all.sort_by_key(rank);
    all.dedup();
    // Behind TLS, whatever is said without it is about that.
    if all.first() == Some(&Spoken::Tls) {
        all.truncate(1);
    }
    all
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
    // Dialects differ from the sixth byte on, and in where their headers end: at 32 bytes in both.
    let spoken = if answer.get(5)? == &0 { Spoken::Netconduit } else { Spoken::Cndt };
    let refusal = answer.get(32..).and_then(|body| cndt_tokio::from_slice::<Value>(body).ok());
    let is_refused = refusal.is_some_and(|refusal| refusal["code"] == "mech_required");
    (!is_refused).then_some(spoken)
}

/// The beginning of what comes back; nothing if nothing does.
async fn ask(place: &Address, question: Vec<u8>) -> Vec<u8> {
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
    answer
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
        return answer.len() >= 8;
    }
    let Some(header) = answer.get(..32) else { return false };
    let at = if header.get(5) == Some(&0) { 12 } else { 8 };
    let length = header.get(at..).and_then(|rest| rest.first_chunk()).copied();
    let length = usize::try_from(u32::from_be_bytes(length.unwrap_or_default()));
    answer.len() - 32 >= length.unwrap_or(usize::MAX)
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
