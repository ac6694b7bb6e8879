//! Listens to the bytes of one direction and tells where its frames begin and end.

use cndt_core::wire::{Decoder, Dialect, Dialects, Header, Kind};

/// A frame as it passes.
#[derive(Debug, Clone)]
pub(super) struct Passed {
    pub(super) header: Header,
    pub(super) dialect: Dialect,
    /// Where it begins in the stream.
    pub(super) begins: u64,
}

#[derive(Debug)]
pub(super) struct Tap {
    decoder: Decoder,
    /// Bytes that have passed.
    pub(super) seen: u64,
    broken: bool,
}

impl Tap {
    pub(super) fn new() -> Self {
        Self { decoder: Decoder::new(Dialects::BOTH, usize::MAX), seen: 0, broken: false }
    }

    /// The frames that are whole once `bytes` have passed too; `Err` when these are no frames.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> Result<Vec<Passed>, String> {
        let mut frames = Vec::new();
        if self.broken {
            return Ok(frames);
        }
        self.seen += bytes.len() as u64;
        self.decoder.push(bytes);
        loop {
            let begins = self.decoder.offset();
            match self.decoder.next_frame() {
                Ok(Some(frame)) => {
                    frames.push(Passed { header: frame.header, dialect: frame.dialect, begins })
                }
                Ok(None) => return Ok(frames),
                Err(error) => {
                    self.broken = true;
                    return Err(error.to_string());
                }
            }
        }
    }

    /// Whether a frame has begun that is not whole.
    pub(super) fn inside_frame(&self) -> bool {
        self.decoder.buffered() > 0
    }
}

/// Whether a frame is of what a pause holds back.
pub(super) fn is_data(kind: Kind) -> bool {
    matches!(kind, Kind::Message | Kind::RpcRequest)
}

/// Whether a frame belongs to a login.
pub(super) fn is_login(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::AuthRequest
            | Kind::AuthChallenge
            | Kind::AuthResponse
            | Kind::AuthSuccess
            | Kind::AuthFailure
    )
}
