//! Who may connect: credentials of a client, access rules of a server.
//!
//! In dialect `cndt` a user proves a password by SCRAM-SHA-256 ([`scram`]): the server keeps
//! [`Verifier`]s and never sees a password, and proves in turn that it knew them.
//!
//! Dialect `netconduit` proves a password by its SHA-256 (wire fact 1). The proof is neither salted
//! nor fresh: whoever records it can replay it. It is what the Python package speaks, and is used
//! only where it is named.
//!
//! ```
//! use cndt_core::auth::scram::Derivation;
//! use cndt_core::auth::{Access, Credentials, UserName};
//!
//! let verifier = Derivation::new("secret", &[7; 16], 4096)?.run().verifier();
//! let server = Access::new().with_user(UserName::default(), verifier);
//! assert!(server.accepts_cndt() && !server.accepts_netconduit());
//!
//! let mine = Credentials::new(UserName::default(), "secret")?;
//! // Neither shows its secret.
//! assert_eq!(format!("{mine:?}"), "Credentials { dialect: Cndt, .. }");
//! # Ok::<(), cndt_core::auth::scram::ScramError>(())
//! ```

mod legacy;
pub mod scram;
mod user;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::wire::Dialect;
use scram::{Derivation, Keys, PASSWORD_LENGTH, ScramError, ServerFirst, Verifier};

pub(crate) use legacy::{PasswordHash, write_hex};
pub use user::{UserName, UserNameError};

/// What a client proves itself with, and in which dialect.
#[derive(Clone)]
pub struct Credentials {
    secret: Secret,
}

#[derive(Clone)]
enum Secret {
    Scram(ScramSecret),
    Netconduit(PasswordHash),
}

/// What a client of dialect `cndt` knows.
#[derive(Clone)]
pub(crate) struct ScramSecret {
    pub(crate) user: UserName,
    password: Zeroizing<String>,
    known: Option<Keys>,
}

impl Credentials {
    /// Logs in by SCRAM-SHA-256, in dialect `cndt`. The password is taken as it is, without any
    /// normalization; 1 to 1024 bytes.
    ///
    /// # Errors
    /// [`ScramError::PasswordLength`].
    pub fn new(user: UserName, password: &str) -> Result<Self, ScramError> {
        if !PASSWORD_LENGTH.contains(&password.len()) {
            return Err(ScramError::PasswordLength(password.len()));
        }
        let password = Zeroizing::new(String::from(password));
        Ok(Self { secret: Secret::Scram(ScramSecret { user, password, known: None }) })
    }

    /// Logs in by the SHA-256 of `password`, as the Python package does.
    ///
    /// Anyone who sees the login can repeat it: use it on trusted networks or inside TLS.
    pub fn netconduit(password: &str) -> Self {
        Self { secret: Secret::Netconduit(PasswordHash::of(password)) }
    }

    /// Keeps keys of an earlier login. A server that asks for the same salt and iterations is
    /// answered at once, and one that asks for fewer iterations is no longer trusted.
    #[must_use]
    pub fn with_keys(mut self, keys: Keys) -> Self {
        if let Secret::Scram(secret) = &mut self.secret {
            secret.known = Some(keys);
        }
        self
    }

    /// The dialect that a connection with these credentials speaks.
    pub fn dialect(&self) -> Dialect {
        match self.secret {
            Secret::Scram(_) => Dialect::Cndt,
            Secret::Netconduit(_) => Dialect::Netconduit,
        }
    }

    pub(crate) fn into_scram(self) -> Result<ScramSecret, PasswordHash> {
        match self.secret {
            Secret::Scram(secret) => Ok(secret),
            Secret::Netconduit(hash) => Err(hash),
        }
    }
}

impl ScramSecret {
    /// The fewest iterations that this server asked for so far.
    pub(crate) fn known_iterations(&self) -> Option<u32> {
        self.known.as_ref().map(Keys::iterations)
    }

    /// Keys that fit, or the work that makes them.
    pub(crate) fn keys_for(&self, server: &ServerFirst) -> Result<Keys, Derivation> {
        let (salt, iterations) = (&server.salt, server.iterations);
        let fits = |keys: &&Keys| keys.salt() == salt && keys.iterations() == iterations;
        match self.known.as_ref().filter(fits) {
            Some(keys) => Ok(keys.clone()),
            None => Err(Derivation::of_checked(&self.password, salt, iterations)),
        }
    }
}

impl fmt::Debug for ScramSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramSecret").field("user", &self.user).finish_non_exhaustive()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("dialect", &self.dialect()).finish_non_exhaustive()
    }
}

/// What a server asks of those who connect. As it is made, it lets nobody in. Clones share the users,
/// so that each connection can have one.
#[derive(Clone, Default)]
pub struct Access(Arc<Admitted>);

#[derive(Clone, Default)]
struct Admitted {
    users: BTreeMap<UserName, Verifier>,
    /// What a user who does not exist is made of: known only to whoever has all the verifiers.
    decoy_secret: Zeroizing<[u8; 32]>,
    netconduit: Option<PasswordHash>,
}

impl Admitted {
    /// Adds a verifier to the secret, or takes one away that was added.
    fn stir(&mut self, verifier: &Verifier) {
        let share = Zeroizing::new(verifier.mix_into(&[0; 32]));
        for (byte, share) in self.decoy_secret.iter_mut().zip(share.iter()) {
            *byte ^= share;
        }
    }
}

impl Access {
    /// Nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets a user in, in dialect `cndt`. A user who was there already gets the new verifier.
    ///
    /// The salt and iterations of the first user by name are also those that strangers see for
    /// users who do not exist: give all users the same iterations.
    #[must_use]
    pub fn with_user(mut self, user: UserName, verifier: Verifier) -> Self {
        let admitted = Arc::make_mut(&mut self.0);
        admitted.stir(&verifier);
        if let Some(before) = admitted.users.insert(user, verifier) {
            admitted.stir(&before);
        }
        self
    }

    /// Accepts logins of the Python package by the SHA-256 of `password`. Better another one than
    /// the users have: whoever sees such a login can use it.
    #[must_use]
    pub fn with_netconduit(mut self, password: &str) -> Self {
        Arc::make_mut(&mut self.0).netconduit = Some(PasswordHash::of(password));
        self
    }

    /// Accepts nothing but logins of the Python package by the SHA-256 of `password`.
    pub fn netconduit(password: &str) -> Self {
        Self::new().with_netconduit(password)
    }

    /// Whether logins in dialect `cndt` are accepted.
    pub fn accepts_cndt(&self) -> bool {
        !self.0.users.is_empty()
    }

    /// Whether logins in dialect `netconduit` are accepted.
    pub fn accepts_netconduit(&self) -> bool {
        self.0.netconduit.is_some()
    }

    /// What this user's proof is to be checked with. A user who does not exist gets something that
    /// looks the same from outside; `None` if there are no users at all.
    pub(crate) fn verifier(&self, user: &UserName) -> Option<Verifier> {
        let first = self.0.users.values().next()?;
        // Made in either case, so that both take as long.
        let decoy = Verifier::decoy(&self.0.decoy_secret, user.as_str(), first);
        Some(self.0.users.get(user).cloned().unwrap_or(decoy))
    }

    /// Compares in constant time.
    pub(crate) fn admits_legacy(&self, presented: &str) -> bool {
        self.0.netconduit.as_ref().is_some_and(|expected| expected.matches(presented))
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("users", &self.0.users.len())
            .field("netconduit", &self.accepts_netconduit())
            .finish_non_exhaustive()
    }
}

/// Random bytes for one connection, passed in because the core draws none.
///
/// They must come from the operating system's generator and be used once.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Entropy(pub [u8; 64]);

impl Entropy {
    /// What this side adds to the login's freshness. Everyone sees it.
    pub(crate) fn nonce(&self) -> [u8; 32] {
        let [public, _] = self.halves();
        public
    }

    /// 128 hex digits that tell nothing of anything else.
    pub(crate) fn session_token(&self) -> [u8; 128] {
        let [_, secret] = self.halves();
        let mut token = [0; 128];
        let (first, second) = token.split_at_mut(64);
        write_hex(&scram::sign(&secret, b"session token 0"), first);
        write_hex(&scram::sign(&secret, b"session token 1"), second);
        token
    }

    fn halves(&self) -> [[u8; 32]; 2] {
        let mut halves = [[0; 32]; 2];
        for (half, bytes) in halves.iter_mut().zip(self.0.as_chunks().0) {
            *half = *bytes;
        }
        halves
    }
}

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entropy(..)")
    }
}
