//! Numbers for operators, through the [`metrics`](https://docs.rs/metrics) facade; feature `metrics`.
//!
//! Install a recorder before servers and clients start: handles are made then. Names follow
//! OpenTelemetry's conventions for RPC where there are any; times are seconds. `role` is `server` or
//! `client`.
//!
//! | name | kind | labels | counts |
//! |---|---|---|---|
//! | `rpc.server.call.duration` | histogram | `rpc.system.name`, `rpc.method`, `error.type` | calls that were served; `error.type` is the code's name, or missing; methods that are not registered are `_OTHER` |
//! | `rpc.client.call.duration` | histogram | the same | calls that were made; `error.type` may be `timeout`, `connection_lost`, `unreadable` or `refused` as well |
//! | `cndt.connections.active` | gauge | `role` | connections that are logged in |
//! | `cndt.connections.opened` | counter | `role` | logins that succeeded |
//! | `cndt.connections.closed` | counter | `role`, `reason` | ends after login |
//! | `cndt.logins.failed` | counter | `role`, `reason` | ends before login |
//! | `cndt.connections.refused` | counter | `reason` | connections that could not begin to log in |
//! | `cndt.connections.evicted` | counter | | silent ones that made room for newer ones |
//! | `cndt.connections.shed` | counter | | ones that were cut off for want of memory |
//! | `cndt.reconnects` | counter | | attempts of clients to come back |
//! | `cndt.bytes.received`, `cndt.bytes.sent` | counter | `role` | bytes of the protocol, without TLS |
//! | `cndt.messages.received`, `cndt.messages.sent` | counter | `role` | messages and calls |
//! | `cndt.messages.dropped` | counter | `role` | broadcasts that peers were too slow for |
//! | `cndt.messages.limited` | counter | `role` | messages and calls beyond a peer's rate or number |
//! | `cndt.strikes` | counter | `role` | misuse by peers |
//! | `cndt.round_trip` | histogram | `role` | round trips of pings |
//! | `cndt.handlers.failed` | counter | `kind`, `cause` | handlers that failed, see `HandlerFailure` |
//! | `cndt.outbox` | counter | `event` | webhooks of outboxes: `enqueued`, and attempts by their end: `delivered`, `failed`, `dead` |
//!
//! ```
//! # #[cfg(feature = "metrics")] {
//! use cndt_runtime::telemetry::CALLS_SERVED;
//! assert_eq!(CALLS_SERVED, "rpc.server.call.duration");
//! # }
//! ```

#[cfg(feature = "metrics")]
mod on;
#[cfg(feature = "metrics")]
use on as switched;
#[cfg(not(feature = "metrics"))]
mod off;
#[cfg(not(feature = "metrics"))]
use off as switched;

use cndt_core::connection::CloseReason;

#[cfg(feature = "outbox")]
pub(crate) use switched::outbox;
pub(crate) use switched::{CallMeter, Meters, MethodMeter, handler_failed};

/// Calls that were served, by duration in seconds.
pub const CALLS_SERVED: &str = "rpc.server.call.duration";
/// Calls that were made, by duration in seconds.
pub const CALLS_MADE: &str = "rpc.client.call.duration";

/// Which side of connections is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Server,
    Client,
}

/// A reason as a label: few values, whatever peers do.
#[cfg_attr(not(feature = "metrics"), allow(dead_code, reason = "nothing is labelled then"))]
fn label(reason: &CloseReason) -> &'static str {
    match reason {
        CloseReason::Local => "local",
        CloseReason::Peer => "peer",
        CloseReason::LoginRefused(_) => "login_refused",
        CloseReason::LoginUnanswered => "login_unanswered",
        CloseReason::OtherDialect(_) => "other_dialect",
        CloseReason::LoginRejected(_) => "login_rejected",
        CloseReason::AuthTimeout { .. } => "auth_timeout",
        CloseReason::HeartbeatTimeout { .. } => "heartbeat_timeout",
        CloseReason::PausedTooLong { .. } => "paused_too_long",
        CloseReason::FrameTimeout { .. } => "frame_timeout",
        CloseReason::Stalled { .. } => "stalled",
        CloseReason::TooSlow => "too_slow",
        CloseReason::Idle { .. } => "idle",
        CloseReason::Wire(_) => "wire",
        CloseReason::Text(_) => "text",
        CloseReason::Violation(_) => "violation",
        CloseReason::TransportLost => "transport_lost",
    }
}
