use core::fmt;

use bytes::{Bytes, BytesMut};

use super::encode::Envelope;
use super::event::SendError;
use crate::limits::Limits;
use crate::message::{Body, rpc};
use crate::wire::{Dialect, Flags, HEADER_LEN, Kind};

/// Most messages are no larger, so that their frame is allocated once.
const FRAME_GUESS: usize = 256;

/// How frames for a peer are written: connections of one format can share them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Format {
    /// The dialect.
    pub dialect: Dialect,
    /// Whether large payloads are compressed: this side wants to and the peer can read them.
    pub compression: bool,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let compression = if self.compression { "with" } else { "without" };
        write!(f, "dialect {} {compression} compression", self.dialect)
    }
}

/// What happens to a shared message for which a connection has no room: its peer reads too slowly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Overflow {
    /// It is refused as `SendError::Blocked`, like any other: the newest is lost.
    #[default]
    Refuse,
    /// It is refused as `SendError::Blocked`, and not counted as dropped: whoever sends it waits
    /// for `Event::Writable` and tries again.
    Wait,
    /// The oldest messages that were queued in this way make room. Those of which a part may have
    /// been written stay, and so does what was sent in another way; if there is nothing else, the
    /// new one is refused.
    DropOldest,
    /// The connection ends at once, with `CloseReason::TooSlow`.
    Disconnect,
}

/// A message that is encoded once and sent on many connections: a broadcast.
///
/// ```
/// use cndt_core::connection::{Format, SharedMessage};
/// use cndt_core::limits::Limits;
/// use cndt_core::message::Raw;
/// use cndt_core::wire::Dialect;
///
/// let format = Format { dialect: Dialect::Cndt, compression: false };
/// let news = SharedMessage::encode(
///     format, 1_700_000_000_000, "news", &Raw(&[0xc3]), &Limits::default())?;
/// assert_eq!(news.format(), format);
/// # Ok::<(), cndt_core::connection::SendError>(())
/// ```
#[derive(Debug, Clone)]
pub struct SharedMessage {
    format: Format,
    frame: Bytes,
}

impl SharedMessage {
    /// Encodes a message for connections of one format. `unix_millis` is its timestamp, `limits`
    /// are those of the connections.
    ///
    /// # Errors
    /// As `Connection::send`, but never `Blocked`.
    pub fn encode<B: Body + ?Sized>(
        format: Format,
        unix_millis: u64,
        name: &str,
        data: &B,
        limits: &Limits,
    ) -> Result<Self, SendError> {
        let envelope = Envelope {
            dialect: format.dialect,
            kind: Kind::Message,
            flags: Flags::empty(),
            correlation: 0,
            timestamp: unix_millis,
            frame_max: limits.frame_max,
            compression: format.compression,
        };
        let mut frame = BytesMut::with_capacity(FRAME_GUESS);
        envelope.write(&mut frame, |out| rpc::write_message(out, name, data))?;
        Ok(Self { format, frame: frame.freeze() })
    }

    /// What it was encoded for.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Bytes of its payload.
    pub(super) fn payload_len(&self) -> usize {
        self.frame.len().saturating_sub(HEADER_LEN)
    }

    /// The whole frame, header included.
    pub fn frame(&self) -> &Bytes {
        &self.frame
    }
}
