//! What the counting of allocations gives.

use serde::{Deserialize, Serialize};

/// Allocations of one operation, on average.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Counted {
    /// The operation.
    pub what: String,
    /// How often memory was asked for.
    pub allocations: f64,
    /// How many bytes in all.
    pub bytes: f64,
}
