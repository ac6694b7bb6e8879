use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use crate::auth::write_hex;

/// Bytes that an id may have: room for what senders use, and for a line in a log.
pub const ID_LENGTH_MAX: usize = 256;

/// The id of a delivery that is to be signed: 1 to 256 printable ASCII characters without spaces and
/// without dots. It stays the same when the delivery is tried again.
///
/// A dot parts the id from the timestamp in what is signed; in an id it would let one signature stand
/// for two messages. Spaces are taken off the ends of headers on the way, and nothing but ASCII
/// passes every HTTP library unchanged.
///
/// ```
/// use cndt_core::webhook::MessageId;
///
/// // From the operating system's generator, in earnest.
/// let id = MessageId::new([0x2a; 16]);
/// assert_eq!(id.as_str(), "msg_2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a");
/// assert!("order-7".parse::<MessageId>().is_ok());
/// assert!("order.7".parse::<MessageId>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(String);

/// What is no id of a delivery.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an id has 1 to 256 printable ASCII characters, no space and no dot; {0:?} does not")]
pub struct MessageIdError(String);

impl MessageId {
    /// `msg_` and the hex of these bytes, which must be random.
    pub fn new(entropy: [u8; 16]) -> Self {
        let mut hex = [0; 32];
        write_hex(&entropy, &mut hex);
        let mut id = String::with_capacity(36);
        id.push_str("msg_");
        id.extend(hex.into_iter().map(char::from));
        Self(id)
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MessageId {
    type Err = MessageIdError;

    fn from_str(id: &str) -> Result<Self, MessageIdError> {
        match is_signable(id.as_bytes()) {
            true => Ok(Self(String::from(id))),
            false => Err(MessageIdError(id.chars().take(ID_LENGTH_MAX).collect())),
        }
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The id of a delivery that was received, and what it is worth.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DeliveryId {
    /// It is covered by the signature: the sender gave it.
    Signed(String),
    /// It is not: whoever passed the request on may have changed it. Good enough to recognize a
    /// delivery that an honest sender tries again, not to recognize a replay.
    Unsigned(String),
}

impl DeliveryId {
    /// The id, whatever it is worth.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Signed(id) | Self::Unsigned(id) => id,
        }
    }
}

/// Whether an id can be part of what is signed.
pub(super) fn is_signable(id: &[u8]) -> bool {
    is_plain(id) && !id.contains(&b'.')
}

/// Whether an id is fit for headers, logs and maps. Without a signature around it, dots do no harm.
pub(super) fn is_plain(id: &[u8]) -> bool {
    (1..=ID_LENGTH_MAX).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}
