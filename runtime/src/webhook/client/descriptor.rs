use std::fmt;
use std::time::Duration;

use cndt_core::resilience::Backoff;
use cndt_core::webhook::{DeliveryPolicy, Keys};
use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::endpoint::shown;
use super::exchange::is_reserved;
use super::proxy::Proxy;
use super::tls::TlsFiles;
use crate::error::ConfigError;

/// Where webhooks are sent, and how.
///
/// ```
/// use cndt_runtime::webhook::{Keys, Scheme, WebhookClientDescriptor};
/// use std::time::Duration;
///
/// let descriptor = WebhookClientDescriptor::new("https://example.com/webhook")
///     .keys(Keys::parse(Scheme::Hex, "your-secret-key-here")?)
///     .timeout(Duration::from_secs(5))
///     .retry_count(5)
///     .header("X-Custom", "value");
/// # drop(descriptor);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct WebhookClientDescriptor {
    pub(super) url: String,
    pub(super) keys: Option<Keys>,
    pub(super) timeout: Duration,
    retry_count: u32,
    retry_delay: Duration,
    retry_delay_max: Duration,
    retry_after_max: Duration,
    policy: Option<DeliveryPolicy>,
    headers: Vec<(String, String)>,
    pub(super) response_max: usize,
    pub(super) idle_per_host_max: usize,
    pub(super) idle_timeout: Duration,
    pub(super) detached_max: usize,
    pub(super) blocks_private: bool,
    pub(super) proxy: Proxy,
    pub(super) tls: TlsFiles,
}

impl WebhookClientDescriptor {
    /// A client with the default settings, which signs nothing. A user and a password in the URL are
    /// sent as `Authorization: Basic …`, and a fragment not at all.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            keys: None,
            timeout: Duration::from_secs(10),
            retry_count: 3,
            retry_delay: Duration::from_secs(1),
            retry_delay_max: Duration::from_secs(30),
            retry_after_max: Duration::from_secs(60),
            policy: None,
            headers: Vec::new(),
            response_max: 64 * 1024,
            idle_per_host_max: 8,
            idle_timeout: Duration::from_secs(60),
            detached_max: 128,
            blocks_private: false,
            proxy: Proxy::Environment,
            tls: TlsFiles::default(),
        }
    }

    /// Signs each attempt by these.
    #[must_use]
    pub fn keys(mut self, keys: Keys) -> Self {
        self.keys = Some(keys);
        self
    }

    /// What one attempt may take, from the look-up of the name to the last byte of the answer. 10 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Attempts in all: 1 to 1000. 3.
    #[must_use]
    pub fn retry_count(mut self, count: u32) -> Self {
        self.retry_count = count;
        self
    }

    /// The first pause between two attempts: between half of this and all of it. Pauses double, up
    /// to 30 s or this, whichever is longer. 1 s.
    #[must_use]
    pub fn retry_delay(mut self, delay: Duration) -> Self {
        self.retry_delay = delay;
        self.retry_delay_max = self.retry_delay_max.max(delay);
        self
    }

    /// The longest pause that a receiver can ask for by `Retry-After`. 60 s.
    #[must_use]
    pub fn retry_after_max(mut self, span: Duration) -> Self {
        self.retry_after_max = span;
        self
    }

    /// The whole schedule, in place of `retry_count`, `retry_delay` and `retry_after_max`.
    #[must_use]
    pub fn policy(mut self, policy: DeliveryPolicy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Sent with each webhook. It replaces a header of the client's own, such as `User-Agent` or
    /// `Content-Type`, but none of the signature, and none that frames the message.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Bytes of an answer's body that are read. 64 KiB.
    #[must_use]
    pub fn response_max(mut self, bytes: usize) -> Self {
        self.response_max = bytes;
        self
    }

    /// Connections to one host and port that are kept for the next webhook; 0 keeps none. 8.
    #[must_use]
    pub fn idle_per_host_max(mut self, count: usize) -> Self {
        self.idle_per_host_max = count;
        self
    }

    /// How long a connection is kept. 60 s.
    #[must_use]
    pub fn idle_timeout(mut self, span: Duration) -> Self {
        self.idle_timeout = span;
        self
    }

    /// Webhooks that may be under way with nobody waiting for them. 128.
    #[must_use]
    pub fn detached_max(mut self, count: usize) -> Self {
        self.detached_max = count;
        self
    }

    /// Sends to addresses of the public internet alone: for URLs that strangers have given. Addresses
    /// are judged once a name was looked up, and the connection goes to one that was judged. No proxy
    /// is used, since it would look names up itself.
    #[must_use]
    pub fn block_private_addresses(mut self) -> Self {
        self.blocks_private = true;
        self
    }

    /// The proxy. What the environment says.
    #[must_use]
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = proxy;
        self
    }

    /// PEM file with certificates of authorities that may have issued the receiver's. Those that the
    /// operating system trusts.
    #[must_use]
    pub fn tls_ca(mut self, path: impl Into<String>) -> Self {
        self.tls.ca = path.into();
        self
    }

    /// PEM files with a certificate to show to the receiver, and its private key. None.
    #[must_use]
    pub fn tls_certificate(mut self, path: impl Into<String>, key: impl Into<String>) -> Self {
        self.tls.certificate = path.into();
        self.tls.key = key.into();
        self
    }

    /// The settings that no other part of the client checks.
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        ensure_timeout(self.timeout)?;
        if self.idle_timeout.is_zero() {
            return Err(ConfigError::new("idle_timeout", "must be longer than nothing", "0ns"));
        }
        Ok(())
    }

    pub(super) fn delivery_policy(&self) -> Result<DeliveryPolicy, ConfigError> {
        if let Some(policy) = &self.policy {
            return Ok(policy.clone());
        }
        let Self { retry_count, retry_delay, retry_delay_max, retry_after_max, .. } = *self;
        let backoff = Backoff::exponential(retry_delay, retry_delay_max);
        let backoff = Backoff { min: retry_delay / 2, ..backoff };
        let policy =
            DeliveryPolicy::new(retry_count, backoff).map_err(|error| match error.field {
                "delivery.attempts_max" => {
                    ConfigError::new("retry_count", error.expected, retry_count)
                }
                _ => {
                    ConfigError::new("retry_delay", error.expected, format_args!("{retry_delay:?}"))
                }
            })?;
        Ok(policy.with_retry_after_max(retry_after_max))
    }

    pub(super) fn header_map(&self) -> Result<HeaderMap, ConfigError> {
        let mut map = HeaderMap::new();
        for (name, value) in &self.headers {
            let (name, value) = header(name, value)?;
            map.insert(name, value);
        }
        Ok(map)
    }
}

pub(super) fn ensure_timeout(timeout: Duration) -> Result<(), ConfigError> {
    if timeout.is_zero() {
        return Err(ConfigError::new("timeout", "must be longer than nothing", "0ns"));
    }
    Ok(())
}

/// A header that callers may set. Values are not shown: some are secret.
pub(super) fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), ConfigError> {
    let wrong = |expected| {
        let name: String = name.chars().take(64).collect();
        ConfigError::new("header", expected, format_args!("{name:?}"))
    };
    let parsed = HeaderName::from_bytes(name.as_bytes());
    let parsed = parsed.map_err(|_| wrong("must have a name of letters, digits and dashes"))?;
    if is_reserved(&parsed) {
        return Err(wrong("must be none that HTTP frames messages by"));
    }
    let value = HeaderValue::from_str(value);
    Ok((parsed, value.map_err(|_| wrong("must have a value in printable ASCII"))?))
}

impl fmt::Debug for WebhookClientDescriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookClientDescriptor")
            .field("url", &shown(&self.url))
            .field("keys", &self.keys)
            .field("timeout", &self.timeout)
            .field("retry_count", &self.retry_count)
            .field("proxy", &self.proxy)
            .finish_non_exhaustive()
    }
}
