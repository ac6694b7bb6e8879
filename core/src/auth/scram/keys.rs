use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use base64ct::{Base64, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{MECHANISM, ScramError};

/// Iterations that are accepted: fewer protect nothing, more only keep the client busy.
pub const ITERATIONS: core::ops::RangeInclusive<u32> = 4_096..=2_000_000;
/// Iterations for new verifiers: what is recommended for PBKDF2-HMAC-SHA256.
pub const ITERATIONS_DEFAULT: u32 = 600_000;
/// Bytes that a salt may have.
pub const SALT_LENGTH: core::ops::RangeInclusive<usize> = 16..=64;
/// Bytes that a password may have, as UTF-8; it is taken as it is, without any normalization.
pub const PASSWORD_LENGTH: core::ops::RangeInclusive<usize> = 1..=1024;

pub(super) type Key = [u8; 32];

/// The work of turning a password into keys, as a value.
#[derive(Clone)]
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
        Ok(Self::of_checked(password, salt, iterations))
    }

    /// Whoever calls has judged the parts.
    pub(crate) fn of_checked(password: &str, salt: &[u8], iterations: u32) -> Self {
        let password = Zeroizing::new(password.as_bytes().to_vec());
        Self { password, salt: salt.to_vec(), iterations }
    }

    /// The salt, by which keys can be cached.
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// The number of iterations.
    pub fn iterations(&self) -> u32 {
        self.iterations
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

impl PartialEq for Derivation {
    fn eq(&self, other: &Self) -> bool {
        let same_password: bool = self.password.ct_eq(&other.password).into();
        same_password && self.salt == other.salt && self.iterations == other.iterations
    }
}

impl Eq for Derivation {}

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
    /// The salt that they were derived with.
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// The iterations that they were derived with.
    pub fn iterations(&self) -> u32 {
        self.iterations
    }

    /// The record that a server stores.
    pub fn verifier(&self) -> Verifier {
        Verifier {
            salt: self.salt.clone(),
            iterations: self.iterations,
            stored: Sha256::digest(self.client).into(),
            server: self.server,
        }
    }

    /// A key that both sides of this transcript share and nobody else knows.
    pub fn session_key(&self, transcript: &[u8]) -> Zeroizing<[u8; 32]> {
        let stored: Key = Sha256::digest(self.client).into();
        session_key(&stored, &self.client, transcript)
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

    /// The key of [`Keys::session_key`]; `None` unless the proof is accepted.
    pub fn session_key(&self, transcript: &[u8], proof: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
        if !self.accepts(transcript, proof) {
            return None;
        }
        let mut client = xor(Key::try_from(proof).ok()?, sign(&self.stored, transcript));
        let key = session_key(&self.stored, &client, transcript);
        client.zeroize();
        Some(key)
    }

    /// What stands for a user who does not exist: the same for the same name, like a real one in
    /// every other respect, and opened by no password.
    pub(crate) fn decoy(secret: &Key, user: &str, like: &Self) -> Self {
        let part = |what: &[u8]| sign_all(secret, &[what, user.as_bytes()]);
        let salt = part(b"salt 0").into_iter().chain(part(b"salt 1"));
        Self {
            salt: salt.take(like.salt.len()).collect(),
            iterations: like.iterations,
            stored: part(b"stored"),
            server: part(b"server"),
        }
    }

    /// Mixes this record into a secret that only its holder can know.
    pub(crate) fn mix_into(&self, secret: &Key) -> Key {
        sign_all(secret, &[&self.stored, &self.server])
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
        write!(f, "{MECHANISM}${}:{salt}${stored}:{server}", self.iterations)
    }
}

impl FromStr for Verifier {
    type Err = ScramError;

    fn from_str(record: &str) -> Result<Self, ScramError> {
        let mut parts = record.trim().split('$');
        let (name, cost, keys) = (parts.next(), parts.next(), parts.next());
        if name != Some(MECHANISM) {
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
        let stored = read_key(stored).ok_or(ScramError::Record("the stored key"))?;
        let server = read_key(server).ok_or(ScramError::Record("the server key"))?;
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

/// Exactly 32 bytes of base64.
pub(super) fn read_key(text: &str) -> Option<Key> {
    let mut key = [0; 32];
    match Base64::decode(text, &mut key) {
        Ok(bytes) if bytes.len() == 32 => Some(key),
        Ok(_) | Err(_) => None,
    }
}

/// HMAC-SHA-256.
pub(crate) fn sign(key: &[u8], text: &[u8]) -> Key {
    sign_all(key, &[text])
}

fn sign_all(key: &[u8], parts: &[&[u8]]) -> Key {
    // HMAC takes keys of any length, so this cannot fail; zeros would match nothing.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Key::default() };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn session_key(stored: &Key, client: &Key, transcript: &[u8]) -> Zeroizing<Key> {
    Zeroizing::new(sign_all(stored, &[b"CNDT session key", client, transcript]))
}

fn xor(mut left: Key, right: Key) -> Key {
    for (left, right) in left.iter_mut().zip(right) {
        *left ^= right;
    }
    left
}
