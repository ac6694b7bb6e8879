//! How a command ends: one exit status for each kind of failure, and what it says on stderr.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use cndt_core::connection::CallFailure;
use cndt_core::rpc::RpcError;
use cndt_tokio::{CallError, ConnectError, ConnectErrorKind, DeliveryError, OnceError};

use crate::json;

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The peer answered with an error: 1, told as one JSON object.
    Remote(RpcError),
    /// The work itself failed: 1, told in words.
    Failed(String),
    /// The command was called wrongly: 2.
    Usage(String),
    /// No connection, no login, or the connection was lost: 3.
    Connection(String),
    /// An answer did not come in time: 4.
    TimedOut(String),
    /// What is wrong stands on stdout already: this status.
    Reported(u8),
    /// Whoever reads stdout has seen enough: 0, as `cndt … | head -1` should be.
    StdoutClosed,
}

impl Failure {
    /// No answer within `after`.
    pub(crate) fn timed_out(what: impl fmt::Display, after: Duration) -> Self {
        Self::TimedOut(format!("{what} within {after:?}; --timeout gives it longer"))
    }

    /// The words for people, where there are any.
    pub(crate) fn into_words(self) -> String {
        match self {
            Self::Remote(error) => remote_error(&error),
            Self::Failed(words)
            | Self::Usage(words)
            | Self::Connection(words)
            | Self::TimedOut(words) => words,
            Self::Reported(_) | Self::StdoutClosed => String::new(),
        }
    }

    /// Tells stderr, and gives the exit status.
    pub(crate) fn report(self) -> ExitCode {
        let (status, words) = match self {
            Self::StdoutClosed => return ExitCode::SUCCESS,
            Self::Reported(status) => return ExitCode::from(status),
            Self::Remote(error) => {
                print_error_line(&remote_error(&error));
                return ExitCode::from(1);
            }
            Self::Failed(words) => (1, words),
            Self::Usage(words) => (2, format!("{words}\n\nFor more information, try '--help'.")),
            Self::Connection(words) => (3, words),
            Self::TimedOut(words) => (4, words),
        };
        print_error_line(&format!("error: {}", printable(&words)));
        ExitCode::from(status)
    }
}

/// Errors while writing data: a closed pipe is no failure.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::StdoutClosed,
            _ => Self::Failed(format!("cannot write to stdout: {error}")),
        }
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        match error.kind {
            ConnectErrorKind::Config(wrong) => Self::Usage(wrong.to_string()),
            ConnectErrorKind::Router(_)
            | ConnectErrorKind::Io { .. }
            | ConnectErrorKind::Tls { .. }
            | ConnectErrorKind::TimedOut { .. }
            | ConnectErrorKind::Closed { .. } => Self::Connection(error.to_string()),
        }
    }
}

impl From<OnceError> for Failure {
    fn from(error: OnceError) -> Self {
        match error {
            OnceError::Connect(error) => error.into(),
            OnceError::Call(error) => error.into(),
            OnceError::Delivery(error) => error.into(),
        }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Failed(CallFailure::Remote(error)) => Self::Remote(error),
            CallError::Failed(CallFailure::TimedOut { .. }) => {
                Self::TimedOut(format!("{error}; --timeout gives it longer"))
            }
            CallError::Send(_) => Self::Usage(error.to_string()),
            CallError::NotConnected(_)
            | CallError::Decode(_)
            | CallError::Failed(
                CallFailure::ConnectionLost { .. }
                | CallFailure::Unreadable(_)
                | CallFailure::Refused,
            ) => Self::Connection(error.to_string()),
        }
    }
}

impl From<DeliveryError> for Failure {
    fn from(error: DeliveryError) -> Self {
        match error {
            DeliveryError::Send(_) => Self::Usage(error.to_string()),
            DeliveryError::TimedOut { .. }
            | DeliveryError::Unacknowledged(CallFailure::TimedOut { .. }) => {
                Self::TimedOut(error.to_string())
            }
            DeliveryError::NotConnected(_)
            | DeliveryError::Undelivered(_)
            | DeliveryError::Unacknowledged(_) => Self::Connection(error.to_string()),
        }
    }
}

fn remote_error(error: &RpcError) -> String {
    let message = json::quoted(&error.message);
    let mut line = format!("{{\"code\":{},\"message\":{message}", error.code.number());
    if let Some(details) = &error.details {
        // Details that are no MessagePack are the peer's fault, and the error itself matters more.
        if let Ok(details) = json::from_msgpack(details, json::Style::Compact) {
            line.push_str(",\"details\":");
            line.push_str(&details);
        }
    }
    line.push('}');
    line
}

/// Text of a peer may hold escape sequences; a terminal must not obey them.
pub(crate) fn printable(text: &str) -> String {
    let keeps = |c: char| c == '\n' || !c.is_control();
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if keeps(c) {
            out.push(c)
        } else {
            out.extend(c.escape_default())
        }
        out
    })
}

/// There is nobody left to tell if stderr itself fails.
pub(crate) fn print_error_line(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Whether stdout may be coloured (<https://no-color.org>).
pub(crate) fn stdout_takes_colour() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !refused && io::stdout().is_terminal()
}
