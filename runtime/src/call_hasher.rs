//! Hashing of call ids, on the way of every call.

use std::hash::Hasher;

/// Call ids count up and are our own, so they need no defence against chosen collisions.
#[derive(Default)]
pub(crate) struct CallHasher(u64);

impl Hasher for CallHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, id: u64) {
        // Fibonacci hashing spreads neighbours over the high bits, which pick the slot's tag.
        self.0 = (self.0 ^ id).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}
