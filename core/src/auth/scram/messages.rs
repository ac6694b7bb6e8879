//! The four texts of an exchange (RFC 5802 section 7). Each keeps the text that it was read from,
//! because proofs are made over texts, not over meanings.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use base64ct::{Base64, Encoding};

use super::keys::{Key, SALT_LENGTH, read_key};
use super::{MECHANISM, MECHANISM_PLUS, ScramError};
use crate::auth::UserName;

/// Characters that one side's nonce may have; 32 random bytes in base64 are 44.
pub const NONCE_LENGTH: core::ops::RangeInclusive<usize> = 18..=256;

/// Whether and how a client binds the exchange to the channel beneath (RFC 5802 section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BindingFlag {
    /// `n`: the client has nothing to bind to.
    None,
    /// `y`: the client could bind, but takes it that the server cannot.
    Unoffered,
    /// `p=tls-exporter`: bound to the TLS session (RFC 9266).
    TlsExporter,
}

impl BindingFlag {
    /// The header that stands before the first message, and comes back in the last one.
    pub const fn header(self) -> &'static str {
        match self {
            Self::None => "n,,",
            Self::Unoffered => "y,,",
            Self::TlsExporter => "p=tls-exporter,,",
        }
    }

    /// The mechanism that goes with it.
    pub const fn mechanism(self) -> &'static str {
        match self {
            Self::None | Self::Unoffered => MECHANISM,
            Self::TlsExporter => MECHANISM_PLUS,
        }
    }

    /// What the client's last message has to repeat.
    fn input(self, binding: Option<&[u8; 32]>) -> Vec<u8> {
        let mut input = self.header().as_bytes().to_vec();
        if let (Self::TlsExporter, Some(binding)) = (self, binding) {
            input.extend_from_slice(binding);
        }
        input
    }
}

/// The client's first message: who it is, and its nonce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFirst {
    /// The binding.
    pub flag: BindingFlag,
    /// Who wants in.
    pub user: UserName,
    nonce: String,
    bare: String,
}

impl ClientFirst {
    /// A message with 32 random bytes that are used once.
    pub fn new(flag: BindingFlag, user: UserName, nonce: &[u8; 32]) -> Self {
        let nonce = Base64::encode_string(nonce);
        let escaped = user.as_str().replace('=', "=3D").replace(',', "=2C");
        let bare = format!("n={escaped},r={nonce}");
        Self { flag, user, nonce, bare }
    }

    /// The text to send.
    pub fn text(&self) -> String {
        format!("{}{}", self.flag.header(), self.bare)
    }

    /// The client's nonce, as text.
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// Reads a received text.
    ///
    /// # Errors
    /// [`ScramError::Message`] names the part that is at fault.
    pub fn parse(text: &str) -> Result<Self, ScramError> {
        let wrong = |what| move || ScramError::Message(what);
        let flags = [BindingFlag::None, BindingFlag::Unoffered, BindingFlag::TlsExporter];
        let (flag, bare) = flags
            .into_iter()
            .find_map(|flag| Some((flag, text.strip_prefix(flag.header())?)))
            .ok_or_else(wrong("the channel binding"))?;
        let mut parts = bare.split(',');
        let user = attribute(&mut parts, "n=", "the user")?;
        let user =
            unescape(user).and_then(|user| user.parse().ok()).ok_or_else(wrong("the user"))?;
        let nonce = attribute(&mut parts, "r=", "the nonce")?;
        if !is_nonce(nonce) {
            return Err(ScramError::Message("the nonce"));
        }
        only_extensions(parts)?;
        Ok(Self { flag, user, nonce: nonce.to_string(), bare: bare.to_string() })
    }
}

/// The server's first message: both nonces, and how keys are derived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFirst {
    /// The salt of the user's keys.
    pub salt: Vec<u8>,
    /// The iterations of the user's keys; not judged here.
    pub iterations: u32,
    nonce: String,
    text: String,
}

impl ServerFirst {
    /// An answer to `first`, with 32 random bytes that are used once.
    pub fn new(first: &ClientFirst, nonce: &[u8; 32], salt: &[u8], iterations: u32) -> Self {
        let nonce = format!("{}{}", first.nonce, Base64::encode_string(nonce));
        let text = format!("r={nonce},s={},i={iterations}", Base64::encode_string(salt));
        Self { salt: salt.to_vec(), iterations, nonce, text }
    }

    /// The text to send.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Reads a received text, as the answer to `first`.
    ///
    /// # Errors
    /// [`ScramError::Message`] names the part that is at fault.
    pub fn parse(text: &str, first: &ClientFirst) -> Result<Self, ScramError> {
        let wrong = |what| move || ScramError::Message(what);
        let mut parts = text.split(',');
        let nonce = attribute(&mut parts, "r=", "the nonce")?;
        let own = nonce.strip_prefix(&*first.nonce).ok_or_else(wrong("the client's nonce"))?;
        if !is_nonce(own) {
            return Err(ScramError::Message("the server's nonce"));
        }
        let salt = attribute(&mut parts, "s=", "the salt")?;
        let salt = Base64::decode_vec(salt)
            .ok()
            .filter(|salt| SALT_LENGTH.contains(&salt.len()))
            .ok_or_else(wrong("the salt"))?;
        let iterations = attribute(&mut parts, "i=", "the number of iterations")?;
        let iterations = number(iterations).ok_or_else(wrong("the number of iterations"))?;
        only_extensions(parts)?;
        Ok(Self { salt, iterations, nonce: nonce.to_string(), text: text.to_string() })
    }
}

/// The client's last message: the proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFinal {
    /// The hash of everything that both sides have seen, where the profile has one.
    pub transcript: Option<Key>,
    /// The proof.
    pub proof: Key,
    binding: Vec<u8>,
    nonce: String,
    without_proof: String,
}

impl ClientFinal {
    /// The text up to the proof, which the proof is made over.
    pub fn without_proof(
        first: &ClientFirst,
        server: &ServerFirst,
        binding: Option<&[u8; 32]>,
        transcript: &Key,
    ) -> String {
        let binding = Base64::encode_string(&first.flag.input(binding));
        let transcript = Base64::encode_string(transcript);
        format!("c={binding},r={},t={transcript}", server.nonce)
    }

    /// The text to send.
    pub fn text(without_proof: &str, proof: &Key) -> String {
        format!("{without_proof},p={}", Base64::encode_string(proof))
    }

    /// Reads a received text.
    ///
    /// # Errors
    /// [`ScramError::Message`] names the part that is at fault.
    pub fn parse(text: &str) -> Result<Self, ScramError> {
        let wrong = |what| move || ScramError::Message(what);
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or_else(wrong("the proof"))?;
        let proof = read_key(proof).ok_or_else(wrong("the proof"))?;
        let mut parts = without_proof.split(',');
        let binding = attribute(&mut parts, "c=", "the channel binding")?;
        let binding = Base64::decode_vec(binding).map_err(|_| wrong("the channel binding")())?;
        let nonce = attribute(&mut parts, "r=", "the nonce")?.to_string();
        let transcript = match parts.clone().next().and_then(|part| part.strip_prefix("t=")) {
            Some(hash) => {
                parts.next();
                Some(read_key(hash).ok_or_else(wrong("the transcript"))?)
            }
            None => None,
        };
        only_extensions(parts)?;
        let without_proof = without_proof.to_string();
        Ok(Self { transcript, proof, binding, nonce, without_proof })
    }

    /// Whether it belongs to the exchange that these began.
    pub fn continues(
        &self,
        first: &ClientFirst,
        server: &ServerFirst,
        binding: Option<&[u8; 32]>,
    ) -> bool {
        self.nonce == server.nonce && self.binding == first.flag.input(binding)
    }

    /// The text up to the proof, as it was received.
    pub fn received_without_proof(&self) -> &str {
        &self.without_proof
    }
}

/// The server's last message: its own proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFinal {
    /// The signature.
    pub signature: Key,
}

impl ServerFinal {
    /// The text to send.
    pub fn text(&self) -> String {
        format!("v={}", Base64::encode_string(&self.signature))
    }

    /// Reads a received text.
    ///
    /// # Errors
    /// [`ScramError::Message`] names the part that is at fault.
    pub fn parse(text: &str) -> Result<Self, ScramError> {
        let mut parts = text.split(',');
        let signature = attribute(&mut parts, "v=", "the signature")?;
        let signature = read_key(signature).ok_or(ScramError::Message("the signature"))?;
        only_extensions(parts)?;
        Ok(Self { signature })
    }
}

/// What both sides sign: AuthMessage of RFC 5802 section 3.
pub fn auth_message(first: &ClientFirst, server: &ServerFirst, without_proof: &str) -> String {
    format!("{},{},{without_proof}", first.bare, server.text)
}

fn attribute<'a>(
    parts: &mut core::str::Split<'a, char>,
    name: &str,
    what: &'static str,
) -> Result<&'a str, ScramError> {
    let part = parts.next().and_then(|part| part.strip_prefix(name));
    part.ok_or(ScramError::Message(what))
}

/// Extensions that nobody here knows do no harm, save `m`, which must be understood.
fn only_extensions<'a>(parts: impl Iterator<Item = &'a str>) -> Result<(), ScramError> {
    for part in parts {
        let is_extension = match part.as_bytes() {
            [b'm', ..] => false,
            [name, b'=', ..] => name.is_ascii_alphabetic(),
            _ => false,
        };
        if !is_extension {
            return Err(ScramError::Message("an extension"));
        }
    }
    Ok(())
}

fn is_nonce(text: &str) -> bool {
    NONCE_LENGTH.contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
}

/// Undoes `=2C` and `=3D`; any other `=` is wrong.
fn unescape(text: &str) -> Option<String> {
    let mut name = String::new();
    let mut parts = text.split('=');
    name.push_str(parts.next()?);
    for part in parts {
        let (escaped, rest) = match (part.strip_prefix("2C"), part.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (None, Some(rest)) => ('=', rest),
            (None, None) => return None,
        };
        name.push(escaped);
        name.push_str(rest);
    }
    Some(name)
}

/// A number without sign and without zeros in front.
fn number(text: &str) -> Option<u32> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| is_plain)
}
