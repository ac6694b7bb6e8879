//! Header flags, by meaning instead of by bit.

use super::Dialect;
use core::{fmt, ops::BitOr};

/// A set of header flags, independent of the dialect that carries it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags(u8);

// The bits inside are those of dialect `cndt`, followed by what only `netconduit` has, so that the
// common case costs one mask.
const CNDT_BITS: u16 = 0x1F;
const NETCONDUIT_BITS: u16 = 0x7F;

impl Flags {
    /// The payload is a zlib stream.
    pub const COMPRESSED: Self = Self(0x01);
    /// Reserved by both dialects; nothing encrypts.
    pub const ENCRYPTED: Self = Self(0x02);
    /// Ahead of ordinary frames; the only PRIORITY of dialect `netconduit`.
    pub const PRIORITY_HIGH: Self = Self(0x04);
    /// Behind ordinary frames; `cndt` only.
    pub const PRIORITY_LOW: Self = Self(0x08);
    /// The receiver answers with ACK or NACK.
    pub const REQUIRES_ACK: Self = Self(0x10);
    /// A part of a larger message; `netconduit` only, and never seen.
    pub const FRAGMENT: Self = Self(0x20);
    /// The last part of a larger message; `netconduit` only, and never seen.
    pub const LAST_FRAGMENT: Self = Self(0x40);
    /// The payload is not MessagePack; `netconduit` only, and never seen.
    pub const BINARY: Self = Self(0x80);

    const NAMED: [(Self, &'static str); 8] = [
        (Self::COMPRESSED, "COMPRESSED"),
        (Self::ENCRYPTED, "ENCRYPTED"),
        (Self::PRIORITY_HIGH, "PRIORITY_HIGH"),
        (Self::PRIORITY_LOW, "PRIORITY_LOW"),
        (Self::REQUIRES_ACK, "REQUIRES_ACK"),
        (Self::FRAGMENT, "FRAGMENT"),
        (Self::LAST_FRAGMENT, "LAST_FRAGMENT"),
        (Self::BINARY, "BINARY"),
    ];

    /// No flag.
    #[must_use]
    pub const fn empty() -> Self {
        Self(0)
    }

    /// Whether no flag is set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether every flag of `other` is set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The set with every flag of `other`.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The set with no flag of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The flags that `bits` mean in `dialect`, and the bits that mean nothing there.
    #[must_use]
    pub const fn from_bits(dialect: Dialect, bits: u16) -> (Self, u16) {
        let [_, low] = bits.to_be_bytes();
        match dialect {
            Dialect::Cndt => (Self(low & 0x1F), bits & !CNDT_BITS),
            Dialect::Netconduit => {
                let flags = low & 0x03 | (low & 0x04) << 2 | (low & 0x08) >> 1 | (low & 0x70) << 1;
                (Self(flags), bits & !NETCONDUIT_BITS)
            }
        }
    }

    /// The bits of `dialect`. A flag that it does not have is dropped.
    #[must_use]
    pub const fn to_bits(self, dialect: Dialect) -> u16 {
        let bits = match dialect {
            Dialect::Cndt => self.0 & 0x1F,
            Dialect::Netconduit => {
                let Self(bits) = self;
                bits & 0x03 | (bits & 0x10) >> 2 | (bits & 0x04) << 1 | (bits & 0xE0) >> 1
            }
        };
        u16::from_be_bytes([0, bits])
    }

    /// The bits to write: those of the flags, and those of `unknown` that `dialect` leaves free.
    pub(super) const fn to_bits_with(self, dialect: Dialect, unknown: u16) -> u16 {
        let defined = match dialect {
            Dialect::Cndt => CNDT_BITS,
            Dialect::Netconduit => NETCONDUIT_BITS,
        };
        self.to_bits(dialect) | unknown & !defined
    }

    /// The names of the flags that are set, in a fixed order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMED.into_iter().filter(move |(flag, _)| self.contains(*flag)).map(|(_, name)| name)
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.with(other)
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Flags(")?;
        for (n, name) in self.names().enumerate() {
            f.write_str(if n == 0 { "" } else { " | " })?;
            f.write_str(name)?;
        }
        f.write_str(")")
    }
}
