use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};

/// Data smaller than this, in bytes, is copied: what a piece keeps of its neighbours' memory is eight
/// times its own at most, as with whatever else shares the memory of what was received.
const SPLICED_MIN: usize = 32 * 1024;

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
#[derive(Debug, Default)]
pub struct Splices(Vec<(usize, Bytes)>);

impl Splices {
    /// Puts `data` behind what `out` and the splices hold by now: shared if it has 32 KiB or more, else
    /// as a copy in `out`.
    pub fn put(&mut self, out: &mut BytesMut, data: &Bytes) {
        if data.len() >= SPLICED_MIN {
            self.0.push((out.len(), data.clone()));
        } else {
            out.extend_from_slice(data);
        }
    }

    /// The bytes that are shared.
    pub fn len(&self) -> usize {
        self.0.iter().fold(0, |sum, (_, data)| sum.saturating_add(data.len()))
    }

    /// Whether nothing is shared.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each shared part, with the bytes of `out` that stand before it and behind the one before.
    pub(crate) fn cut(self, out: &mut BytesMut) -> impl Iterator<Item = (BytesMut, Bytes)> {
        let mut done = 0;
        self.0.into_iter().map(move |(at, data)| {
            let before = out.split_to(at.saturating_sub(done).min(out.len()));
            done = at;
            (before, data)
        })
    }
}
