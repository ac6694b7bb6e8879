use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use base64ct::{Base64, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::ZeroizeOnDrop;

use super::secret::SECRETS_MAX;
use super::{HeaderName, KeyError, MessageId, Scheme, Secret, Tolerance, Verified, Verifier};
use super::{VerifyError, header, stripe};
use crate::auth::write_hex;

/// Everything that signing and verifying need but the message: a scheme and its active secrets.
///
/// The first secret is the newest. Where a request has room for several signatures it is signed with
/// all of them, otherwise with the first; a request that was signed with any of them is accepted. To
/// replace a secret without a gap, give the new one to the receiver as second, then to the sender as
/// first, then retire the old one on both sides.
///
/// What a key needs of the hash is computed once, here, and copied for each message. It is wiped when
/// it is dropped.
#[derive(Clone)]
pub struct Keys {
    scheme: Scheme,
    signature_header: HeaderName,
    macs: Vec<Hmac<Sha256>>,
    is_weak: bool,
}

/// An HMAC is two states of its hash and a buffer, which wipe themselves; this depends on a feature of
/// the hash.
const _: fn() = || {
    fn wiped<T: ZeroizeOnDrop>() {}
    wiped::<Sha256>();
};

impl Keys {
    /// Prepares 1 to [`SECRETS_MAX`] secrets, the newest first.
    ///
    /// # Errors
    /// [`KeyError::NoSecret`], [`KeyError::TooMany`], and [`KeyError::Length`] in
    /// [`Scheme::Standard`].
    pub fn new(
        scheme: Scheme,
        secrets: impl IntoIterator<Item = Secret>,
    ) -> Result<Self, KeyError> {
        // Of full size at once: a vector that grows leaves its old content behind.
        let mut macs = Vec::with_capacity(SECRETS_MAX);
        let mut is_weak = false;
        for secret in secrets {
            if macs.len() == SECRETS_MAX {
                return Err(KeyError::TooMany);
            }
            secret.check(scheme)?;
            is_weak |= secret.is_weak();
            macs.push(Hmac::new_from_slice(secret.bytes()).map_err(|_| KeyError::Empty)?);
        }
        if macs.is_empty() {
            return Err(KeyError::NoSecret);
        }
        Ok(Self { scheme, signature_header: scheme.signature_header(), macs, is_weak })
    }

    /// As [`Keys::new`], of one secret as [`Secret::parse`] reads it.
    ///
    /// # Errors
    /// As [`Secret::parse`].
    pub fn parse(scheme: Scheme, secret: &str) -> Result<Self, KeyError> {
        Self::new(scheme, [Secret::parse(scheme, secret)?])
    }

    /// Puts the signature of [`Scheme::Hex`] into a header of this name.
    ///
    /// # Errors
    /// [`KeyError::HeaderName`]; in other schemes [`KeyError::FixedHeader`].
    pub fn with_signature_header(mut self, name: &str) -> Result<Self, KeyError> {
        match self.scheme {
            Scheme::Hex => self.signature_header = HeaderName::new(name)?,
            Scheme::GitHub | Scheme::Stripe | Scheme::Standard => {
                return Err(KeyError::FixedHeader(self.scheme));
            }
        }
        Ok(self)
    }

    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The header with the signature.
    pub fn signature_header(&self) -> &HeaderName {
        &self.signature_header
    }

    /// Whether one of the secrets [is weak](Secret::is_weak).
    pub fn is_weak(&self) -> bool {
        self.is_weak
    }

    /// The headers that make `body` a signed delivery, sent at `now` in seconds since 1970. Each try
    /// of a delivery is signed anew, with the same id.
    pub fn sign<'a>(&'a self, id: &'a MessageId, now: u64, body: &[u8]) -> Signed<'a> {
        let mut digits = itoa::Buffer::new();
        let time = digits.format(now);
        let signing = if self.scheme.signs_with_all() { self.macs.len() } else { 1 };
        let prefix_max = id.as_str().len().saturating_add(time.len()).saturating_add(2);
        let length_max = signing.saturating_mul(72).saturating_add(44).saturating_add(prefix_max);
        let mut text = String::with_capacity(length_max);
        text.push_str(time);
        let signature_at = text.len();
        if self.scheme == Scheme::Stripe {
            text.push_str("t=");
            text.push_str(time);
        }
        for mac in self.macs.iter().take(signing) {
            let mut mac = mac.clone();
            // Put together for a moment: each piece costs the hash some work of its own.
            let so_far = text.len();
            push_prefix(self.scheme, &mut text, id.as_str(), time);
            mac.update(text.as_bytes().get(so_far..).unwrap_or_default());
            text.truncate(so_far);
            mac.update(body);
            let code = Code::to_send(self.scheme, &mac.finalize().into_bytes().into());
            text.push_str(match (self.scheme, so_far == signature_at) {
                (Scheme::Hex, _) => "",
                (Scheme::GitHub, _) => "sha256=",
                (Scheme::Stripe, _) => stripe::NEXT_SIGNATURE,
                (Scheme::Standard, true) => "v1,",
                (Scheme::Standard, false) => " v1,",
            });
            text.push_str(code.as_str());
        }
        Signed { keys: self, id, text, signature_at }
    }

    /// Judges the headers of a request that arrived at `now`, in seconds since 1970; what is returned
    /// then takes the body, in pieces of any size. `lookup` is asked for headers by their names in
    /// lower case. Where a request has a header twice, let it give neither of them, or the first.
    ///
    /// # Errors
    /// What the headers alone show to be wrong.
    pub fn verifier<'h>(
        &self,
        now: u64,
        tolerance: Tolerance,
        lookup: impl Fn(&str) -> Option<&'h [u8]>,
    ) -> Result<Verifier, VerifyError> {
        Verifier::new(self, now, tolerance, lookup)
    }

    /// Verifies a request whose body is there as a whole, and gives it back: use what is returned and
    /// nothing else. See [`Keys::verifier`].
    ///
    /// # Errors
    /// What is wrong with the request.
    pub fn verify<'h, 'b>(
        &self,
        now: u64,
        tolerance: Tolerance,
        lookup: impl Fn(&str) -> Option<&'h [u8]>,
        body: &'b [u8],
    ) -> Result<(&'b [u8], Verified), VerifyError> {
        let mut verifier = self.verifier(now, tolerance, lookup)?;
        verifier.update(body);
        Ok((body, verifier.finish()?))
    }

    pub(super) fn macs(&self) -> &[Hmac<Sha256>] {
        &self.macs
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("scheme", &self.scheme)
            .field("secrets", &self.macs.len())
            .finish_non_exhaustive()
    }
}

/// The headers of one try of a delivery.
#[derive(Debug, Clone)]
pub struct Signed<'a> {
    keys: &'a Keys,
    id: &'a MessageId,
    /// The timestamp, and behind it the signature.
    text: String,
    signature_at: usize,
}

impl Signed<'_> {
    /// Names and values. All schemes send the id, but only [`Scheme::Standard`] signs it.
    pub fn headers(&self) -> impl Iterator<Item = (HeaderName, &str)> {
        let timestamp = match self.keys.scheme {
            Scheme::Hex | Scheme::GitHub | Scheme::Stripe => None,
            Scheme::Standard => {
                let timestamp = self.text.get(..self.signature_at).unwrap_or_default();
                Some((header::WEBHOOK_TIMESTAMP, timestamp))
            }
        };
        [(self.keys.scheme.id_header(), self.id.as_str())]
            .into_iter()
            .chain(timestamp)
            .chain([(self.keys.signature_header.clone(), self.signature())])
    }

    /// The value of the header with the signature.
    pub fn signature(&self) -> &str {
        self.text.get(self.signature_at..).unwrap_or_default()
    }
}

/// One MAC as it is written. Signatures are compared in this form, so there is one way to write each.
pub(super) struct Code {
    text: [u8; 64],
    len: usize,
}

impl Code {
    pub(super) fn of(scheme: Scheme, mac: &[u8; 32]) -> Self {
        let mut text = [0; 64];
        match scheme {
            Scheme::Hex | Scheme::GitHub | Scheme::Stripe => write_hex(mac, &mut text),
            // 32 bytes are 44 digits; if they did not fit, the code would match nothing.
            Scheme::Standard => drop(Base64::encode(mac, &mut text)),
        }
        Self { text, len: Self::length(scheme) }
    }

    /// The same of a MAC that is about to be sent, and so no secret any more: by tables, which are many
    /// times as fast.
    fn to_send(scheme: Scheme, mac: &[u8; 32]) -> Self {
        match scheme {
            Scheme::Hex | Scheme::GitHub | Scheme::Stripe => Self::of(scheme, mac),
            Scheme::Standard => {
                let mut text = [0; 64];
                // They always fit; if they did not, there would be no signature, and no receiver for it.
                let len = STANDARD.encode_slice(mac, &mut text).unwrap_or_default();
                Self { text, len }
            }
        }
    }

    pub(super) const fn length(scheme: Scheme) -> usize {
        match scheme {
            Scheme::Hex | Scheme::GitHub | Scheme::Stripe => 64,
            Scheme::Standard => 44,
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.text.get(..self.len).unwrap_or_default()
    }

    fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

/// What is signed before the body, as text.
fn push_prefix(scheme: Scheme, out: &mut String, id: &str, time: &str) {
    match scheme {
        Scheme::Hex | Scheme::GitHub => {}
        Scheme::Stripe => {
            out.push_str(time);
            out.push('.');
        }
        Scheme::Standard => {
            out.push_str(id);
            out.push('.');
            out.push_str(time);
            out.push('.');
        }
    }
}

/// What is signed before the body, as it was received.
pub(super) fn feed_prefix(scheme: Scheme, mac: &mut Hmac<Sha256>, id: &[u8], time: &[u8]) {
    match scheme {
        Scheme::Hex | Scheme::GitHub => {}
        Scheme::Stripe => {
            mac.update(time);
            mac.update(b".");
        }
        Scheme::Standard => {
            mac.update(id);
            mac.update(b".");
            mac.update(time);
            mac.update(b".");
        }
    }
}
