use std::future::Future;

use cndt_async_std::AsyncStd;
use cndt_runtime::Runtime;
use cndt_smol::Smol;
use cndt_tokio::Tokio;

/// A runtime with one worker that runs everything, while the main thread waits.
///
/// smol and async-std take the number of their workers from the environment: see
/// `SMOL_THREADS` and `ASYNC_STD_THREAD_COUNT`, which are set for every process that is started.
pub trait Executor: Runtime {
    /// Runs `task` on the worker and waits for it.
    ///
    /// # Errors
    /// When the runtime cannot be started.
    fn run<T: Send + 'static>(
        task: impl Future<Output = super::Result<T>> + Send + 'static,
    ) -> super::Result<T>;
}

impl Executor for Tokio {
    fn run<T: Send + 'static>(
        task: impl Future<Output = super::Result<T>> + Send + 'static,
    ) -> super::Result<T> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let outcome = runtime.block_on(runtime.spawn(task))?;
        runtime.shutdown_background();
        outcome
    }
}

impl Executor for Smol {
    fn run<T: Send + 'static>(
        task: impl Future<Output = super::Result<T>> + Send + 'static,
    ) -> super::Result<T> {
        smol::block_on(smol::spawn(task))
    }
}

impl Executor for AsyncStd {
    fn run<T: Send + 'static>(
        task: impl Future<Output = super::Result<T>> + Send + 'static,
    ) -> super::Result<T> {
        async_std::task::block_on(async_std::task::spawn(task))
    }
}
