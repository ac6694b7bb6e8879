//! The CNDT protocol as pure state machines: no I/O, no clock, no randomness, no async, `no_std`.
//!
//! # Layers
//!
//! | module | turns | knows nothing of |
//! |---|---|---|
//! | [`wire`] | bytes into frames and back, in both dialects | connections |
//! | [`message`] | frames into meaning and back (MessagePack maps) | who is connected |
//! | [`auth`] | passwords into proofs | frames |
//! | [`connection`] | all of it into one CNDT connection, client or server | sockets, handlers |
//! | [`resilience`] | time and outcomes into permission: breakers, bulkheads, rates | the wire |
//! | `jsonrpc` | bytes into JSON-RPC 2.0 texts and their meaning, in three framings | CNDT |
//! | `webhook` | bytes and secrets into signatures, ids into "seen before", paths into routes | HTTP |
//! | [`rpc`] | what every protocol shares: errors, codes, method descriptions | the wire |
//!
//! # The contract
//!
//! A machine has three inputs ([`receive`], [`receive_eof`], [`handle_timeout`]), commands such as
//! [`call`], two levels that are read without being consumed ([`transmit`], [`next_deadline`]) and
//! one bounded queue ([`poll_event`]). Any order of calls is correct, so a driver fits on one
//! screen. This is a whole one, over an in-memory link instead of a socket:
//!
//! ```
//! use cndt_core::auth::scram::Derivation;
//! use cndt_core::auth::{Access, Credentials, Entropy, UserName};
//! use cndt_core::connection::{Config, Connection, Event};
//! use cndt_core::message::Raw;
//! use cndt_core::time::Instant;
//! use core::time::Duration;
//!
//! // What a server stores of a password. Salt and entropy come from the operating system.
//! let verifier = Derivation::new("secret", &[7; 16], 100_000)?.run().verifier();
//! let access = Access::new().with_user(UserName::default(), verifier);
//! let mine = Credentials::new(UserName::default(), "secret")?;
//!
//! let now = Instant::ZERO;
//! let mut client = Connection::client(now, Config::default(), mine, Entropy([1; 64]))?;
//! let mut server = Connection::server(now, Config::default(), access, Entropy([2; 64]))?;
//!
//! let mut answer = None;
//! while answer.is_none() && !client.is_closed() {
//!     // What a driver does: move bytes, then look at the events. 0x2a is 42 in MessagePack.
//!     pump(now, &mut client, &mut server);
//!     pump(now, &mut server, &mut client);
//!     while let Some(event) = client.poll_event() {
//!         match event {
//!             // Slow on purpose: a driver runs it where waiting does no harm.
//!             Event::Derive(derivation) => assert!(client.derived(now, derivation.run())),
//!             Event::Opened(_) => {
//!                 client.call(now, "answer", &Raw(&[0x80]), Duration::from_secs(30))?;
//!             }
//!             Event::Finished { outcome, .. } => answer = outcome.ok().map(|reply| reply.data),
//!             _ => {}
//!         }
//!     }
//!     while let Some(event) = server.poll_event() {
//!         if let Event::Request(request) = event {
//!             server.respond(now, request.id, &Raw(&[0x2a]))?;
//!         }
//!     }
//! }
//! assert_eq!(answer.as_deref(), Some(&[0x2a][..]));
//!
//! fn pump(now: Instant, from: &mut Connection, to: &mut Connection) {
//!     let bytes: Vec<u8> = from.transmit().flatten().copied().collect();
//!     from.advance_transmit(now, bytes.len());
//!     to.receive(now, &bytes);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `std` | yes | typed payloads by serde (`message::Typed`, `message::from_bytes`, `message::Blob`) |
//! | `compress` | yes | zlib compression of payloads |
//! | `schemars` | no | JSON Schema of `message::Blob`; needs `std` |
//! | `jsonrpc` | yes | JSON-RPC 2.0 beyond finding its texts; needs `std` |
//! | `webhook` | yes | signatures, replay protection, routes and schedules of webhooks; needs no `std` |
//!
//! Without any of them `alloc` is enough. Rust 1.90 or newer.
//!
//! [`receive`]: connection::Connection::receive
//! [`receive_eof`]: connection::Connection::receive_eof
//! [`handle_timeout`]: connection::Connection::handle_timeout
//! [`call`]: connection::Connection::call
//! [`transmit`]: connection::Connection::transmit
//! [`next_deadline`]: connection::Connection::next_deadline
//! [`poll_event`]: connection::Connection::poll_event
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::std_instead_of_core,
        clippy::alloc_instead_of_core
    )
)]

extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

pub mod auth;
pub mod connection;
pub mod jsonrpc;
pub mod limits;
pub mod message;
pub mod resilience;
pub mod rpc;
pub mod time;
#[cfg(feature = "webhook")]
pub mod webhook;
pub mod wire;

pub use bytes::Bytes;
