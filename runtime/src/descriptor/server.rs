use std::time::Duration;

use cndt_core::auth::Access;
use cndt_core::connection::Config;
use cndt_core::limits::{BYTES_PER_FRAME_MIN, Limits};
use cndt_core::resilience::Rate;
use cndt_core::time::WallAnchor;

use super::{
    Password, SlowClient, descriptor, ensure, ensure_buffer_size, ensure_heartbeat,
    ensure_identity, ensure_iterations, ensure_message_size, ensure_pair, ensure_password,
    ensure_positive, ensure_queues,
};
use crate::driver::Pace;
use crate::error::ConfigError;
use crate::net::{Address, Listener, TlsServer};
use crate::users::{HashError, ITERATIONS_DEFAULT, UserName, Users, hash_password};

/// The highest rate that can be counted with.
const RATE_MAX: u64 = 1_000_000_000_000;

/// The longest time in which all wrong logins of an address come back: longer ones could not be
/// counted, and a limit that cannot be counted would let everyone guess.
const FAILURES_BACK_MAX: Duration = Duration::from_secs(1_000_000);

descriptor! {
    /// How a server listens and whom it lets in. A password or users are required.
    ServerDescriptor;
    required {
        /// What the user `default` proves to know; 1 to 1024 bytes, or empty where `users` are
        /// named. It is turned into a verifier when the server starts, which takes a moment.
        password: Password = Password::from("");
    }
    texts {
        /// Sent to clients at login; at most 512 bytes. `conduit_server`.
        name = "conduit_server";
        /// Sent to clients at login; at most 512 bytes. `1.0.0`.
        version = "1.0.0";
        /// For people: in the log when the server starts, and by `ServerHandle::descriptor`. Never
        /// sent. Empty.
        description = "";
        /// Name or address to listen on, or `unix:PATH` for a Unix socket. `0.0.0.0`, or `::` with
        /// `ipv6`.
        host = "0.0.0.0";
        /// PEM file with the certificate to show, and what it was issued by. With it the server speaks
        /// TLS. Empty.
        tls_certificate = "";
        /// PEM file with the certificate's private key. Empty.
        tls_key = "";
        /// PEM file with certificates of authorities. With it only clients are let in that show a
        /// certificate that one of them has issued (mutual TLS). Empty.
        tls_client_ca = "";
    }
    values {
        /// Port to listen on; 0 takes a free one. 8080.
        port: u16 = 8080;
        /// Whether `host` is looked up as IPv6. Off.
        ipv6: bool = false;
        /// Whether IPv4 stays away from a server on `::`. Off: it serves both.
        ipv6_only: bool = false;
        /// Clients that may be logged in at a time; one more is refused. 100.
        max_connections: usize = 100;
        /// The largest payload, in bytes: 1 KiB to 100 MiB. 10 MiB.
        max_message_size: usize = 10 * 1024 * 1024;
        /// The largest usual read, in bytes: 1 KiB to 16 MiB. Small reads are used until this
        /// much arrives at a time; then up to four follow each other, for which room is made at once.
        /// While payloads of more than 16 KiB arrive, one may have eight times as much, 1 MiB at
        /// most; but not if this is less than 64 KiB. 64 KiB.
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
        /// How long a connection that closes, and so a server that stops, waits for calls that are
        /// under way. 5 s.
        shutdown_timeout: Duration = Duration::from_secs(5);
        /// What happens to broadcasts for which a client has no room. It does not get them.
        slow_client: SlowClient = SlowClient::DropNewest;
        /// Whether large payloads are sent compressed. In dialect `cndt` the client must want it,
        /// too. Off.
        enable_compression: bool = false;
        /// Whether a client is asked to pause when its queue fills. TCP pushes back either way. On.
        enable_backpressure: bool = true;
        /// Messages and calls that one client may send per second, and as many at once; 0 sets no
        /// limit. A call beyond it fails with RATE_LIMITED and `retry_after`, a message is dropped
        /// and counted. 0.
        rate_limit: u64 = 0;
        /// Bytes of messages and calls that one client may send per second, and as many at once; 0
        /// sets no limit, otherwise at least 256. 0.
        rate_limit_bytes: u64 = 0;
        /// A client with which nothing but heartbeats was exchanged for so long is closed; 0 never
        /// closes one. 0.
        idle_timeout: Duration = Duration::ZERO;
        /// Connections that may be logging in at a time. One more makes the oldest go that has said
        /// nothing yet; if all have, it is closed itself. They never take a place from those who are
        /// logged in. 128.
        half_open_max: usize = 128;
        /// The same from one address (of IPv6: one /64 network). 16.
        half_open_per_address_max: usize = 16;
        /// Wrong logins that one address has at once; one comes back in each
        /// `failed_login_interval`. Without any left its connections are closed at once. 5.
        failed_logins_max: u32 = 5;
        /// See `failed_logins_max`; at most 1,000,000 s for all of them together. 5 s.
        failed_login_interval: Duration = Duration::from_secs(5);
        /// Wrong logins per second, from anywhere, beyond which only addresses are looked at that
        /// were not wrong lately. 100.
        failed_logins_per_second_max: u64 = 100;
        /// Whether the rules for single addresses hold for loopback as well. Off: proxies and local
        /// tools share it.
        limit_loopback: bool = false;
        /// Bytes that wait for or on behalf of all clients together; beyond it the client with the
        /// most is cut off. 0 sets no bound. 256 MiB.
        memory_budget: usize = 256 * 1024 * 1024;
        /// Users of dialect `cndt` by name, with their verifiers (in files: their text form). None.
        users: Users = Users::new();
        /// Iterations by which `password` is turned into a verifier: 4,096 to 2,000,000. 600,000.
        password_iterations: u32 = ITERATIONS_DEFAULT;
        /// Whether clients of dialect `cndt` may log in. On.
        accept_cndt: bool = true;
        /// Whether clients of dialect `netconduit` (the Python package) may log in. Their proof of
        /// the password can be recorded and replayed: switch it on for trusted networks only. Off.
        accept_netconduit: bool = false;
        /// The password of clients of dialect `netconduit`. Empty: `password`. Another one is
        /// better, because whoever sees such a login can use it.
        netconduit_password: Password = Password::from("");
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
        self.validate_access()?;
        self.validate_without_login()
    }

    /// Checks what matters where nobody logs in.
    pub(crate) fn validate_without_login(&self) -> Result<(), ConfigError> {
        ensure_identity(&self.name, &self.version)?;
        self.validate_tls()?;
        ensure(!self.host.is_empty(), "host", "must not be empty", "\"\"")?;
        ensure(self.max_connections > 0, "max_connections", "must be at least 1", 0)?;
        ensure_message_size(self.max_message_size)?;
        ensure_buffer_size(self.buffer_size)?;
        ensure_positive("connection_timeout", self.connection_timeout)?;
        ensure_positive("auth_timeout", self.auth_timeout)?;
        ensure_heartbeat(self.heartbeat_interval, self.heartbeat_timeout)?;
        ensure_queues(self.send_queue_size, self.receive_queue_size)?;
        for (value, field) in [
            (self.half_open_max, "half_open_max"),
            (self.half_open_per_address_max, "half_open_per_address_max"),
            (self.failed_logins_max as usize, "failed_logins_max"),
        ] {
            ensure(value > 0, field, "must be at least 1", value)?;
        }
        ensure_positive("failed_login_interval", self.failed_login_interval)?;
        let interval = self.failed_login_interval;
        ensure(
            interval.saturating_mul(self.failed_logins_max) <= FAILURES_BACK_MAX,
            "failed_login_interval",
            "must be at most 1000000 s, failed_logins_max times together",
            format_args!("{interval:?} x {}", self.failed_logins_max),
        )?;
        let failed = self.failed_logins_per_second_max;
        let expected = "must be from 1 to 10^12";
        ensure((1..=RATE_MAX).contains(&failed), "failed_logins_per_second_max", expected, failed)?;
        let rate = self.rate_limit;
        ensure(rate <= RATE_MAX, "rate_limit", "must be at most 10^12", rate)?;
        let bytes = self.rate_limit_bytes;
        ensure(
            bytes == 0 || (BYTES_PER_FRAME_MIN..=RATE_MAX).contains(&bytes),
            "rate_limit_bytes",
            "must be 0, or from 256 to 10^12",
            bytes,
        )
    }

    fn validate_tls(&self) -> Result<(), ConfigError> {
        let has = |file: &str| !file.is_empty();
        ensure_pair(
            ("tls_certificate", has(&self.tls_certificate)),
            ("tls_key", has(&self.tls_key)),
        )?;
        let is_mutual = has(&self.tls_client_ca);
        let expected = "must be empty unless tls_certificate and tls_key are set";
        let is_useful = !is_mutual || has(&self.tls_certificate);
        ensure(is_useful, "tls_client_ca", expected, &self.tls_client_ca)
    }

    /// How to speak TLS, if at all. Reads files.
    pub(crate) fn tls(&self) -> Result<Option<TlsServer>, ConfigError> {
        let Self { tls_certificate, tls_key, tls_client_ca, .. } = self;
        if tls_certificate.is_empty() {
            return Ok(None);
        }
        TlsServer::from_files(tls_certificate, tls_key, tls_client_ca).map(Some)
    }

    fn validate_access(&self) -> Result<(), ConfigError> {
        let (password, users) = (self.password.expose(), &self.users);
        ensure_iterations("password_iterations", self.password_iterations)?;
        ensure(
            self.accept_cndt || self.accept_netconduit,
            "accept_cndt",
            "must be true unless accept_netconduit is",
            false,
        )?;
        let is_default_twice = !password.is_empty() && users.contains(&UserName::default());
        let expected = "must not name `default` beside a password: the password is its own";
        ensure(!is_default_twice, "users", expected, "both")?;
        if self.accept_cndt && users.is_empty() {
            ensure_password(&self.password)?;
        }
        if self.accept_netconduit {
            ensure_password(self.legacy_password())?;
        }
        ensure(password.len() <= 1024, "password", "must have 1 to 1024 bytes", password.len())
    }

    fn legacy_password(&self) -> &Password {
        let own = &self.netconduit_password;
        if own.expose().is_empty() { &self.password } else { own }
    }

    /// Nobody needs them once there are verifiers.
    pub(crate) fn forget_passwords(&mut self) {
        self.password = Password::from("");
        self.netconduit_password = Password::from("");
    }

    /// Whom to let in. Slow: derives the verifier of the password.
    pub(crate) fn access(&self) -> Result<Access, HashError> {
        let mut access = Access::new();
        if self.accept_netconduit {
            access = access.with_netconduit(self.legacy_password().expose());
        }
        if self.accept_cndt {
            for (name, verifier) in self.users.iter() {
                access = access.with_user(name.clone(), verifier.clone());
            }
            let password = self.password.expose();
            if !password.is_empty() {
                let verifier = hash_password(password, self.password_iterations)?;
                access = access.with_user(UserName::default(), verifier);
            }
        }
        Ok(access)
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
            channel_binding: None,
            limits: self.limits(),
            wall,
        }
    }

    pub(crate) fn limits(&self) -> Limits {
        let rate = |per_second: u64| (per_second > 0).then(|| Rate::per_second(per_second));
        Limits {
            stall_max: self.connection_timeout,
            rate_messages: rate(self.rate_limit),
            rate_bytes: rate(self.rate_limit_bytes),
            idle_timeout: (!self.idle_timeout.is_zero()).then_some(self.idle_timeout),
            ..super::limits(
                self.max_message_size,
                self.send_queue_size,
                self.receive_queue_size,
                self.shutdown_timeout,
            )
        }
    }

    pub(crate) fn pace(&self) -> Pace {
        Pace { read_max: self.buffer_size }
    }

    /// `0.0.0.0` is what nobody chose: with `ipv6` its counterpart is meant.
    pub(crate) fn listener(&self) -> Listener {
        let host = if self.ipv6 && self.host == "0.0.0.0" { "::" } else { &self.host };
        Address::new(host, self.port).into()
    }
}
