//! Captures of packets: the frames of every connection in them, whatever its port.

mod connection;
mod file;
mod packet;
mod reassembly;
mod stream;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use connection::{Connection, Outcome};
use file::{CaptureFile, Record, Stop};
use packet::{Link, Packet, Segment};

pub(super) use file::{MAGIC_LEN, is_capture};

use super::Input;
use super::print::Printer;
use crate::exit::Failure;

/// Connections that are followed at a time. Beyond it those that said nothing for longest are not
/// followed any further.
const CONNECTIONS_MAX: usize = 4096;
/// Bytes of frames and segments that are not whole yet, of all connections.
const HELD_MAX: usize = 512 * 1024 * 1024;

/// Prints the frames of a capture; `start` was taken from the input already.
pub(super) fn run(input: &mut Input, start: Vec<u8>, printer: Printer) -> Result<(), Failure> {
    let name = input.name.clone();
    let mut connections = Connections::new(printer);
    let outcome =
        CaptureFile::open(input, start).and_then(|mut file| read(&mut file, &mut connections));
    let ended = connections.end();
    match outcome {
        Ok(()) => ended,
        Err(Stop::Input(failure)) => Err(failure),
        Err(Stop::Damage { at, what }) => {
            Err(Failure::Failed(format!("{name} is damaged at byte {at}: {what}")))
        }
    }
}

fn read(file: &mut CaptureFile<'_>, connections: &mut Connections) -> Result<(), Stop> {
    while let Some(record) = file.next()? {
        connections.record(&record).map_err(Stop::Input)?;
    }
    Ok(())
}

/// A connection, and how recently it was heard of.
#[derive(Debug)]
struct Entry {
    connection: Connection,
    /// The number of its first packet, and of its latest.
    first: u64,
    latest: u64,
    outcome: Outcome,
}

/// Packets that say nothing.
#[derive(Debug, Default)]
struct Unread {
    /// Connections that are not CNDT.
    foreign: u64,
    fragments: u64,
    /// Of links that are not read.
    links: u64,
    /// Cut by the capture.
    cut: u64,
}

struct Connections {
    entries: HashMap<[SocketAddr; 2], Entry>,
    printer: Printer,
    packets: u64,
    time: Option<Duration>,
    held: usize,
    held_max: usize,
    unread: Unread,
}

impl Connections {
    fn new(printer: Printer) -> Self {
        Self {
            entries: HashMap::new(),
            printer,
            packets: 0,
            time: None,
            held: 0,
            held_max: HELD_MAX,
            unread: Unread::default(),
        }
    }

    fn record(&mut self, record: &Record) -> Result<(), Failure> {
        self.packets += 1;
        let Some(link) = record.link.and_then(Link::from_number) else {
            self.unread.links += 1;
            return Ok(());
        };
        match packet::parse(link, &record.packet) {
            Packet::Segment(segment) => self.segment(&segment, record.time),
            Packet::Fragment => {
                self.unread.fragments += 1;
                Ok(())
            }
            Packet::Other => Ok(()),
        }
    }

    fn segment(&mut self, segment: &Segment<'_>, time: Option<Duration>) -> Result<(), Failure> {
        self.time = time.or(self.time);
        self.unread.cut += u64::from(segment.cut > 0);
        let (source, destination) = (segment.route.source, segment.route.destination);
        let ends =
            if source <= destination { [source, destination] } else { [destination, source] };
        let known = self.entries.get(&ends);
        if known.is_some_and(|known| known.connection.is_renewed_by(segment, known.outcome)) {
            self.remove(&ends)?;
        }
        if self.entries.len() >= CONNECTIONS_MAX && !self.entries.contains_key(&ends) {
            self.forget_oldest()?;
        }
        let packet = self.packets;
        let entry = self.entries.entry(ends).or_insert_with(|| Entry {
            // Who is heard first is mostly who connects.
            connection: Connection::new([source, destination]),
            first: packet,
            latest: packet,
            outcome: Outcome::Open,
        });
        entry.latest = packet;
        if entry.outcome == Outcome::Over {
            return Ok(());
        }
        let held = entry.connection.held();
        let outcome = entry.connection.segment(segment, time, &mut self.printer)?;
        self.held = (self.held + entry.connection.held()).saturating_sub(held);
        if outcome == Outcome::Over {
            self.finish(&ends)?;
        }
        if self.held > self.held_max { self.abandon_largest() } else { Ok(()) }
    }

    /// Reads what is left of a connection. Its place is kept, for segments that come twice.
    fn finish(&mut self, ends: &[SocketAddr; 2]) -> Result<(), Failure> {
        let Some(entry) = self.entries.get_mut(ends) else { return Ok(()) };
        if entry.outcome == Outcome::Over {
            return Ok(());
        }
        self.held = self.held.saturating_sub(entry.connection.held());
        entry.connection.finish(self.time, &mut self.printer)?;
        if entry.connection.is_cndt() == Some(false) {
            self.unread.foreign += 1;
        }
        entry.connection.close();
        entry.outcome = Outcome::Over;
        Ok(())
    }

    fn remove(&mut self, ends: &[SocketAddr; 2]) -> Result<(), Failure> {
        self.finish(ends)?;
        self.entries.remove(ends);
        Ok(())
    }

    /// A quarter at once, so that the search for them costs little for each new connection.
    fn forget_oldest(&mut self) -> Result<(), Failure> {
        let mut known: Vec<_> = self
            .entries
            .iter()
            .map(|(ends, entry)| (entry.outcome == Outcome::Open, entry.latest, *ends))
            .collect();
        known.sort_unstable();
        for (is_open, _, ends) in known.into_iter().take(CONNECTIONS_MAX / 4) {
            let entry = self.entries.get(&ends).filter(|_| is_open);
            if let Some(entry) = entry.filter(|entry| entry.connection.is_cndt() == Some(true)) {
                let route = entry.connection.route();
                Printer::note(&format!(
                    "{route}: followed no further: more than {CONNECTIONS_MAX} connections are open"
                ));
            }
            self.remove(&ends)?;
        }
        Ok(())
    }

    fn abandon_largest(&mut self) -> Result<(), Failure> {
        let largest = self.entries.values_mut().max_by_key(|entry| entry.connection.held());
        let Some(entry) = largest else { return Ok(()) };
        self.held = self.held.saturating_sub(entry.connection.held());
        entry.connection.close();
        entry.outcome = Outcome::Over;
        let route = entry.connection.route();
        self.printer.fault(&format!(
            "{route}: followed no further: more than {} bytes wait for the rest of their frames",
            self.held_max
        ));
        Ok(())
    }

    /// The capture is over.
    fn end(mut self) -> Result<(), Failure> {
        let mut open: Vec<_> =
            self.entries.iter().map(|(ends, entry)| (entry.first, *ends)).collect();
        open.sort_unstable();
        for (_, ends) in open {
            self.remove(&ends)?;
        }
        let Unread { foreign, fragments, links, cut } = self.unread;
        for (number, what) in [
            (foreign, "TCP connections that are not CNDT were skipped"),
            (fragments, "fragments of IP packets were not read"),
            (links, "packets of links that are not read were skipped"),
            (cut, "packets were cut by the capture (take it with a larger snapshot length)"),
        ] {
            if number > 0 {
                Printer::note(&format!("{number} {what}"));
            }
        }
        self.printer.end()
    }
}

#[cfg(test)]
mod tests {
    use super::{Connections, Outcome};
    use crate::decode::capture::file::Record;
    use crate::decode::print::{Format, Printer};

    /// A packet of raw IP from this port, in the middle of a connection.
    fn record(port: u16, sequence: u32, data: &[u8]) -> Record {
        let total = u16::try_from(40 + data.len()).unwrap().to_be_bytes();
        let ip = [0x45, 0, total[0], total[1], 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        let tcp = [&port.to_be_bytes()[..], &[0, 80], &sequence.to_be_bytes(), &[0; 4]].concat();
        let packet = [&ip[..], &tcp, &[0x50, 0x10, 0, 0, 0, 0, 0, 0], data].concat();
        Record { time: None, link: Some(101), packet }
    }

    #[test]
    fn what_waits_in_all_connections_is_bounded_and_the_largest_gives_way() {
        let mut connections = Connections::new(Printer::new(Format::Text));
        connections.held_max = 10_000;
        // A frame of a megabyte begins in each.
        let header = [&b"CNDT\x01\x01\0\0\0\x10\0\0"[..], &[0; 20]].concat();
        for (port, more) in [(1, 1000), (2, 3000), (3, 1000)] {
            connections.record(&record(port, 0, &header)).unwrap();
            connections.record(&record(port, 32, &vec![0; more])).unwrap();
        }
        let open = |connections: &Connections| {
            let mut ports: Vec<u16> = connections
                .entries
                .iter()
                .filter(|(_, entry)| entry.outcome == Outcome::Open)
                .map(|(ends, _)| ends[0].port())
                .collect();
            ports.sort_unstable();
            ports
        };
        assert_eq!((open(&connections), connections.held), (vec![1, 2, 3], 5000 + 3 * 32));
        connections.record(&record(2, 3032, &[0; 6000])).unwrap();
        assert_eq!((open(&connections), connections.held), (vec![1, 3], 2000 + 2 * 32));
        connections.record(&record(2, 9032, &[0; 6000])).unwrap();
        assert_eq!(connections.held, 2000 + 2 * 32, "nothing more is held of it");
        assert!(connections.end().is_err(), "and it is told");
    }
}
