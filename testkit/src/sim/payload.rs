//! What the applications send: values that tell where they belong.

use bytes::Bytes;
use cndt_core::auth::scram::{Derivation, Keys};

/// A MessagePack value of about this size that no other number has.
pub(super) fn payload(number: usize, size: usize) -> Bytes {
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    let length = u32::try_from(size).unwrap_or(u32::MAX).saturating_add(4);
    let mut value = vec![0xc6];
    value.extend(length.to_be_bytes());
    value.extend(number.to_be_bytes());
    // Half of them compress well.
    let step = if number.is_multiple_of(2) { 0 } else { 167 };
    value.extend((0..size).map(|at| (at * step % 251) as u8));
    value.into()
}

/// FNV-1a: tells payloads apart that differ by accident.
pub(super) fn digest(bytes: &[u8]) -> u64 {
    mix(0xcbf2_9ce4_8422_2325, bytes)
}

/// Goes on with a digest.
pub(super) fn mix(digest: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(digest, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

pub(super) const PASSWORD: &str = "simulated secret";
pub(super) const SALT: [u8; 16] = [5; 16];
pub(super) const ITERATIONS: u32 = 4096;

/// The keys of `password`.
pub(super) fn derive(password: &str) -> Option<Keys> {
    Derivation::new(password, &SALT, ITERATIONS).ok().map(Derivation::run)
}
