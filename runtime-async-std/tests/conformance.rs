//! The conformance suite on async-std.

cndt_runtime::conformance_tests!(cndt_async_std::AsyncStd, async_std::task::block_on);
