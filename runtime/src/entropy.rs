//! Random bytes from the operating system.

use std::io;

/// Fresh bytes.
///
/// # Errors
/// When the operating system gives none; that is never to be papered over.
pub(crate) fn draw<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

/// Uniformly random, for pauses. Without randomness all would wait equally long, and as long as they
/// may; that is still better than not at all.
pub(crate) fn jitter() -> u64 {
    draw().map_or(u64::MAX, u64::from_be_bytes)
}
