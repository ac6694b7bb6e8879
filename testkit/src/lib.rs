//! What tests of CNDT stand on, for this project and for services built with it.
//!
//! - [`vectors`]: frames known byte for byte.
//! - [`properties`]: laws that hold for any bytes. A fuzz target is one call of one of them, and
//!   an ordinary test replays its corpus through the same function.
//! - [`sim`]: whole connections in simulated time, with everything going wrong that can.
//! - [`storm`]: many clients and a server that flaps, in simulated time.
//!
//! ```
//! use cndt_testkit::{properties, vectors::FRAMES};
//!
//! for vector in FRAMES {
//!     properties::header(&vector.bytes());
//! }
//! ```
#![forbid(unsafe_code)]

pub mod properties;
pub mod sim;
pub mod storm;
pub mod vectors;
