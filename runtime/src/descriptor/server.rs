use std::time::Duration;

use cndt_core::auth::Access;
use cndt_core::connection::Config;
use cndt_core::limits::Limits;
use cndt_core::time::WallAnchor;

use super::{
    Password, descriptor, ensure, ensure_buffer_size, ensure_heartbeat, ensure_identity,
    ensure_message_size, ensure_password, ensure_positive, ensure_queues,
};
use crate::driver::Pace;
use crate::error::ConfigError;

descriptor! {
    /// How a server listens and whom it lets in. Only the password is required.
    ServerDescriptor;
    required {
        /// What clients prove that they know; 1 to 1024 bytes.
        password: Password = Password::from("");
    }
    texts {
        /// Sent to clients at login; at most 512 bytes. `conduit_server`.
        name = "conduit_server";
        /// Sent to clients at login; at most 512 bytes. `1.0.0`.
        version = "1.0.0";
        /// For people. Empty.
        description = "";
        /// Name or address to listen on. `0.0.0.0`, or `::` with `ipv6`.
        host = "0.0.0.0";
    }
    values {
        /// Port to listen on; 0 takes a free one. 8080.
        port: u16 = 8080;
        /// Whether `host` is looked up as IPv6. Off.
        ipv6: bool = false;
        /// Clients that may be logged in at a time; one more is refused. 100.
        max_connections: usize = 100;
        /// The largest payload, in bytes: 1 KiB to 100 MiB. 10 MiB.
        max_message_size: usize = 10 * 1024 * 1024;
        /// The largest single read, in bytes: 1 KiB to 16 MiB. Small reads are used until this
        /// much arrives at a time. 64 KiB.
        buffer_size: usize = 64 * 1024;
        /// A client that takes no byte for so long, while some wait to be sent to it, is cut off.
        /// 30 s.
        connection_timeout: Duration = Duration::from_secs(30);
        /// How long a login may take, from the first moment of the connection. 10 s.
        auth_timeout: Duration = Duration::from_secs(10);
        /// How often a ping is sent. 30 s.
        heartbeat_interval: Duration = Duration::from_secs(30);
        /// A client that has sent no complete frame for so long is taken for dead. 90 s.
        heartbeat_timeout: Duration = Duration::from_secs(90);
        /// Messages and calls to one client that may wait to be sent. 1000.
        send_queue_size: usize = 1000;
        /// Messages and calls of one client that may wait to be handled. 1000.
        receive_queue_size: usize = 1000;
        /// Whether large payloads are sent compressed. Compressed ones are read either way. Off.
        enable_compression: bool = false;
        /// Whether a client is asked to pause when its queue fills. TCP pushes back either way. On.
        enable_backpressure: bool = true;
        /// Whether clients of dialect `netconduit` (the Python package) may log in. Their proof of
        /// the password can be recorded and replayed: switch it on for trusted networks only. Off.
        accept_netconduit: bool = false;
    }
}

impl ServerDescriptor {
    /// A server with the default settings.
    pub fn new(password: impl Into<Password>) -> Self {
        Self { password: password.into(), ..blank() }
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// The first that makes no sense, with what would.
    pub fn validate(&self) -> Result<(), ConfigError> {
        ensure_password(&self.password)?;
        ensure_identity(&self.name, &self.version)?;
        ensure(!self.host.is_empty(), "host", "must not be empty", "\"\"")?;
        ensure(self.max_connections > 0, "max_connections", "must be at least 1", 0)?;
        ensure_message_size(self.max_message_size)?;
        ensure_buffer_size(self.buffer_size)?;
        ensure_positive("connection_timeout", self.connection_timeout)?;
        ensure_positive("auth_timeout", self.auth_timeout)?;
        ensure_heartbeat(self.heartbeat_interval, self.heartbeat_timeout)?;
        ensure_queues(self.send_queue_size, self.receive_queue_size)?;
        ensure(
            self.accept_netconduit,
            "accept_netconduit",
            "must be true as long as `netconduit` is the only dialect with a login; name it \
             explicitly by `.accept_netconduit(true)`",
            false,
        )
    }

    pub(crate) fn access(&self) -> Access {
        Access::netconduit(self.password.expose())
    }

    /// What connections are configured with.
    pub(crate) fn config(&self, wall: WallAnchor) -> Config {
        Config {
            name: self.name.clone(),
            version: self.version.clone(),
            auth_timeout: self.auth_timeout,
            heartbeat_interval: self.heartbeat_interval,
            heartbeat_timeout: self.heartbeat_timeout,
            compression: self.enable_compression,
            backpressure: self.enable_backpressure,
            limits: self.limits(),
            wall,
        }
    }

    pub(crate) fn limits(&self) -> Limits {
        super::limits(self.max_message_size, self.send_queue_size, self.receive_queue_size)
    }

    pub(crate) fn pace(&self) -> Pace {
        Pace { read_max: self.buffer_size, stall_max: Some(self.connection_timeout) }
    }

    /// `0.0.0.0` is what nobody chose: with `ipv6` its counterpart is meant.
    pub(crate) fn bind_host(&self) -> &str {
        if self.ipv6 && self.host == "0.0.0.0" { "::" } else { &self.host }
    }
}
