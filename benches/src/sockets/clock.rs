use std::time::{Duration, Instant};

/// The machine's monotonic clock.
#[allow(clippy::disallowed_methods, reason = "measuring is what this package is for")]
pub fn now() -> Instant {
    Instant::now()
}

/// Blocks the thread; only for threads that do nothing else.
#[allow(clippy::disallowed_methods, reason = "threads beside the runtime, which must not notice")]
pub(super) fn sleep(span: Duration) {
    std::thread::sleep(span);
}

/// Blocks the thread until `at`.
pub(super) fn sleep_until(at: Instant) {
    sleep(at.saturating_duration_since(now()));
}
