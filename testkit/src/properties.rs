//! Laws that hold for any bytes. Each function panics, and says which law, if it is broken; the
//! input is otherwise free, so a fuzzer can drive it.
//!
//! ```
//! use cndt_testkit::properties;
//!
//! // Selector 0xFF: both dialects, any length. One cut, after 3 bytes.
//! properties::frame_stream(b"\xFF\x01\x03CNDT\x01\x05\0\0");
//! properties::frame_round_trip(b"anything");
//! ```

mod jsonrpc;
mod login;
mod msgpack;
mod operations;
mod resilience;
mod session;
mod webhook;

use bytes::{Bytes, BytesMut};
use cndt_core::wire::{
    Decoder, Dialect, Dialects, Flags, Frame, FrameError, HEADER_LEN, Header, InflateError,
    InflateLimits, Kind, WireError, deflate, inflate as inflate_within, write_frame,
};

pub use jsonrpc::{
    json_endpoint, json_frames, json_messages, json_operations, json_scanner, json_session,
};
pub use login::{auth_client, auth_server, login_payloads, scram_texts, verifier};
pub use msgpack::msgpack;
pub use operations::operations;
pub use resilience::{breaker, breakers, bulkhead, limiter};
pub use session::{connection, envelopes, session};
pub use webhook::{webhook_routes, webhook_verify};

const DIALECTS: [Dialect; 2] = [Dialect::Cndt, Dialect::Netconduit];

/// A header that is read writes the same bytes; a refused one is
/// faulty in its first six bytes. Looks at the first 32 bytes of `data`, in both dialects.
///
/// # Panics
///
/// If the law is broken.
pub fn header(data: &[u8]) {
    let Some(bytes) = data.first_chunk::<HEADER_LEN>() else {
        return;
    };
    for dialect in DIALECTS {
        let prefix_fits = match dialect {
            Dialect::Cndt => bytes.starts_with(b"CNDT\x01") && bytes[5] != 0,
            Dialect::Netconduit => bytes.starts_with(b"CNDT\x01\0"),
        };
        let decoded = Header::decode(dialect, bytes);
        assert_eq!(decoded.is_ok(), prefix_fits, "{dialect}: {decoded:?} for {bytes:02x?}");
        if let Ok(header) = decoded {
            let written = header.encode(dialect);
            assert_eq!(written, Some(*bytes), "{dialect}: {header:?} is written differently");
        }
    }
}

/// The chunking law: a stream gives the same frames and the same error however it is cut, and
/// every byte of it is accounted for.
///
/// The first byte of `data` selects dialects and limit, the second is the number of cuts, then
/// come the sizes of the pieces, then the stream; what the cuts leave is one last piece.
///
/// # Panics
///
/// If the law is broken.
pub fn frame_stream(data: &[u8]) {
    let [selector, cuts, rest @ ..] = data else {
        return;
    };
    let (sizes, stream) = rest.split_at(usize::from(*cuts).min(rest.len()));
    let accept = match selector & 3 {
        0 => Dialects::CNDT,
        1 => Dialects::NETCONDUIT,
        _ => Dialects::BOTH,
    };
    let frame_max = match selector >> 2 {
        0x3F => usize::MAX,
        small => usize::from(small) * 16,
    };
    let pieces = pieces(stream, sizes);

    let whole = Told::by(accept, frame_max, [stream]);
    let cut = Told::by(accept, frame_max, pieces);
    assert_eq!(whole, cut, "a stream cut after {sizes:?} tells something else");
    let single = Told::by(accept, frame_max, stream.chunks(1));
    assert_eq!(whole, single, "a stream told byte by byte tells something else");
    whole.check(stream, frame_max);
}

/// The stream in pieces of these sizes; what they leave is one last piece.
fn pieces<'a>(stream: &'a [u8], sizes: &[u8]) -> Vec<&'a [u8]> {
    let mut left = stream;
    let mut pieces: Vec<_> = sizes
        .iter()
        .map(|size| {
            let (piece, after) = left.split_at(usize::from(*size).min(left.len()));
            left = after;
            piece
        })
        .collect();
    pieces.push(left);
    pieces
}

/// Everything a decoder says about a stream, and where it stands afterwards.
#[derive(Debug, PartialEq)]
struct Told {
    frames: Vec<(u64, Frame)>,
    end: Result<(), WireError>,
    offset: u64,
    buffered: usize,
    needed: usize,
}

impl Told {
    fn by<'a>(
        accept: Dialects,
        frame_max: usize,
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> Self {
        let mut decoder = Decoder::new(accept, frame_max);
        let (mut frames, mut end, mut pushed) = (Vec::new(), Ok(()), 0);
        for (n, piece) in pieces.into_iter().enumerate() {
            match n % 2 {
                0 => decoder.push(piece),
                _ => decoder.buffer().extend_from_slice(piece),
            }
            pushed += piece.len() as u64;
            end = loop {
                let at = decoder.offset();
                match decoder.next_frame() {
                    Ok(Some(frame)) => frames.push((at, frame)),
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                }
            };
            let accounted = decoder.offset() + decoder.buffered() as u64;
            match end {
                Ok(()) => {
                    assert_eq!(accounted, pushed, "bytes were lost or invented");
                    assert_ne!(decoder.needed(), 0, "a decoder that waits needs nothing");
                }
                Err(error) => {
                    assert!(decoder.buffer().is_empty(), "bytes are kept behind {error}");
                    assert!(error.offset < pushed, "{error} lies behind the bytes received");
                    assert_eq!(decoder.next_frame(), Err(error), "an error is final");
                }
            }
        }
        let (offset, buffered, needed) = (decoder.offset(), decoder.buffered(), decoder.needed());
        Self { frames, end, offset, buffered, needed }
    }

    /// The frames are the stream: each payload lies where its offset says, within the limit.
    fn check(&self, stream: &[u8], frame_max: usize) {
        let mut next = 0_u64;
        for (at, frame) in &self.frames {
            assert_eq!(*at, next, "a frame overlaps its neighbour, or leaves a gap");
            let start = usize::try_from(*at).expect("an offset lies in the stream") + HEADER_LEN;
            let payload = stream.get(start..start + frame.payload.len());
            assert_eq!(payload, Some(&frame.payload[..]), "a payload is not what was sent");
            assert_eq!(frame.header.length as usize, frame.payload.len(), "the length is wrong");
            assert!(frame.payload.len() <= frame_max, "a payload exceeds its limit");
            next += (HEADER_LEN + frame.payload.len()) as u64;
        }
        assert_eq!(self.offset, next, "the next frame does not follow the last");
    }
}

/// A frame that is written is read as it was meant, and one that cannot be written leaves the
/// buffer alone. `data` holds the header's fields, 24 bytes in all, and then the payload.
///
/// # Panics
///
/// If the law is broken.
pub fn frame_round_trip(data: &[u8]) {
    let Some((fields, payload)) = data.split_first_chunk::<24>() else {
        return;
    };
    let [choice, limit, kind @ .., f0, f1, _, _, _, _] = *fields;
    let [k0, k1, rest @ ..] = kind;
    let [c0, c1, c2, c3, c4, c5, c6, c7, timestamp @ ..] = rest;
    let dialect = DIALECTS[usize::from(choice & 1)];
    let code = u16::from_be_bytes([k0, k1]);
    let kind = match choice & 2 {
        0 => Kind::ALL[usize::from(k1) % Kind::ALL.len()],
        _ => Kind::from_code(dialect, code),
    };
    let (flags, unknown_flags) = Flags::from_bits(dialect, u16::from_be_bytes([f0, f1]));
    let correlation = u64::from_be_bytes([c0, c1, c2, c3, c4, c5, c6, c7]);
    let [t0, t1, t2, t3, ..] = timestamp;
    let timestamp = u64::from(u32::from_be_bytes([t0, t1, t2, t3])) << (limit % 33);
    let header =
        Header { flags, unknown_flags, length: !0, correlation, timestamp, ..Header::new(kind) };
    let frame_max = usize::from(limit) * 4;

    let before = BytesMut::from(&b"before"[..]);
    let mut out = before.clone();
    let written = write_frame(&mut out, dialect, &header, frame_max, |out| {
        out.extend_from_slice(payload);
        match choice {
            0xFF => Err("refused"),
            _ => Ok(()),
        }
    });
    let expected = match kind.code(dialect) {
        None => Err(FrameError::NoSuchKind { kind, dialect }),
        Some(_) if choice == 0xFF => Err(FrameError::Payload("refused")),
        Some(_) if payload.len() > frame_max => {
            Err(FrameError::TooLarge { length: payload.len(), max: frame_max })
        }
        Some(_) => Ok(HEADER_LEN + payload.len()),
    };
    assert_eq!(written, expected, "{header:?} in {dialect}");
    let Ok(size) = written else {
        assert_eq!(out, before, "a frame that failed left something behind");
        return;
    };
    assert_eq!(out.len(), before.len() + size, "the size returned is not the size written");

    let mut decoder = Decoder::new(dialect.into(), frame_max);
    decoder.push(&out[before.len()..]);
    let length = u32::try_from(payload.len()).expect("a payload within the limit is small");
    let payload = Bytes::copy_from_slice(payload);
    let frame = Frame { dialect, header: Header { length, ..header }, payload };
    assert_eq!(decoder.next_frame(), Ok(Some(frame)), "what was read is not what was written");
    assert_eq!(decoder.next_frame(), Ok(None), "a second frame appeared");
}

/// Expansion keeps its limits, takes whole streams only, and undoes compression. `data` is read
/// as a zlib stream, and then as a payload to compress.
///
/// # Panics
///
/// If the law is broken.
pub fn inflate(data: &[u8]) {
    const FREE: usize = cndt_core::wire::RATIO_FREE;
    let limits = InflateLimits { output_max: 4 << 20, ratio_max: 128 };
    if let Ok(out) = inflate_within(data, limits) {
        assert!(out.len() <= limits.output_max, "{} bytes exceed the limit", out.len());
        let allowed = data.len() * 128;
        assert!(out.len() <= allowed.max(FREE), "{} bytes from {}", out.len(), data.len());
        let exact = InflateLimits { output_max: out.len(), ..limits };
        assert_eq!(inflate_within(data, exact).as_ref(), Ok(&out), "an exact limit is refused");
        if let Some(output_max) = out.len().checked_sub(1) {
            let refused = inflate_within(data, InflateLimits { output_max, ..limits });
            assert_eq!(refused, Err(InflateError::TooLarge { max: output_max }));
        }
        let glued = inflate_within(&[data, &[0]].concat(), limits);
        let at = data.len();
        assert_eq!(glued, Err(InflateError::TrailingBytes { at }), "more bytes were accepted");
        let cut = inflate_within(&data[..at - 1], limits);
        assert_eq!(cut, Err(InflateError::Truncated), "a stream cut short was accepted");
    }
    if let Some(small) = deflate(data) {
        assert!(
            small.len() < data.len(),
            "compression made {} bytes of {}",
            small.len(),
            data.len()
        );
        let limits = InflateLimits { output_max: data.len(), ratio_max: u32::MAX };
        let back = inflate_within(&small, limits);
        assert_eq!(back.as_deref(), Ok(data), "expansion does not undo compression");
    }
}
