//! `cndt decode`: captured bytes as frames.
//!
//! The input is either what one side sent, as it is or as hex digits, or a capture of packets
//! (pcap, pcapng), which its first bytes tell.

mod capture;
mod hex;
mod print;
mod raw;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::args::DecodeArgs;
use crate::exit::Failure;

use print::{Format, Printer};

/// Bytes taken from the input at a time.
const CHUNK: usize = 64 * 1024;

pub(crate) fn run(arguments: &DecodeArgs) -> Result<(), Failure> {
    let mut input = Input::open(arguments.file.as_deref())?;
    let printer = Printer::new(if arguments.json { Format::Json } else { Format::Text });
    if arguments.hex {
        return raw::run_hex(&mut input, printer);
    }
    let start = input.start()?;
    if capture::is_capture(&start) {
        capture::run(&mut input, start, printer)
    } else {
        raw::run(&mut input, &start, printer)
    }
}

/// Where the bytes come from.
struct Input {
    bytes: Box<dyn Read>,
    /// What errors call it.
    name: String,
}

impl Input {
    fn open(file: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = file.filter(|path| *path != Path::new("-")) else {
            return Ok(Self { bytes: Box::new(io::stdin().lock()), name: "stdin".to_owned() });
        };
        let name = path.display().to_string();
        let file = File::open(path).map_err(|error| Failure::Usage(format!("{name}: {error}")))?;
        Ok(Self { bytes: Box::new(file), name })
    }

    /// At least one byte into `chunk`; 0 at the end.
    fn read(&mut self, chunk: &mut [u8]) -> Result<usize, Failure> {
        loop {
            match self.bytes.read(chunk) {
                Ok(length) => return Ok(length),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure::Usage(format!("{}: {error}", self.name))),
            }
        }
    }

    /// The bytes that tell captures from anything else; fewer at the end.
    fn start(&mut self) -> Result<Vec<u8>, Failure> {
        let mut start = vec![0; capture::MAGIC_LEN];
        let mut length = 0;
        while let Some(rest) = start.get_mut(length..).filter(|rest| !rest.is_empty()) {
            match self.read(rest)? {
                0 => break,
                read => length += read,
            }
        }
        start.truncate(length);
        Ok(start)
    }
}
