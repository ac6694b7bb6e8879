use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cndt_core::webhook::{
    DeliveryId, Keys, ReplayError, ReplayGuard, ReplayLimits, Settlement, Ticket, Tolerance,
    Verified,
};

use crate::error::ConfigError;

/// How webhooks are received on a listener.
///
/// ```
/// use cndt_runtime::webhook::{Keys, Scheme, Webhooks};
/// use cndt_runtime::Listener;
///
/// let keys = Keys::parse(Scheme::Hex, "your-secret-key-here")?;
/// let listener = Listener::tcp("127.0.0.1", 8080).webhooks(Webhooks::signed(keys));
/// # drop(listener);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Webhooks {
    pub(super) keys: Option<Keys>,
    pub(super) tolerance: Tolerance,
    pub(super) replays: Option<ReplayLimits>,
    pub(super) body_max: usize,
    pub(super) read_timeout: Duration,
    pub(super) health_path: String,
}

impl Webhooks {
    /// Only those with a right signature.
    pub fn signed(keys: Keys) -> Self {
        Self { keys: Some(keys), ..Self::unsigned() }
    }

    /// Whatever anybody sends: behind something that checks, or where nobody else is.
    pub fn unsigned() -> Self {
        Self {
            keys: None,
            tolerance: Tolerance::default(),
            replays: Some(ReplayLimits::default()),
            body_max: 1024 * 1024,
            read_timeout: Duration::from_secs(10),
            health_path: "/health".to_owned(),
        }
    }

    /// How far a signed timestamp may lie from the present, in both directions. Five minutes.
    #[must_use]
    pub fn tolerance(mut self, tolerance: Tolerance) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// How many deliveries are remembered, for how long, so that none is handled twice; only where the
    /// scheme signs what tells them apart (`Scheme::Standard`, `Scheme::Stripe`). 100,000 for ten
    /// minutes.
    #[must_use]
    pub fn replays(mut self, limits: ReplayLimits) -> Self {
        self.replays = Some(limits);
        self
    }

    /// Handles a delivery as often as it comes.
    #[must_use]
    pub fn allow_replays(mut self) -> Self {
        self.replays = None;
        self
    }

    /// Bytes that a body may have. 1 MiB.
    #[must_use]
    pub fn body_max(mut self, bytes: usize) -> Self {
        self.body_max = bytes;
        self
    }

    /// How long the head of a request may take, waiting for the next one on a connection included; and
    /// then its body, which gets more time as it comes, as long as that is 240 bytes a second. 10 s.
    #[must_use]
    pub fn read_timeout(mut self, timeout: Duration) -> Self {
        self.read_timeout = timeout;
        self
    }

    /// Where `GET` tells that the server is up. `/health`.
    #[must_use]
    pub fn health_path(mut self, path: impl Into<String>) -> Self {
        self.health_path = path.into();
        self
    }

    fn validate(&self) -> Result<(), ConfigError> {
        let positive = "must be longer than nothing";
        if self.read_timeout.is_zero() {
            return Err(ConfigError::new("webhooks.read_timeout", positive, "0ns"));
        }
        if self.body_max == 0 {
            return Err(ConfigError::new("webhooks.body_max", "must be at least 1", 0));
        }
        if !self.health_path.starts_with('/') {
            let expected = "must begin with a slash";
            return Err(ConfigError::new("webhooks.health_path", expected, &self.health_path));
        }
        Ok(())
    }
}

/// One listener's webhooks, as they run.
pub(crate) struct Reception {
    pub(super) settings: Webhooks,
    guard: Option<Mutex<ReplayGuard>>,
}

impl Reception {
    pub(crate) fn new(settings: Webhooks) -> Result<Self, ConfigError> {
        settings.validate()?;
        if let Some(keys) = settings.keys.as_ref().filter(|keys| keys.is_weak()) {
            let scheme = keys.scheme();
            tracing::warn!(target: "cndt", %scheme, "a webhook secret has fewer than 24 bytes");
        }
        // What tells deliveries apart is signed together with the time.
        let can_tell = settings.keys.as_ref().is_some_and(|keys| keys.scheme().signs_timestamp());
        let limits = settings.replays.filter(|_| can_tell);
        let guard = limits.map(|limits| ReplayGuard::new(limits, settings.tolerance)).transpose();
        let guard = guard.map_err(ConfigError::from)?.map(Mutex::new);
        Ok(Self { settings, guard })
    }

    /// Claims a delivery, so that it is not handled twice. Claims nothing where deliveries are not
    /// told apart.
    ///
    /// # Errors
    /// Why it must not be handled.
    pub(super) fn claim(
        self: &Arc<Self>,
        now: u64,
        verified: &Verified,
    ) -> Result<Claim, ReplayError> {
        let Some(mut guard) = self.guard() else { return Ok(Claim(None)) };
        let ticket = match &verified.id {
            Some(DeliveryId::Signed(id)) => guard.begin(now, id)?,
            // Stripe signs no id; the same code is the same request.
            Some(DeliveryId::Unsigned(_)) | None => guard.begin(now, &hex(&verified.mac))?,
        };
        Ok(Claim(Some((Arc::clone(self), ticket))))
    }

    // Nothing under this lock panics half way: a poisoned one still holds a whole value.
    fn guard(&self) -> Option<MutexGuard<'_, ReplayGuard>> {
        let guard = self.guard.as_ref()?;
        Some(guard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A delivery that is being handled. Dropped, it may come again.
pub(super) struct Claim(Option<(Arc<Reception>, Ticket)>);

impl Claim {
    /// It was handled, and must not be again.
    pub(super) fn keep(mut self) {
        self.settle(Settlement::Kept);
    }

    fn settle(&mut self, settlement: Settlement) {
        let Some((reception, ticket)) = self.0.take() else { return };
        if let Some(mut guard) = reception.guard() {
            guard.settle(ticket, settlement);
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.settle(Settlement::Forgotten);
    }
}
