//! Who may connect: credentials of a client, access rules of a server.
//!
//! Dialect `netconduit` proves a password by its SHA-256 (wire fact 1). The proof is neither salted
//! nor fresh: whoever records it can replay it. It is what the Python package speaks, and is used
//! only where it is named.
//!
//! ```
//! use cndt_core::auth::{Access, Credentials};
//!
//! let mine = Credentials::netconduit("secret");
//! let server = Access::netconduit("secret");
//! assert!(server.accepts_netconduit());
//! // Neither shows its secret.
//! assert_eq!(format!("{mine:?}"), "Credentials { dialect: Netconduit, .. }");
//! ```

mod legacy;
pub mod scram;

use core::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::wire::Dialect;

pub(crate) use legacy::{PasswordHash, write_hex};

/// What a client proves itself with, and in which dialect.
#[derive(Clone)]
pub struct Credentials {
    hash: PasswordHash,
}

impl Credentials {
    /// Logs in by the SHA-256 of `password`, as the Python package does.
    ///
    /// Anyone who sees the login can repeat it: use it on trusted networks or inside TLS.
    pub fn netconduit(password: &str) -> Self {
        Self { hash: PasswordHash::of(password) }
    }

    /// The dialect that a connection with these credentials speaks.
    pub fn dialect(&self) -> Dialect {
        Dialect::Netconduit
    }

    pub(crate) fn legacy_hash(&self) -> &PasswordHash {
        &self.hash
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("dialect", &self.dialect()).finish_non_exhaustive()
    }
}

/// What a server asks of those who connect.
#[derive(Clone)]
pub struct Access {
    netconduit: Option<PasswordHash>,
}

impl Access {
    /// Accepts logins of the Python package by the SHA-256 of `password`.
    pub fn netconduit(password: &str) -> Self {
        Self { netconduit: Some(PasswordHash::of(password)) }
    }

    /// Whether logins in dialect `netconduit` are accepted.
    pub fn accepts_netconduit(&self) -> bool {
        self.netconduit.is_some()
    }

    /// Compares in constant time.
    pub(crate) fn admits_legacy(&self, presented: &str) -> bool {
        self.netconduit.as_ref().is_some_and(|expected| expected.matches(presented))
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("netconduit", &self.accepts_netconduit())
            .finish_non_exhaustive()
    }
}

/// Random bytes for one connection, passed in because the core draws none.
///
/// They must come from the operating system's generator and be used once.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Entropy(pub [u8; 64]);

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entropy(..)")
    }
}
