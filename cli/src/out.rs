//! Data for stdout: whole lines, flushed, and a closed pipe is noticed.

use std::io::{self, Write};

use crate::exit::Failure;

pub(crate) fn line(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.write_all(b"\n")?;
    Ok(stdout.flush()?)
}

pub(crate) fn bytes(data: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(data)?;
    Ok(stdout.flush()?)
}
