//! What the applications send: values that tell where they belong.

use bytes::{Bytes, BytesMut};
use cndt_core::auth::scram::{Derivation, Keys};
use cndt_core::message::{Body, BodyError, Splices};

/// A MessagePack value of about this size that no other number has.
pub(super) fn payload(number: usize, size: usize) -> Vec<u8> {
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    let length = u32::try_from(size).unwrap_or(u32::MAX).saturating_add(4);
    let mut value = vec![0xc6];
    value.extend(length.to_be_bytes());
    value.extend(number.to_be_bytes());
    // Half of them compress well.
    let step = if number.is_multiple_of(2) { 0 } else { 167 };
    value.extend((0..size).map(|at| (at * step % 251) as u8));
    value
}

/// A MessagePack value that goes out from where it lies, if it is large.
pub(super) struct Whole(Bytes);

impl Whole {
    pub(super) fn new(value: &[u8]) -> Self {
        Self(Bytes::copy_from_slice(value))
    }
}

impl Body for Whole {
    fn write(&self, out: &mut BytesMut) -> Result<(), BodyError> {
        out.extend_from_slice(&self.0);
        Ok(())
    }

    fn write_sharing(&self, out: &mut BytesMut, splices: &mut Splices) -> Result<(), BodyError> {
        splices.put(out, &self.0);
        Ok(())
    }
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
