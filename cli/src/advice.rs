//! Why there is no connection, and what to do about it.

use std::fmt::Display;
use std::io;
use std::time::Duration;

use cndt_core::connection::CloseReason;
use cndt_core::message::auth::RefusalCode;
use cndt_core::wire::{Dialect, WireErrorKind};
use cndt_tokio::{Address as Place, Client, ClientHandle, ConnectError, ConnectErrorKind};
use tokio::time::timeout;

use crate::address::Address;
use crate::args::DialectName;
use crate::exit::Failure;
use crate::probe::{self, Depth, Spoken};

/// What this side speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Cndt(DialectName),
    JsonRpc,
}

/// A login that takes so long may be waiting for somebody who speaks something else.
const SUSPICION: Duration = Duration::from_secs(2);

/// Connects, and asks the peer what else it speaks if it keeps silent.
pub(crate) async fn connect(
    client: Client,
    address: &Address,
    wanted: Wanted,
) -> Result<ClientHandle, Failure> {
    let connecting = client.connect();
    tokio::pin!(connecting);
    let outcome = match timeout(SUSPICION, &mut connecting).await {
        Ok(outcome) => outcome,
        Err(_) => {
            let spoken = probe::identify(&address.place, Depth::Polite).await.spoken;
            if is_hopeless(&spoken, address, wanted) {
                let advice = mismatch(&spoken, address, wanted);
                let words = format!("cannot connect to {}: no login; {advice}", address.place);
                return Err(Failure::Connection(words));
            }
            connecting.await
        }
    };
    match outcome {
        Ok(client) => Ok(client),
        Err(error) => Err(failure(error, address, wanted).await),
    }
}

/// What becomes of a command that has no connection. It may ask the peer what else it speaks.
pub(crate) async fn failure(error: ConnectError, address: &Address, wanted: Wanted) -> Failure {
    if let ConnectErrorKind::Config(_) | ConnectErrorKind::Router(_) = &error.kind {
        return error.into();
    }
    let why = why(&error.kind, address, wanted);
    let words = match why {
        Why::Known(words) => words,
        Why::Doubtful(words) => {
            let spoken = probe::identify(&address.place, Depth::Polite).await.spoken;
            format!("{words}; {}", mismatch(&spoken, address, wanted))
        }
    };
    Failure::Connection(format!("cannot connect to {}: {words}", error.address))
}

/// What the connection that a call was lost on may have been.
pub(crate) async fn lost(words: &str, address: &Address, wanted: Wanted) -> Failure {
    let spoken = probe::identify(&address.place, Depth::Polite).await.spoken;
    // One that speaks what it should has hung up for another reason.
    let is_right = spoken.iter().any(|spoken| fits(spoken, address, wanted));
    let advice =
        if is_right { String::new() } else { format!("; {}", mismatch(&spoken, address, wanted)) };
    Failure::Connection(format!("{words}{advice}"))
}

enum Why {
    Known(String),
    /// The peer may speak something else.
    Doubtful(String),
}

fn why(kind: &ConnectErrorKind, address: &Address, wanted: Wanted) -> Why {
    match kind {
        ConnectErrorKind::Io { error } => Why::Known(unreachable(error, address)),
        ConnectErrorKind::Tls { error } => without_tls(error),
        ConnectErrorKind::Closed { reason, io } => closed(reason, io.as_deref(), address, wanted),
        ConnectErrorKind::TimedOut { .. }
        | ConnectErrorKind::Config(_)
        | ConnectErrorKind::Router(_) => Why::Known(kind.to_string()),
    }
}

/// The operating system says no.
pub(crate) fn unreachable(error: &io::Error, address: &Address) -> String {
    let advice = match (&address.place, error.kind()) {
        (Place::Unix(path), io::ErrorKind::NotFound) => {
            let path = path.display();
            format!("; there is no socket; start a server with `cndt serve --bind unix:{path}`")
        }
        (Place::Unix(_), io::ErrorKind::PermissionDenied) => {
            "; check the socket's permissions".to_owned()
        }
        (Place::Unix(_), io::ErrorKind::ConnectionRefused) => {
            "; nobody listens on this socket: is the server still running?".to_owned()
        }
        (Place::Tcp { .. }, io::ErrorKind::ConnectionRefused) => {
            "; is a server listening there? start one with `cndt serve`".to_owned()
        }
        (Place::Tcp { host, .. }, _) if is_unknown_host(error) => {
            format!("; check the host name `{host}`")
        }
        _ => String::new(),
    };
    format!("{error}{advice}")
}

/// Resolvers have no codes of the operating system.
fn is_unknown_host(error: &io::Error) -> bool {
    error.raw_os_error().is_none()
        && (error.kind() == io::ErrorKind::NotFound || error.to_string().contains("lookup"))
}

fn without_tls(error: &io::Error) -> Why {
    let words = error.to_string();
    let known = |advice: &str| Why::Known(format!("no TLS: {words}; {advice}"));
    if error.kind() == io::ErrorKind::InvalidInput {
        return known("name the server as in its certificate: --tls-server-name NAME");
    }
    if words.contains("UnknownIssuer") || words.contains("CaUsedAsEndEntity") {
        return known("name the authority that has issued its certificate: --tls-ca FILE");
    }
    if words.contains("not valid for name") || words.contains("NotValidForName") {
        return known("name the server as in its certificate: --tls-server-name NAME");
    }
    if words.contains("invalid peer certificate") {
        return known("check the server's certificate and this machine's clock");
    }
    if wants_certificate(&words) {
        return known(SHOW_CERTIFICATE);
    }
    Why::Doubtful(format!("no TLS: {words}"))
}

const SHOW_CERTIFICATE: &str = "the server wants a certificate: --tls-cert FILE --tls-key FILE";

fn wants_certificate(words: &str) -> bool {
    words.contains("CertificateRequired")
}

/// There was a connection, and it ended before anybody was logged in.
fn closed(reason: &CloseReason, io: Option<&io::Error>, address: &Address, wanted: Wanted) -> Why {
    match reason {
        CloseReason::LoginRefused(failure) => match failure.code {
            RefusalCode::MechRequired => Why::Known(match wanted {
                Wanted::Cndt(DialectName::Cndt) => dialect(Dialect::Netconduit),
                Wanted::Cndt(DialectName::Netconduit) => dialect(Dialect::Cndt),
                Wanted::JsonRpc => reason.to_string(),
            }),
            RefusalCode::AuthFailed | RefusalCode::Unspecified => {
                Why::Known(format!("{reason} (--user, CNDT_PASSWORD or --password-file)"))
            }
            RefusalCode::Busy => {
                Why::Known(format!("{reason}; `cndt serve --max-connections N` has more room"))
            }
            RefusalCode::Protocol => Why::Known(reason.to_string()),
        },
        CloseReason::OtherDialect(other) => Why::Known(dialect(*other)),
        CloseReason::Wire(error) => match &error.kind {
            WireErrorKind::BadMagic { found, .. } => {
                let words = "what answers there is no CNDT peer";
                match heard(*found) {
                    Some(spoken) => {
                        Why::Known(format!("{words}; {}", mismatch(&[spoken], address, wanted)))
                    }
                    None => Why::Doubtful(words.into()),
                }
            }
            WireErrorKind::BadVersion { .. }
            | WireErrorKind::ReservedType0
            | WireErrorKind::DialectNotAccepted(_)
            | WireErrorKind::FrameTooLarge { .. } => {
                Why::Known(format!("{reason}; what answers there is no CNDT peer of this kind"))
            }
        },
        CloseReason::LoginUnanswered => {
            Why::Doubtful("the peer ended the connection instead of answering the login".into())
        }
        CloseReason::AuthTimeout { after } => Why::Doubtful(format!("no login within {after:?}")),
        CloseReason::TransportLost => {
            let words = io.map_or_else(|| reason.to_string(), |io| format!("{reason} ({io})"));
            if wants_certificate(&words) {
                Why::Known(format!("{words}; {SHOW_CERTIFICATE}"))
            } else {
                Why::Doubtful(words)
            }
        }
        CloseReason::Local
        | CloseReason::Peer
        | CloseReason::LoginRejected(_)
        | CloseReason::HeartbeatTimeout { .. }
        | CloseReason::PausedTooLong { .. }
        | CloseReason::FrameTimeout { .. }
        | CloseReason::Stalled { .. }
        | CloseReason::TooSlow
        | CloseReason::Idle { .. }
        | CloseReason::Text(_)
        | CloseReason::Violation(_) => Why::Known(reason.to_string()),
    }
}

/// What begins with this byte where the magic should be.
fn heard(byte: u8) -> Option<Spoken> {
    match byte {
        0x15 | 0x16 => Some(Spoken::Tls),
        b'H' => Some(Spoken::Http),
        b'{' | b'[' => Some(Spoken::JsonRpc),
        _ => None,
    }
}

/// Whether it is what was wanted.
pub(crate) fn fits(spoken: &Spoken, address: &Address, wanted: Wanted) -> bool {
    match (spoken, wanted) {
        (Spoken::Tls, _) => address.tls,
        (Spoken::Cndt, Wanted::Cndt(DialectName::Cndt))
        | (Spoken::Netconduit, Wanted::Cndt(DialectName::Netconduit))
        | (Spoken::JsonRpc, Wanted::JsonRpc) => !address.tls,
        (
            Spoken::Cndt | Spoken::Netconduit | Spoken::JsonRpc | Spoken::Http | Spoken::Other(_),
            _,
        ) => false,
    }
}

/// Whether somebody answers, and never what is waited for. A server that knows only dialect
/// `netconduit` answers none of the polite questions.
fn is_hopeless(spoken: &[Spoken], address: &Address, wanted: Wanted) -> bool {
    !spoken.is_empty() && !spoken.iter().any(|spoken| fits(spoken, address, wanted))
}

/// What to do about a peer that speaks something else.
pub(crate) fn mismatch(spoken: &[Spoken], address: &Address, wanted: Wanted) -> String {
    let place = &address.place;
    let Some(first) = spoken.first() else {
        let closer = format!("`cndt doctor {address}` looks closer");
        return match wanted {
            Wanted::Cndt(DialectName::Cndt) => {
                format!("if it is a netconduit server, add --dialect netconduit; {closer}")
            }
            Wanted::Cndt(DialectName::Netconduit) => {
                format!("if it is no netconduit server, leave --dialect away; {closer}")
            }
            Wanted::JsonRpc => {
                format!("is it a JSON-RPC server, and of this --framing? {closer}")
            }
        };
    };
    if address.tls && !matches!(first, Spoken::Tls) {
        let scheme = if address.is_jsonrpc { "jsonrpc" } else { "cndt" };
        return format!("no TLS is spoken there: use {scheme}://{place}");
    }
    match first {
        Spoken::Tls if address.tls => {
            format!("TLS is spoken there; `cndt doctor {address}` looks closer")
        }
        Spoken::Tls => match wanted {
            Wanted::Cndt(_) => format!("TLS is spoken there: use cndts://{place}"),
            Wanted::JsonRpc => format!("TLS is spoken there: use jsonrpcs://{place}"),
        },
        Spoken::Http => {
            format!("HTTP is spoken there: for webhooks use `cndt webhook send http://{place}/…`")
        }
        Spoken::JsonRpc if wanted == Wanted::JsonRpc => {
            "JSON-RPC is spoken there; try another --framing".to_owned()
        }
        Spoken::JsonRpc => {
            format!("JSON-RPC is spoken there: use `cndt jsonrpc call {place} METHOD`")
        }
        Spoken::Cndt if wanted == Wanted::Cndt(DialectName::Cndt) => {
            "CNDT is spoken there, so it may work if tried again".to_owned()
        }
        Spoken::Cndt if wanted == Wanted::JsonRpc => {
            format!("CNDT is spoken there: use `cndt call {place} METHOD`")
        }
        Spoken::Cndt => dialect(Dialect::Cndt),
        Spoken::Netconduit => dialect(Dialect::Netconduit),
        Spoken::Other(beginning) => {
            format!("something else is spoken there, which begins with `{beginning}`")
        }
    }
}

/// How to name a dialect.
fn dialect(dialect: impl Display) -> String {
    format!("the peer speaks the {dialect} dialect: add --dialect {dialect}")
}
