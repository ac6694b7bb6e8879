//! The conformance suite on smol.

cndt_runtime::conformance_tests!(cndt_smol::Smol, smol::block_on);
