//! Settings of servers and clients: builders with defaults, readable from configuration files.
//!
//! Names and defaults are those of the Python package. Durations are seconds in files.
//!
//! ```
//! use cndt_runtime::{ClientDescriptor, ServerDescriptor};
//! use std::time::Duration;
//!
//! let server: ServerDescriptor = serde_json::from_str(
//!     r#"{"password": "secret", "port": 9000, "auth_timeout": 2.5, "accept_netconduit": true}"#,
//! )?;
//! assert_eq!(server.auth_timeout, Duration::from_millis(2500));
//! assert_eq!(server.max_connections, 100);
//!
//! let client = ClientDescriptor::new("localhost", 9000, "secret").rpc_timeout(Duration::ZERO);
//! let error = client.validate().unwrap_err();
//! assert_eq!(error.to_string(), "rpc_timeout must be longer than nothing, not 0ns");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod client;
mod server;

use std::fmt;
use std::time::Duration;

use cndt_core::limits::Limits;
use cndt_core::wire::Dialect;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

pub use client::ClientDescriptor;
pub use server::ServerDescriptor;

use crate::error::ConfigError;
use crate::net::Framing;
use crate::users::Users;

/// How long a call waits for its answer unless told otherwise: 30 s.
pub(crate) const RPC_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a message waits for room in the send queue unless told otherwise: 10 s.
pub(crate) const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// A secret that does not show itself, and is wiped when dropped.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// The secret, where it is needed.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Password {
    fn from(password: &str) -> Self {
        Self(Zeroizing::new(password.to_owned()))
    }
}

impl From<String> for Password {
    fn from(password: String) -> Self {
        Self(Zeroizing::new(password))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

/// How a setting is written in a file.
trait Setting: Sized {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
}

macro_rules! plain_setting {
    ($($type:ty)*) => {$(
        impl Setting for $type {
            fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <$type>::deserialize(deserializer)
            }
        }
    )*};
}

/// What a client speaks. In files: `cndt`, `jsonrpc`, `jsonrpc-bare`, `jsonrpc-content-length`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ClientProtocol {
    /// CNDT, in the dialect that the descriptor names.
    #[default]
    Cndt,
    /// JSON-RPC 2.0, in this framing. There is no login: user, password and dialect are not used.
    JsonRpc(Framing),
}

impl Setting for ClientProtocol {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "cndt" => Ok(Self::Cndt),
            "jsonrpc" => Ok(Self::JsonRpc(Framing::Newline)),
            "jsonrpc-bare" => Ok(Self::JsonRpc(Framing::Bare)),
            "jsonrpc-content-length" => Ok(Self::JsonRpc(Framing::ContentLength)),
            other => Err(D::Error::custom(format_args!(
                "a protocol is cndt, jsonrpc, jsonrpc-bare or jsonrpc-content-length, not {other:?}"
            ))),
        }
    }
}

/// What happens to a broadcast for which a client has no room, because it reads too slowly. The others
/// are never held up. In files: `drop_newest`, `drop_oldest`, `disconnect`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlowClient {
    /// The client does not get this broadcast.
    #[default]
    DropNewest,
    /// Broadcasts that have been waiting longest make room, as long as there are any. What was sent
    /// to the client alone is never dropped.
    DropOldest,
    /// The client is cut off.
    Disconnect,
}

plain_setting!(bool u16 u32 u64 usize f64 String Vec<String> Password Users SlowClient);

impl Setting for Duration {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        Self::try_from_secs_f64(seconds).map_err(|error| {
            D::Error::custom(format_args!(
                "a duration is a number of seconds, not {seconds}: {error}"
            ))
        })
    }
}

impl Setting for Dialect {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A descriptor: fields with their defaults, and a setter for each that is not required.
macro_rules! descriptor {
    (
        $(#[$doc:meta])*
        $name:ident;
        required { $($(#[$required_doc:meta])* $required:ident: $required_type:ty = $nothing:expr;)* }
        texts { $($(#[$text_doc:meta])* $text:ident = $text_default:expr;)* }
        values { $($(#[$value_doc:meta])* $value:ident: $type:ty = $default:expr;)* }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, serde::Deserialize)]
        #[serde(deny_unknown_fields, default = "blank")]
        #[non_exhaustive]
        pub struct $name {
            $(
                $(#[$required_doc])*
                #[serde(deserialize_with = "super::Setting::read")]
                pub $required: $required_type,
            )*
            $(
                $(#[$text_doc])*
                #[serde(deserialize_with = "super::Setting::read")]
                pub $text: String,
            )*
            $(
                $(#[$value_doc])*
                #[serde(deserialize_with = "super::Setting::read")]
                pub $value: $type,
            )*
        }

        /// The defaults. What is required is empty, and refused by `validate`.
        fn blank() -> $name {
            $name {
                $($required: $nothing,)*
                $($text: String::from($text_default),)*
                $($value: $default,)*
            }
        }

        impl $name {
            $(
                $(#[$text_doc])*
                #[must_use]
                pub fn $text(mut self, value: impl Into<String>) -> Self {
                    self.$text = value.into();
                    self
                }
            )*

            $(
                $(#[$value_doc])*
                #[must_use]
                pub fn $value(mut self, value: $type) -> Self {
                    self.$value = value;
                    self
                }
            )*
        }
    };
}
use descriptor;

/// The core's limits under the names that descriptors use.
fn limits(
    max_message_size: usize,
    send_queue_size: usize,
    receive_queue_size: usize,
    shutdown_timeout: Duration,
) -> Limits {
    let limits = Limits::default();
    Limits {
        drain: shutdown_timeout,
        frame_max: max_message_size,
        preauth_frame_max: limits.preauth_frame_max.min(max_message_size),
        decompressed_max: max_message_size,
        send_queue_frames: send_queue_size,
        receive_queue_frames: receive_queue_size,
        ..limits
    }
}

fn ensure(
    holds: bool,
    field: &'static str,
    expected: &'static str,
    value: impl fmt::Display,
) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(ConfigError::new(field, expected, value)) }
}

fn ensure_iterations(field: &'static str, iterations: u32) -> Result<(), ConfigError> {
    let accepted = cndt_core::auth::scram::ITERATIONS;
    ensure(accepted.contains(&iterations), field, "must be from 4096 to 2000000", iterations)
}

fn ensure_positive(field: &'static str, span: Duration) -> Result<(), ConfigError> {
    ensure(!span.is_zero(), field, "must be longer than nothing", format_args!("{span:?}"))
}

/// Two settings that need each other.
fn ensure_pair(one: (&'static str, bool), other: (&'static str, bool)) -> Result<(), ConfigError> {
    let ((name, is_set), (other_name, other_is_set)) = (one, other);
    let missing = match (is_set, other_is_set) {
        (true, false) => other_name,
        (false, true) => name,
        (true, true) | (false, false) => return Ok(()),
    };
    let expected = "must be set, since its counterpart is (tls_certificate and tls_key)";
    Err(ConfigError::new(missing, expected, "empty"))
}

fn ensure_password(password: &Password) -> Result<(), ConfigError> {
    let length = password.expose().len();
    ensure((1..=1024).contains(&length), "password", "must have 1 to 1024 bytes", length)
}

/// What the core checks as well, under the names that descriptors use.
fn ensure_heartbeat(interval: Duration, timeout: Duration) -> Result<(), ConfigError> {
    ensure_positive("heartbeat_interval", interval)?;
    ensure(
        timeout > interval,
        "heartbeat_timeout",
        "must be longer than heartbeat_interval",
        format_args!("{timeout:?}"),
    )
}

fn ensure_message_size(size: usize) -> Result<(), ConfigError> {
    let ceiling = cndt_core::limits::FRAME_CEILING;
    let expected = "must be from 1024 to 104857600 bytes";
    ensure((1024..=ceiling).contains(&size), "max_message_size", expected, size)
}

fn ensure_buffer_size(size: usize) -> Result<(), ConfigError> {
    let range = 1024..=16 * 1024 * 1024;
    ensure(range.contains(&size), "buffer_size", "must be from 1024 to 16777216 bytes", size)
}

fn ensure_queues(send: usize, receive: usize) -> Result<(), ConfigError> {
    ensure(send > 0, "send_queue_size", "must be at least 1", send)?;
    ensure(receive > 0, "receive_queue_size", "must be at least 1", receive)
}

fn ensure_identity(name: &str, version: &str) -> Result<(), ConfigError> {
    let max = cndt_core::connection::IDENTITY_MAX;
    ensure(name.len() <= max, "name", "must have at most 512 bytes", name.len())?;
    ensure(version.len() <= max, "version", "must have at most 512 bytes", version.len())
}
