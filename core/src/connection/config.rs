use alloc::string::String;
use core::time::Duration;

use crate::limits::{LimitError, Limits};
use crate::time::WallAnchor;

/// How one connection behaves. The same for both roles.
#[derive(Debug, Clone)]
pub struct Config {
    /// Sent to the peer at login.
    pub name: String,
    /// Sent to the peer at login.
    pub version: String,
    /// How long the whole handshake may take, from the first byte of the connection. 10 s.
    pub auth_timeout: Duration,
    /// How often a ping is sent. 30 s.
    pub heartbeat_interval: Duration,
    /// A peer that has sent no complete frame for so long is taken for dead. 90 s.
    pub heartbeat_timeout: Duration,
    /// Whether large payloads are sent compressed. In dialect `cndt` both sides must want it, and
    /// compressed payloads are refused otherwise; in dialect `netconduit` they are read either way.
    /// Off.
    pub compression: bool,
    /// Whether the peer is asked to pause when the receive queue fills. On. TCP itself pushes back
    /// either way.
    pub backpressure: bool,
    /// What the TLS session beneath exports under `EXPORTER-Channel-Binding` (RFC 9266), the same on
    /// both sides. With it the login of dialect `cndt` is bound to that session. None.
    pub channel_binding: Option<[u8; 32]>,
    /// Bounds on memory and patience.
    pub limits: Limits,
    /// Ties the monotonic clock to the calendar, for timestamps on the wire.
    pub wall: WallAnchor,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: String::from("cndt"),
            version: String::from(env!("CARGO_PKG_VERSION")),
            auth_timeout: Duration::from_secs(10),
            heartbeat_interval: Duration::from_secs(30),
            heartbeat_timeout: Duration::from_secs(90),
            compression: false,
            backpressure: true,
            channel_binding: None,
            limits: Limits::default(),
            wall: WallAnchor::default(),
        }
    }
}

/// The longest name or version, in bytes, that fits a login together with everything else in it.
pub const IDENTITY_MAX: usize = 512;

impl Config {
    /// Checks every field.
    ///
    /// # Errors
    /// The first field that makes no sense, with what would.
    pub fn validate(&self) -> Result<(), LimitError> {
        let wrong = |field, expected| Err(LimitError { field, expected });
        if self.name.len() > IDENTITY_MAX {
            return wrong("name", "must be at most 512 bytes long");
        }
        if self.version.len() > IDENTITY_MAX {
            return wrong("version", "must be at most 512 bytes long");
        }
        if self.auth_timeout.is_zero() {
            return wrong("auth_timeout", "must be longer than nothing");
        }
        if self.heartbeat_interval.is_zero() {
            return wrong("heartbeat_interval", "must be longer than nothing");
        }
        if self.heartbeat_timeout <= self.heartbeat_interval {
            return wrong("heartbeat_timeout", "must be longer than heartbeat_interval");
        }
        self.limits.validate()
    }
}
