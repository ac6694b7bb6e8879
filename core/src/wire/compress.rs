//! zlib payloads (wire fact 9): small ones stay as they are, and what a peer compressed is expanded
//! within limits. Python does not bound it; 16 KiB can become 16 MiB.

/// Payloads of up to this many bytes are never compressed (wire fact 9).
pub const COMPRESS_MIN: usize = 1024;

/// Bytes of output to which no ratio is applied: 1 MiB. Repetitive text compresses beyond 400 to 1, as
/// a bomb does; what tells them apart is how much comes out.
pub const RATIO_FREE: usize = 1024 * 1024;

/// How much one compressed payload may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InflateLimits {
    /// Largest output in bytes.
    pub output_max: usize,
    /// Most output bytes for each input byte, judged at every step over what was read so far. The
    /// first [`RATIO_FREE`] bytes of output are free, since honest data may well be that regular.
    pub ratio_max: u32,
}

/// Why a compressed payload was not expanded. Whatever the reason, no part of it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InflateError {
    /// The output outgrows its limit.
    #[error("the compressed payload expands beyond {max} bytes: raise the limit, or send less")]
    TooLarge {
        /// Bytes allowed.
        max: usize,
    },
    /// The output grows too fast for the input that was read: a bomb.
    #[error("the compressed payload expands by more than {max} to 1: send it uncompressed")]
    Ratio {
        /// Output bytes allowed for each input byte.
        max: u32,
    },
    /// The input is no zlib stream.
    #[error("the compressed payload is no valid zlib stream from about byte {at} on")]
    Corrupt {
        /// Bytes of input that were read when it showed.
        at: usize,
    },
    /// The output is not what was compressed.
    #[error("the compressed payload does not match its Adler-32 checksum")]
    Checksum,
    /// The stream asks for a dictionary; CNDT has none.
    #[error("the compressed payload needs a preset dictionary: compress it without one")]
    PresetDictionary,
    /// The input ends before the stream does.
    #[error("the compressed payload is cut short")]
    Truncated,
    /// Bytes follow the end of the stream.
    #[error("the compressed payload ends at byte {at}, and more bytes follow it")]
    TrailingBytes {
        /// Bytes of the stream.
        at: usize,
    },
    /// The allocator refused.
    #[error("no memory for the expanded payload: lower the limit of payloads")]
    NoMemory,
    /// This build cannot expand anything.
    #[error("compressed payloads need the feature `compress` of cndt-core")]
    Unsupported,
}

#[cfg(feature = "compress")]
pub use zlib::{deflate, inflate};

#[cfg(feature = "compress")]
mod zlib {
    use super::{COMPRESS_MIN, InflateError, InflateLimits, RATIO_FREE};
    use alloc::{vec, vec::Vec};
    use miniz_oxide::deflate::core::{
        CompressorOxide, TDEFLFlush, TDEFLStatus, compress, create_comp_flags_from_zip_params,
    };
    use miniz_oxide::inflate::TINFLStatus;
    use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};

    /// Level and window of Python's default (wire fact 9).
    const LEVEL: i32 = 6;
    const ZLIB_WINDOW: i32 = 1;

    /// Output bytes that one step may add, and that the ratio does not judge.
    const STEP: usize = 64 * 1024;

    /// Bit of the second byte by which a zlib stream announces a preset dictionary (RFC 1950).
    const FDICT: u8 = 0x20;

    /// Compresses a payload as a zlib stream of level 6; `None` unless the payload is larger than
    /// [`COMPRESS_MIN`] and shrinks.
    #[must_use]
    pub fn deflate(payload: &[u8]) -> Option<Vec<u8>> {
        if payload.len() <= COMPRESS_MIN {
            return None;
        }
        // The room is one byte short of the payload: a result that fits is a result that shrinks.
        let mut out = vec![0; payload.len().checked_sub(1)?];
        let flags = create_comp_flags_from_zip_params(LEVEL, ZLIB_WINDOW, 0);
        let mut state = CompressorOxide::new(flags);
        match compress(&mut state, payload, &mut out, TDEFLFlush::Finish) {
            (TDEFLStatus::Done, _, written) => {
                out.truncate(written);
                Some(out)
            }
            _ => None,
        }
    }

    /// Expands a whole zlib stream within `limits`. Both bounds hold inside the loop: memory never
    /// exceeds them, apart from one step of 64 KiB and the growth of a vector.
    ///
    /// # Errors
    ///
    /// [`InflateError`]: over a limit, damaged, cut short, followed by more, or out of memory.
    pub fn inflate(input: &[u8], limits: InflateLimits) -> Result<Vec<u8>, InflateError> {
        if input.get(1).is_some_and(|byte| byte & FDICT != 0) {
            return Err(InflateError::PresetDictionary);
        }
        let flags = inflate_flags::TINFL_FLAG_PARSE_ZLIB_HEADER
            | inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        let mut state = DecompressorOxide::new();
        let mut out = Vec::new();
        let (mut read, mut written) = (0_usize, 0_usize);
        // Typical payloads fit at once; a small one does not pay for a whole step.
        let mut step = input.len().saturating_mul(4).min(STEP);
        loop {
            let size = written.saturating_add(step).min(limits.output_max);
            out.try_reserve(size.saturating_sub(out.len())).map_err(|_| InflateError::NoMemory)?;
            out.resize(size, 0);
            let rest = input.get(read..).unwrap_or_default();
            let (status, consumed, produced) =
                decompress(&mut state, rest, &mut out, written, flags);
            read = read.saturating_add(consumed);
            written = written.saturating_add(produced);
            if written > RATIO_FREE && exceeds_ratio(written, read, limits.ratio_max) {
                return Err(InflateError::Ratio { max: limits.ratio_max });
            }
            match status {
                TINFLStatus::Done if read < input.len() => {
                    return Err(InflateError::TrailingBytes { at: read });
                }
                TINFLStatus::Done => {
                    out.truncate(written);
                    return Ok(out);
                }
                TINFLStatus::HasMoreOutput if size == limits.output_max => {
                    return Err(InflateError::TooLarge { max: limits.output_max });
                }
                TINFLStatus::HasMoreOutput => step = STEP,
                TINFLStatus::FailedCannotMakeProgress | TINFLStatus::NeedsMoreInput => {
                    return Err(InflateError::Truncated);
                }
                TINFLStatus::Adler32Mismatch => return Err(InflateError::Checksum),
                // The enum is open: what a later version adds is no success either.
                _ => return Err(InflateError::Corrupt { at: read }),
            }
        }
    }

    fn exceeds_ratio(written: usize, read: usize, ratio_max: u32) -> bool {
        let ratio_max = usize::try_from(ratio_max).unwrap_or(usize::MAX);
        written > read.saturating_mul(ratio_max)
    }
}

#[cfg(not(feature = "compress"))]
pub use none::{deflate, inflate};

#[cfg(not(feature = "compress"))]
mod none {
    use super::{InflateError, InflateLimits};
    use alloc::vec::Vec;

    /// Compresses nothing: this build lacks the feature `compress`.
    #[must_use]
    pub fn deflate(_payload: &[u8]) -> Option<Vec<u8>> {
        None
    }

    /// Expands nothing: this build lacks the feature `compress`.
    ///
    /// # Errors
    ///
    /// Always [`InflateError::Unsupported`].
    pub fn inflate(_input: &[u8], _limits: InflateLimits) -> Result<Vec<u8>, InflateError> {
        Err(InflateError::Unsupported)
    }
}
