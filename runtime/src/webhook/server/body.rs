//! The body of a request, as it streams in.

use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use cndt_core::time::Instant;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};

use crate::race::{First, race};
use crate::rt::Machine;

/// Whoever sends fewer bytes a second than this keeps a place busy for nothing.
const RATE_MIN: u64 = 240;

/// Why there is no body.
#[derive(Debug)]
pub(super) enum BodyError {
    TooLarge,
    TooSlow,
    /// The connection ended, or what came is no HTTP.
    Lost(hyper::Error),
}

/// Reads a body of at most `max` bytes; each piece is shown to `look` as it comes.
///
/// It may take `patience`, and longer the more of it has come.
pub(super) async fn read(
    body: Incoming,
    machine: Machine,
    max: usize,
    patience: Duration,
    mut look: impl FnMut(&[u8]),
) -> Result<Bytes, BodyError> {
    // What is announced is believed only when it is too much.
    if body.size_hint().lower() > max as u64 {
        return Err(BodyError::TooLarge);
    }
    let begun = machine.now();
    let mut body = pin!(body);
    let mut whole = BytesMut::new();
    loop {
        let expires = deadline(begun, patience, whole.len());
        let frame = match race(body.frame(), machine.sleep_until(expires)).await {
            First::Left(None) => return Ok(whole.freeze()),
            First::Left(Some(frame)) => frame.map_err(BodyError::Lost)?,
            First::Right(()) => return Err(BodyError::TooSlow),
        };
        // Trailers are nobody's business.
        let Ok(data) = frame.into_data() else { continue };
        if data.len() > max - whole.len() {
            return Err(BodyError::TooLarge);
        }
        look(&data);
        whole.extend_from_slice(&data);
    }
}

fn deadline(begun: Instant, patience: Duration, received: usize) -> Instant {
    let earned = Duration::from_millis(received as u64 * 1000 / RATE_MIN);
    begun + patience + earned
}
