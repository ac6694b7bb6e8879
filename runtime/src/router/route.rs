/// A method's name, and what discovery tells of it.
#[derive(Debug, Clone)]
pub struct Method {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) access: Access,
}

/// Messages of one type, and how a handler is called for them.
#[derive(Debug, Clone)]
pub struct Route {
    pub(super) name: String,
    pub(super) priority: i32,
    pub(super) access: Access,
}

/// Whether a peer must have logged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    LoggedIn,
    Everyone,
}

impl Method {
    /// A method with this name. Names may have parts: `users.list`.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), description: String::new(), access: Access::LoggedIn }
    }

    /// Says what it does, for people.
    #[must_use]
    pub fn describe(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Serves peers that have not logged in as well, and tells so by discovery (`requires_auth`). A
    /// CNDT peer has always logged in; other protocols of the same router know strangers.
    #[must_use]
    pub fn public(mut self) -> Self {
        self.access = Access::Everyone;
        self
    }
}

impl Route {
    /// Messages of this type.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), priority: 0, access: Access::LoggedIn }
    }

    /// Handlers of one type run one after the other, those of higher priority first. 0.
    #[must_use]
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// Takes messages of peers that have not logged in as well; see [`Method::public`].
    #[must_use]
    pub fn public(mut self) -> Self {
        self.access = Access::Everyone;
        self
    }
}

impl From<&str> for Method {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl From<String> for Method {
    fn from(name: String) -> Self {
        Self::new(name)
    }
}

impl From<&str> for Route {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl From<String> for Route {
    fn from(name: String) -> Self {
        Self::new(name)
    }
}

/// What servers and clients pass on to their router alike.
macro_rules! registration {
    () => {
        /// Registers a method; see [`Router::rpc`].
        pub fn rpc<H, A, M>(mut self, method: impl Into<Method>, handler: H) -> Self
        where
            H: Handler<A, Output: IntoReply<M>>,
            A: 'static,
            M: 'static,
        {
            self.router = self.router.rpc(method, handler);
            self
        }

        /// Registers a handler for calls of methods that are not registered; see
        /// [`Router::rpc_default`].
        pub fn rpc_default<H, A, M>(mut self, handler: H) -> Self
        where
            H: Handler<A, Output: IntoReply<M>>,
            A: 'static,
            M: 'static,
        {
            self.router = self.router.rpc_default(handler);
            self
        }

        /// Registers a handler for messages of one type; see [`Router::on`].
        pub fn on<H, A, M>(mut self, message: impl Into<Route>, handler: H) -> Self
        where
            H: Handler<A, Output: IntoAnswer<M>>,
            A: 'static,
            M: 'static,
        {
            self.router = self.router.on(message, handler);
            self
        }

        /// Registers a handler for messages that no other handler takes; see
        /// [`Router::on_default`].
        pub fn on_default<H, A, M>(mut self, handler: H) -> Self
        where
            H: Handler<A, Output: IntoAnswer<M>>,
            A: 'static,
            M: 'static,
        {
            self.router = self.router.on_default(handler);
            self
        }

        /// Registers a handler for webhooks on a path; see [`Router::webhook`].
        #[cfg(feature = "webhook")]
        pub fn webhook<H, A, M>(mut self, path: impl AsRef<str>, handler: H) -> Self
        where
            H: Handler<A, Output: IntoReply<M>>,
            A: 'static,
            M: 'static,
        {
            self.router = self.router.webhook(path, handler);
            self
        }

        /// Runs whenever a handler fails; see [`Router::on_error`].
        pub fn on_error<F, Fut>(mut self, hook: F) -> Self
        where
            F: Fn(HandlerFailure) -> Fut + Send + Sync + 'static,
            Fut: Future<Output: HookOutcome> + Send + 'static,
        {
            self.router = self.router.on_error(hook);
            self
        }

        /// Provides a value that handlers take by `State`.
        pub fn state<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
            self.router = self.router.state(value);
            self
        }

        /// Uses this router, in place of what was registered so far.
        pub fn router(mut self, router: Router) -> Self {
            self.router = router;
            self
        }
    };
}
pub(crate) use registration;
