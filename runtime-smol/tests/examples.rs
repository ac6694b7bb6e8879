//! The examples do what they promise.

use cndt_runtime::conformance::examples::{self, program};

#[test]
fn quickstart() {
    examples::quickstart(&program("cndt-smol", "smol_quickstart"));
}

#[test]
fn chat() {
    examples::chat(&program("cndt-smol", "smol_chat"));
}
