use core::time::Duration;

use crate::limits::LimitError;

/// The most calls that a window may hold.
const WINDOW_CALLS_MAX: u32 = 10_000;
/// The longest span of any setting: a year. Whoever wants "for ever" wants a forced state.
const SPAN_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// When a breaker opens, for how long, and what it takes to close it again.
///
/// ```
/// use cndt_core::resilience::{BreakerConfig, Counting, Window};
/// use core::time::Duration;
///
/// // Opens when half of the calls of the last ten seconds failed, of at least twenty.
/// let config = BreakerConfig {
///     counting: Counting::Never,
///     failure_rate_percent: Some(50),
///     window: Window::Time(Duration::from_secs(10)),
///     ..BreakerConfig::default()
/// };
/// assert!(config.validate().is_ok());
/// let wrong = BreakerConfig { failure_threshold: 0, ..config };
/// assert_eq!(wrong.validate().unwrap_err().field, "breaker.failure_threshold");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerConfig {
    /// So many failures open it. 5. Which of them count is said by `counting`.
    pub failure_threshold: u32,
    /// Which failures count against `failure_threshold`. Those in a row.
    pub counting: Counting,
    /// Which calls rates are made of, and failures under [`Counting::InWindow`]. The last 100
    /// calls.
    pub window: Window,
    /// It opens when so many percent of the window failed, from 1 to 100. None: never for that.
    pub failure_rate_percent: Option<u8>,
    /// A call that takes this long or longer is slow, whatever its outcome. None: no call is.
    pub slow_call_duration: Option<Duration>,
    /// It opens when so many percent of the window were slow, from 1 to 100. 50.
    pub slow_call_rate_percent: u8,
    /// A rate says nothing while the window holds fewer calls. 20.
    pub minimum_calls: u32,
    /// How long it stays open before calls are tried again. 60 s.
    #[doc(alias = "timeout_seconds")]
    pub open_timeout: Duration,
    /// While trials keep failing, the time doubles up to this. None: it is always the same.
    pub open_timeout_max: Option<Duration>,
    /// So many successful trials close it. 3.
    pub success_threshold: u32,
    /// Trials at once while it is half-open. 1: who comes back is not overrun.
    pub half_open_calls_max: u32,
}

/// Which failures count against [`BreakerConfig::failure_threshold`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Counting {
    /// Those without a success between them.
    InARow,
    /// Those in the window.
    InWindow,
    /// None: rates alone open the breaker.
    Never,
}

/// Which calls are looked back at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Window {
    /// So many that ended last, from 1 to 10,000. Each takes two bytes.
    Calls(u32),
    /// Those that ended within this time. It is forgotten in steps of a sixtieth, rounded up to
    /// whole microseconds, so that up to one step less is looked back at. Takes 2 KiB at most.
    Time(Duration),
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl BreakerConfig {
    /// The defaults, for constants.
    pub const DEFAULT: Self = Self {
        failure_threshold: 5,
        counting: Counting::InARow,
        window: Window::Calls(100),
        failure_rate_percent: None,
        slow_call_duration: None,
        slow_call_rate_percent: 50,
        minimum_calls: 20,
        open_timeout: Duration::from_secs(60),
        open_timeout_max: None,
        success_threshold: 3,
        half_open_calls_max: 1,
    };

    /// Checks every field.
    ///
    /// # Errors
    /// The first field that makes no sense, as `breaker.NAME`: a number or time that is 0, a time
    /// beyond a year, a percentage beyond 100, a threshold that its window can never reach, or a
    /// breaker that nothing can open.
    pub fn validate(&self) -> Result<(), LimitError> {
        let at_least_one = [
            (self.failure_threshold, "breaker.failure_threshold"),
            (self.minimum_calls, "breaker.minimum_calls"),
            (self.success_threshold, "breaker.success_threshold"),
            (self.half_open_calls_max, "breaker.half_open_calls_max"),
        ];
        for (value, field) in at_least_one {
            ensure(value > 0, field, "must be at least 1")?;
        }
        let percentages = [
            (self.failure_rate_percent.unwrap_or(1), "breaker.failure_rate_percent"),
            (self.slow_call_rate_percent, "breaker.slow_call_rate_percent"),
        ];
        for (value, field) in percentages {
            ensure((1..=100).contains(&value), field, "must be from 1 to 100")?;
        }
        ensure_span(self.open_timeout, "breaker.open_timeout")?;
        for (span, field) in [
            (self.open_timeout_max, "breaker.open_timeout_max"),
            (self.slow_call_duration, "breaker.slow_call_duration"),
        ] {
            span.map_or(Ok(()), |span| ensure_span(span, field))?;
        }
        ensure(
            self.open_timeout_max.is_none_or(|longest| longest >= self.open_timeout),
            "breaker.open_timeout_max",
            "must be at least open_timeout",
        )?;
        self.validate_window()
    }

    fn validate_window(&self) -> Result<(), LimitError> {
        let has_rates = self.failure_rate_percent.is_some() || self.slow_call_duration.is_some();
        match self.window {
            Window::Time(span) => ensure_span(span, "breaker.window")?,
            Window::Calls(calls) => {
                let is_fit = (1..=WINDOW_CALLS_MAX).contains(&calls);
                ensure(is_fit, "breaker.window", "must be from 1 to 10000 calls")?;
                let counts = self.counting == Counting::InWindow;
                ensure(
                    !counts || self.failure_threshold <= calls,
                    "breaker.failure_threshold",
                    "must be no more than the calls of the window",
                )?;
                ensure(
                    !has_rates || self.minimum_calls <= calls,
                    "breaker.minimum_calls",
                    "must be no more than the calls of the window",
                )?;
            }
        }
        ensure(
            has_rates || self.counting != Counting::Never,
            "breaker.counting",
            "must not be Never without failure_rate_percent or slow_call_duration",
        )
    }

    /// Whether anything is looked back at.
    pub(super) fn has_window(&self) -> bool {
        self.counting == Counting::InWindow
            || self.failure_rate_percent.is_some()
            || self.slow_call_duration.is_some()
    }

    pub(super) fn is_slow(&self, elapsed: Duration) -> bool {
        self.slow_call_duration.is_some_and(|limit| elapsed >= limit)
    }

    /// How long it stays open after it has opened so many times without closing in between.
    pub(super) fn open_span(&self, openings: u32) -> Duration {
        let longest = self.open_timeout_max.unwrap_or(self.open_timeout);
        self.open_timeout.saturating_mul(2_u32.saturating_pow(openings)).min(longest)
    }
}

fn ensure_span(span: Duration, field: &'static str) -> Result<(), LimitError> {
    let is_fit = (Duration::from_micros(1)..=SPAN_MAX).contains(&span);
    ensure(is_fit, field, "must be from a microsecond to a year")
}

fn ensure(holds: bool, field: &'static str, expected: &'static str) -> Result<(), LimitError> {
    if holds { Ok(()) } else { Err(LimitError { field, expected }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut BreakerConfig)) -> Option<&'static str> {
        let mut config = BreakerConfig::default();
        change(&mut config);
        let field = config.validate().err().map(|error| error.field)?;
        Some(field.strip_prefix("breaker.").unwrap())
    }

    #[test]
    fn zeros_are_refused_by_name() {
        assert_eq!(refused(|_| {}), None);
        assert_eq!(refused(|c| c.failure_threshold = 0), Some("failure_threshold"));
        assert_eq!(refused(|c| c.minimum_calls = 0), Some("minimum_calls"));
        assert_eq!(refused(|c| c.success_threshold = 0), Some("success_threshold"));
        assert_eq!(refused(|c| c.half_open_calls_max = 0), Some("half_open_calls_max"));
        assert_eq!(refused(|c| c.failure_rate_percent = Some(0)), Some("failure_rate_percent"));
        assert_eq!(refused(|c| c.failure_rate_percent = Some(101)), Some("failure_rate_percent"));
        assert_eq!(refused(|c| c.slow_call_rate_percent = 0), Some("slow_call_rate_percent"));
        assert_eq!(refused(|c| c.slow_call_rate_percent = 101), Some("slow_call_rate_percent"));
        assert_eq!(refused(|c| c.window = Window::Calls(0)), Some("window"));
        assert_eq!(refused(|c| c.window = Window::Calls(10_001)), Some("window"));
    }

    #[test]
    fn times_are_neither_nothing_nor_for_ever() {
        for span in [Duration::ZERO, Duration::from_nanos(999), Duration::MAX] {
            assert_eq!(refused(|c| c.open_timeout = span), Some("open_timeout"));
            assert_eq!(refused(|c| c.open_timeout_max = Some(span)), Some("open_timeout_max"));
            assert_eq!(refused(|c| c.slow_call_duration = Some(span)), Some("slow_call_duration"));
            assert_eq!(refused(|c| c.window = Window::Time(span)), Some("window"));
        }
        let shorter = Some(Duration::from_secs(59));
        assert_eq!(refused(|c| c.open_timeout_max = shorter), Some("open_timeout_max"));
    }

    #[test]
    fn what_can_never_open_is_refused() {
        assert_eq!(refused(|c| c.counting = Counting::Never), Some("counting"));
        let small = |c: &mut BreakerConfig| c.window = Window::Calls(4);
        assert_eq!(refused(small), None, "failures in a row need no window");
        let in_window = |c: &mut BreakerConfig| {
            small(c);
            c.counting = Counting::InWindow;
        };
        assert_eq!(refused(in_window), Some("failure_threshold"));
        let rate = |c: &mut BreakerConfig| {
            small(c);
            c.failure_rate_percent = Some(50);
        };
        assert_eq!(refused(rate), Some("minimum_calls"));
    }

    #[test]
    fn the_open_time_doubles_up_to_its_longest() {
        let config = BreakerConfig {
            open_timeout: Duration::from_secs(1),
            open_timeout_max: Some(Duration::from_secs(30)),
            ..BreakerConfig::default()
        };
        let spans = [0, 1, 2, 3, 4, 5, 31, 32, u32::MAX].map(|n| config.open_span(n).as_secs());
        assert_eq!(spans, [1, 2, 4, 8, 16, 30, 30, 30, 30]);
        assert_eq!(BreakerConfig::default().open_span(9).as_secs(), 60);
    }
}
