//! The 32 bytes in front of every payload.

use super::{Dialect, Flags, Kind, WireErrorKind};

/// Bytes of a header, in both dialects.
pub const HEADER_LEN: usize = 32;

/// The first four bytes of every frame, in both dialects.
pub const MAGIC: [u8; 4] = *b"CNDT";

/// Magic and version as they stand in the first word of a header.
const CNDT_PREFIX: u64 = 0x43_4E44_5401;
const NETCONDUIT_PREFIX: u64 = 0x434E_4454_0100;

/// Index of the byte that tells the dialects apart: the type in `cndt`, never 0, and the low byte
/// of the version in `netconduit`, always 0.
pub(super) const TELLING_BYTE: u8 = 5;

/// The header of a frame. What is read is written back byte for byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the frame is for.
    pub kind: Kind,
    /// The flags that the dialect defines.
    pub flags: Flags,
    /// Flag bits that the dialect does not define, as they were received. They are written as
    /// well, save where they collide with a defined bit.
    pub unknown_flags: u16,
    /// Bytes of the payload that follows.
    pub length: u32,
    /// Ties an answer to its request; 0 for none.
    pub correlation: u64,
    /// The sender's clock in Unix milliseconds; whatever it said.
    pub timestamp: u64,
    /// To be written 0 and ignored on reading, save in the login of dialect `cndt`, where every
    /// byte counts. Dialect `netconduit` has the low 16 bits of it.
    pub reserved: u32,
}

impl Header {
    /// A header of this kind in which everything else is empty or 0.
    #[must_use]
    pub const fn new(kind: Kind) -> Self {
        Self {
            kind,
            flags: Flags::empty(),
            unknown_flags: 0,
            length: 0,
            correlation: 0,
            timestamp: 0,
            reserved: 0,
        }
    }

    /// The bytes of this header; `None` when `dialect` has no such [`Kind`].
    #[must_use]
    #[inline]
    pub fn encode(&self, dialect: Dialect) -> Option<[u8; HEADER_LEN]> {
        let code = u64::from(self.kind.code(dialect)?);
        let flags = u64::from(self.flags.to_bits_with(dialect, self.unknown_flags));
        let length = u64::from(self.length);
        let (correlation, timestamp) = (self.correlation, self.timestamp);
        let reserved = u64::from(self.reserved);
        let words = match dialect {
            Dialect::Cndt => [
                CNDT_PREFIX << 24 | code << 16 | flags,
                length << 32 | correlation >> 32,
                correlation << 32 | timestamp >> 32,
                timestamp << 32 | reserved,
            ],
            Dialect::Netconduit => {
                let reserved = (reserved & 0xFFFF) << 32;
                let second = flags << 48 | reserved | length;
                [NETCONDUIT_PREFIX << 16 | code, second, correlation, timestamp]
            }
        };
        let mut bytes = [0; HEADER_LEN];
        for (field, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
            *field = word.to_be_bytes();
        }
        Some(bytes)
    }

    /// Reads a header of `dialect`. The length is not judged here.
    ///
    /// # Errors
    ///
    /// [`WireErrorKind::BadMagic`], [`WireErrorKind::BadVersion`] or, in dialect `cndt` alone,
    /// [`WireErrorKind::ReservedType0`]: what the first byte at fault makes wrong.
    #[inline]
    pub fn decode(dialect: Dialect, bytes: &[u8; HEADER_LEN]) -> Result<Self, WireErrorKind> {
        Self::decode_at(dialect, bytes).map_err(|(_, kind)| kind)
    }

    /// Like [`Header::decode`], and says which byte is at fault.
    #[inline]
    pub(super) fn decode_at(
        dialect: Dialect,
        bytes: &[u8; HEADER_LEN],
    ) -> Result<Self, (u8, WireErrorKind)> {
        let [first, second, third, fourth] = words(bytes);
        // One comparison for the frames that are well; which byte is wrong matters only afterwards.
        let fits = match dialect {
            Dialect::Cndt => first >> 24 == CNDT_PREFIX && byte_5(first) != 0,
            Dialect::Netconduit => first >> 16 == NETCONDUIT_PREFIX,
        };
        if !fits && let Some(fault) = prefix_fault(Some(dialect), bytes) {
            return Err(fault);
        }
        let (code, flags, length, correlation, timestamp, reserved) = match dialect {
            Dialect::Cndt => (
                u16::from(byte_5(first)),
                low_16(first),
                low_32(second >> 32),
                second << 32 | third >> 32,
                third << 32 | fourth >> 32,
                low_32(fourth),
            ),
            Dialect::Netconduit => (
                low_16(first),
                low_16(second >> 48),
                low_32(second),
                third,
                fourth,
                u32::from(low_16(second >> 32)),
            ),
        };
        let (flags, unknown_flags) = Flags::from_bits(dialect, flags);
        let kind = Kind::from_code(dialect, code);
        Ok(Self { kind, flags, unknown_flags, length, correlation, timestamp, reserved })
    }

    /// The announced length as a size in memory. One that this machine cannot address is as large
    /// as can be, and so over any limit.
    #[inline]
    pub(super) fn payload_len(&self) -> usize {
        usize::try_from(self.length).unwrap_or(usize::MAX)
    }

    /// Where the length stands: a header that announces too much is at fault there.
    pub(super) const fn length_offset(dialect: Dialect) -> u8 {
        match dialect {
            Dialect::Cndt => 8,
            Dialect::Netconduit => 12,
        }
    }
}

/// The header as four big-endian words: every field lies in one, or at the seam of two, so that
/// shifts do instead of moving 32 bytes one by one.
#[inline]
fn words(bytes: &[u8; HEADER_LEN]) -> [u64; 4] {
    let mut words = [0; 4];
    for (word, field) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u64::from_be_bytes(*field);
    }
    words
}

#[inline]
fn byte_5(word: u64) -> u8 {
    let [_, _, _, _, _, byte, _, _] = word.to_be_bytes();
    byte
}

#[inline]
fn low_16(word: u64) -> u16 {
    let [.., a, b] = word.to_be_bytes();
    u16::from_be_bytes([a, b])
}

#[inline]
fn low_32(word: u64) -> u32 {
    let [.., a, b, c, d] = word.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// Magic and version as far as the dialects agree.
const COMMON_PREFIX: [u8; 5] = *b"CNDT\x01";

/// The first byte at fault among the first six, with its index, however few of them are there.
/// While no `dialect` is settled, the sixth byte cannot be at fault: it settles it.
#[cold]
pub(super) fn prefix_fault(dialect: Option<Dialect>, bytes: &[u8]) -> Option<(u8, WireErrorKind)> {
    for ((index, expected), &found) in (0..).zip(COMMON_PREFIX).zip(bytes) {
        if found != expected {
            let kind = match index {
                0..4 => WireErrorKind::BadMagic { found, expected },
                _ => WireErrorKind::BadVersion { found, expected },
            };
            return Some((index, kind));
        }
    }
    let &found = bytes.get(usize::from(TELLING_BYTE))?;
    let kind = match (dialect?, Dialect::told_by(found)) {
        (Dialect::Cndt, Dialect::Netconduit) => WireErrorKind::ReservedType0,
        (Dialect::Netconduit, Dialect::Cndt) => WireErrorKind::BadVersion { found, expected: 0 },
        (Dialect::Cndt, Dialect::Cndt) | (Dialect::Netconduit, Dialect::Netconduit) => return None,
    };
    Some((TELLING_BYTE, kind))
}
