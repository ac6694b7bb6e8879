//! Everything that both sides have seen of a login before its proof.

use sha2::{Digest, Sha256};

use crate::wire::Frame;

#[derive(Clone, Debug)]
pub(super) struct Transcript(Sha256);

impl Transcript {
    /// Begins with the whole AUTH_REQUEST as it was sent.
    pub(super) fn begun_by(request: &[u8]) -> Self {
        Self(Sha256::new().chain_update(b"CNDT-AUTH-T1\0").chain_update(request))
    }

    /// Begins with a received AUTH_REQUEST.
    pub(super) fn begun_by_frame(request: &Frame) -> Self {
        Self::begun_by(&[]).with_frame(request)
    }

    pub(super) fn with(self, challenge: &[u8]) -> Self {
        Self(self.0.chain_update(challenge))
    }

    pub(super) fn with_frame(self, frame: &Frame) -> Self {
        // A header that was read is written as it was.
        let header = frame.header.encode(frame.dialect).unwrap_or_default();
        Self(self.0.chain_update(header).chain_update(&frame.payload))
    }

    pub(super) fn hash(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}
