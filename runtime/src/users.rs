//! Who may log in to a server in dialect `cndt`: names, and what stands for their passwords.
//!
//! A server stores verifiers, never passwords. Make one by [`hash_password`] or `cndt password
//! hash`, keep its text form, and name it in the descriptor.
//!
//! ```
//! use cndt_runtime::ServerDescriptor;
//! use cndt_runtime::users::{Users, hash_password};
//!
//! let record = hash_password("correct horse", 600_000)?.to_string();
//! assert!(record.starts_with("SCRAM-SHA-256$600000:"));
//!
//! let users = Users::new().with("ann".parse()?, record.parse()?);
//! let server = ServerDescriptor::new("").users(users);
//! assert!(server.validate().is_ok());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

pub use cndt_core::auth::scram::{ITERATIONS_DEFAULT, ScramError, Verifier};
pub use cndt_core::auth::{UserName, UserNameError};

use cndt_core::auth::scram::Derivation;

use crate::entropy;

/// Bytes of the salt of a new verifier.
const SALT_LENGTH: usize = 16;

/// Why a password got no verifier.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// The password or the number of iterations is not accepted.
    #[error("{0}")]
    Scram(#[from] ScramError),
    /// The operating system gives no randomness for the salt.
    #[error("no randomness from the operating system: {0}")]
    Entropy(#[from] io::Error),
}

/// Derives the verifier of a password, with a fresh salt.
///
/// This takes as long as it is meant to, some 0.2 s for 600,000 iterations: not for an async task.
///
/// # Errors
/// [`HashError`].
pub fn hash_password(password: &str, iterations: u32) -> Result<Verifier, HashError> {
    let salt: [u8; SALT_LENGTH] = entropy::draw()?;
    Ok(Derivation::new(password, &salt, iterations)?.run().verifier())
}

/// Users and their verifiers.
#[derive(Clone, Default)]
pub struct Users(BTreeMap<UserName, Verifier>);

impl Users {
    /// Nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a user; one of the same name is replaced.
    #[must_use]
    pub fn with(mut self, name: UserName, verifier: Verifier) -> Self {
        self.0.insert(name, verifier);
        self
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The users, by name.
    pub fn names(&self) -> impl Iterator<Item = &UserName> {
        self.0.keys()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&UserName, &Verifier)> {
        self.0.iter()
    }

    pub(crate) fn contains(&self, name: &UserName) -> bool {
        self.0.contains_key(name)
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

impl<'de> Deserialize<'de> for Users {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = BTreeMap::<String, String>::deserialize(deserializer)?;
        let mut users = Self::new();
        for (name, record) in texts {
            let wrong =
                |error: &dyn fmt::Display| D::Error::custom(format_args!("{name:?}: {error}"));
            let verifier = record.parse().map_err(|error: ScramError| wrong(&error))?;
            let name = name.parse().map_err(|error: UserNameError| wrong(&error))?;
            users = users.with(name, verifier);
        }
        Ok(users)
    }
}
