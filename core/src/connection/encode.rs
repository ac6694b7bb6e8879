//! One frame from a body: written once, checked for the peer that will read it, compressed if that
//! pays.

use core::cell::Cell;

use bytes::{BufMut, BytesMut};

use super::event::SendError;
use crate::message::{Body, BodyError, Splices, check_for_python};
use crate::wire::{COMPRESS_MIN, Dialect, Flags, FrameError, HEADER_LEN, Header, Kind};
use crate::wire::{deflate, write_frame_around};

/// A body that is written with the splices that its frame may have.
pub(super) struct Sharing<'a, B: ?Sized> {
    body: &'a B,
    splices: Cell<Option<&'a mut Splices>>,
}

impl<'a, B: Body + ?Sized> Sharing<'a, B> {
    pub(super) fn new(body: &'a B, splices: Option<&'a mut Splices>) -> Self {
        Self { body, splices: Cell::new(splices) }
    }
}

impl<B: Body + ?Sized> Body for Sharing<'_, B> {
    fn write(&self, out: &mut BytesMut) -> Result<(), BodyError> {
        match self.splices.take() {
            Some(splices) => self.body.write_sharing(out, splices),
            None => self.body.write(out),
        }
    }
}

/// Everything of a frame but its payload.
#[derive(Debug, Clone, Copy)]
pub(super) struct Envelope {
    pub(super) dialect: Dialect,
    pub(super) kind: Kind,
    pub(super) flags: Flags,
    pub(super) correlation: u64,
    pub(super) timestamp: u64,
    pub(super) frame_max: usize,
    pub(super) compression: bool,
}

impl Envelope {
    /// Appends the frame to `out` and tells its length.
    pub(super) fn write(
        &self,
        out: &mut BytesMut,
        body: impl FnOnce(&mut BytesMut) -> Result<(), BodyError>,
    ) -> Result<usize, SendError> {
        let start = out.len();
        let length = self.write_as(out, self.flags, |out| {
            let body_at = out.len();
            body(out)?;
            if self.dialect == Dialect::Netconduit {
                check_for_python(out.get(body_at..).unwrap_or_default())?;
            }
            Ok(0)
        })?;
        if !self.compression || length <= HEADER_LEN.saturating_add(COMPRESS_MIN) {
            return Ok(length);
        }
        let payload_at = start.saturating_add(HEADER_LEN);
        let Some(smaller) = deflate(out.get(payload_at..).unwrap_or_default()) else {
            return Ok(length);
        };
        out.truncate(start);
        self.write_as(out, self.flags | Flags::COMPRESSED, |out| {
            out.put_slice(&smaller);
            Ok(0)
        })
    }

    /// The same, but a part of it may lie in `splices`: unless it must be looked at as a whole. After an
    /// error nothing is said of what is in there.
    pub(super) fn write_sharing(
        &self,
        out: &mut BytesMut,
        splices: &mut Splices,
        body: impl FnOnce(&mut BytesMut, Option<&mut Splices>) -> Result<(), BodyError>,
    ) -> Result<usize, SendError> {
        if self.compression || self.dialect == Dialect::Netconduit {
            return self.write(out, |out| body(out, None));
        }
        self.write_as(out, self.flags, |out| {
            body(out, Some(splices))?;
            Ok(splices.len())
        })
    }

    /// Appends the frame without payload: it cannot fail but for a type the dialect lacks, which
    /// the callers do not use.
    pub(super) fn write_empty(&self, out: &mut BytesMut) -> Result<usize, SendError> {
        self.write_as(out, self.flags, |_| Ok(0))
    }

    fn write_as(
        &self,
        out: &mut BytesMut,
        flags: Flags,
        body: impl FnOnce(&mut BytesMut) -> Result<usize, BodyError>,
    ) -> Result<usize, SendError> {
        let header = Header {
            flags,
            correlation: self.correlation,
            timestamp: self.timestamp,
            ..Header::new(self.kind)
        };
        write_frame_around(out, self.dialect, &header, self.frame_max, body).map_err(|error| {
            match error {
                FrameError::Payload(error) => SendError::Body(error),
                FrameError::TooLarge { length, max } => SendError::TooLarge { length, max },
                FrameError::NoSuchKind { kind, dialect } => SendError::NoSuchKind { kind, dialect },
            }
        })
    }
}
