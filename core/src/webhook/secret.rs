use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::ops::RangeInclusive;

use base64ct::{Base64, Encoding};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::Scheme;

/// Secrets that are active at once, so that one can replace another without a gap.
pub const SECRETS_MAX: usize = 4;
/// Bytes that a secret of [`Scheme::Standard`] has.
pub const STANDARD_LENGTH: RangeInclusive<usize> = 24..=64;
/// What Standard Webhooks puts before secrets in text.
const PREFIX: &str = "whsec_";

/// What both sides of a webhook know. It is wiped when it is dropped, and never shown.
///
/// ```
/// use cndt_core::webhook::{Scheme, Secret};
///
/// let standard = Secret::parse(Scheme::Standard, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?;
/// assert!(!standard.is_weak());
/// // The other schemes take texts as they are.
/// let short = Secret::parse(Scheme::Hex, "short")?;
/// assert!(short.is_weak());
/// assert_eq!(format!("{short:?}"), "Secret(..)");
/// # Ok::<(), cndt_core::webhook::KeyError>(())
/// ```
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret(Vec<u8>);

/// What is wrong with a secret, or with a set of them. It never tells the secret itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// There is none.
    #[error("a webhook needs a secret; without one nothing is signed")]
    NoSecret,
    /// One of them has no bytes.
    #[error("a secret must not be empty")]
    Empty,
    /// More than [`SECRETS_MAX`].
    #[error("at most {SECRETS_MAX} secrets can be active at once; retire the oldest")]
    TooMany,
    /// A secret of [`Scheme::Standard`] that is too short or too long.
    #[error("a secret of scheme standard has 24 to 64 bytes, not {0}")]
    Length(usize),
    /// A secret of [`Scheme::Standard`] that cannot be read.
    #[error("a secret of scheme standard is whsec_ and padded base64")]
    Base64,
    /// Half of a pair of keys instead of a secret.
    #[error("whsk_ and whpk_ are keys of ed25519, which is not supported; use a whsec_ secret")]
    Asymmetric,
    /// Not the name of a header, or one that has another use.
    #[error("{0:?} cannot be the header of the signature; use 1 to 64 letters, digits and dashes")]
    HeaderName(String),
    /// Only [`Scheme::Hex`] can use another header.
    #[error("the header of scheme {0} cannot be changed")]
    FixedHeader(Scheme),
}

impl Secret {
    /// A secret of these bytes, which every scheme but `standard` takes from one up.
    ///
    /// # Errors
    /// [`KeyError::Empty`].
    pub fn new(bytes: &[u8]) -> Result<Self, KeyError> {
        if bytes.is_empty() {
            return Err(KeyError::Empty);
        }
        Ok(Self(bytes.to_vec()))
    }

    /// A secret as users are given it. In [`Scheme::Standard`] that is base64, with or without
    /// `whsec_` before it; in the others the text itself, even if it begins with `whsec_`.
    ///
    /// # Errors
    /// [`KeyError::Empty`]; in [`Scheme::Standard`] also [`KeyError::Base64`],
    /// [`KeyError::Asymmetric`] and [`KeyError::Length`].
    pub fn parse(scheme: Scheme, text: &str) -> Result<Self, KeyError> {
        let secret = match scheme {
            Scheme::Hex | Scheme::GitHub | Scheme::Stripe => Self::new(text.as_bytes())?,
            Scheme::Standard => Self::from_base64(text)?,
        };
        secret.check(scheme)?;
        Ok(secret)
    }

    /// Whether it has fewer than 24 bytes: worth a warning, since it may be guessed.
    pub fn is_weak(&self) -> bool {
        self.0.len() < *STANDARD_LENGTH.start()
    }

    pub(super) fn check(&self, scheme: Scheme) -> Result<(), KeyError> {
        if scheme == Scheme::Standard && !STANDARD_LENGTH.contains(&self.0.len()) {
            return Err(KeyError::Length(self.0.len()));
        }
        Ok(())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn from_base64(text: &str) -> Result<Self, KeyError> {
        if text.starts_with("whsk_") || text.starts_with("whpk_") {
            return Err(KeyError::Asymmetric);
        }
        let digits = text.strip_prefix(PREFIX).unwrap_or(text);
        // Decoded in a buffer that is wiped even if the text turns out to be none.
        let mut buffer = Zeroizing::new(vec![0; digits.len()]);
        let bytes = Base64::decode(digits, &mut buffer).map_err(|_| KeyError::Base64)?;
        Self::new(bytes)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
