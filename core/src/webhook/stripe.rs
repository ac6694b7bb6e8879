//! `t=<timestamp>,v1=<hex>,…`: what Stripe documents. Elements that are not understood are ignored.

use super::VerifyError;
use super::verifier::Presented;

pub(super) const NEXT_SIGNATURE: &str = ",v1=";

/// The timestamp as it is written, and the signatures.
pub(super) fn read<'h>(
    value: &'h [u8],
    signatures: &mut Presented,
) -> Result<&'h [u8], VerifyError> {
    let mut timestamp = None;
    for element in value.split(|byte| *byte == b',') {
        if let Some(time) = element.strip_prefix(b"t=") {
            // One of two would be signed, and the other one not.
            if timestamp.replace(time).is_some() {
                return Err(VerifyError::BadTimestamp);
            }
        } else if let Some(hex) = element.strip_prefix(b"v1=") {
            signatures.add(hex)?;
        }
    }
    timestamp.ok_or(VerifyError::BadTimestamp)
}
