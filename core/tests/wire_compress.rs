//! Compression within limits.
#![cfg(feature = "compress")]

use cndt_core::wire::{COMPRESS_MIN, InflateError, InflateLimits, RATIO_FREE, deflate, inflate};
use proptest::prelude::*;

const WIDE: InflateLimits = InflateLimits { output_max: 16 << 20, ratio_max: u32::MAX };

/// 4 KiB of text, by Python: `zlib.compress(b"ab" * 2048, 6)`.
const PYTHON: &[u8] = b"\x78\x9c\xed\xc2\x01\x09\x00\x00\x00\x02\xa0\xad\xf5\x7f\
    \x44\x3f\x42\x34\x0d\x00\x00\x00\x70\x6e\xf3\x8b\x18\x5b";

/// Bytes that do not shrink, from a fixed generator.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(len).collect()
}

#[test]
fn pythons_stream_is_expanded() {
    assert_eq!(inflate(PYTHON, WIDE).as_deref(), Ok(&b"ab".repeat(2048)[..]));
}

#[test]
fn only_payloads_that_are_large_and_shrink_are_compressed() {
    assert_eq!(deflate(&vec![7; COMPRESS_MIN]), None);
    let small = deflate(&vec![7; COMPRESS_MIN + 1]).expect("1025 equal bytes shrink");
    assert!(small.len() < 32 && small.starts_with(&[0x78]), "{small:02x?}");
    assert_eq!(inflate(&small, WIDE).as_deref(), Ok(&[7; COMPRESS_MIN + 1][..]));
    for len in [COMPRESS_MIN + 1, 10_000, 200_000] {
        assert_eq!(deflate(&noise(len)), None, "{len}");
    }
}

#[test]
fn the_output_limit_is_exact() {
    for len in [1, 1025, 65_535, 65_536, 65_537, 131_072, 200_000] {
        let stream = miniz_oxide::deflate::compress_to_vec_zlib(&noise(len), 6);
        let limits = |output_max| InflateLimits { output_max, ratio_max: 128 };
        assert_eq!(inflate(&stream, limits(len)).map(|out| out.len()), Ok(len));
        let refused = Err(InflateError::TooLarge { max: len - 1 });
        assert_eq!(inflate(&stream, limits(len - 1)), refused);
    }
}

#[test]
fn the_ratio_spares_the_first_megabyte() {
    let limits = InflateLimits { output_max: 16 << 20, ratio_max: 128 };
    let short = miniz_oxide::deflate::compress_to_vec_zlib(&vec![0; RATIO_FREE], 9);
    assert_eq!(inflate(&short, limits).map(|out| out.len()), Ok(RATIO_FREE));
    let long = miniz_oxide::deflate::compress_to_vec_zlib(&vec![0; RATIO_FREE + 1], 9);
    assert_eq!(inflate(&long, limits), Err(InflateError::Ratio { max: 128 }));
}

#[test]
fn what_is_no_whole_stream_is_refused_at_every_byte() {
    let whole = deflate(&[&noise(500)[..], &[1; 1000]].concat()).expect("it shrinks");
    for cut in 0..whole.len() {
        assert_eq!(inflate(&whole[..cut], WIDE), Err(InflateError::Truncated), "cut at {cut}");
    }
    let glued = [&whole[..], &[0]].concat();
    assert_eq!(inflate(&glued, WIDE), Err(InflateError::TrailingBytes { at: whole.len() }));
    let twice = [&whole[..], &whole[..]].concat();
    assert_eq!(inflate(&twice, WIDE), Err(InflateError::TrailingBytes { at: whole.len() }));
    let mut wrong = whole.clone();
    *wrong.last_mut().expect("not empty") ^= 1;
    assert_eq!(inflate(&wrong, WIDE), Err(InflateError::Checksum));
}

#[test]
fn a_preset_dictionary_and_other_formats_are_refused() {
    // Python: zlib.compressobj(6, zdict=b"cndt") over b"cndt".
    let with_dictionary =
        [0x78, 0xBB, 0x04, 0x16, 0x01, 0xAA, 0x4B, 0x06, 0x62, 0x00, 0x04, 0x16, 0x01, 0xAA];
    assert_eq!(inflate(&with_dictionary, WIDE), Err(InflateError::PresetDictionary));
    for other in [&[0x1F, 0x8B, 8, 0][..], b"GET /", &[0; 8]] {
        let refused = inflate(other, WIDE);
        assert!(matches!(refused, Err(InflateError::Corrupt { .. })), "{other:?}: {refused:?}");
    }
}

proptest! {
    // A compressor is slow without optimization: few cases, each of many bytes.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_compressed_payload_comes_back(
        payload in prop::collection::vec(prop_oneof![Just(0_u8), Just(1), any::<u8>()], 0..5000),
        copies in 1_usize..20,
    ) {
        let payload = payload.repeat(copies);
        if let Some(small) = deflate(&payload) {
            prop_assert!(payload.len() > COMPRESS_MIN && small.len() < payload.len());
            prop_assert_eq!(inflate(&small, WIDE), Ok(payload));
        }
    }
}
