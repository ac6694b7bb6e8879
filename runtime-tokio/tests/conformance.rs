//! The conformance suite on tokio.

fn block_on<F: Future>(case: F) -> F::Output {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().expect("a runtime").block_on(case)
}

cndt_runtime::conformance_tests!(cndt_tokio::Tokio, block_on);
