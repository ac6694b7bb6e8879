use std::collections::BTreeMap;
use std::future::IntoFuture;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cndt_core::resilience::BreakerState;

use super::config::Parts;
use super::{Classify, Policy, PolicyConfig, PolicyError, PolicyMetrics};
use crate::error::ConfigError;
use crate::rt::Runtime;

/// Names, beyond which policies that nobody has configured by name are forgotten.
const NAMES_MAX: usize = 1024;

/// Policies by name, each of its own: one service that is down does not stand in the way of others.
/// Cheap to clone: clones share everything.
///
/// ```
/// use cndt_tokio::policy::PolicyConfig;
/// use cndt_tokio::{BreakerConfig, Policies};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let policies = Policies::new(PolicyConfig::new().breaker(BreakerConfig::default()))?;
/// let answer = policies.execute("user-service", || async { Ok::<_, std::io::Error>(42) }).await?;
/// assert_eq!(answer, 42);
/// assert_eq!(policies.metrics("user-service").map(|metrics| metrics.breaker.success_count), Some(1));
/// # Ok(())
/// # }
/// ```
pub struct Policies<R> {
    shared: Arc<Shared<R>>,
}

struct Shared<R> {
    /// What names get that are not configured; fresh, so that it is never run.
    default: Parts,
    config: PolicyConfig,
    names: Mutex<Names<R>>,
}

struct Names<R> {
    known: BTreeMap<Box<str>, Named<R>>,
    /// How many of them nobody has configured by name.
    by_default: usize,
    uses: u64,
}

struct Named<R> {
    policy: Policy<R>,
    is_configured: bool,
    /// Larger for those that were used later.
    used: u64,
}

impl<R: Runtime> Policies<R> {
    /// No policies yet. `default` is for names that are not configured, of which 1,024 are kept: those
    /// that were used last.
    ///
    /// # Errors
    /// A part of the configuration that makes no sense, by its name.
    pub fn new(default: PolicyConfig) -> Result<Self, ConfigError> {
        let names = Mutex::new(Names { known: BTreeMap::new(), by_default: 0, uses: 0 });
        let shared = Shared { default: default.parts()?, config: default, names };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Gives a name its own configuration, and a policy with nothing to remember. It is kept until it
    /// is configured anew. Operations that are under way count for the policy that they began under.
    ///
    /// # Errors
    /// A part of the configuration that makes no sense. Nothing has changed then.
    pub fn configure(&self, name: &str, config: PolicyConfig) -> Result<(), ConfigError> {
        let policy = Policy::new(name, config)?;
        self.lock().put(name, Named { policy, is_configured: true, used: 0 });
        Ok(())
    }

    /// The policy of this name; a new one, if nobody has used the name.
    pub fn policy(&self, name: &str) -> Policy<R> {
        let mut names = self.lock();
        names.uses += 1;
        let used = names.uses;
        if let Some(known) = names.known.get_mut(name) {
            known.used = used;
            return known.policy.clone();
        }
        if names.by_default >= NAMES_MAX {
            names.forget_one();
        }
        let Shared { default, config, .. } = &*self.shared;
        let policy = Policy::of_parts(name, *config, default.clone());
        names.put(name, Named { policy: policy.clone(), is_configured: false, used });
        policy
    }

    /// Runs an operation under the policy of this name; see [`Policy::execute`].
    ///
    /// # Errors
    /// As [`Policy::execute`].
    pub async fn execute<T, E, F, Fut>(&self, name: &str, operation: F) -> Result<T, PolicyError<E>>
    where
        E: Classify,
        F: FnMut() -> Fut,
        Fut: IntoFuture<Output = Result<T, E>>,
    {
        self.policy(name).execute(operation).await
    }
}

impl<R> Policies<R> {
    // Nothing under this lock panics half way: a poisoned one still holds whole values.
    fn lock(&self) -> MutexGuard<'_, Names<R>> {
        self.shared.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self, name: &str) -> Option<Policy<R>> {
        self.lock().known.get(name).map(|known| known.policy.clone())
    }

    /// The state of one breaker; `None` if nobody has used the name.
    pub fn state(&self, name: &str) -> Option<BreakerState> {
        self.known(name).map(|policy| policy.state())
    }

    /// The states of all breakers, by name.
    pub fn states(&self) -> BTreeMap<String, BreakerState> {
        let all: Vec<_> = {
            let names = self.lock();
            names.known.iter().map(|(name, known)| (name.clone(), known.policy.clone())).collect()
        };
        all.into_iter().map(|(name, policy)| (name.into(), policy.state())).collect()
    }

    /// What one policy has done; `None` if nobody has used the name.
    pub fn metrics(&self, name: &str) -> Option<PolicyMetrics> {
        self.known(name).map(|policy| policy.metrics())
    }

    /// Closes one breaker and forgets what it counted; false if nobody has used the name.
    pub fn reset(&self, name: &str) -> bool {
        self.known(name).inspect(Policy::reset).is_some()
    }
}

impl<R> Names<R> {
    fn put(&mut self, name: &str, named: Named<R>) {
        let is_configured = named.is_configured;
        let before = self.known.insert(name.into(), named);
        self.by_default -= usize::from(before.is_some_and(|before| !before.is_configured));
        self.by_default += usize::from(!is_configured);
    }

    /// Whoever was not used for longest goes. Its operations under way still have it.
    fn forget_one(&mut self) {
        let by_default = self.known.iter().filter(|(_, known)| !known.is_configured);
        let oldest = by_default.min_by_key(|(_, known)| known.used);
        if let Some(name) = oldest.map(|(name, _)| name.clone()) {
            self.known.remove(&name);
            self.by_default -= 1;
        }
    }
}

impl<R> Clone for Policies<R> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<R> std::fmt::Debug for Policies<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policies").field("states", &self.states()).finish_non_exhaustive()
    }
}
