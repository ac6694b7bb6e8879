//! Starts real Python `netconduit` peers and talks to them: the scaffolding of the interop tests.
//!
//! `interop/setup.sh` makes one environment per version inside this folder; [`prepare`] runs it
//! before the first use. [`ForeignPeer`] does the same for peers of other makes, of JSON-RPC and of
//! webhooks, by `interop/setup-packages.sh`. A peer that cannot be installed is a failure, never a
//! skip.
#![forbid(unsafe_code)]

pub mod fixture;
mod foreign;
mod python;
pub mod webhooks;

pub use foreign::{ForeignPeer, Language, in_time};
pub use python::{
    CndtPeer, PythonServer, prepare, python_client, python_complete, python_login_bytes,
};

/// The versions of the package that can hold a connection. They speak one and the same wire.
pub const VERSIONS: [&str; 4] = ["2.0.0", "3.0.0", "4.0.0", "5.0.0"];

/// What every peer in these tests logs in with.
pub const PASSWORD: &str = "secret";

/// Makes one test per version from an async function that takes the version.
#[macro_export]
macro_rules! for_each_version {
    ($($name:ident),* $(,)?) => {
        $crate::for_each_version!(@ v2_0_0 "2.0.0" $($name)*);
        $crate::for_each_version!(@ v3_0_0 "3.0.0" $($name)*);
        $crate::for_each_version!(@ v4_0_0 "4.0.0" $($name)*);
        $crate::for_each_version!(@ v5_0_0 "5.0.0" $($name)*);
    };
    (@ $module:ident $version:literal $($name:ident)*) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name($version).await;
                }
            )*
        }
    };
}

/// The README's program, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;

/// What the page on storms recommends, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../docs/resilience/README.md")]
pub struct Storm;
