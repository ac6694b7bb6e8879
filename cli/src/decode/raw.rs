//! What one side of a connection sent, byte after byte.

use cndt_core::limits::FRAME_CEILING;
use cndt_core::wire::{Decoder, Dialects};

use super::hex::Hex;
use super::print::{Printer, cut_off};
use super::{CHUNK, Input};
use crate::exit::Failure;

/// Bytes as they are; `start` was taken from the input already.
pub(super) fn run(input: &mut Input, start: &[u8], printer: Printer) -> Result<(), Failure> {
    let mut frames = Frames::new(printer);
    frames.decoder.push(start);
    frames.print()?;
    let mut chunk = vec![0; CHUNK];
    loop {
        let length = input.read(&mut chunk)?;
        if length == 0 {
            return frames.end();
        }
        frames.decoder.push(chunk.get(..length).unwrap_or_default());
        frames.print()?;
    }
}

/// Bytes as hex digits.
pub(super) fn run_hex(input: &mut Input, printer: Printer) -> Result<(), Failure> {
    let mut frames = Frames::new(printer);
    let mut hex = Hex::default();
    let mut chunk = vec![0; CHUNK];
    loop {
        let length = input.read(&mut chunk)?;
        if length == 0 {
            hex.end()?;
            return frames.end();
        }
        let digits = chunk.get(..length).unwrap_or_default();
        let outcome = hex.read(digits, frames.decoder.buffer());
        // What stands before the damage is shown first.
        frames.print()?;
        outcome?;
    }
}

/// The frames of the input, printed as soon as they are whole.
struct Frames {
    decoder: Decoder,
    printer: Printer,
}

impl Frames {
    fn new(printer: Printer) -> Self {
        Self { decoder: Decoder::new(Dialects::BOTH, FRAME_CEILING), printer }
    }

    fn print(&mut self) -> Result<(), Failure> {
        loop {
            let offset = self.decoder.offset();
            match self.decoder.next_frame() {
                Ok(Some(frame)) => self.printer.frame(None, offset, &frame)?,
                Ok(None) => return Ok(()),
                Err(error) => return Err(Failure::Failed(error.to_string())),
            }
        }
    }

    fn end(self) -> Result<(), Failure> {
        match cut_off(&self.decoder, 0) {
            Some(words) => Err(Failure::Failed(format!("the input ends {words}"))),
            None => self.printer.end(),
        }
    }
}
