use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};

/// Data smaller than this, in bytes, is copied: what it would keep of its neighbours' memory is out of
/// proportion.
pub(super) const SHARED_MIN: usize = 16 * 1024;

/// Parts of a payload that are not copied into it: they stay where they lie, and go out from there.
/// Given to [`Body::write_sharing`](super::Body::write_sharing).
///
/// ```
/// use bytes::{BufMut, Bytes, BytesMut};
/// use cndt_core::message::Splices;
///
/// let (mut out, mut splices) = (BytesMut::new(), Splices::default());
/// out.put_slice(b"large: ");
/// splices.put(&mut out, &Bytes::from(vec![7; 100_000]));
/// splices.put(&mut out, &Bytes::from(vec![8; 10]));
/// assert_eq!((out.len(), splices.len()), (17, 100_000));
/// ```
#[derive(Debug)]
pub struct Splices {
    parts: Vec<(usize, Bytes)>,
    min: usize,
}

impl Default for Splices {
    /// They take data of 16 KiB or more.
    fn default() -> Self {
        Self { parts: Vec::new(), min: SHARED_MIN }
    }
}

impl Splices {
    /// They take data of so many bytes or more.
    pub(crate) fn of_at_least(min: usize) -> Self {
        Self { min, ..Self::default() }
    }

    /// Puts `data` behind what `out` and the splices hold by now: shared if it is large, else as a copy
    /// in `out`.
    pub fn put(&mut self, out: &mut BytesMut, data: &Bytes) {
        if data.len() >= self.min {
            self.parts.push((out.len(), data.clone()));
        } else {
            out.extend_from_slice(data);
        }
    }

    /// The bytes that are shared.
    pub fn len(&self) -> usize {
        self.parts.iter().fold(0, |sum, (_, data)| sum.saturating_add(data.len()))
    }

    /// Whether nothing is shared.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Each shared part, with the bytes of `out` that stand before it and behind the one before.
    pub(crate) fn cut(self, out: &mut BytesMut) -> impl Iterator<Item = (BytesMut, Bytes)> {
        let mut done = 0;
        self.parts.into_iter().map(move |(at, data)| {
            let before = out.split_to(at.saturating_sub(done).min(out.len()));
            done = at;
            (before, data)
        })
    }
}
