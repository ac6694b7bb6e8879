//! The examples do what they promise.

use cndt_runtime::conformance::examples::{self, program};

#[test]
fn quickstart() {
    examples::quickstart(&program("cndt-tokio", "tokio_quickstart"));
}

#[test]
fn chat() {
    examples::chat(&program("cndt-tokio", "tokio_chat"));
}
