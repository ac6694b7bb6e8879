//! Whole systems over loopback TCP: server and client in processes of their own, each with one
//! worker, on a CPU of its own.
//!
//! A [`System`] says how its server is started and how its client is driven. One whose client
//! implements [`Peer`] gets every workload from [`drive`]:
//!
//! ```
//! use cndt_benches::sockets::{Announce, Metrics, Result, System, Task};
//!
//! struct Mine;
//!
//! impl System for Mine {
//!     fn name(&self) -> &'static str {
//!         "mine"
//!     }
//!     fn serve(&self, _announce: Announce) -> Result<()> {
//!         Err("bind 127.0.0.1:0, announce the address, serve until the process is ended".into())
//!     }
//!     fn drive(&self, _task: Task) -> Result<Metrics> {
//!         Err("call `drive::<MyPeer>(task)` on a runtime".into())
//!     }
//! }
//!
//! // In `main`: cndt_benches::sockets::main(&[&Mine])
//! assert_eq!(Mine.name(), "mine");
//! ```

mod args;
mod calls;
mod clock;
mod cndt;
mod executor;
mod floor;
mod hits;
mod idle;
mod load;
mod plan;
mod process;
mod push;
mod results;
mod role;
mod run;
mod stats;
mod sweep;
mod system;
mod table;
mod workload;

pub use args::{Arguments, main};
pub use clock::now;
pub use cndt::Cndt;
pub use executor::Executor;
pub use floor::{Raw, RawMux};
pub use hits::{Hits, PUSH_LEN, is_push, push_payload};
pub use load::{Metrics, Peer, Task, drive};
pub use results::{Machine, Outcome, Results, Run};
pub use stats::{Spread, ratios};
pub use system::{Announce, System};
pub use table::markdown;
pub(crate) use table::{sweep_metric, sweep_size};
pub use workload::{Column, Shape, WORKLOADS, Workload};

/// Why a measurement failed, for people.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What comes of a part of a measurement.
pub type Result<T> = std::result::Result<T, Failure>;

/// The systems of this package: the floors first, then CNDT on each runtime.
pub fn systems() -> [&'static dyn System; 5] {
    [&Raw, &RawMux, &Cndt::TOKIO, &Cndt::SMOL, &Cndt::ASYNC_STD]
}
