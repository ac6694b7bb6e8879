//! hyper on any runtime: its streams, its clock, its tasks.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Executor, Sleep, Timer};

use crate::rt::{Machine, Task};

/// The clock and the tasks of a runtime, for hyper.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HyperRuntime(pub(crate) Machine);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for HyperRuntime {
    fn execute(&self, task: F) {
        self.0.spawn(task);
    }
}

impl HyperRuntime {
    #[allow(clippy::disallowed_methods, reason = "hyper speaks of std's clock; only spans count")]
    fn std_now() -> Instant {
        Instant::now()
    }
}

impl Timer for HyperRuntime {
    fn sleep(&self, span: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(Sleeping(Mutex::new(self.0.sleep_until(self.0.now() + span))))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(deadline.saturating_duration_since(Self::std_now()))
    }

    fn now(&self) -> Instant {
        Self::std_now()
    }
}

/// hyper wants to share what sleeps between threads; a lock that is never contended allows it.
struct Sleeping(Mutex<Task>);

impl Sleep for Sleeping {}

impl Future for Sleeping {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner).as_mut().poll(cx)
    }
}
