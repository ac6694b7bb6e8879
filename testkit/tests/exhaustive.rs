//! All inputs of a kind. What takes minutes runs on request, in a release build:
//!
//! ```sh
//! cargo test --release -p cndt-testkit --test exhaustive -- --ignored
//! ```
//!
//! The same laws run on a part of the inputs every time.

use cndt_core::wire::{Decoder, Dialect, Dialects, HEADER_LEN, Header, Kind};
use cndt_testkit::properties;
use cndt_testkit::vectors::FRAMES;

/// Every (type, flags) of both dialects is read as it stands and written back, or refused.
fn headers(step: usize) {
    for dialect in [Dialect::Cndt, Dialect::Netconduit] {
        let (types, place) = match dialect {
            Dialect::Cndt => (0x100_u64, 5),
            Dialect::Netconduit => (0x1_0000, 6),
        };
        let mut bytes = Header::new(Kind::Message).encode(dialect).expect("both have messages");
        for number in (0..types << 16).step_by(step) {
            let (kind, flags) = ((number >> 16) as u16, (number & 0xFFFF) as u16);
            match dialect {
                Dialect::Cndt => bytes[place] = kind as u8,
                Dialect::Netconduit => bytes[place..place + 2].copy_from_slice(&kind.to_be_bytes()),
            }
            let flags_at = if dialect == Dialect::Cndt { 6 } else { 8 };
            bytes[flags_at..flags_at + 2].copy_from_slice(&flags.to_be_bytes());
            let read = Header::decode(dialect, &bytes);
            let is_refused = dialect == Dialect::Cndt && kind == 0;
            assert_eq!(read.is_err(), is_refused, "{dialect} {kind:x} {flags:x}");
            if let Ok(header) = read {
                assert_eq!(header.encode(dialect), Some(bytes), "{dialect} {kind:x} {flags:x}");
            }
        }
    }
}

/// Every length is judged on the header alone, and no memory is taken for it.
fn lengths(step: usize) {
    const MAX: usize = 8192;
    let whole = Header::new(Kind::Message).encode(Dialect::Cndt).expect("it has messages");
    for length in (0..=u64::from(u32::MAX)).step_by(step) {
        let mut bytes = whole;
        bytes[8..12].copy_from_slice(&(length as u32).to_be_bytes());
        let mut decoder = Decoder::new(Dialects::CNDT, MAX);
        decoder.push(&bytes);
        match decoder.next_frame() {
            Err(_) => assert!(length > MAX as u64),
            Ok(Some(_)) => assert_eq!(length, 0),
            Ok(None) => {
                assert!(length <= MAX as u64);
                assert_eq!(decoder.needed() as u64, length);
                assert!(decoder.buffer().capacity() <= 2 * HEADER_LEN);
            }
        }
    }
}

/// Every value of four bytes, against another reader.
fn values(step: usize) {
    for number in (0..=u64::from(u32::MAX)).step_by(step) {
        properties::msgpack(&(number as u32).to_be_bytes());
    }
}

#[test]
fn some_headers_lengths_and_values() {
    // Steps without a common factor with powers of two reach every low bit.
    headers(1009);
    lengths(10_007);
    values(10_007);
}

#[test]
#[ignore = "minutes, in a release build"]
fn all_headers() {
    headers(1);
}

#[test]
#[ignore = "minutes, in a release build"]
fn all_lengths() {
    lengths(1);
}

#[test]
#[ignore = "minutes, in a release build"]
fn all_values_of_four_bytes() {
    values(1);
}

#[test]
#[ignore = "minutes, in a release build"]
fn ten_million_ways_to_cut() {
    // A stream of every known frame of one dialect, cut at random into up to six pieces.
    let same = FRAMES.iter().filter(|vector| vector.dialect == Dialect::Cndt);
    let stream: Vec<u8> = same.flat_map(|vector| vector.bytes()).collect();
    let told = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut decoder = Decoder::new(Dialects::BOTH, 8192);
        let (mut frames, mut sum) = (0_u64, 0_u64);
        for piece in pieces {
            decoder.push(piece);
            while let Some(frame) = decoder.next_frame().expect("they are frames") {
                frames += 1;
                sum = sum.wrapping_mul(31).wrapping_add(frame.payload.len() as u64)
                    ^ frame.payload.first().copied().map_or(7, u64::from);
            }
        }
        (frames, sum, decoder.offset())
    };
    let whole = told(&mut std::iter::once(&stream[..]));
    let mut state = 1_u64;
    for _ in 0..10_000_000_u64 {
        // The last of them is the end.
        let mut cuts = [stream.len(); 6];
        for cut in cuts.iter_mut().take(5) {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            *cut = (state >> 33) as usize % stream.len();
        }
        cuts.sort_unstable();
        let mut last = 0;
        let mut pieces = cuts.iter().map(|cut| {
            let piece = &stream[last..*cut];
            last = *cut;
            piece
        });
        assert_eq!(told(&mut pieces), whole, "cut at {cuts:?}");
    }
}
