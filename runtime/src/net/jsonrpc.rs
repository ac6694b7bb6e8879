use cndt_core::jsonrpc::{EndpointConfig, Framing, Lifetime};
use cndt_core::limits::Limits;

/// How JSON-RPC 2.0 is spoken on a listener.
///
/// The same handlers are served as to CNDT peers: methods by name, and notifications by their
/// message handlers, or else by the method of that name. JSON-RPC has no login. Unless they are
/// [trusted](JsonRpc::trusted), its peers may call methods that are
/// [public](crate::Method::public) and no others.
#[derive(Debug, Clone)]
pub struct JsonRpc {
    framing: Option<Framing>,
    lifetime: Lifetime,
    batch_max: usize,
    pub(crate) trust: Trust,
}

/// Whether peers count as logged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    Nobody,
    Everybody,
}

impl Default for JsonRpc {
    fn default() -> Self {
        Self::new()
    }
}

impl JsonRpc {
    /// Any framing, strangers only, connections that stay open.
    pub fn new() -> Self {
        let EndpointConfig { framing, lifetime, batch_max, .. } = EndpointConfig::default();
        Self { framing, lifetime, batch_max, trust: Trust::Nobody }
    }

    /// Insists on one framing. Otherwise each connection goes by what comes first.
    #[must_use]
    pub fn framing(mut self, framing: Framing) -> Self {
        self.framing = Some(framing);
        self
    }

    /// Closes each connection after its first answer, for peers that wait for that.
    #[must_use]
    pub fn one_answer(mut self) -> Self {
        self.lifetime = Lifetime::OneAnswer;
        self
    }

    /// How many items a batch may have. 1,000.
    #[must_use]
    pub fn batch_max(mut self, items: usize) -> Self {
        self.batch_max = items;
        self
    }

    /// Treats whoever reaches the listener as logged in: on a Unix socket, behind mutual TLS, on a
    /// network where nobody else is.
    #[must_use]
    pub fn trusted(mut self) -> Self {
        self.trust = Trust::Everybody;
        self
    }

    /// What connections are configured with.
    pub(crate) fn config(&self, limits: Limits) -> EndpointConfig {
        let defaults = EndpointConfig::default();
        let limits = Limits { depth_max: defaults.limits.depth_max, ..limits };
        let (framing, lifetime, batch_max) = (self.framing, self.lifetime, self.batch_max);
        EndpointConfig { framing, lifetime, batch_max, limits }
    }
}
