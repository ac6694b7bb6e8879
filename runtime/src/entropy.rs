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
