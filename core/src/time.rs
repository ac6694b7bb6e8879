//! Time as a value: machines never ask for it, they are told.
//!
//! [`Instant`] is a point on the caller's monotonic clock, in microseconds since an origin that the
//! caller chooses. [`WallAnchor`] ties one such point to the calendar, for the timestamps that the
//! wire carries.
//!
//! ```
//! use cndt_core::time::{Instant, WallAnchor};
//! use core::time::Duration;
//!
//! let start = Instant::ZERO;
//! let later = start + Duration::from_millis(1500);
//! assert_eq!(later.since(start), Duration::from_millis(1500));
//!
//! let wall = WallAnchor { at: start, unix_millis: 1_700_000_000_000 };
//! assert_eq!(wall.unix_millis(later), 1_700_000_001_500);
//! ```

use core::ops::Add;
use core::time::Duration;

/// A point on the caller's monotonic clock, in microseconds since the caller's origin.
///
/// Arithmetic saturates: [`Instant::FAR_FUTURE`] plus anything stays there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(u64);

impl Instant {
    /// The caller's origin.
    pub const ZERO: Self = Self(0);
    /// Later than every point a clock will reach (584,000 years).
    pub const FAR_FUTURE: Self = Self(u64::MAX);

    /// The point `micros` microseconds after the origin.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the origin.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was; zero if it lies in the future.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(micros))
    }
}

/// One point of the monotonic clock and what the calendar said then.
///
/// A connection computes the timestamps of its frames from it, so a clock that is set while the
/// connection lives neither freezes nor kills it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WallAnchor {
    /// The monotonic point.
    pub at: Instant,
    /// Unix time in milliseconds at that point.
    pub unix_millis: u64,
}

impl WallAnchor {
    /// Unix time in milliseconds at `now`; before the anchor it is the anchor's own.
    pub fn unix_millis(&self, now: Instant) -> u64 {
        let passed = u64::try_from(now.since(self.at).as_millis()).unwrap_or(u64::MAX);
        self.unix_millis.saturating_add(passed)
    }
}
