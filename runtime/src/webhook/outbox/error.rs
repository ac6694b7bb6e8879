use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::ConfigError;

/// What is wrong with an outbox.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OutboxError {
    /// A setting makes no sense. The file was not touched.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// There is no such file, and it was not to be made.
    #[error("there is no outbox {}; check the path", .path.display())]
    Missing {
        /// Its path.
        path: PathBuf,
    },
    /// Somebody has it open: one process at a time, and that one once.
    #[error("the outbox {} is in use by another process; stop that one first", .path.display())]
    InUse {
        /// Its path.
        path: PathBuf,
    },
    /// A newer version of this library wrote it.
    #[error(
        "the outbox {} has format {found}, this version knows up to {known}; update the program",
        .path.display()
    )]
    NewerFormat {
        /// Its path.
        path: PathBuf,
        /// The format of the file.
        found: u64,
        /// The newest one that is known.
        known: u64,
    },
    /// It is no outbox, or it is damaged. Nothing of it was changed.
    #[error(
        "the outbox {} is damaged or no outbox: {what}; restore it from a copy, or move it away",
        .path.display()
    )]
    Corrupted {
        /// Its path.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// The operating system says no. Of what was to be written, all or nothing was.
    #[error("the outbox {}: {error}{}", .path.display(), io_hint(.error))]
    Io {
        /// Its path.
        path: PathBuf,
        /// What it says.
        #[source]
        error: Arc<io::Error>,
    },
    /// It was closed.
    #[error("the outbox is closed; open it again")]
    Closed,
    /// It delivers already.
    #[error("the outbox has a sender already; open another one for another sender")]
    Started,
}

fn io_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; make room on the disk",
        io::ErrorKind::PermissionDenied => "; its folder must be writable",
        io::ErrorKind::NotFound => "; does its folder exist?",
        _ => "",
    }
}

/// Why a webhook was not accepted.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EnqueueError {
    /// Too much waits already.
    #[error("the outbox is full: {0}; try again later, or raise the limit")]
    Full(Fullness),
    /// The payload is too large.
    #[error("the payload has {size} bytes, at most {max} are taken (payload_max)")]
    TooLarge {
        /// Its bytes.
        size: usize,
        /// The limit.
        max: usize,
    },
    /// It cannot be delivered there.
    #[error("the URL {url:?} {why}")]
    Url {
        /// The URL, without credentials.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A header that cannot be sent, or may not be stored.
    #[error("the header {name:?} {why}")]
    Header {
        /// Its name; never its value.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The payload does not turn into JSON.
    #[error("the payload does not turn into JSON: {0}")]
    Encode(String),
    /// The operating system gave no random bytes for an id.
    #[error("no random numbers from the operating system: {0}")]
    Entropy(Arc<io::Error>),
    /// The file fails. Whether the webhook was accepted is not known after [`OutboxError::Io`]:
    /// enqueue it again under the same id.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
}

/// Which limit is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fullness {
    /// So many webhooks wait (`pending_max`).
    Count(u64),
    /// Those that wait have so many bytes (`pending_bytes_max`).
    Bytes(u64),
}

impl fmt::Display for Fullness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(max) => write!(f, "at most {max} webhooks may wait (pending_max)"),
            Self::Bytes(max) => {
                write!(f, "at most {max} bytes of webhooks may wait (pending_bytes_max)")
            }
        }
    }
}
