//! The proofs of SCRAM-SHA-256 (RFC 5802, RFC 7677): a server that can check a password without
//! ever having it, and a client that can tell whether the server knew it.
//!
//! The server keeps a [`Verifier`], never the password. Deriving keys takes as long as it is meant
//! to (some 0.2 s at 600,000 iterations), so it is a value to be run where waiting does no harm: a
//! [`Derivation`]. Both sides sign the same text, the exchange's own transcript.
//!
//! The login of dialect `cndt` is built from these; connections do not speak it yet.
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

use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use base64ct::{Base64, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Iterations that are accepted: fewer protect nothing, more only keep the client busy.
pub const ITERATIONS: core::ops::RangeInclusive<u32> = 4_096..=2_000_000;
/// Iterations for new verifiers: what is recommended for PBKDF2-HMAC-SHA256.
pub const ITERATIONS_DEFAULT: u32 = 600_000;
/// Bytes that a salt may have.
pub const SALT_LENGTH: core::ops::RangeInclusive<usize> = 16..=64;
/// Bytes that a password may have, as UTF-8; it is taken as it is, without any normalization.
pub const PASSWORD_LENGTH: core::ops::RangeInclusive<usize> = 1..=1024;

const NAME: &str = "SCRAM-SHA-256";

type Key = [u8; 32];

/// Why a password, a salt or a record is not taken. Secrets are not repeated.
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
}

/// The work of turning a password into keys, as a value.
pub struct Derivation {
    password: Zeroizing<Vec<u8>>,
    salt: Vec<u8>,
    iterations: u32,
}

impl Derivation {
    /// Checks the parts; nothing is computed yet.
    ///
    /// # Errors
    /// A password, salt or number of iterations outside of what is accepted.
    pub fn new(password: &str, salt: &[u8], iterations: u32) -> Result<Self, ScramError> {
        if !PASSWORD_LENGTH.contains(&password.len()) {
            return Err(ScramError::PasswordLength(password.len()));
        }
        check(salt, iterations)?;
        let password = Zeroizing::new(password.as_bytes().to_vec());
        Ok(Self { password, salt: salt.to_vec(), iterations })
    }

    /// Computes the keys. Slow on purpose: run it on a thread that may wait.
    pub fn run(self) -> Keys {
        let mut salted = Zeroizing::new([0; 32]);
        pbkdf2::pbkdf2_hmac::<Sha256>(&self.password, &self.salt, self.iterations, &mut *salted);
        Keys {
            client: sign(&*salted, b"Client Key"),
            server: sign(&*salted, b"Server Key"),
            salt: self.salt,
            iterations: self.iterations,
        }
    }
}

impl fmt::Debug for Derivation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Derivation").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

/// What a client proves itself with, and knows the server by. Worth caching per salt and
/// iterations: with it a reconnect costs microseconds.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Keys {
    client: Key,
    server: Key,
    #[zeroize(skip)]
    salt: Vec<u8>,
    #[zeroize(skip)]
    iterations: u32,
}

impl Keys {
    /// The record that a server stores.
    pub fn verifier(&self) -> Verifier {
        Verifier {
            salt: self.salt.clone(),
            iterations: self.iterations,
            stored: Sha256::digest(self.client).into(),
            server: self.server,
        }
    }

    /// The client's proof for this transcript.
    pub fn client_proof(&self, transcript: &[u8]) -> [u8; 32] {
        let stored: Key = Sha256::digest(self.client).into();
        xor(self.client, sign(&stored, transcript))
    }

    /// Whether the server that signed this transcript knows the verifier. Constant time.
    pub fn accepts_server(&self, transcript: &[u8], signature: &[u8]) -> bool {
        sign(&self.server, transcript).as_slice().ct_eq(signature).into()
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(..)")
    }
}

/// What a server keeps instead of a password.
///
/// Its text form is PostgreSQL's: `SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>`.
/// Whoever steals it cannot log in with it, but can try passwords offline.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Verifier {
    #[zeroize(skip)]
    salt: Vec<u8>,
    #[zeroize(skip)]
    iterations: u32,
    stored: Key,
    server: Key,
}

impl Verifier {
    /// The salt that clients derive their keys with.
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// The iterations that clients derive their keys with.
    pub fn iterations(&self) -> u32 {
        self.iterations
    }

    /// Whether the proof shows that the client knows the password, for this transcript. Constant
    /// time, and no slow derivation: a server can afford to check any number of them.
    pub fn accepts(&self, transcript: &[u8], proof: &[u8]) -> bool {
        let Ok(proof) = Key::try_from(proof) else { return false };
        let mut client = xor(proof, sign(&self.stored, transcript));
        let stored = Sha256::digest(client);
        client.zeroize();
        stored.as_slice().ct_eq(&self.stored).into()
    }

    /// The server's signature, by which the client knows it.
    pub fn server_signature(&self, transcript: &[u8]) -> [u8; 32] {
        sign(&self.server, transcript)
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let salt = Base64::encode_string(&self.salt);
        let stored = Base64::encode_string(&self.stored);
        let server = Base64::encode_string(&self.server);
        write!(f, "{NAME}${}:{salt}${stored}:{server}", self.iterations)
    }
}

impl FromStr for Verifier {
    type Err = ScramError;

    fn from_str(record: &str) -> Result<Self, ScramError> {
        let mut parts = record.trim().split('$');
        let (name, cost, keys) = (parts.next(), parts.next(), parts.next());
        if name != Some(NAME) {
            return Err(ScramError::Record("the name SCRAM-SHA-256"));
        }
        if parts.next().is_some() {
            return Err(ScramError::Record("the end"));
        }
        let (iterations, salt) =
            cost.and_then(|cost| cost.split_once(':')).ok_or(ScramError::Record("the salt"))?;
        let (stored, server) =
            keys.and_then(|keys| keys.split_once(':')).ok_or(ScramError::Record("a key"))?;
        let iterations =
            iterations.parse().map_err(|_| ScramError::Record("the number of iterations"))?;
        let salt = Base64::decode_vec(salt).map_err(|_| ScramError::Record("the salt"))?;
        check(&salt, iterations)?;
        let key = |text, what| {
            let mut key: Key = [0; 32];
            match Base64::decode(text, &mut key) {
                Ok(bytes) if bytes.len() == 32 => Ok(key),
                Ok(_) | Err(_) => Err(ScramError::Record(what)),
            }
        };
        let stored = key(stored, "the stored key")?;
        let server = key(server, "the server key")?;
        Ok(Self { salt, iterations, stored, server })
    }
}

fn check(salt: &[u8], iterations: u32) -> Result<(), ScramError> {
    if !SALT_LENGTH.contains(&salt.len()) {
        return Err(ScramError::SaltLength(salt.len()));
    }
    if !ITERATIONS.contains(&iterations) {
        return Err(ScramError::Iterations(iterations));
    }
    Ok(())
}

/// HMAC-SHA-256.
fn sign(key: &[u8], text: &[u8]) -> Key {
    // HMAC takes keys of any length, so this cannot fail; zeros would match nothing.
    Hmac::<Sha256>::new_from_slice(key)
        .map(|mac| mac.chain_update(text).finalize().into_bytes().into())
        .unwrap_or_default()
}

fn xor(mut left: Key, right: Key) -> Key {
    for (left, right) in left.iter_mut().zip(right) {
        *left ^= right;
    }
    left
}

#[cfg(test)]
mod tests;
