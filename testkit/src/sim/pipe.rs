//! One direction of a link: bytes under way, and what may happen to them.

use std::collections::VecDeque;

use super::tape::Tape;

#[derive(Debug, Default)]
pub(super) struct Pipe {
    bytes: VecDeque<u8>,
    /// No more room than this.
    pub(super) capacity: usize,
    /// The sender has shut its half down.
    pub(super) ended: bool,
    /// The receiver has been told so.
    pub(super) end_told: bool,
    /// Whatever is put in is gone.
    pub(super) vanished: bool,
}

impl Pipe {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, ..Self::default() }
    }

    pub(super) fn room(&self) -> usize {
        self.capacity.saturating_sub(self.bytes.len())
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn put(&mut self, bytes: &[u8]) {
        if !self.vanished {
            self.bytes.extend(bytes);
        }
    }

    pub(super) fn take(&mut self, most: usize) -> Vec<u8> {
        let most = most.min(self.bytes.len());
        self.bytes.drain(..most).collect()
    }

    /// Flips, drops, doubles or invents some bytes. True when something was changed.
    pub(super) fn damage(&mut self, tape: &mut Tape<'_>) -> bool {
        if self.bytes.is_empty() {
            return false;
        }
        let at = tape.below(self.bytes.len());
        let length = 1 + tape.below(8.min(self.bytes.len() - at));
        match tape.below(4) {
            0 => self.bytes[at] ^= 1 << tape.below(8),
            1 => drop(self.bytes.drain(at..at + length)),
            2 => {
                let again: Vec<u8> = self.bytes.range(at..at + length).copied().collect();
                for byte in again.into_iter().rev() {
                    self.bytes.insert(at, byte);
                }
            }
            _ => {
                for _ in 0..length {
                    self.bytes.insert(at, u8::try_from(tape.below(256)).unwrap_or(0));
                }
            }
        }
        true
    }
}
