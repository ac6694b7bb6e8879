use core::time::Duration;

/// What a connection has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Frames queued for sending.
    pub frames_sent: u64,
    /// Complete frames received.
    pub frames_received: u64,
    /// Bytes handed to the transport.
    pub bytes_sent: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Messages and requests received.
    pub messages_received: u64,
    /// Messages and calls queued for sending.
    pub messages_sent: u64,
    /// Misuse by the peer.
    pub strikes: u64,
    /// Answers that came after their call had ended.
    pub late_answers: u64,
    /// Messages and requests of the peer that exceeded its rate or number.
    pub rate_limited: u64,
    /// Shared messages that the peer does not get because it reads too slowly: refused, or dropped for
    /// newer ones. See `Overflow`.
    pub messages_dropped: u64,
    /// Errors that this side's application answered requests with.
    pub errors_sent: u64,
    /// Calls that the peer's application answered with an error.
    pub errors_received: u64,
    /// How long pings took there and back.
    pub round_trips: RoundTrips,
}

/// Measured round trips: heartbeats and pings that were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RoundTrips {
    /// How many were measured.
    pub count: u64,
    /// The newest.
    pub last: Duration,
    /// The shortest.
    pub min: Duration,
    /// The longest.
    pub max: Duration,
    /// All of them together.
    pub total: Duration,
}

impl RoundTrips {
    /// The average; zero before the first was measured.
    pub fn mean(&self) -> Duration {
        let count = u32::try_from(self.count).unwrap_or(u32::MAX);
        self.total.checked_div(count).unwrap_or_default()
    }

    pub(super) fn count(&mut self, round_trip: Duration) {
        let one = Self {
            count: 1,
            last: round_trip,
            min: round_trip,
            max: round_trip,
            total: round_trip,
        };
        self.add(&one);
    }

    fn add(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        self.min = if self.count == 0 { other.min } else { self.min.min(other.min) };
        self.max = self.max.max(other.max);
        self.last = other.last;
        self.count = self.count.saturating_add(other.count);
        self.total = self.total.saturating_add(other.total);
    }
}

impl Stats {
    /// Adds what another connection has done: a server sums its clients up.
    pub fn add(&mut self, other: &Self) {
        // Taken apart, so that no number is forgotten.
        let Self {
            frames_sent,
            frames_received,
            bytes_sent,
            bytes_received,
            messages_received,
            messages_sent,
            strikes,
            late_answers,
            rate_limited,
            messages_dropped,
            errors_sent,
            errors_received,
            round_trips,
        } = self;
        for (sum, more) in [
            (frames_sent, other.frames_sent),
            (frames_received, other.frames_received),
            (bytes_sent, other.bytes_sent),
            (bytes_received, other.bytes_received),
            (messages_received, other.messages_received),
            (messages_sent, other.messages_sent),
            (strikes, other.strikes),
            (late_answers, other.late_answers),
            (rate_limited, other.rate_limited),
            (messages_dropped, other.messages_dropped),
            (errors_sent, other.errors_sent),
            (errors_received, other.errors_received),
        ] {
            *sum = sum.saturating_add(more);
        }
        round_trips.add(&other.round_trips);
    }
}
