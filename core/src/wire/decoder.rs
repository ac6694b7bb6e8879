//! Bytes to frames.

use super::header::{TELLING_BYTE, prefix_fault};
use super::{Dialect, Dialects, HEADER_LEN, Header, WireError, WireErrorKind};
use bytes::{Buf, Bytes, BytesMut};

/// A whole frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The dialect it came in: the same for all frames of a connection.
    pub dialect: Dialect,
    /// Its header.
    pub header: Header,
    /// Its payload as it was on the wire, compressed or not: `header.length` bytes. It shares the
    /// memory of the decoder's buffer, so keeping a small payload can keep its neighbours' memory:
    /// at most [`SHARED_MAX`] or sixteen times its own.
    pub payload: Bytes,
}

/// Bytes of memory that any payload may share with its neighbours: 256 KiB. In a larger buffer, which
/// only a large frame or a large read makes, small payloads are copied out.
pub const SHARED_MAX: usize = 256 * 1024;

/// The memory in bytes that a payload of `length` may keep: [`SHARED_MAX`], or sixteen times its own.
pub(crate) fn kept_max(length: usize) -> usize {
    length.saturating_mul(16).max(SHARED_MAX)
}

/// Cuts a stream of bytes into frames, however it arrives cut.
///
/// The same bytes give the same frames and the same error, whatever the pieces. Memory grows with
/// bytes received, never with a length announced, and each header is read once.
///
/// ```
/// use cndt_core::wire::{Decoder, Dialects, WireErrorKind};
///
/// let mut decoder = Decoder::new(Dialects::BOTH, 8192);
/// decoder.push(b"GET / HTTP/1.1");
/// let error = decoder.next_frame().unwrap_err();
/// assert_eq!(error.offset, 0);
/// assert_eq!(error.kind, WireErrorKind::BadMagic { found: b'G', expected: b'C' });
/// ```
#[derive(Debug)]
pub struct Decoder {
    buf: BytesMut,
    accept: Dialects,
    dialect: Option<Dialect>,
    frame_max: usize,
    /// The header of the frame whose payload is awaited; its bytes have left `buf`.
    header: Option<Header>,
    offset: u64,
    failed: Option<WireError>,
    /// Bytes of the latest payload.
    latest: usize,
    /// Bytes of the allocation behind `buf`.
    allocation: usize,
    /// What was left of it after the latest frame: more is there once it has changed.
    capacity: usize,
}

impl Decoder {
    /// A decoder for a new connection. The first six bytes decide which of the accepted dialects
    /// is spoken (wire fact "Telling them apart from the first 6 bytes"); every later frame must
    /// keep it. `frame_max` is the largest payload in bytes.
    #[must_use]
    pub fn new(accept: Dialects, frame_max: usize) -> Self {
        Self {
            buf: BytesMut::new(),
            accept,
            dialect: None,
            frame_max,
            header: None,
            offset: 0,
            failed: None,
            latest: 0,
            allocation: 0,
            capacity: 0,
        }
    }

    /// The dialect of the connection, once [`Decoder::next_frame`] has seen six bytes.
    #[must_use]
    pub fn dialect(&self) -> Option<Dialect> {
        self.dialect
    }

    /// Changes the largest payload in bytes, from the next header on: a frame whose header was
    /// read keeps the limit it was judged by. Change it between a frame and the next call of
    /// [`Decoder::next_frame`], and how the bytes were cut makes no difference.
    pub fn set_frame_max(&mut self, frame_max: usize) {
        self.frame_max = frame_max;
    }

    /// The largest payload in bytes.
    #[must_use]
    pub fn frame_max(&self) -> usize {
        self.frame_max
    }

    /// Takes received bytes by copying them.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.buf.extend_from_slice(bytes);
        }
    }

    /// The second way in, without a copy: append received bytes here. Only append; removing or
    /// changing bytes makes the decoder read something that was never sent.
    #[must_use]
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buf
    }

    /// Makes room for one large read if a large payload is awaited, or was the latest: for as many
    /// bytes as need not be copied out of the buffer again, `max` at most. Tells how many; 0 if none
    /// is, and then a read of the usual size does.
    pub fn reserve_large(&mut self, max: usize) -> usize {
        let length = self.header.map_or(self.latest, |header| header.payload_len());
        let kept = kept_max(length);
        if kept == SHARED_MAX {
            return 0;
        }
        let size = max.min(kept / 4 * 3);
        if !self.buf.try_reclaim(size) {
            // The frame at its end is not always as incomplete as this time. With room for any, the
            // same memory does the next time. What is much longer grows in few steps.
            let beside = length.min(size).max(self.needed().min(self.buf.len()));
            let capacity = self.buf.len().saturating_add(size).saturating_add(beside);
            let mut next = BytesMut::with_capacity(capacity);
            next.extend_from_slice(&self.buf);
            self.buf = next;
        }
        size
    }

    /// The next whole frame, or `None` until more bytes arrive.
    ///
    /// # Errors
    ///
    /// [`WireError`] as soon as the first byte at fault is there, before the rest of its header.
    /// The error is final: every later call gives it again, and further bytes are thrown away.
    #[inline]
    pub fn next_frame(&mut self) -> Result<Option<Frame>, WireError> {
        if let Some(error) = self.failed {
            self.buf.clear();
            return Err(error);
        }
        let header = match self.header {
            Some(header) => header,
            None => match self.read_header() {
                Ok(Some(header)) => header,
                Ok(None) => return Ok(None),
                Err(fault) => return Err(self.fail(fault)),
            },
        };
        let length = header.payload_len();
        if self.buf.len() < length {
            self.header = Some(header);
            return Ok(None);
        }
        let payload = self.take(length);
        self.header = None;
        self.latest = length;
        self.offset = self.offset.saturating_add(HEADER_LEN as u64 + u64::from(header.length));
        Ok(self.dialect.map(|dialect| Frame { dialect, header, payload }))
    }

    /// Bytes still missing until [`Decoder::next_frame`] can say more: those of the header, then
    /// those of the payload. 0 when it can at once, and after an error.
    #[must_use]
    pub fn needed(&self) -> usize {
        let wanted = match (self.failed, self.header) {
            (Some(_), _) => 0,
            (None, Some(header)) => header.payload_len(),
            (None, None) => HEADER_LEN,
        };
        wanted.saturating_sub(self.buf.len())
    }

    /// Bytes received that no returned frame has; 0 after an error.
    #[must_use]
    pub fn buffered(&self) -> usize {
        match (self.failed, self.header) {
            (Some(_), _) => 0,
            (None, Some(_)) => self.buf.len().saturating_add(HEADER_LEN),
            (None, None) => self.buf.len(),
        }
    }

    /// Position of the next frame's first byte, counted from the first byte of the connection.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Gives memory back once no more than a header's worth of bytes is held. For connections that
    /// fall idle; it costs an allocation with the next bytes.
    pub fn shrink(&mut self) {
        if self.buf.len() <= HEADER_LEN {
            self.buf = BytesMut::from(self.buf.as_ref());
            (self.allocation, self.capacity) = (0, 0);
        }
    }

    /// Gives memory back if no byte is held. The next bytes cost an allocation.
    pub fn rest(&mut self) {
        if self.buf.is_empty() {
            self.buf = BytesMut::new();
            (self.allocation, self.capacity) = (0, 0);
        }
    }

    #[inline]
    fn take(&mut self, length: usize) -> Bytes {
        let capacity = self.buf.capacity();
        if capacity > self.capacity {
            self.allocation = capacity;
        }
        self.capacity = capacity.saturating_sub(length);
        if length == 0 {
            // An empty slice of the buffer would still hold all of its memory.
            Bytes::new()
        } else if kept_max(length) < self.allocation {
            let copy = self.buf.get(..length).map(Bytes::copy_from_slice).unwrap_or_default();
            self.buf.advance(length);
            copy
        } else {
            self.buf.split_to(length).freeze()
        }
    }

    #[inline]
    fn read_header(&mut self) -> Result<Option<Header>, (u8, WireErrorKind)> {
        if self.dialect.is_none() || self.buf.len() < HEADER_LEN {
            self.inspect_prefix()?;
        }
        let (Some(dialect), Some(bytes)) = (self.dialect, self.buf.first_chunk()) else {
            return Ok(None);
        };
        let header = Header::decode_at(dialect, bytes)?;
        if header.payload_len() > self.frame_max {
            let kind = WireErrorKind::FrameTooLarge { length: header.length, max: self.frame_max };
            return Err((Header::length_offset(dialect), kind));
        }
        self.buf.advance(HEADER_LEN);
        Ok(Some(header))
    }

    /// Judges a header of which some bytes may be missing, so that the first byte at fault is
    /// reported without waiting for the others, and learns the dialect.
    #[cold]
    fn inspect_prefix(&mut self) -> Result<(), (u8, WireErrorKind)> {
        if let Some(fault) = prefix_fault(self.dialect, &self.buf) {
            return Err(fault);
        }
        if self.dialect.is_none()
            && let Some(&byte) = self.buf.get(usize::from(TELLING_BYTE))
        {
            let dialect = Dialect::told_by(byte);
            if !self.accept.contains(dialect) {
                return Err((TELLING_BYTE, WireErrorKind::DialectNotAccepted(dialect)));
            }
            self.dialect = Some(dialect);
        }
        Ok(())
    }

    #[cold]
    fn fail(&mut self, (index, kind): (u8, WireErrorKind)) -> WireError {
        let error = WireError { offset: self.offset.saturating_add(u64::from(index)), kind };
        self.failed = Some(error);
        self.buf = BytesMut::new();
        error
    }
}
