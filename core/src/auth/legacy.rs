//! The Python package's proof of a password: the lower-case hex of its SHA-256 (wire fact 1).

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Stands for the password wherever dialect `netconduit` is spoken, so it is kept as secret.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct PasswordHash([u8; 64]);

impl PasswordHash {
    pub(crate) fn of(password: &str) -> Self {
        let mut digest = Sha256::digest(password.as_bytes());
        let mut hex = [0; 64];
        write_hex(&digest, &mut hex);
        digest.as_mut_slice().zeroize();
        Self(hex)
    }

    pub(crate) fn as_str(&self) -> &str {
        // Hex digits are always UTF-8; an empty proof would merely be refused.
        core::str::from_utf8(&self.0).unwrap_or_default()
    }

    pub(crate) fn matches(&self, presented: &str) -> bool {
        self.0.as_slice().ct_eq(presented.as_bytes()).into()
    }
}

/// Writes each byte as two lower-case digits, as many as fit. Without a table, whose cache would tell
/// which digits they are.
pub(crate) fn write_hex(bytes: &[u8], hex: &mut [u8]) {
    const FROM_9_TO_A: u8 = b'a' - b'9' - 1;
    let digit = |nibble: u8| {
        let letter = u8::from(nibble > 9).wrapping_mul(FROM_9_TO_A);
        nibble.wrapping_add(b'0').wrapping_add(letter)
    };
    for (byte, [high, low]) in bytes.iter().zip(hex.as_chunks_mut().0) {
        *high = digit(byte >> 4);
        *low = digit(byte & 0x0f);
    }
}
