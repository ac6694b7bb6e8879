//! The proofs of SCRAM-SHA-256 (RFC 5802, RFC 7677): a server that can check a password without
//! ever having it, and a client that can tell whether the server knew it.
//!
//! The server keeps a [`Verifier`], never the password. Deriving keys takes as long as it is meant
//! to (some 0.2 s at 600,000 iterations), so it is a value to be run where waiting does no harm: a
//! [`Derivation`]. Both sides sign the same text, the exchange's own transcript.
//!
//! The login of dialect `cndt` exchanges these in the messages of RFC 5802, see [`ClientFirst`].
//!
//! ```
//! use cndt_core::auth::scram::{Derivation, Verifier};
//!
//! let salt = [7; 16];
//! let keys = Derivation::new("correct horse", &salt, 4096)?.run();
//! let record = keys.verifier().to_string();
//! // What is stored gives the password away to nobody.
//! let verifier: Verifier = record.parse()?;
//!
//! let transcript = b"what both sides have seen";
//! let proof = keys.client_proof(transcript);
//! assert!(verifier.accepts(transcript, &proof));
//! assert!(!verifier.accepts(b"something else", &proof));
//! assert!(keys.accepts_server(transcript, &verifier.server_signature(transcript)));
//! # Ok::<(), cndt_core::auth::scram::ScramError>(())
//! ```

mod keys;
mod messages;
#[cfg(test)]
mod tests;

pub use keys::{
    Derivation, ITERATIONS, ITERATIONS_DEFAULT, Keys, PASSWORD_LENGTH, SALT_LENGTH, Verifier,
};
pub use messages::{
    BindingFlag, ClientFinal, ClientFirst, NONCE_LENGTH, ServerFinal, ServerFirst, auth_message,
};

pub(crate) use keys::sign;

/// The mechanism's name (RFC 7677).
pub const MECHANISM: &str = "SCRAM-SHA-256";
/// The name of the mechanism that is bound to the TLS channel beneath (RFC 7677).
pub const MECHANISM_PLUS: &str = "SCRAM-SHA-256-PLUS";

/// Why a password, a salt, a record or a message is not taken. Secrets are not repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScramError {
    /// The password is empty or too long.
    #[error("a password has 1 to 1024 bytes, not {0}")]
    PasswordLength(usize),
    /// The salt is too short or too long.
    #[error("a salt has 16 to 64 bytes, not {0}")]
    SaltLength(usize),
    /// Too few or too many iterations.
    #[error("iterations are 4096 to 2000000, not {0}")]
    Iterations(u32),
    /// A stored record is not of the form `SCRAM-SHA-256$<iterations>:<salt>$<stored>:<server>`.
    #[error("this is no verifier: {0} is missing or wrong")]
    Record(&'static str),
    /// A text is no message of this exchange.
    #[error("this is no SCRAM message: {0} is missing or wrong")]
    Message(&'static str),
}
