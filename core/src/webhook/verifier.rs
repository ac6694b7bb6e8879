use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

use super::keys::{Code, feed_prefix};
use super::{DeliveryId, HeaderName, Keys, Scheme, Tolerance, header, id, stripe, timestamp};

/// Bytes that a header of a webhook may have.
pub const HEADER_LENGTH_MAX: usize = 4096;
/// Signatures that a request may present.
pub const SIGNATURES_MAX: usize = 16;

/// What is wrong with a request. It never contains what the request said, so it can be logged; for
/// the peer there is [`VerifyError::for_peer`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// A header that the scheme needs is not there.
    #[error("the header {0} is missing: is the sender using the same scheme?")]
    MissingHeader(HeaderName),
    /// A header with more than [`HEADER_LENGTH_MAX`] bytes.
    #[error("the header {name} has {length} bytes, more than {HEADER_LENGTH_MAX}")]
    HeaderTooLong {
        /// The header.
        name: HeaderName,
        /// Its bytes.
        length: usize,
    },
    /// The timestamp is not there, is there twice, or is not a plain number of seconds.
    #[error("the timestamp is not a plain number of seconds since 1970")]
    BadTimestamp,
    /// The timestamp lies too far back.
    #[error("the timestamp is {by} s old: was the request held up, or is a clock wrong?")]
    TooOld {
        /// Seconds.
        by: u64,
    },
    /// The timestamp lies too far ahead.
    #[error("the timestamp lies {by} s ahead: is a clock wrong?")]
    TooNew {
        /// Seconds.
        by: u64,
    },
    /// The id has characters that ids do not have, or too many.
    #[error("the id is not 1 to 256 printable ASCII characters without dots and spaces")]
    BadId,
    /// More than [`SIGNATURES_MAX`] signatures.
    #[error("there are more than {SIGNATURES_MAX} signatures")]
    TooManySignatures,
    /// No signature is right: another secret, another body, or a stranger.
    #[error("no signature matches: check the secret, and that the body is verified as it came")]
    NoMatch,
}

impl VerifyError {
    /// What the peer may know: not how the signature is made or which secrets there are.
    pub const fn for_peer(&self) -> &'static str {
        match self {
            Self::MissingHeader(_) => "signature required",
            Self::TooOld { .. } | Self::TooNew { .. } => "timestamp out of tolerance",
            Self::HeaderTooLong { .. }
            | Self::BadTimestamp
            | Self::BadId
            | Self::TooManySignatures => "malformed signature",
            Self::NoMatch => "invalid signature",
        }
    }
}

/// What the signature of a request vouches for, besides its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The id of the delivery, if the request has one.
    pub id: Option<DeliveryId>,
    /// Seconds since 1970, where the scheme signs them.
    pub timestamp: Option<u64>,
    /// The MAC of all that is signed, under the first secret: the same for the same request and no
    /// other. In [`Scheme::Stripe`], which signs no id, it tells a replay.
    pub mac: [u8; 32],
}

/// A request whose headers are in order and whose body is still coming.
///
/// Do nothing with the body before [`Verifier::finish`] has said that it is right.
#[derive(Clone)]
#[must_use = "a request is verified by `finish`"]
pub struct Verifier {
    scheme: Scheme,
    macs: Vec<Hmac<Sha256>>,
    signatures: Presented,
    id: Option<DeliveryId>,
    timestamp: Option<u64>,
}

impl Verifier {
    pub(super) fn new<'h>(
        keys: &Keys,
        now: u64,
        tolerance: Tolerance,
        lookup: impl Fn(&str) -> Option<&'h [u8]>,
    ) -> Result<Self, VerifyError> {
        let scheme = keys.scheme();
        let mut signatures = Presented::new(scheme);
        let value = required(keys.signature_header(), &lookup)?;
        let time = match scheme {
            Scheme::Hex => {
                signatures.add(value.strip_prefix(b"sha256=").unwrap_or(value))?;
                None
            }
            Scheme::GitHub => {
                if let Some(hex) = value.strip_prefix(b"sha256=") {
                    signatures.add(hex)?;
                }
                None
            }
            Scheme::Stripe => Some(stripe::read(value, &mut signatures)?),
            Scheme::Standard => {
                let time = required(&header::WEBHOOK_TIMESTAMP, &lookup)?;
                read_standard(value, &mut signatures)?;
                Some(time)
            }
        };
        let id = read_id(scheme, &lookup)?;
        let timestamp = time.map(|time| timestamp::parse(time, now)).transpose()?;
        if let Some(timestamp) = timestamp {
            tolerance.check(timestamp, now)?;
        }
        let id_bytes = id.as_ref().map(|id| id.as_str().as_bytes()).unwrap_or_default();
        let mut macs = keys.macs().to_vec();
        for mac in &mut macs {
            feed_prefix(scheme, mac, id_bytes, time.unwrap_or_default());
        }
        Ok(Self { scheme, macs, signatures, id, timestamp })
    }

    /// The next piece of the body. It is read once for each active secret.
    pub fn update(&mut self, piece: &[u8]) {
        for mac in &mut self.macs {
            mac.update(piece);
        }
    }

    /// The end of the body. Every signature is compared with that of every secret, in a time that
    /// depends on their numbers alone.
    ///
    /// # Errors
    /// [`VerifyError::NoMatch`].
    pub fn finish(self) -> Result<Verified, VerifyError> {
        let mut matches = Choice::from(0);
        let mut first = None;
        for mac in self.macs {
            let mac: [u8; 32] = mac.finalize().into_bytes().into();
            matches |= self.signatures.contains(&Code::of(self.scheme, &mac));
            first.get_or_insert(mac);
        }
        match first {
            Some(mac) if bool::from(matches) => {
                Ok(Verified { id: self.id, timestamp: self.timestamp, mac })
            }
            Some(_) | None => Err(VerifyError::NoMatch),
        }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("scheme", &self.scheme)
            .field("id", &self.id)
            .field("timestamp", &self.timestamp)
            .finish_non_exhaustive()
    }
}

/// The signatures of a request that have the right length, one behind the other.
#[derive(Clone)]
pub(super) struct Presented {
    texts: Vec<u8>,
    length: usize,
    count: usize,
}

impl Presented {
    fn new(scheme: Scheme) -> Self {
        Self { texts: Vec::new(), length: Code::length(scheme), count: 0 }
    }

    /// Counts a signature, and keeps it if it can match at all.
    pub(super) fn add(&mut self, signature: &[u8]) -> Result<(), VerifyError> {
        if self.count == SIGNATURES_MAX {
            return Err(VerifyError::TooManySignatures);
        }
        self.count = self.count.saturating_add(1);
        if signature.len() == self.length {
            self.texts.extend_from_slice(signature);
        }
        Ok(())
    }

    fn contains(&self, code: &Code) -> Choice {
        let texts = self.texts.chunks_exact(self.length);
        texts.fold(Choice::from(0), |found, text| found | text.ct_eq(code.as_bytes()))
    }
}

/// `v1,<base64> v1,<base64> …`. Signatures of other versions count, and match nothing.
fn read_standard(value: &[u8], signatures: &mut Presented) -> Result<(), VerifyError> {
    let tokens = value.split(|byte| *byte == b' ').filter(|token| !token.is_empty());
    for token in tokens {
        signatures.add(token.strip_prefix(b"v1,").unwrap_or_default())?;
    }
    Ok(())
}

fn read_id<'h>(
    scheme: Scheme,
    lookup: &impl Fn(&str) -> Option<&'h [u8]>,
) -> Result<Option<DeliveryId>, VerifyError> {
    let name = scheme.id_header();
    let text = |value: &[u8]| core::str::from_utf8(value).map(String::from);
    match scheme {
        Scheme::Standard => {
            let value = required(&name, lookup)?;
            let text = text(value).ok().filter(|_| id::is_signable(value));
            Ok(Some(DeliveryId::Signed(text.ok_or(VerifyError::BadId)?)))
        }
        // Not a part of the scheme: what makes no id is none, and harms nobody.
        Scheme::Hex | Scheme::GitHub | Scheme::Stripe => {
            let value = lookup(name.lower()).filter(|value| id::is_plain(value));
            Ok(value.and_then(|value| text(value).ok()).map(DeliveryId::Unsigned))
        }
    }
}

fn required<'h>(
    name: &HeaderName,
    lookup: &impl Fn(&str) -> Option<&'h [u8]>,
) -> Result<&'h [u8], VerifyError> {
    let value = lookup(name.lower()).ok_or_else(|| VerifyError::MissingHeader(name.clone()))?;
    if value.len() > HEADER_LENGTH_MAX {
        return Err(VerifyError::HeaderTooLong { name: name.clone(), length: value.len() });
    }
    Ok(value)
}
