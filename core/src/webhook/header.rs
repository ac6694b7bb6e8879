use alloc::borrow::Cow;
use core::fmt;

use super::KeyError;

/// Bytes that the name of a header may have.
const LENGTH_MAX: usize = 64;

pub(super) const X_WEBHOOK_SIGNATURE: HeaderName =
    HeaderName::fixed("X-Webhook-Signature", "x-webhook-signature");
pub(super) const X_HUB_SIGNATURE: HeaderName =
    HeaderName::fixed("X-Hub-Signature-256", "x-hub-signature-256");
pub(super) const X_GITHUB_DELIVERY: HeaderName =
    HeaderName::fixed("X-GitHub-Delivery", "x-github-delivery");
pub(super) const STRIPE_SIGNATURE: HeaderName =
    HeaderName::fixed("Stripe-Signature", "stripe-signature");
pub(super) const WEBHOOK_ID: HeaderName = HeaderName::fixed("webhook-id", "webhook-id");
pub(super) const WEBHOOK_TIMESTAMP: HeaderName =
    HeaderName::fixed("webhook-timestamp", "webhook-timestamp");
pub(super) const WEBHOOK_SIGNATURE: HeaderName =
    HeaderName::fixed("webhook-signature", "webhook-signature");

/// The name of a header, as it is sent and as it is looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderName {
    name: Cow<'static, str>,
    lower: Cow<'static, str>,
}

impl HeaderName {
    const fn fixed(name: &'static str, lower: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), lower: Cow::Borrowed(lower) }
    }

    /// A name of one's own: 1 to 64 characters that HTTP allows in names, and none that a webhook
    /// uses for something else.
    pub(super) fn new(name: &str) -> Result<Self, KeyError> {
        let fits = (1..=LENGTH_MAX).contains(&name.len());
        if !fits || !name.bytes().all(is_token) || name.eq_ignore_ascii_case(WEBHOOK_ID.as_str()) {
            return Err(KeyError::HeaderName(name.chars().take(LENGTH_MAX).collect()));
        }
        let lower = name.to_ascii_lowercase();
        Ok(Self { name: Cow::Owned(name.into()), lower: Cow::Owned(lower) })
    }

    /// As it is sent.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// In lower case, by which a receiver looks it up.
    pub fn lower(&self) -> &str {
        &self.lower
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}

/// What RFC 9110 allows in the name of a header.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
