//! CNDT without std: frames of both dialects, and a handshake and a call between two connections,
//! all in memory.
//!
//! The program brings its own panic handler and its own allocator, so a std hidden in any
//! dependency of `cndt-core` collides with them and the build fails. Running it shows that what
//! was built works: it exits with 0, or with the number of the step that failed.
//!
//! Entry point and allocator are C's, the one place that needs `unsafe`; that is why this package
//! does not inherit the workspace's lints, which forbid it.
#![no_std]
#![no_main]
#![deny(unsafe_op_in_unsafe_fn)]

mod exchange;
mod platform;

use bytes::BytesMut;
use cndt_core::wire::{
    Decoder, Dialect, Dialects, Flags, Header, InflateLimits, Kind, deflate, inflate, write_frame,
};

/// Largest payload in bytes, on both sides.
const FRAME_MAX: usize = 8 * 1024;

/// The steps, numbered as the process reports them.
#[derive(Clone, Copy)]
enum Failed {
    Write = 1,
    Read,
    Differs,
    Compress,
    Expand,
    Exchange,
}

fn run() -> Result<(), Failed> {
    for dialect in [Dialect::Cndt, Dialect::Netconduit] {
        round_trip(dialect, Flags::empty(), b"\x82\xA6method\xA3add\xA6params\x80")?;

        let text = [b'a'; 4096];
        let small = deflate(&text).ok_or(Failed::Compress)?;
        round_trip(dialect, Flags::COMPRESSED, &small)?;
        let limits = InflateLimits { output_max: FRAME_MAX, ratio_max: 128 };
        let back = inflate(&small, limits).map_err(|_| Failed::Expand)?;
        if back != text {
            return Err(Failed::Differs);
        }
    }
    match exchange::answers() {
        Some(true) => Ok(()),
        Some(false) | None => Err(Failed::Exchange),
    }
}

/// Writes a frame, and reads it back byte by byte.
fn round_trip(dialect: Dialect, flags: Flags, payload: &[u8]) -> Result<(), Failed> {
    let kind = Kind::RpcRequest;
    let header = Header { flags, correlation: 1, timestamp: 1_700_000, ..Header::new(kind) };
    let mut out = BytesMut::new();
    let write = |out: &mut BytesMut| {
        out.extend_from_slice(payload);
        Ok::<_, core::convert::Infallible>(())
    };
    write_frame(&mut out, dialect, &header, FRAME_MAX, write).map_err(|_| Failed::Write)?;

    let mut decoder = Decoder::new(Dialects::BOTH, FRAME_MAX);
    for byte in &out {
        decoder.push(&[*byte]);
        if let Some(frame) = decoder.next_frame().map_err(|_| Failed::Read)? {
            let length = frame.header.length;
            let same = frame.dialect == dialect
                && frame.header == Header { length, ..header }
                && frame.payload == payload
                && decoder.buffered() == 0;
            return if same { Ok(()) } else { Err(Failed::Differs) };
        }
    }
    Err(Failed::Read)
}
