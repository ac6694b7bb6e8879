//! Why bytes are no frame.

use super::Dialect;

/// Bytes that are no frame, and where. The stream behind them cannot be interpreted: close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind} (byte {offset} of the stream)")]
pub struct WireError {
    /// Position of the byte at fault, counted from the first byte of the connection.
    pub offset: u64,
    /// What is wrong with it.
    pub kind: WireErrorKind,
}

/// What is wrong with a header. Never about a payload: those are opaque here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireErrorKind {
    /// One of the four bytes of the magic differs: the peer speaks another protocol.
    #[error(
        "not a CNDT stream: byte {found:#04x} where the magic has {expected:#04x}; \
         check that the peer speaks CNDT, without TLS or HTTP in between"
    )]
    BadMagic {
        /// The byte received.
        found: u8,
        /// The byte of the magic at this place.
        expected: u8,
    },
    /// A byte of the version differs: 01 in `cndt`, 01 00 in `netconduit`.
    #[error(
        "unknown protocol version: byte {found:#04x} where {expected:#04x} is known; \
         use a peer of this version, and one dialect per connection"
    )]
    BadVersion {
        /// The byte received.
        found: u8,
        /// The byte of the one known version at this place.
        expected: u8,
    },
    /// Dialect `cndt` never uses type 0: that byte tells `netconduit` apart.
    #[error("type 0 is reserved in dialect cndt; a peer keeps one dialect per connection")]
    ReservedType0,
    /// The first frame is of a dialect outside the accepted set.
    #[error("the peer speaks dialect {0}, not accepted here: accept it, or change the peer")]
    DialectNotAccepted(Dialect),
    /// The header announces a larger payload than this side takes.
    #[error(
        "a payload of {length} bytes is announced, and {max} are allowed: \
         raise the limit, or send less"
    )]
    FrameTooLarge {
        /// Payload bytes announced.
        length: u32,
        /// Payload bytes allowed.
        max: usize,
    },
}
