use core::time::Duration;

use super::VerifyError;

/// Digits that a timestamp may have: enough for 30,000 years.
const DIGITS_MAX: usize = 12;

/// How far a signed timestamp may lie from the receiver's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tolerance {
    /// So much, back or ahead, both ends included; in whole seconds.
    Within(Duration),
    /// As far as it likes. Whoever records a request can then repeat it for ever.
    Off,
}

impl Default for Tolerance {
    /// Five minutes.
    fn default() -> Self {
        Self::Within(Duration::from_secs(300))
    }
}

impl Tolerance {
    pub(super) fn check(self, timestamp: u64, now: u64) -> Result<(), VerifyError> {
        let Self::Within(span) = self else { return Ok(()) };
        let max = span.as_secs();
        let too_old = now.checked_sub(timestamp).filter(|by| *by > max);
        let too_new = timestamp.checked_sub(now).filter(|by| *by > max);
        match (too_old, too_new) {
            (Some(by), _) => Err(VerifyError::TooOld { by }),
            (None, Some(by)) => Err(VerifyError::TooNew { by }),
            (None, None) => Ok(()),
        }
    }
}

/// Seconds since 1970, as digits and nothing else. There is one way to write each, since the digits
/// are what is signed. What has more than 12 digits is no date: too new for any clock and tolerance.
pub(super) fn parse(text: &[u8], now: u64) -> Result<u64, VerifyError> {
    let is_canonical = text == b"0" || !text.starts_with(b"0");
    if text.is_empty() || !is_canonical {
        return Err(VerifyError::BadTimestamp);
    }
    let mut seconds = 0_i64;
    for digit in text {
        let value = Some(digit).filter(|digit| digit.is_ascii_digit()).map(|digit| digit - b'0');
        let next = value
            .zip(seconds.checked_mul(10))
            .and_then(|(value, tens)| tens.checked_add(i64::from(value)));
        seconds = next.ok_or(VerifyError::BadTimestamp)?;
    }
    let seconds = seconds.unsigned_abs();
    if text.len() > DIGITS_MAX {
        return Err(VerifyError::TooNew { by: seconds.saturating_sub(now) });
    }
    Ok(seconds)
}
