use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use super::{Classify, Policy, PolicyError};

/// Puts a [`Policy`] around a tower service; feature `tower`. Requests are cloned for each attempt,
/// and so is the service.
///
/// ```
/// # #[cfg(feature = "tower")] {
/// use cndt_tokio::policy::{PolicyConfig, PolicyLayer};
/// use cndt_tokio::{Policy, RetryPolicy};
/// use tower_layer::Layer;
///
/// # fn example<S: Clone>(client: S) -> Result<(), Box<dyn std::error::Error>> {
/// let policy = Policy::new("search", PolicyConfig::new())?;
/// let service = PolicyLayer::new(policy).layer(client);
/// # drop(service);
/// # Ok(())
/// # }
/// # }
/// ```
pub struct PolicyLayer<R>(Policy<R>);

impl<R> PolicyLayer<R> {
    /// All services that it is put around share the policy.
    pub fn new(policy: Policy<R>) -> Self {
        Self(policy)
    }
}

impl<R> Clone for PolicyLayer<R> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<R> std::fmt::Debug for PolicyLayer<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("PolicyLayer").field(&self.0).finish()
    }
}

impl<R, S> Layer<S> for PolicyLayer<R> {
    type Service = PolicyService<R, S>;

    fn layer(&self, inner: S) -> PolicyService<R, S> {
        PolicyService { policy: self.0.clone(), inner }
    }
}

/// A service under a [`Policy`]. Made by [`PolicyLayer`].
#[derive(Debug)]
pub struct PolicyService<R, S> {
    policy: Policy<R>,
    inner: S,
}

impl<R, S: Clone> Clone for PolicyService<R, S> {
    fn clone(&self) -> Self {
        Self { policy: self.policy.clone(), inner: self.inner.clone() }
    }
}

impl<R, S, Q> Service<Q> for PolicyService<R, S>
where
    R: 'static,
    Q: Clone + Send + Sync + 'static,
    S: Service<Q, Response: Send, Error: Classify + Send, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
{
    type Response = S::Response;
    type Error = PolicyError<S::Error>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    /// Always ready: whether the service is, each attempt finds out under the policy.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Q) -> Self::Future {
        let (policy, service) = (self.policy.clone(), self.inner.clone());
        Box::pin(async move {
            let attempt = || {
                let (mut service, request) = (service.clone(), request.clone());
                async move {
                    poll_fn(|cx| service.poll_ready(cx)).await?;
                    service.call(request).await
                }
            };
            policy.execute(attempt).await
        })
    }
}
