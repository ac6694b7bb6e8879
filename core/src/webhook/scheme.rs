use core::fmt;
use core::str::FromStr;

use super::HeaderName;
use super::header;

/// How a webhook is signed. All of them are HMAC-SHA-256; they differ in what is signed and in how
/// it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// The body alone, as lower-case hex in `X-Webhook-Signature` or a header of one's own. A
    /// receiver also takes the hex behind `sha256=`. Nothing in it is fresh: whoever records a
    /// request can repeat it for ever.
    Hex,
    /// As GitHub: the body alone, as `sha256=<hex>` in `X-Hub-Signature-256`. Nothing is fresh.
    GitHub,
    /// As Stripe: `<timestamp>.<body>`, as `t=<timestamp>,v1=<hex>` in `Stripe-Signature`. There may
    /// be several `v1`; other keys are ignored.
    Stripe,
    /// [Standard Webhooks](https://www.standardwebhooks.com) 1.0.0: `<id>.<timestamp>.<body>`, in
    /// `webhook-id`, `webhook-timestamp`, and `webhook-signature` with one or more `v1,<base64>`.
    Standard,
}

/// A name that stands for no scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a scheme is hex, github, stripe or standard")]
pub struct SchemeError;

impl Scheme {
    /// Each of them.
    pub const ALL: [Self; 4] = [Self::Hex, Self::GitHub, Self::Stripe, Self::Standard];

    /// The header with the signature. In [`Scheme::Hex`] [`Keys`](super::Keys) may have another.
    pub const fn signature_header(self) -> HeaderName {
        match self {
            Self::Hex => header::X_WEBHOOK_SIGNATURE,
            Self::GitHub => header::X_HUB_SIGNATURE,
            Self::Stripe => header::STRIPE_SIGNATURE,
            Self::Standard => header::WEBHOOK_SIGNATURE,
        }
    }

    /// The header with the id of the delivery. Only [`Scheme::Standard`] signs it.
    pub const fn id_header(self) -> HeaderName {
        match self {
            Self::GitHub => header::X_GITHUB_DELIVERY,
            Self::Hex | Self::Stripe | Self::Standard => header::WEBHOOK_ID,
        }
    }

    /// Whether a timestamp is signed, so that old requests can be told from new ones.
    pub const fn signs_timestamp(self) -> bool {
        match self {
            Self::Hex | Self::GitHub => false,
            Self::Stripe | Self::Standard => true,
        }
    }

    /// The name that [`FromStr`] reads.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hex => "hex",
            Self::GitHub => "github",
            Self::Stripe => "stripe",
            Self::Standard => "standard",
        }
    }

    /// Whether a request has room for the signatures of several secrets.
    pub(super) const fn signs_with_all(self) -> bool {
        self.signs_timestamp()
    }
}

impl FromStr for Scheme {
    type Err = SchemeError;

    fn from_str(name: &str) -> Result<Self, SchemeError> {
        Self::ALL.into_iter().find(|scheme| scheme.name() == name).ok_or(SchemeError)
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
