//! The examples do what they promise.

use cndt_runtime::conformance::examples::{self, program};

#[test]
fn quickstart() {
    examples::quickstart(&program("cndt-async-std", "async_std_quickstart"));
}

#[test]
fn chat() {
    examples::chat(&program("cndt-async-std", "async_std_chat"));
}
