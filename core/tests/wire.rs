//! Headers, frames and the decoder, through the public face alone.

use bytes::{BufMut, Bytes, BytesMut};
use cndt_core::wire::{
    Decoder, Dialect, Dialects, Flags, Frame, FrameError, HEADER_LEN, Header, Kind, WireError,
    WireErrorKind, write_frame,
};
use proptest::prelude::*;
use std::convert::Infallible;

const MAX: usize = 1 << 16;
const DIALECTS: [Dialect; 2] = [Dialect::Cndt, Dialect::Netconduit];

fn header(kind: Kind) -> Header {
    Header { correlation: 7, timestamp: 9, ..Header::new(kind) }
}

fn append(out: &mut BytesMut, dialect: Dialect, header: &Header, payload: &[u8]) -> usize {
    let write = |out: &mut BytesMut| {
        out.put_slice(payload);
        Ok::<_, Infallible>(())
    };
    write_frame(out, dialect, header, MAX, write).expect("the frame is in order")
}

fn frame(dialect: Dialect, kind: Kind, payload: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    append(&mut out, dialect, &header(kind), payload);
    out.to_vec()
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

fn told<'a>(accept: Dialects, pieces: impl IntoIterator<Item = &'a [u8]>) -> Told {
    let mut decoder = Decoder::new(accept, MAX);
    let (mut frames, mut end) = (Vec::new(), Ok(()));
    for (n, piece) in pieces.into_iter().enumerate() {
        if n % 2 == 0 {
            decoder.push(piece);
        } else {
            decoder.buffer().extend_from_slice(piece);
        }
        end = loop {
            let at = decoder.offset();
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push((at, frame)),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
    }
    let (offset, buffered, needed) = (decoder.offset(), decoder.buffered(), decoder.needed());
    Told { frames, end, offset, buffered, needed }
}

#[test]
fn the_smallest_faulty_prefix_is_refused_at_its_last_byte() {
    use WireErrorKind::{BadMagic, BadVersion, DialectNotAccepted};
    let cases: [(&[u8], Dialects, u64, WireErrorKind); 9] = [
        (b"G", Dialects::BOTH, 0, BadMagic { found: b'G', expected: b'C' }),
        (b"\x16", Dialects::BOTH, 0, BadMagic { found: 0x16, expected: b'C' }),
        (b"CO", Dialects::BOTH, 1, BadMagic { found: b'O', expected: b'N' }),
        (b"CNd", Dialects::BOTH, 2, BadMagic { found: b'd', expected: b'D' }),
        (b"CND\0", Dialects::BOTH, 3, BadMagic { found: 0, expected: b'T' }),
        (b"CNDT\x02", Dialects::BOTH, 4, BadVersion { found: 2, expected: 1 }),
        (b"CNDT\0", Dialects::BOTH, 4, BadVersion { found: 0, expected: 1 }),
        (b"CNDT\x01\0", Dialects::CNDT, 5, DialectNotAccepted(Dialect::Netconduit)),
        (b"CNDT\x01\x05", Dialects::NETCONDUIT, 5, DialectNotAccepted(Dialect::Cndt)),
    ];
    for (bytes, accept, offset, kind) in cases {
        let (before, _) = bytes.split_at(bytes.len() - 1);
        assert_eq!(told(accept, [before]).end, Ok(()), "{before:?}");
        assert_eq!(told(accept, [bytes]).end, Err(WireError { offset, kind }), "{bytes:?}");
        let long = [bytes, &[0xAA; 64]].concat();
        assert_eq!(told(accept, [&long[..]]).end, Err(WireError { offset, kind }), "{long:?}");
    }
}

#[test]
fn a_connection_keeps_its_dialect() {
    for (first, then, kind) in [
        (Dialect::Cndt, Dialect::Netconduit, WireErrorKind::ReservedType0),
        (Dialect::Netconduit, Dialect::Cndt, WireErrorKind::BadVersion { found: 1, expected: 0 }),
    ] {
        let stream = [frame(first, Kind::Message, b"ab"), frame(then, Kind::Message, b"")].concat();
        let expected = Err(WireError { offset: 34 + 5, kind });
        for end in [34 + 6, 34 + HEADER_LEN] {
            let told = told(Dialects::BOTH, [&stream[..end]]);
            assert_eq!((told.frames.len(), told.end), (1, expected), "{first} {end}");
        }
    }
}

#[test]
fn decode_names_the_first_byte_at_fault() {
    for dialect in DIALECTS {
        let good = header(Kind::Message).encode(dialect).expect("both have messages");
        for at in 0..HEADER_LEN {
            for value in 0..=u8::MAX {
                let mut bytes = good;
                bytes[at] = value;
                let decoded = Header::decode(dialect, &bytes);
                let faulty = match (at, dialect) {
                    (5, Dialect::Cndt) => value == 0,
                    (0..=4, _) | (5, Dialect::Netconduit) => value != good[at],
                    _ => false,
                };
                assert_eq!(decoded.is_err(), faulty, "{dialect}: byte {at} = {value}");
            }
        }
    }
}

#[test]
fn reserved_bytes_lie_apart_from_everything_else() {
    let all = [(Dialect::Cndt, 28..32, u32::MAX), (Dialect::Netconduit, 10..12, 0xFFFF)];
    for (dialect, place, reserved) in all {
        let good = header(Kind::Message).encode(dialect).expect("both have messages");
        assert!(good[place.clone()].iter().all(|byte| *byte == 0));
        let mut bytes = good;
        bytes[place].fill(0xFF);
        let expected = Header { reserved, ..header(Kind::Message) };
        assert_eq!(Header::decode(dialect, &bytes), Ok(expected));
        assert_eq!(expected.encode(dialect), Some(bytes));
    }
}

#[test]
fn unknown_types_and_flags_are_no_errors() {
    for dialect in DIALECTS {
        let kind = Kind::Unknown(0x99);
        let odd = Header { unknown_flags: 0xFF80, ..header(kind) };
        let bytes = odd.encode(dialect).expect("0x99 fits");
        assert_eq!(Header::decode(dialect, &bytes), Ok(odd));
        let defined = Header { unknown_flags: 0xFFFF, ..header(kind) };
        let bytes = defined.encode(dialect).expect("0x99 fits");
        let decoded = Header::decode(dialect, &bytes).expect("it is a header");
        assert!(decoded.flags.is_empty(), "an unknown bit became {:?}", decoded.flags);
    }
}

#[test]
fn too_long_a_payload_is_refused_by_its_header_alone() {
    for (dialect, field) in [(Dialect::Cndt, 8), (Dialect::Netconduit, 12)] {
        for length in [MAX as u32 + 1, u32::MAX] {
            let second = Header { length, ..header(Kind::Message) };
            let mut stream = frame(dialect, Kind::Message, b"abc");
            stream.extend(second.encode(dialect).expect("both have messages"));
            let kind = WireErrorKind::FrameTooLarge { length, max: MAX };
            let told = told(Dialects::BOTH, [&stream[..]]);
            assert_eq!(told.end, Err(WireError { offset: 35 + field, kind }));
        }
        let payload = vec![3; MAX];
        let largest = frame(dialect, Kind::Message, &payload);
        assert_eq!(told(Dialects::BOTH, [&largest[..]]).frames.len(), 1);
    }
}

#[test]
fn an_announced_length_reserves_nothing() {
    let announced = Header { length: 100 << 20, ..header(Kind::Message) };
    let mut decoder = Decoder::new(Dialects::BOTH, usize::MAX);
    decoder.push(&announced.encode(Dialect::Cndt).expect("cndt has messages"));
    assert_eq!(decoder.next_frame(), Ok(None));
    assert_eq!((decoder.needed(), decoder.buffered()), (100 << 20, HEADER_LEN));
    assert!(decoder.buffer().capacity() < 1024, "{}", decoder.buffer().capacity());
}

#[test]
fn the_limit_may_change_between_frames() {
    let stream = frame(Dialect::Cndt, Kind::Message, &[0; 100]).repeat(3);
    let mut decoder = Decoder::new(Dialects::CNDT, 100);
    decoder.push(&stream);
    assert!(matches!(decoder.next_frame(), Ok(Some(_))));
    decoder.set_frame_max(200);
    assert_eq!(decoder.frame_max(), 200);
    assert!(matches!(decoder.next_frame(), Ok(Some(_))));
    decoder.set_frame_max(99);
    let kind = WireErrorKind::FrameTooLarge { length: 100, max: 99 };
    assert_eq!(decoder.next_frame(), Err(WireError { offset: 2 * 132 + 8, kind }));
}

#[test]
fn an_error_is_final_and_nothing_is_kept() {
    let mut decoder = Decoder::new(Dialects::BOTH, MAX);
    decoder.push(&frame(Dialect::Cndt, Kind::Message, b""));
    decoder.push(b"CNDX");
    assert!(matches!(decoder.next_frame(), Ok(Some(_))));
    let error = decoder.next_frame().expect_err("X is no T");
    assert_eq!(error.offset, 35);
    for _ in 0..3 {
        decoder.push(&frame(Dialect::Cndt, Kind::Message, b""));
        decoder.buffer().extend_from_slice(&[0; 1000]);
        assert_eq!(decoder.next_frame(), Err(error));
        assert_eq!((decoder.buffered(), decoder.needed(), decoder.offset()), (0, 0, 32));
        assert!(decoder.buffer().is_empty());
    }
}

#[test]
fn payloads_share_the_buffer_and_shrink_gives_it_back() {
    let mut decoder = Decoder::new(Dialects::BOTH, MAX);
    decoder.push(&frame(Dialect::Cndt, Kind::Message, &[1; 5000]));
    decoder.push(b"CND");
    let bytes = decoder.buffer().as_ptr() as usize;
    decoder.shrink();
    assert_eq!(decoder.buffer().as_ptr() as usize, bytes, "a waiting frame was copied");
    let payload = decoder.next_frame().expect("in order").expect("whole").payload;
    assert_eq!(payload.as_ptr() as usize, bytes + HEADER_LEN, "the payload was copied");
    drop(payload);
    decoder.push(b"T");
    decoder.shrink();
    assert!(decoder.buffer().capacity() <= HEADER_LEN);
    assert_eq!((decoder.buffered(), decoder.needed(), decoder.offset()), (4, 28, 5032));
    decoder.push(&frame(Dialect::Cndt, Kind::Pause, b"")[4..]);
    assert!(matches!(decoder.next_frame(), Ok(Some(_))));
}

#[test]
fn large_payloads_share_large_reads() {
    for length in [16 * 1024 + 1, 20_000, 40_000, 65_536, 100_000, 300_000, 5_000_000] {
        let mut one = BytesMut::new();
        write_frame(&mut one, Dialect::Cndt, &header(Kind::Message), usize::MAX, |out| {
            out.resize(out.len() + length, 7);
            Ok::<(), ()>(())
        })
        .unwrap();
        let bytes = one.repeat(20_000_000 / length);
        let mut decoder = Decoder::new(Dialects::BOTH, usize::MAX);
        assert_eq!(decoder.reserve_large(1 << 20), 0, "nothing is known of it");
        let (mut rest, mut copied, mut kept) = (&bytes[..], 0, Vec::new());
        while !rest.is_empty() {
            let size = match decoder.reserve_large(1 << 20) {
                0 => 4096,
                size => size,
            };
            let (read, behind) = rest.split_at(size.min(rest.len()));
            let free = decoder.buffer().capacity() - decoder.buffer().len();
            assert!(size == 4096 || free >= size, "{free} of {size}");
            decoder.buffer().extend_from_slice(read);
            rest = behind;
            let here = decoder.buffer().as_ptr_range();
            while let Some(frame) = decoder.next_frame().unwrap() {
                copied += usize::from(!here.contains(&frame.payload.as_ptr()));
                kept.push(frame.payload);
            }
        }
        assert_eq!((copied, kept.len()), (0, 20_000_000 / length), "{length} bytes");
    }
    let mut decoder = Decoder::new(Dialects::BOTH, usize::MAX);
    decoder.push(&frame(Dialect::Cndt, Kind::Message, &[7; 16 * 1024]));
    assert!(decoder.next_frame().unwrap().is_some());
    assert_eq!(decoder.reserve_large(1 << 20), 0, "small ones may have small reads");
}

#[test]
fn a_frame_that_fails_leaves_the_buffer_as_it_was() {
    let mut out = BytesMut::from(&b"before"[..]);
    let message = header(Kind::Message);
    let failed = write_frame(&mut out, Dialect::Cndt, &message, 10, |out| {
        out.put_slice(b"half");
        Err("no such value")
    });
    assert_eq!(failed, Err(FrameError::Payload("no such value")));
    let fill = |n| {
        move |out: &mut BytesMut| {
            out.put_bytes(1, n);
            Ok::<_, &str>(())
        }
    };
    let large = write_frame(&mut out, Dialect::Cndt, &message, 10, fill(11));
    assert_eq!(large, Err(FrameError::TooLarge { length: 11, max: 10 }));
    let kind = Kind::Cancel;
    let missing = write_frame(&mut out, Dialect::Netconduit, &header(kind), 10, fill(1));
    assert_eq!(missing, Err(FrameError::NoSuchKind { kind, dialect: Dialect::Netconduit }));
    assert_eq!(out, "before");
    assert_eq!(write_frame(&mut out, Dialect::Cndt, &message, 10, fill(10)), Ok(42));
    assert!(out.starts_with(b"beforeCNDT\x01\x01\0\0\0\0\0\x0A"), "{out:?}");
}

fn any_kind() -> impl Strategy<Value = Kind> {
    let unknown = prop_oneof![0x25_u16..0xFF, 0x100_u16..].prop_map(Kind::Unknown);
    prop_oneof![4 => prop::sample::select(&Kind::ALL[..]), 1 => unknown]
}

prop_compose! {
    fn any_header(dialect: Dialect)(
        kind in any_kind(), bits: u16, correlation: u64, timestamp: u64, reserved: u32,
    ) -> Header {
        let (flags, unknown_flags) = Flags::from_bits(dialect, bits);
        let reserved = match dialect {
            Dialect::Cndt => reserved,
            Dialect::Netconduit => reserved & 0xFFFF,
        };
        let header = Header::new(kind);
        Header { flags, unknown_flags, correlation, timestamp, reserved, ..header }
    }
}

fn any_frame(dialect: Dialect) -> impl Strategy<Value = (Header, Vec<u8>)> {
    (any_header(dialect), prop::collection::vec(any::<u8>(), 0..200))
}

fn any_dialect() -> impl Strategy<Value = Dialect> {
    prop::sample::select(&DIALECTS[..])
}

proptest! {
    #[test]
    fn headers_come_back(
        (dialect, header) in any_dialect().prop_flat_map(|d| (Just(d), any_header(d))), length: u32,
    ) {
        let header = Header { length, ..header };
        match header.encode(dialect) {
            Some(bytes) => prop_assert_eq!(Header::decode(dialect, &bytes), Ok(header)),
            None => prop_assert_eq!(header.kind.code(dialect), None),
        }
    }

    #[test]
    fn frames_come_back_however_they_are_cut(
        (dialect, frames) in any_dialect()
            .prop_flat_map(|d| (Just(d), prop::collection::vec(any_frame(d), 1..8))),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        tail in prop::collection::vec(any::<u8>(), 0..8),
    ) {
        let mut out = BytesMut::new();
        let mut sent = Vec::new();
        for (header, payload) in frames {
            if header.kind.code(dialect).is_none() {
                continue;
            }
            let at = out.len() as u64;
            let size = append(&mut out, dialect, &header, &payload);
            prop_assert_eq!(size, HEADER_LEN + payload.len());
            let header = Header { length: payload.len() as u32, ..header };
            sent.push((at, Frame { dialect, header, payload: Bytes::from(payload) }));
        }
        out.extend_from_slice(&tail);
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(out.len() + 1)).collect();
        cuts.extend([0, out.len()]);
        cuts.sort_unstable();
        let whole = told(dialect.into(), [&out[..]]);
        prop_assert_eq!(&whole.frames, &sent);
        let pieces = cuts.windows(2).map(|cut| &out[cut[0]..cut[1]]);
        prop_assert_eq!(&told(dialect.into(), pieces), &whole);
        prop_assert_eq!(&told(dialect.into(), out.chunks(1)), &whole);
    }
}

/// Work that grew with what is buffered would take hours here instead of a moment.
#[test]
fn a_large_frame_may_come_byte_by_byte() {
    let payload = vec![0xc0_u8; 10 << 20];
    for dialect in DIALECTS {
        let mut out = BytesMut::new();
        write_frame(&mut out, dialect, &header(Kind::Message), usize::MAX, |out| {
            out.extend_from_slice(&payload);
            Ok::<_, Infallible>(())
        })
        .expect("it fits");
        let mut decoder = Decoder::new(Dialects::BOTH, 10 << 20);
        let (last, rest) = out.split_last().expect("it is not empty");
        for byte in rest {
            decoder.push(core::slice::from_ref(byte));
            assert_eq!(decoder.next_frame(), Ok(None));
        }
        decoder.push(core::slice::from_ref(last));
        let frame = decoder.next_frame().expect("it is one").expect("it is whole");
        assert_eq!(frame.payload.len(), payload.len());
    }
}
