//! The frames known byte for byte, cut in every way, and the fuzz corpora, replayed.

use bytes::BytesMut;
use cndt_core::wire::{
    Decoder, Dialect, Dialects, Frame, HEADER_LEN, Header, InflateError, InflateLimits, WireError,
    WireErrorKind, inflate, write_frame,
};
use cndt_testkit::{
    properties,
    vectors::{FRAMES, ZLIB_BOMB},
};
use std::{convert::Infallible, fs, path::Path};

type Property = fn(&[u8]);
type Told = (Vec<(u64, Frame)>, Option<WireError>, u64, usize);

fn told<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Told {
    let mut decoder = Decoder::new(Dialects::BOTH, 8192);
    let (mut frames, mut error) = (Vec::new(), None);
    for piece in pieces {
        decoder.push(piece);
        loop {
            let at = decoder.offset();
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push((at, frame)),
                Ok(None) => break,
                Err(found) => {
                    error = Some(found);
                    break;
                }
            }
        }
    }
    (frames, error, decoder.offset(), decoder.buffered())
}

fn every_cut(stream: &[u8], name: &str) {
    let whole = told([stream]);
    assert_eq!(told(stream.chunks(1)), whole, "{name}, byte by byte");
    for second in 0..=stream.len() {
        let (front, third) = stream.split_at(second);
        for first in 0..=second {
            let (one, two) = front.split_at(first);
            assert_eq!(told([one, two, third]), whole, "{name}, cut at {first} and {second}");
        }
    }
}

#[test]
fn every_vector_is_read_and_written_back() {
    for vector in FRAMES {
        let bytes = vector.bytes();
        let (frames, error, ..) = told([&bytes[..]]);
        let [(0, frame)] = &frames[..] else {
            panic!("{}: {frames:?} {error:?}", vector.name);
        };
        assert_eq!(
            (frame.dialect, frame.header.kind),
            (vector.dialect, vector.kind),
            "{}",
            vector.name
        );
        assert!(
            frame.header.flags.is_empty() && frame.header.unknown_flags == 0,
            "{}",
            vector.name
        );
        let mut out = BytesMut::new();
        let written = write_frame(&mut out, vector.dialect, &frame.header, 8192, |out| {
            out.extend_from_slice(&frame.payload);
            Ok::<_, Infallible>(())
        });
        assert_eq!(written, Ok(bytes.len()), "{}", vector.name);
        assert_eq!(out, bytes, "{}", vector.name);
    }
}

#[test]
fn the_fields_of_the_documented_and_the_captured_request_are_right() {
    for (name, timestamp) in [
        ("documented RPC_REQUEST", 0x0000_019B_18DA_A2B4),
        ("captured RPC_REQUEST", 0x0000_01A1_FB65_E456),
    ] {
        let vector = FRAMES.iter().find(|vector| vector.name == name).expect("the vector exists");
        let (frames, ..) = told([&vector.bytes()[..]]);
        let Header { length, correlation, timestamp: read, .. } = frames[0].1.header;
        assert_eq!((length, correlation, read), (26, 1, timestamp), "{name}");
        assert_eq!(&frames[0].1.payload[..12], b"\x82\xA6method\xA3add", "{name}");
    }
}

#[test]
fn a_vector_cut_anywhere_twice_is_the_same() {
    for vector in FRAMES {
        every_cut(&vector.bytes(), vector.name);
    }
}

#[test]
fn three_frames_cut_anywhere_twice_are_the_same() {
    for dialect in [Dialect::Cndt, Dialect::Netconduit] {
        let same = FRAMES.iter().filter(|vector| vector.dialect == dialect);
        let mut shortest: Vec<_> = same.map(|vector| vector.bytes()).collect();
        shortest.sort_by_key(Vec::len);
        shortest.truncate(3);
        let mut stream = shortest.concat();
        assert_eq!(told([&stream[..]]).0.len(), 3);
        every_cut(&stream, "three frames");

        let at = stream.len() as u64;
        stream.extend(b"CNDT\x01");
        stream.extend([u8::from(dialect == Dialect::Netconduit); HEADER_LEN]);
        every_cut(&stream, "three frames and an error");
        let error = told([&stream[..]]).1.expect("the dialect changed");
        assert_eq!(error.offset, at + 5);
        let changed = match dialect {
            Dialect::Cndt => WireErrorKind::ReservedType0,
            Dialect::Netconduit => WireErrorKind::BadVersion { found: 1, expected: 0 },
        };
        assert_eq!(error.kind, changed);
    }
}

#[test]
fn the_bomb_is_refused() {
    let limits = InflateLimits { output_max: 10 << 20, ratio_max: 128 };
    assert_eq!(inflate(ZLIB_BOMB, limits), Err(InflateError::Ratio { max: 128 }));
    let lax = InflateLimits { ratio_max: u32::MAX, ..limits };
    assert_eq!(inflate(ZLIB_BOMB, lax), Err(InflateError::TooLarge { max: 10 << 20 }));
    let none = InflateLimits { output_max: 16 << 20, ratio_max: u32::MAX };
    assert_eq!(inflate(ZLIB_BOMB, none).map(|out| out.len()), Ok(16 << 20));
}

#[test]
fn the_corpora_hold() {
    let targets: [(&str, Property); 24] = [
        ("header", properties::header),
        ("frame_stream", properties::frame_stream),
        ("frame_round_trip", properties::frame_round_trip),
        ("inflate", properties::inflate),
        ("envelopes", properties::envelopes),
        ("connection", properties::connection),
        ("msgpack", properties::msgpack),
        ("scram_texts", properties::scram_texts),
        ("verifier", properties::verifier),
        ("login_payloads", properties::login_payloads),
        ("auth_server", properties::auth_server),
        ("auth_client", properties::auth_client),
        ("operations", properties::operations),
        ("session", properties::session),
        ("json_scanner", properties::json_scanner),
        ("json_frames", properties::json_frames),
        ("json_messages", properties::json_messages),
        ("json_endpoint", properties::json_endpoint),
        ("json_operations", properties::json_operations),
        ("json_session", properties::json_session),
        ("breaker", properties::breaker),
        ("bulkhead", properties::bulkhead),
        ("webhook_verify", properties::webhook_verify),
        ("webhook_routes", properties::webhook_routes),
    ];
    for (target, property) in targets {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
        let Ok(seeds) = fs::read_dir(&folder) else {
            // The published package has no corpora.
            assert!(!folder.join("../..").exists(), "no corpus in {folder:?}");
            continue;
        };
        let mut replayed = 0;
        for seed in seeds {
            let path = seed.expect("a listed file can be looked at").path();
            property(&fs::read(path).expect("a seed can be read"));
            replayed += 1;
        }
        assert!(replayed > 0, "{folder:?} is empty");
    }
}
