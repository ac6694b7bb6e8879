use std::time::Duration;

use cndt_core::auth::scram::Keys;
use cndt_core::auth::{Credentials, UserName};
use cndt_core::connection::Config;
use cndt_core::limits::{LimitError, Limits};
use cndt_core::resilience::{Backoff, Jitter, RetryPolicy};
use cndt_core::time::WallAnchor;
use cndt_core::wire::Dialect;

use super::{
    ClientProtocol, Password, RPC_TIMEOUT, SEND_TIMEOUT, descriptor, ensure, ensure_buffer_size,
    ensure_heartbeat, ensure_identity, ensure_iterations, ensure_message_size, ensure_pair,
    ensure_password, ensure_positive, ensure_queues,
};
use crate::driver::Pace;
use crate::error::ConfigError;
use crate::net::{Address, Framing, TlsClient};

descriptor! {
    /// Whom a client connects to, and how. Host, port and password are required.
    ClientDescriptor;
    required {
        /// Name or address of the server, or `unix:PATH` for a Unix socket.
        server_host: String = String::new();
        /// Port of the server; of no use with a Unix socket.
        server_port: u16 = 0;
        /// What the server wants to know; 1 to 1024 bytes.
        password: Password = Password::from("");
    }
    texts {
        /// Sent to the server at login; at most 512 bytes. `conduit_client`.
        name = "conduit_client";
        /// Sent to the server at login; at most 512 bytes. `1.0.0`.
        version = "1.0.0";
        /// For people: in the log when the client connects, and by `ClientHandle::descriptor`. Never
        /// sent. Empty.
        description = "";
        /// Who logs in, in dialect `cndt`: 1 to 64 printable ASCII characters. `default`.
        user = "default";
        /// PEM file with certificates of authorities that may have issued the server's. Empty: those
        /// that the operating system trusts.
        tls_ca = "";
        /// PEM file with the certificate to show to the server (mutual TLS). Empty: none.
        tls_certificate = "";
        /// PEM file with the certificate's private key. Empty.
        tls_key = "";
        /// The name that the server's certificate must have. Empty: `server_host`.
        tls_server_name = "";
    }
    values {
        /// What is spoken. CNDT.
        protocol: ClientProtocol = ClientProtocol::Cndt;
        /// The wire dialect of CNDT. `cndt`; `netconduit` must be named, because its login can be recorded
        /// and replayed.
        dialect: Dialect = Dialect::Cndt;
        /// The fewest iterations of key derivation that a server may ask for: 4,096 to 2,000,000.
        /// Fewer make a captured login cheap to guess at. 100,000.
        password_iterations_min: u32 = 100_000;
        /// Whether TLS is spoken. Off.
        tls: bool = false;
        /// Whether the login is bound to the TLS session, so that nobody in between can pass it on.
        /// On; a server behind a proxy that ends TLS wants it off.
        tls_channel_binding: bool = true;
        /// Whether the host is looked up as IPv6. Off: every address that is found is tried.
        use_ipv6: bool = false;
        /// How long the TCP connection may take, the look-up of the name included, and then the
        /// login once more. 10 s.
        connect_timeout: Duration = Duration::from_secs(10);
        /// Whether a lost connection is made again. On.
        reconnect_enabled: bool = true;
        /// Attempts in a row before it is given up; 0 never gives up. A connection that lasted 30 s
        /// starts the count anew. 5.
        reconnect_attempts: u32 = 5;
        /// The first delay is random up to this, but never less than 100 ms. 2 s.
        reconnect_delay: Duration = Duration::from_secs(2);
        /// Delays never grow beyond this. 60 s.
        reconnect_delay_max: Duration = Duration::from_secs(60);
        /// How much longer each delay may be than the one before. 2.
        reconnect_delay_multiplier: f64 = 2.0;
        /// The largest payload, in bytes: 1 KiB to 100 MiB. 10 MiB.
        max_message_size: usize = 10 * 1024 * 1024;
        /// The largest usual read, in bytes: 1 KiB to 16 MiB. Small reads are used until this
        /// much arrives at a time; then up to four follow each other, for which room is made at once.
        /// While payloads of more than 16 KiB arrive, one may have eight times as much, 1 MiB at
        /// most; but not if this is less than 64 KiB. 64 KiB.
        buffer_size: usize = 64 * 1024;
        /// How long a call waits for its answer. 30 s.
        rpc_timeout: Duration = RPC_TIMEOUT;
        /// How often a call is tried in all, where that is [safe](crate::retry): 1 to 1000. 1 for
        /// CNDT, 3 for JSON-RPC.
        retry_count: u32 = 1;
        /// The first pause between two attempts: between half of this and all of it. 1 s.
        retry_delay: Duration = Duration::from_secs(1);
        /// Pauses double, but never grow beyond this. 30 s.
        retry_delay_max: Duration = Duration::from_secs(30);
        /// Methods that do no harm when executed twice; see [`retry`](crate::retry). None.
        idempotent_methods: Vec<String> = Vec::new();
        /// How long a message waits for room in the send queue. 10 s.
        send_timeout: Duration = SEND_TIMEOUT;
        /// How often a ping is sent. 30 s.
        heartbeat_interval: Duration = Duration::from_secs(30);
        /// A server that has sent no complete frame for so long is taken for dead. 90 s.
        heartbeat_timeout: Duration = Duration::from_secs(90);
        /// Messages and calls that may wait to be sent. 1000.
        send_queue_size: usize = 1000;
        /// Messages and calls of the server that may wait to be handled. 1000.
        receive_queue_size: usize = 1000;
        /// How long a connection that closes waits for calls that are under way. 5 s.
        shutdown_timeout: Duration = Duration::from_secs(5);
        /// Whether large payloads are sent compressed. In dialect `cndt` the server must want it,
        /// too. Off.
        enable_compression: bool = false;
        /// Whether the server is asked to pause when the queue fills. TCP pushes back either way.
        /// On.
        enable_backpressure: bool = true;
    }
}

impl ClientDescriptor {
    /// A client with the default settings.
    pub fn new(
        server_host: impl Into<String>,
        server_port: u16,
        password: impl Into<Password>,
    ) -> Self {
        let (server_host, password) = (server_host.into(), password.into());
        Self { server_host, server_port, password, ..blank() }
    }

    /// A client of JSON-RPC 2.0 with the default settings, one text on each line.
    pub fn jsonrpc(server_host: impl Into<String>, server_port: u16) -> Self {
        let protocol = ClientProtocol::JsonRpc(Framing::Newline);
        Self { protocol, retry_count: 3, ..Self::new(server_host, server_port, "") }
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// The first that makes no sense, with what would.
    pub fn validate(&self) -> Result<(), ConfigError> {
        ensure(!self.server_host.is_empty(), "server_host", "must not be empty", "\"\"")?;
        let has_port = self.server_port > 0 || matches!(self.target(), Address::Unix(_));
        ensure(has_port, "server_port", "must be from 1 to 65535", self.server_port)?;
        self.validate_tls()?;
        self.validate_connection()
    }

    fn validate_tls(&self) -> Result<(), ConfigError> {
        let files = [
            ("tls_ca", &self.tls_ca),
            ("tls_certificate", &self.tls_certificate),
            ("tls_key", &self.tls_key),
            ("tls_server_name", &self.tls_server_name),
        ];
        for (field, value) in files {
            let is_useful = self.tls || value.is_empty();
            ensure(is_useful, field, "must be empty unless tls is on", value)?;
        }
        let over_unix = self.tls && matches!(self.target(), Address::Unix(_));
        ensure(!over_unix, "tls", "must be off with a Unix socket", "on")?;
        let has = |file: &str| !file.is_empty();
        ensure_pair(
            ("tls_certificate", has(&self.tls_certificate)),
            ("tls_key", has(&self.tls_key)),
        )
    }

    /// How to speak TLS, if at all. Reads files.
    pub(crate) fn tls_client(&self) -> Result<Option<TlsClient>, ConfigError> {
        let Self { tls_ca, tls_certificate, tls_key, tls_channel_binding, .. } = self;
        if !self.tls {
            return Ok(None);
        }
        TlsClient::from_files(tls_ca, tls_certificate, tls_key, *tls_channel_binding).map(Some)
    }

    /// The name that the server's certificate must have.
    pub(crate) fn tls_name(&self) -> &str {
        if self.tls_server_name.is_empty() { &self.server_host } else { &self.tls_server_name }
    }

    pub(crate) fn target(&self) -> Address {
        Address::new(&self.server_host, self.server_port)
    }

    /// Checks what matters once there is a stream.
    pub(crate) fn validate_connection(&self) -> Result<(), ConfigError> {
        if self.protocol == ClientProtocol::Cndt {
            ensure_password(&self.password)?;
        }
        ensure_identity(&self.name, &self.version)?;
        ensure_positive("connect_timeout", self.connect_timeout)?;
        ensure_positive("reconnect_delay", self.reconnect_delay)?;
        ensure(
            self.reconnect_delay_max >= self.reconnect_delay,
            "reconnect_delay_max",
            "must be at least reconnect_delay",
            format_args!("{:?}", self.reconnect_delay_max),
        )?;
        ensure(
            self.reconnect_delay_multiplier.is_finite() && self.reconnect_delay_multiplier >= 1.0,
            "reconnect_delay_multiplier",
            "must be a number of at least 1",
            self.reconnect_delay_multiplier,
        )?;
        ensure_message_size(self.max_message_size)?;
        ensure_buffer_size(self.buffer_size)?;
        ensure_positive("rpc_timeout", self.rpc_timeout)?;
        ensure_positive("send_timeout", self.send_timeout)?;
        self.repeats().map_err(|error| {
            let (field, value) = match error.field {
                "backoff.max" => ("retry_delay_max", format!("{:?}", self.retry_delay_max)),
                "retry.attempts_max" => ("retry_count", self.retry_count.to_string()),
                _ => ("retry_delay", format!("{:?}", self.retry_delay)),
            };
            let expected = match field {
                "retry_delay" => "must be at most retry_delay_max",
                _ => error.expected,
            };
            ConfigError { field, expected, value }
        })?;
        ensure_heartbeat(self.heartbeat_interval, self.heartbeat_timeout)?;
        ensure_queues(self.send_queue_size, self.receive_queue_size)?;
        ensure_iterations("password_iterations_min", self.password_iterations_min)?;
        self.user_name().map(drop)
    }

    fn repeats(&self) -> Result<RetryPolicy, LimitError> {
        let backoff = Backoff::exponential(self.retry_delay, self.retry_delay_max);
        let backoff = Backoff { min: self.retry_delay / 2, ..backoff };
        RetryPolicy::new(self.retry_count, backoff)
    }

    /// How long to wait before each attempt to reconnect.
    pub(crate) fn reconnect_backoff(&self) -> Backoff {
        // Even a lucky draw leaves a server time to breathe.
        let min = Duration::from_millis(100).min(self.reconnect_delay_max);
        Backoff {
            base: self.reconnect_delay.max(min),
            max: self.reconnect_delay_max,
            min,
            multiplier: self.reconnect_delay_multiplier,
            jitter: Jitter::Full,
        }
    }

    /// How calls are repeated.
    pub(crate) fn retry_policy(&self) -> RetryPolicy {
        // Checked before there was a client.
        self.repeats().unwrap_or(RetryPolicy::NEVER)
    }

    pub(crate) fn is_idempotent(&self, method: &str) -> bool {
        self.idempotent_methods.iter().any(|idempotent| idempotent == method)
    }

    fn user_name(&self) -> Result<UserName, ConfigError> {
        let expected = "must have 1 to 64 printable ASCII characters";
        self.user.parse().map_err(|_| ConfigError::new("user", expected, &self.user))
    }

    /// What to log in with; `keys` are those of an earlier login.
    pub(crate) fn credentials(&self, keys: Option<Keys>) -> Result<Credentials, ConfigError> {
        let password = self.password.expose();
        match self.dialect {
            Dialect::Netconduit => Ok(Credentials::netconduit(password)),
            Dialect::Cndt => {
                let credentials =
                    Credentials::new(self.user_name()?, password).map_err(|error| {
                        ConfigError::new("password", "must have 1 to 1024 bytes", error)
                    })?;
                Ok(match keys {
                    Some(keys) => credentials.with_keys(keys),
                    None => credentials,
                })
            }
        }
    }

    /// What the connection is configured with.
    pub(crate) fn config(&self, wall: WallAnchor) -> Config {
        Config {
            name: self.name.clone(),
            version: self.version.clone(),
            auth_timeout: self.connect_timeout,
            heartbeat_interval: self.heartbeat_interval,
            heartbeat_timeout: self.heartbeat_timeout,
            compression: self.enable_compression,
            backpressure: self.enable_backpressure,
            channel_binding: None,
            limits: Limits {
                iterations_min: self.password_iterations_min,
                // A server that is busy for a while is no dead one: the heartbeat decides.
                stall_max: self.heartbeat_timeout,
                ..super::limits(
                    self.max_message_size,
                    self.send_queue_size,
                    self.receive_queue_size,
                    self.shutdown_timeout,
                )
            },
            wall,
        }
    }

    pub(crate) fn pace(&self) -> Pace {
        Pace { read_max: self.buffer_size }
    }

    /// `host:port`, as people write it.
    pub(crate) fn address(&self) -> String {
        self.target().to_string()
    }
}
