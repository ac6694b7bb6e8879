use bytes::{Bytes, BytesMut};

use super::encode::Envelope;
use super::event::SendError;
use crate::limits::Limits;
use crate::message::{Body, rpc};
use crate::wire::{Dialect, Flags, Kind};

/// A message that is encoded once and sent on many connections: a broadcast.
///
/// ```
/// use cndt_core::connection::SharedMessage;
/// use cndt_core::limits::Limits;
/// use cndt_core::message::Raw;
/// use cndt_core::wire::Dialect;
///
/// let news = SharedMessage::encode(
///     Dialect::Netconduit, 1_700_000_000_000, "news", &Raw(&[0xc3]), false, &Limits::default())?;
/// assert_eq!(news.dialect(), Dialect::Netconduit);
/// # Ok::<(), cndt_core::connection::SendError>(())
/// ```
#[derive(Debug, Clone)]
pub struct SharedMessage {
    dialect: Dialect,
    frame: Bytes,
}

impl SharedMessage {
    /// Encodes a message for peers of one dialect. `unix_millis` is its timestamp; `compression`
    /// and `limits` are those of the connections that will send it.
    ///
    /// # Errors
    /// As `Connection::send`, but never `Blocked`.
    pub fn encode<B: Body + ?Sized>(
        dialect: Dialect,
        unix_millis: u64,
        name: &str,
        data: &B,
        compression: bool,
        limits: &Limits,
    ) -> Result<Self, SendError> {
        let envelope = Envelope {
            dialect,
            kind: Kind::Message,
            flags: Flags::empty(),
            correlation: 0,
            timestamp: unix_millis,
            frame_max: limits.frame_max,
            compression,
        };
        let mut frame = BytesMut::new();
        envelope.write(&mut frame, |out| rpc::write_message(out, name, data))?;
        Ok(Self { dialect, frame: frame.freeze() })
    }

    /// The dialect of the connections that can send it.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The whole frame, header included.
    pub fn frame(&self) -> &Bytes {
        &self.frame
    }
}
