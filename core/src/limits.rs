//! Every bound of a connection in one place, each with its reason.
//!
//! Memory of a connection is bounded by these whatever arrives: it grows with bytes received, never
//! with a length that a peer announces.
//!
//! ```
//! use cndt_core::limits::Limits;
//!
//! let limits = Limits { frame_max: 64 * 1024, ..Limits::default() };
//! assert!(limits.validate().is_ok());
//! let wrong = Limits { queue_low_percent: 90, queue_high_percent: 50, ..Limits::default() };
//! assert_eq!(wrong.validate().unwrap_err().field, "queue_low_percent");
//! ```

use core::time::Duration;

use crate::message::Bounds;
use crate::resilience::Rate;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// The largest frame that any configuration may allow, in bytes: the protocol's ceiling
/// (wire fact: the Python package refuses payloads beyond 100 MiB).
pub const FRAME_CEILING: usize = 100 * MIB;

/// The deepest nesting that any configuration may allow.
pub(crate) const DEPTH_CEILING: usize = 512;

/// What a frame counts as at least against `Limits::rate_bytes`: handling it costs something, however
/// small it is.
pub const BYTES_PER_FRAME_MIN: u64 = 256;

/// The bounds of one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Payload bytes of one frame after login. 10 MiB: the Python package's own default.
    pub frame_max: usize,
    /// Payload bytes of one frame before login. 8 KiB: login frames are far smaller, and whoever
    /// has not logged in gets no more memory than that.
    pub preauth_frame_max: usize,
    /// The fewest iterations of key derivation that a client accepts. 100,000: a server that asks
    /// for fewer makes a captured login cheap to guess at. At least 4,096.
    pub iterations_min: u32,
    /// The most iterations that a client accepts. 2,000,000: more only keep it busy.
    pub iterations_max: u32,
    /// How long the answer to a wrong password is held back. 500 ms: no one guesses fast over one
    /// connection; the next attempt needs a new one.
    pub refusal_delay: Duration,
    /// When a client that finds the server full is told to try again. 5 s.
    pub busy_retry_after: Duration,
    /// Bytes that a payload may have after decompression. 10 MiB: what it could have had without.
    pub decompressed_max: usize,
    /// Output to input ratio of decompression, applied beyond the first MiB of output. 128:
    /// real data stays below it, a zlib bomb reaches 1028.
    pub compression_ratio_max: u32,
    /// Nesting of received MessagePack. 64: deeper data is a mistake or an attack.
    pub depth_max: usize,
    /// MessagePack values in one received payload, on all levels. 1,000,000: whoever reads them into
    /// a tree spends some 32 bytes on each.
    pub elements_max: usize,
    /// Own calls without an outcome. 1,024: each holds an entry and a timer.
    pub calls_max: usize,
    /// The peer's requests without an answer; beyond it they are answered by RATE_LIMITED. 4,096:
    /// an application that never answers does not grow the list for ever.
    pub serves_max: usize,
    /// Messages and requests that the peer may send. None: as many as it likes. A request beyond it
    /// is answered by RATE_LIMITED with `retry_after`, a message is dropped and counted.
    pub rate_messages: Option<Rate>,
    /// Bytes of messages and requests that the peer may send, headers included; a frame counts as
    /// at least 256. None. What happens beyond it is the same.
    pub rate_bytes: Option<Rate>,
    /// How long a frame that has begun may take to arrive, plus the time that its length takes at
    /// `frame_rate_min`. 10 s: a peer that sends a byte now and then holds memory for nothing.
    pub frame_deadline: Duration,
    /// Bytes per second that a frame must arrive with, on average. 16 KiB.
    pub frame_rate_min: usize,
    /// How long nothing but heartbeats may pass before the connection is closed. None: for ever.
    pub idle_timeout: Option<Duration>,
    /// Pings that the peer may send. 20 a second, 100 at once: far faster than any heartbeat. Beyond
    /// it each is a strike.
    pub rate_pings: Rate,
    /// How often the peer may cancel its requests. 100 a second, 1,024 at once: as many as it may have
    /// open with the default `calls_max`. Beyond it a request runs to its end, cancelled or not.
    pub rate_cancels: Rate,
    /// How often the peer may change between pause and resume. 20 a second, 20 at once. Beyond it
    /// each change is a strike.
    pub rate_pauses: Rate,
    /// Frames that wait to be sent. 1,000: the Python package's `send_queue_size`.
    pub send_queue_frames: usize,
    /// Bytes that wait to be sent. 8 MiB; one larger frame may wait alone.
    pub send_queue_bytes: usize,
    /// Bytes of acknowledgements and refusals that wait to be sent. 256 KiB: beyond it nothing is read
    /// until the peer has read some. The peer alone causes them, so it does not get to pile them up.
    pub reply_queue_bytes: usize,
    /// Messages and requests that wait for the application. 1,000: `receive_queue_size`.
    pub receive_queue_frames: usize,
    /// Bytes that wait for the application, as they are in memory: expanded, and together with what
    /// shares their buffer. 8 MiB; one larger frame may wait alone.
    pub receive_queue_bytes: usize,
    /// Bytes beyond `receive_queue_bytes`, and as many frames beyond `receive_queue_frames` as that is
    /// KiB, that are read all the same while this side itself waits for the peer: for an answer, or for
    /// the peer to read what it was answered. What it waits for comes behind them, and two sides that
    /// both stop reading wait for ever. 16 MiB: what the sockets of two systems hold, and a frame; a
    /// peer that knows pauses has been asked for one long before.
    pub receive_reserve_bytes: usize,
    /// The peer is asked to pause when the receive queue is this full. 80 percent.
    pub queue_high_percent: u8,
    /// The peer is asked to go on when the receive queue has drained to this. 50 percent.
    pub queue_low_percent: u8,
    /// How long a peer may keep us paused before the connection is given up. 60 s.
    pub pause_max: Duration,
    /// How long bytes may wait to be sent while the transport takes none. 30 s: a peer that does not
    /// read is given up, before what waits for it grows old.
    pub stall_max: Duration,
    /// How long a closing connection waits for calls that are under way. 5 s.
    pub drain: Duration,
    /// How long a closing connection waits for the peer's end after its own. 1 s.
    pub linger: Duration,
    /// Misuse by the peer that is survived within [`Limits::strikes_window`]. 16: an honest peer
    /// makes none, a confused one is told what is wrong before it is cut off.
    pub strikes_max: u32,
    /// The window in which strikes count. 60 s.
    pub strikes_window: Duration,
    /// Towards a Python client that has just logged in, everything is held back until it speaks or
    /// this has passed. 5 s. Wire fact 2: it drops what arrives together with AUTH_SUCCESS.
    pub join_grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_max: 10 * MIB,
            preauth_frame_max: 8 * KIB,
            iterations_min: 100_000,
            iterations_max: 2_000_000,
            refusal_delay: Duration::from_millis(500),
            busy_retry_after: Duration::from_secs(5),
            decompressed_max: 10 * MIB,
            compression_ratio_max: 128,
            depth_max: 64,
            elements_max: 1_000_000,
            calls_max: 1024,
            serves_max: 4096,
            rate_messages: None,
            rate_bytes: None,
            frame_deadline: Duration::from_secs(10),
            frame_rate_min: 16 * KIB,
            idle_timeout: None,
            rate_pings: Rate { per_second: 20, burst: 100 },
            rate_cancels: Rate { per_second: 100, burst: 1024 },
            rate_pauses: Rate { per_second: 20, burst: 20 },
            send_queue_frames: 1000,
            send_queue_bytes: 8 * MIB,
            reply_queue_bytes: 256 * KIB,
            receive_queue_frames: 1000,
            receive_queue_bytes: 8 * MIB,
            receive_reserve_bytes: 16 * MIB,
            queue_high_percent: 80,
            queue_low_percent: 50,
            pause_max: Duration::from_secs(60),
            stall_max: Duration::from_secs(30),
            drain: Duration::from_secs(5),
            linger: Duration::from_secs(1),
            strikes_max: 16,
            strikes_window: Duration::from_secs(60),
            join_grace: Duration::from_secs(5),
        }
    }
}

/// A limit that makes no sense: which one, and what would.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("limits.{field}: {expected}")]
pub struct LimitError {
    /// The field's name.
    pub field: &'static str,
    /// What the field accepts.
    pub expected: &'static str,
}

impl Limits {
    /// What received payloads may hold.
    pub(crate) fn bounds(&self) -> Bounds {
        Bounds { depth_max: self.depth_max, elements_max: self.elements_max }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// The first field that makes no sense, with what would.
    pub fn validate(&self) -> Result<(), LimitError> {
        let at_least_one: [(usize, &'static str); 11] = [
            (self.decompressed_max, "decompressed_max"),
            (self.depth_max, "depth_max"),
            (self.calls_max, "calls_max"),
            (self.elements_max, "elements_max"),
            (self.serves_max, "serves_max"),
            (self.frame_rate_min, "frame_rate_min"),
            (self.send_queue_frames, "send_queue_frames"),
            (self.send_queue_bytes, "send_queue_bytes"),
            (self.reply_queue_bytes, "reply_queue_bytes"),
            (self.receive_queue_frames, "receive_queue_frames"),
            (self.receive_queue_bytes, "receive_queue_bytes"),
        ];
        for (value, field) in at_least_one {
            ensure(value > 0, field, "must be at least 1")?;
        }
        ensure(
            (KIB..=FRAME_CEILING).contains(&self.frame_max),
            "frame_max",
            "must be from 1 KiB to 100 MiB",
        )?;
        ensure(
            (KIB..=self.frame_max).contains(&self.preauth_frame_max),
            "preauth_frame_max",
            "must be at least 1 KiB and no more than frame_max",
        )?;
        let accepted = crate::auth::scram::ITERATIONS;
        ensure(
            accepted.contains(&self.iterations_min),
            "iterations_min",
            "must be from 4096 to 2000000",
        )?;
        ensure(
            (self.iterations_min..=*accepted.end()).contains(&self.iterations_max),
            "iterations_max",
            "must be at least iterations_min, and at most 2000000",
        )?;
        ensure(self.compression_ratio_max > 0, "compression_ratio_max", "must be at least 1")?;
        ensure(self.depth_max <= DEPTH_CEILING, "depth_max", "must be at most 512")?;
        ensure(
            (1..=100).contains(&self.queue_high_percent),
            "queue_high_percent",
            "must be from 1 to 100",
        )?;
        ensure(
            self.queue_low_percent < self.queue_high_percent,
            "queue_low_percent",
            "must be below queue_high_percent",
        )?;
        let rates = [
            (self.rate_messages, "rate_messages"),
            (self.rate_bytes, "rate_bytes"),
            (Some(self.rate_pings), "rate_pings"),
            (Some(self.rate_cancels), "rate_cancels"),
            (Some(self.rate_pauses), "rate_pauses"),
        ];
        for (rate, field) in rates {
            let expected = "must be from 1 to 10^12, per second and at once";
            ensure(rate.is_none_or(|rate| rate.validate().is_ok()), field, expected)?;
        }
        ensure(
            self.rate_bytes.is_none_or(|rate| rate.burst >= BYTES_PER_FRAME_MIN),
            "rate_bytes",
            "must allow 256 bytes at once, which every frame counts as",
        )?;
        let longer = "must be longer than nothing";
        ensure(!self.frame_deadline.is_zero(), "frame_deadline", longer)?;
        ensure(!self.stall_max.is_zero(), "stall_max", longer)?;
        ensure(self.idle_timeout.is_none_or(|span| !span.is_zero()), "idle_timeout", longer)?;
        ensure(self.strikes_max > 0, "strikes_max", "must be at least 1")
    }
}

fn ensure(holds: bool, field: &'static str, expected: &'static str) -> Result<(), LimitError> {
    if holds { Ok(()) } else { Err(LimitError { field, expected }) }
}
