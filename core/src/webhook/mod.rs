//! Webhooks: who sent a request, whether it came before, and where it goes. HTTP itself is elsewhere.
//!
//! [`Keys`] sign and verify in one of four schemes, [`ReplayGuard`] remembers what came, [`Routes`]
//! finds the handler of a path, [`Delivery`] tells a sender when to try again. Time comes in as seconds since 1970.
//!
//! ```
//! use cndt_core::webhook::{Keys, MessageId, Scheme, Tolerance, VerifyError};
//!
//! let keys = Keys::parse(Scheme::Standard, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?;
//! let (now, body) = (1_614_265_330, br#"{"test": 2432232314}"#);
//!
//! // The sender. The id comes from the operating system's generator, in earnest.
//! let id = MessageId::new([7; 16]);
//! let signed = keys.sign(&id, now, body);
//! let headers: Vec<_> = signed.headers().collect();
//!
//! // The receiver, while the body comes in.
//! let lookup = |name: &str| {
//!     headers.iter().find(|(n, _)| n.lower() == name).map(|(_, value)| value.as_bytes())
//! };
//! let mut verifier = keys.verifier(now + 60, Tolerance::default(), lookup)?;
//! for piece in body.chunks(7) {
//!     verifier.update(piece);
//! }
//! assert_eq!(verifier.finish()?.timestamp, Some(now));
//!
//! // Ten minutes later the same request is refused.
//! let late = keys.verify(now + 600, Tolerance::default(), lookup, body);
//! assert_eq!(late, Err(VerifyError::TooOld { by: 600 }));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod delivery;
mod header;
mod id;
mod keys;
mod replay;
mod route;
mod scheme;
mod secret;
mod stripe;
#[cfg(test)]
mod tests;
mod timestamp;
mod verifier;

pub use delivery::{Attempted, Dead, Delivery, DeliveryPolicy, DeliveryState, Next, Statuses};
pub use header::HeaderName;
pub use id::{DeliveryId, ID_LENGTH_MAX, MessageId, MessageIdError};
pub use keys::{Keys, Signed};
pub use replay::{ReplayError, ReplayGuard, ReplayLimits, Settlement, Ticket};
pub use route::{
    Found, PATH_LENGTH_MAX, PATTERN_LENGTH_MAX, PathError, ROUTES_MAX, RouteError, Routes,
};
pub use scheme::{Scheme, SchemeError};
pub use secret::{KeyError, SECRETS_MAX, STANDARD_LENGTH, Secret};
pub use timestamp::Tolerance;
pub use verifier::{HEADER_LENGTH_MAX, SIGNATURES_MAX, Verified, Verifier, VerifyError};
