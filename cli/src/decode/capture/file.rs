//! The packets of a pcap or pcapng file, read as it comes.
//!
//! `pcap-parser` reads records and blocks; the buffer beneath it is this module's, so that every
//! fault has its byte and no announced length makes memory grow.

use std::time::Duration;

use pcap_parser::nom::Err as Fault;
use pcap_parser::traits::PcapNGPacketBlock;
use pcap_parser::{
    Block, PcapHeader, parse_block_be, parse_block_le, parse_pcap_frame, parse_pcap_frame_be,
    parse_pcap_frame_modified, parse_pcap_header,
};

use super::super::{CHUNK, Input};
use crate::exit::Failure;

/// Bytes that tell a capture.
pub(crate) const MAGIC_LEN: usize = 4;

/// Bytes of one packet or block, at most. Packets are 256 KiB at most where captures are made;
/// blocks of names or keys can be larger.
const RECORD_MAX: usize = 64 * 1024 * 1024;
/// Interfaces of one section.
const INTERFACES_MAX: usize = 65_536;

const PCAP_HEADER_LEN: usize = 24;
const SECTION: [u8; 4] = [0x0A, 0x0D, 0x0D, 0x0A];
/// Microseconds in either order, then nanoseconds, then the form that some old systems wrote.
const PCAP_MAGICS: [[u8; 4]; 5] = [
    [0xA1, 0xB2, 0xC3, 0xD4],
    [0xD4, 0xC3, 0xB2, 0xA1],
    [0xA1, 0xB2, 0x3C, 0x4D],
    [0x4D, 0x3C, 0xB2, 0xA1],
    [0x34, 0xCD, 0xB2, 0xA1],
];

/// Whether these bytes begin a capture.
pub(crate) fn is_capture(start: &[u8]) -> bool {
    start == SECTION || PCAP_MAGICS.iter().any(|magic| start == magic)
}

/// A packet as it was captured.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Since 1970.
    pub(super) time: Option<Duration>,
    /// The link type; `None` when its interface was never described.
    pub(super) link: Option<u16>,
    pub(super) packet: Vec<u8>,
}

/// Why the capture cannot be read on.
#[derive(Debug)]
pub(super) enum Stop {
    /// The bytes are no capture from there on.
    Damage {
        at: u64,
        what: String,
    },
    Input(Failure),
}

#[derive(Debug)]
enum Form {
    Pcap { header: Box<PcapHeader> },
    PcapNg { order: Order, interfaces: Vec<Interface> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Big,
    Little,
}

#[derive(Debug, Clone, Copy)]
struct Interface {
    link: u16,
    /// The option `if_tsresol` as it stands there.
    resolution: u8,
    /// Seconds to add.
    offset: i64,
}

/// What a record turned out to be.
enum Found {
    Packet(Record),
    /// A block without a packet.
    Nothing,
}

/// Why a record cannot be read yet, or at all.
enum Wanting {
    /// The record has so many bytes in all.
    Bytes(usize),
    Damage(String),
}

/// A capture, record after record.
pub(super) struct CaptureFile<'a> {
    input: &'a mut Input,
    buffer: Vec<u8>,
    /// Bytes of `buffer` that were used.
    used: usize,
    /// Where in the file the first byte not used stands.
    at: u64,
    form: Form,
}

impl<'a> CaptureFile<'a> {
    /// `start` was taken from the input already.
    pub(super) fn open(input: &'a mut Input, start: Vec<u8>) -> Result<Self, Stop> {
        let form = Form::PcapNg { order: Order::Little, interfaces: Vec::new() };
        let is_pcapng = start == SECTION;
        let mut file = Self { input, buffer: start, used: 0, at: 0, form };
        if !is_pcapng {
            if !file.fill(PCAP_HEADER_LEN)? {
                return Err(file.damage("the capture ends inside its header".into()));
            }
            let header = parse_pcap_header(&file.buffer).map(|(_, header)| header);
            let Ok(header) = header else {
                return Err(file.damage("the header is none of pcap".into()));
            };
            file.take(PCAP_HEADER_LEN);
            file.form = Form::Pcap { header: Box::new(header) };
        }
        Ok(file)
    }

    /// The next packet; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Record>, Stop> {
        loop {
            let unread = self.buffer.get(self.used..).unwrap_or_default();
            let read = match &mut self.form {
                Form::Pcap { header } => pcap_record(header, unread),
                Form::PcapNg { order, interfaces } => block(order, interfaces, unread),
            };
            match read {
                Ok((length, Found::Packet(record))) => {
                    self.take(length);
                    return Ok(Some(record));
                }
                Ok((length, Found::Nothing)) => self.take(length),
                Err(Wanting::Damage(what)) => return Err(self.damage(what)),
                Err(Wanting::Bytes(wanted)) if wanted > RECORD_MAX => {
                    return Err(self.damage(format!(
                        "a record of {wanted} bytes is announced, and {RECORD_MAX} are the most"
                    )));
                }
                Err(Wanting::Bytes(wanted)) => {
                    if !self.fill(wanted)? {
                        let there = self.buffer.len() - self.used;
                        if there == 0 {
                            return Ok(None);
                        }
                        return Err(self.damage(format!(
                            "the capture ends inside this record: {there} of {wanted} bytes are there"
                        )));
                    }
                }
            }
        }
    }

    /// Reads until so many bytes are there; whether they are.
    fn fill(&mut self, wanted: usize) -> Result<bool, Stop> {
        self.buffer.drain(..self.used);
        self.used = 0;
        while self.buffer.len() < wanted {
            let there = self.buffer.len();
            self.buffer.resize(there + CHUNK, 0);
            let chunk = self.buffer.get_mut(there..).unwrap_or_default();
            let length = self.input.read(chunk).map_err(Stop::Input)?;
            self.buffer.truncate(there + length);
            if length == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn take(&mut self, length: usize) {
        self.used += length;
        self.at = self.at.saturating_add(length as u64);
    }

    fn damage(&self, what: String) -> Stop {
        Stop::Damage { at: self.at, what }
    }
}

/// The record at the beginning of `unread`, and its length.
fn pcap_record(header: &PcapHeader, unread: &[u8]) -> Result<(usize, Found), Wanting> {
    let parsed = if header.is_modified_format() {
        parse_pcap_frame_modified(unread)
    } else if header.is_bigendian() {
        parse_pcap_frame_be(unread)
    } else {
        parse_pcap_frame(unread)
    };
    match parsed {
        Ok((rest, record)) => {
            let fraction = u64::from(record.ts_usec);
            let fraction = if header.is_nanosecond_precision() {
                Duration::from_nanos(fraction)
            } else {
                Duration::from_micros(fraction)
            };
            let record = Record {
                time: Some(Duration::from_secs(record.ts_sec.into()).saturating_add(fraction)),
                // The upper half tells about checksums at the frames' ends.
                link: u16::try_from(header.network.0 & 0xFFFF).ok(),
                packet: record.data.to_vec(),
            };
            Ok((unread.len() - rest.len(), Found::Packet(record)))
        }
        Err(Fault::Incomplete(needed)) => {
            let more = match needed {
                pcap_parser::nom::Needed::Size(more) => more.get(),
                pcap_parser::nom::Needed::Unknown => 1,
            };
            Err(Wanting::Bytes(unread.len().saturating_add(more)))
        }
        Err(Fault::Error(_) | Fault::Failure(_)) => {
            Err(Wanting::Damage("what stands there is no record of pcap".into()))
        }
    }
}

/// The block at the beginning of `unread`, and its length.
fn block(
    order: &mut Order,
    interfaces: &mut Vec<Interface>,
    unread: &[u8],
) -> Result<(usize, Found), Wanting> {
    let Some((start, _)) = unread.split_first_chunk::<12>() else {
        return Err(Wanting::Bytes(12));
    };
    let [kind @ .., l0, l1, l2, l3, m0, m1, m2, m3] = *start;
    if kind == SECTION {
        *order = match [m0, m1, m2, m3] {
            [0x1A, 0x2B, 0x3C, 0x4D] => Order::Big,
            [0x4D, 0x3C, 0x2B, 0x1A] => Order::Little,
            _ => return Err(Wanting::Damage("the section has no order of bytes".into())),
        };
        interfaces.clear();
    }
    let length = match order {
        Order::Big => u32::from_be_bytes([l0, l1, l2, l3]),
        Order::Little => u32::from_le_bytes([l0, l1, l2, l3]),
    };
    // Told before anything is parsed: lengths inside a block may ask for more than it has.
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let Some(bytes) = unread.get(..length) else { return Err(Wanting::Bytes(length)) };
    let parsed = match order {
        Order::Big => parse_block_be(bytes),
        Order::Little => parse_block_le(bytes),
    };
    let parsed = parsed.ok().filter(|(rest, _)| rest.is_empty() && !bytes.is_empty());
    let Some((_, block)) = parsed else {
        return Err(Wanting::Damage("what stands there is no block of pcapng".into()));
    };
    let found = match block {
        Block::InterfaceDescription(block) => {
            if interfaces.len() >= INTERFACES_MAX {
                let words = format!("the section has more than {INTERFACES_MAX} interfaces");
                return Err(Wanting::Damage(words));
            }
            interfaces.push(Interface {
                link: u16::try_from(block.linktype.0).unwrap_or(u16::MAX),
                resolution: block.if_tsresol,
                offset: block.if_tsoffset,
            });
            Found::Nothing
        }
        Block::EnhancedPacket(block) => {
            let index = usize::try_from(block.if_id).unwrap_or(usize::MAX);
            let interface = interfaces.get(index);
            let ticks = u64::from(block.ts_high) << 32 | u64::from(block.ts_low);
            Found::Packet(Record {
                time: interface.and_then(|interface| interface.time(ticks)),
                link: interface.map(|interface| interface.link),
                packet: block.packet_data().to_vec(),
            })
        }
        Block::SimplePacket(block) => Found::Packet(Record {
            time: None,
            link: interfaces.first().map(|interface| interface.link),
            packet: block.packet_data().to_vec(),
        }),
        // Statistics, names, keys and what is not known: nothing that was on the wire.
        _ => Found::Nothing,
    };
    Ok((length, found))
}

impl Interface {
    /// What a time stamp of this interface means; `None` where it has no meaning.
    fn time(&self, ticks: u64) -> Option<Duration> {
        let exponent = u32::from(self.resolution & 0x7F);
        let per_second = match self.resolution & 0x80 {
            0 => 10_u64.checked_pow(exponent)?,
            _ => 1_u64.checked_shl(exponent)?,
        };
        let nanos = u128::from(ticks % per_second) * 1_000_000_000 / u128::from(per_second);
        let seconds = (ticks / per_second).checked_add_signed(self.offset)?;
        Some(Duration::new(seconds, u32::try_from(nanos).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::Interface;
    use std::time::Duration;

    #[test]
    fn time_stamps_count_in_powers_of_ten_or_two() {
        let time =
            |resolution, offset, ticks| Interface { link: 1, resolution, offset }.time(ticks);
        assert_eq!(time(6, 0, 1_500_000), Some(Duration::from_millis(1500)));
        assert_eq!(time(9, 10, 1), Some(Duration::new(10, 1)));
        assert_eq!(time(0x80 | 1, 0, 3), Some(Duration::from_millis(1500)));
        assert_eq!(time(0x80 | 64, 0, 3), None);
        assert_eq!(time(20, 0, 3), None);
        assert_eq!(time(6, -10, 3), None);
    }
}
