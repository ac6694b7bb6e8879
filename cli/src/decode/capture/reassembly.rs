//! One direction of a TCP connection: segments in any order to bytes in theirs.
//!
//! Of bytes that came twice the first are kept, as the receiver does. What is missing is waited for
//! until the receiver is known to have it, or too much waits behind it.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Buf, Bytes};

/// Bytes that wait behind missing ones, at most; beyond it the missing ones are given up.
const WAITING_MAX: usize = 16 * 1024 * 1024;
/// What a waiting segment costs besides its bytes.
const SEGMENT_COST: usize = 128;
/// How far ahead a segment can be: the largest window of TCP.
const WINDOW_MAX: i64 = 1 << 30;
/// How long after an acknowledgement a segment may still come: captures on several queues hold
/// packets in another order than the wire did.
const LATE_MAX: Duration = Duration::from_secs(1);

/// The bytes of one direction, counted from the first that was captured, or from the first of all
/// where the capture has the beginning.
#[derive(Debug, Default)]
pub(super) struct Reassembly {
    /// The sequence number of the byte at `position`; `None` before the first segment.
    next: Option<u32>,
    position: u64,
    /// By position. Segments may overlap.
    waiting: BTreeMap<u64, Bytes>,
    waiting_size: usize,
    /// What the receiver has, as far as the capture tells.
    acknowledged: Option<u64>,
    /// When the missing bytes were missed first.
    missing_since: Option<Duration>,
    /// Where the stream ends, once its end was seen.
    end: Option<u64>,
}

impl Reassembly {
    /// Bytes before the first one missing.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Bytes of memory.
    pub(super) fn held(&self) -> usize {
        self.waiting_size
    }

    /// Whether everything up to the end has come.
    pub(super) fn is_complete(&self) -> bool {
        self.end.is_some_and(|end| end <= self.position)
    }

    /// The first byte of the stream will have this number.
    pub(super) fn begin(&mut self, sequence: u32) {
        self.next = Some(sequence);
    }

    /// A segment came. `cut` bytes at its end were not captured.
    pub(super) fn insert(
        &mut self,
        sequence: u32,
        data: &[u8],
        cut: usize,
        time: Option<Duration>,
    ) {
        if self.next.is_none() {
            self.begin(sequence);
        }
        let Some(start) = self.place(sequence) else { return };
        let came_before = usize::try_from(-start.min(0)).unwrap_or(usize::MAX);
        let Some(new) = data.get(came_before..).filter(|new| !new.is_empty()) else { return };
        let at = self.position.saturating_add_signed(start.max(0));
        let known = self.waiting.get(&at).map_or(0, Bytes::len);
        if known < new.len() {
            self.waiting_size += new.len() + SEGMENT_COST;
            if self.waiting.insert(at, Bytes::copy_from_slice(new)).is_some() {
                self.waiting_size -= known + SEGMENT_COST;
            }
        }
        if at > self.position || cut > 0 {
            self.missing_since = self.missing_since.or(time);
        }
    }

    /// The sender sends nothing behind this.
    pub(super) fn end(&mut self, sequence: u32) {
        if self.next.is_none() {
            self.begin(sequence);
        }
        let end = self.place(sequence).and_then(|place| self.position.checked_add_signed(place));
        self.end = self.end.or(end);
    }

    /// The receiver has everything before this.
    pub(super) fn acknowledge(&mut self, sequence: u32) {
        let has = self.place(sequence).and_then(|place| self.position.checked_add_signed(place));
        self.acknowledged = self.acknowledged.max(has);
    }

    /// The next bytes in order; `None` where some are missing.
    pub(super) fn pop(&mut self) -> Option<Bytes> {
        while let Some(first) = self.waiting.first_entry() {
            let at = *first.key();
            if at > self.position {
                return None;
            }
            let mut bytes = first.remove();
            self.waiting_size -= bytes.len() + SEGMENT_COST;
            let came_before = usize::try_from(self.position - at).unwrap_or(usize::MAX);
            if came_before < bytes.len() {
                bytes.advance(came_before);
                self.pass(bytes.len() as u64);
                return Some(bytes);
            }
        }
        self.missing_since = None;
        None
    }

    /// Whether the missing bytes will not come any more.
    pub(super) fn is_hopeless(&self, now: Option<Duration>) -> bool {
        let Some((&first, _)) = self.waiting.first_key_value() else { return false };
        let is_late = match (self.missing_since, now) {
            (Some(since), Some(now)) => now.saturating_sub(since) > LATE_MAX,
            _ => false,
        };
        self.waiting_size > WAITING_MAX
            || is_late && self.acknowledged.is_some_and(|has| has >= first)
    }

    /// Goes on behind the missing bytes; their number, or `None` when none are known to be missing.
    pub(super) fn give_up(&mut self) -> Option<u64> {
        let known = self.waiting.first_key_value().map(|(&at, _)| at).or(self.end)?;
        let missing = known.checked_sub(self.position).filter(|missing| *missing > 0)?;
        self.pass(missing);
        self.missing_since = None;
        Some(missing)
    }

    fn pass(&mut self, length: u64) {
        self.position = self.position.saturating_add(length);
        // Sequence numbers wrap, so the low bits are what is wanted.
        let [.., a, b, c, d] = length.to_be_bytes();
        let step = u32::from_be_bytes([a, b, c, d]);
        self.next = self.next.map(|next| next.wrapping_add(step));
    }

    /// Where a sequence number lies relative to the first byte that has not come.
    fn place(&self, sequence: u32) -> Option<i64> {
        let ahead = sequence.wrapping_sub(self.next?);
        // Numbers compare by the shorter way round.
        let place = i64::from(ahead.cast_signed());
        (place <= WINDOW_MAX).then_some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::{Reassembly, SEGMENT_COST, WAITING_MAX};
    use std::time::Duration;

    fn all(reassembly: &mut Reassembly) -> Vec<u8> {
        std::iter::from_fn(|| reassembly.pop()).flatten().collect()
    }

    fn began(sequence: u32) -> Reassembly {
        let mut reassembly = Reassembly::default();
        reassembly.begin(sequence);
        reassembly
    }

    #[test]
    fn any_order_repetition_and_overlap_gives_the_stream_across_the_wrap() {
        let stream: Vec<u8> = (0..=255).collect();
        let base = u32::MAX - 100;
        let segment = |from: usize, to: usize| (from, &stream[from..to]);
        let pieces = [
            segment(200, 256),
            segment(90, 130),
            segment(0, 10),
            segment(120, 210),
            segment(5, 60),
            segment(0, 10),
            segment(50, 100),
            segment(90, 140),
        ];
        let mut reassembly = began(base);
        let mut read = Vec::new();
        for (from, data) in pieces {
            let sequence = base.wrapping_add(u32::try_from(from).unwrap());
            reassembly.insert(sequence, data, 0, None);
            read.extend(all(&mut reassembly));
        }
        assert_eq!(read, stream);
        assert_eq!((reassembly.held(), reassembly.position()), (0, 256));
    }

    #[test]
    fn of_bytes_that_came_twice_the_first_are_kept() {
        let mut reassembly = began(0);
        reassembly.insert(0, b"abcd", 0, None);
        assert_eq!(all(&mut reassembly), b"abcd");
        reassembly.insert(2, b"XXef", 0, None);
        assert_eq!(all(&mut reassembly), b"ef");
    }

    #[test]
    fn missing_bytes_are_given_up_when_the_receiver_has_them() {
        let second = |seconds| Some(Duration::from_secs(seconds));
        let mut reassembly = began(100);
        reassembly.insert(110, b"late", 0, second(1));
        assert_eq!(reassembly.pop(), None);
        reassembly.acknowledge(114);
        assert!(
            !reassembly.is_hopeless(second(1)),
            "the order of a capture is not that of the wire"
        );
        assert!(reassembly.is_hopeless(second(3)));
        assert_eq!(reassembly.give_up(), Some(10));
        assert_eq!(all(&mut reassembly), b"late");
        assert_eq!(reassembly.give_up(), None);
        reassembly.end(120);
        assert!(!reassembly.is_complete());
        assert_eq!(reassembly.give_up(), Some(6));
        assert!(reassembly.is_complete());
    }

    #[test]
    fn what_waits_is_bounded_however_small_the_segments() {
        let mut reassembly = began(0);
        let mut sequence = 1;
        while !reassembly.is_hopeless(None) {
            reassembly.insert(sequence, b"x", 0, None);
            sequence += 2;
        }
        assert!(reassembly.held() <= WAITING_MAX + SEGMENT_COST + 1);
        assert_eq!(reassembly.give_up(), Some(1));
    }

    #[test]
    fn numbers_far_away_are_of_no_account() {
        let mut reassembly = began(0);
        reassembly.insert(1 << 31, b"old", 0, None);
        reassembly.insert((1 << 30) + 1, b"far", 0, None);
        assert_eq!((reassembly.pop(), reassembly.held()), (None, 0));
    }
}
