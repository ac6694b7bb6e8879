//! The MessagePack reader against another one, which is written as the format's text reads.

use cndt_core::message::msgpack::{Bounds, Reader};

const BOUNDS: Bounds = Bounds { depth_max: 16, elements_max: 500 };

/// A value is passed over exactly where a plain recursive reader finds one, and it is as long.
///
/// # Panics
/// When the law is broken.
pub fn msgpack(data: &[u8]) {
    let mut elements = 0;
    let expected = value(data, BOUNDS.depth_max, &mut elements);
    let found = Reader::new(data, BOUNDS).skip();
    assert_eq!(found.as_ref().ok().map(|range| range.end), expected, "{data:02x?}: {found:?}");
    if let Ok(range) = found {
        assert_eq!(range.start, 0);
        // No more room than it takes is enough.
        assert!(Reader::new(&data[..range.end], BOUNDS).skip().is_ok());
    }
}

/// The length of the value that begins here; `None` if there is none within the bounds.
fn value(data: &[u8], depth_left: usize, elements: &mut usize) -> Option<usize> {
    let marker = *data.first()?;
    let sized = |bytes: usize| {
        let digits = data.get(1..1 + bytes)?;
        Some((1 + bytes, digits.iter().fold(0_usize, |sum, digit| sum << 8 | usize::from(*digit))))
    };
    let plain = |length: usize| (data.len() >= length).then_some(length);
    let text = |(head, length): (usize, usize)| plain(head.checked_add(length)?);
    let extension =
        |(head, length): (usize, usize)| plain(head.checked_add(length)?.checked_add(1)?);
    match marker {
        0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => plain(1),
        0xc1 => None,
        0xa0..=0xbf => text((1, usize::from(marker & 0x1f))),
        0xcc | 0xd0 => plain(2),
        0xcd | 0xd1 => plain(3),
        0xca | 0xce | 0xd2 => plain(5),
        0xcb | 0xcf | 0xd3 => plain(9),
        0xd4..=0xd8 => plain(2 + (1 << (marker - 0xd4))),
        0xc4 | 0xd9 => text(sized(1)?),
        0xc5 | 0xda => text(sized(2)?),
        0xc6 | 0xdb => text(sized(4)?),
        0xc7 => extension(sized(1)?),
        0xc8 => extension(sized(2)?),
        0xc9 => extension(sized(4)?),
        0x90..=0x9f => values(data, (1, usize::from(marker & 0x0f)), depth_left, elements),
        0xdc => values(data, sized(2)?, depth_left, elements),
        0xdd => values(data, sized(4)?, depth_left, elements),
        0x80..=0x8f => values(data, (1, usize::from(marker & 0x0f) * 2), depth_left, elements),
        0xde => {
            let (head, pairs) = sized(2)?;
            values(data, (head, pairs * 2), depth_left, elements)
        }
        0xdf => {
            let (head, pairs) = sized(4)?;
            values(data, (head, pairs.checked_mul(2)?), depth_left, elements)
        }
    }
}

fn values(
    data: &[u8],
    (mut at, count): (usize, usize),
    depth_left: usize,
    elements: &mut usize,
) -> Option<usize> {
    if count == 0 {
        return Some(at);
    }
    let depth_left = depth_left.checked_sub(1)?;
    *elements = elements.checked_add(count)?;
    if *elements > BOUNDS.elements_max {
        return None;
    }
    for _ in 0..count {
        at += value(&data[at..], depth_left, elements)?;
    }
    Some(at)
}
