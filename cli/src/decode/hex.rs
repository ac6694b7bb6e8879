//! Hex digits, as people paste them, to bytes.

use bytes::{BufMut, BytesMut};

use crate::exit::Failure;

/// Hex digits, however the input comes cut.
#[derive(Debug, Default)]
pub(super) struct Hex {
    /// The first digit of a byte whose second has not come yet.
    high: Option<u8>,
    /// Characters read.
    at: u64,
}

impl Hex {
    pub(super) fn read(&mut self, text: &[u8], out: &mut BytesMut) -> Result<(), Failure> {
        out.reserve(text.len() / 2 + 1);
        for &byte in text {
            let digit = char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            match (digit, self.high) {
                (Some(digit), None) => self.high = Some(digit),
                (Some(digit), Some(high)) => {
                    out.put_u8(high << 4 | digit);
                    self.high = None;
                }
                // `0x` in front of a byte.
                (None, Some(0)) if matches!(byte, b'x' | b'X') => self.high = None,
                (None, _) if byte.is_ascii_whitespace() || matches!(byte, b':' | b',') => {}
                (None, _) => {
                    let (found, at) = (char::from(byte).escape_default(), self.at);
                    return Err(Failure::Failed(format!("`{found}` at byte {at} is no hex digit")));
                }
            }
            self.at += 1;
        }
        Ok(())
    }

    pub(super) fn end(self) -> Result<(), Failure> {
        match self.high {
            None => Ok(()),
            Some(_) => Err(Failure::Failed("the hex digits end in the middle of a byte".into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Hex;
    use crate::exit::Failure;
    use bytes::BytesMut;

    /// Byte by byte, which must make no difference.
    fn from_hex(text: &[u8]) -> Result<Vec<u8>, Failure> {
        let (mut hex, mut cut, mut out) = (Hex::default(), Hex::default(), BytesMut::new());
        hex.read(text, &mut out)?;
        let mut pieces = BytesMut::new();
        text.iter().try_for_each(|byte| cut.read(&[*byte], &mut pieces))?;
        assert_eq!(out, pieces);
        hex.end().map(|()| out.to_vec())
    }

    #[test]
    fn hex_is_read_in_the_forms_that_people_paste() {
        let same = |text: &str| from_hex(text.as_bytes()).unwrap();
        assert_eq!(same("434e 4454\n01"), [0x43, 0x4e, 0x44, 0x54, 1]);
        assert_eq!(same("0x43, 0x4E"), [0x43, 0x4e]);
        assert_eq!(same("43:4e:44"), [0x43, 0x4e, 0x44]);
        assert!(from_hex(b"4").is_err());
        assert!(from_hex(b"4g").is_err());
    }
}
