//! The frames of one direction, also when its beginning or parts of it are missing.

use bytes::{Buf, Bytes, BytesMut};
use cndt_core::limits::FRAME_CEILING;
use cndt_core::wire::{
    Decoder, Dialect, Dialects, Frame, HEADER_LEN, Header, Kind, MAGIC, WireError,
};

use super::super::print::cut_off;

/// Something that was read, or why nothing can be.
#[derive(Debug)]
pub(super) enum Event {
    /// A frame, and where in the stream it begins.
    Frame(u64, Frame),
    /// Something to know.
    Note(String),
    /// Something that cannot be read.
    Fault(String),
}

#[derive(Debug)]
enum State {
    /// Frames one after the other.
    Reading(Decoder),
    /// For the next bytes that are a header.
    Searching {
        /// What was not searched yet, or may be the beginning of a header.
        bytes: BytesMut,
        /// Bytes that are known to belong to a frame of which others are missing.
        skip: u64,
        why: Search,
    },
    /// The first bytes are no frame.
    Foreign(WireError),
    /// What follows the damage cannot be interpreted.
    Damaged,
}

#[derive(Debug)]
enum Search {
    /// The connection was open already.
    Open,
    /// These bytes are missing, from there on.
    Missing { bytes: u64, at: u64 },
}

/// The bytes of one direction, read as frames.
#[derive(Debug)]
pub(super) struct Stream {
    state: State,
    dialect: Option<Dialect>,
    /// Where in the stream the state's first byte stands.
    base: u64,
    /// Bytes of memory.
    held: usize,
    /// Whether anything was said.
    has_begun: bool,
}

impl Stream {
    /// From the first byte of the connection.
    pub(super) fn from_start() -> Self {
        Self { state: reading(), dialect: None, base: 0, held: 0, has_begun: false }
    }

    /// From somewhere in the middle.
    pub(super) fn from_middle() -> Self {
        let state = State::Searching { bytes: BytesMut::new(), skip: 0, why: Search::Open };
        Self { state, dialect: None, base: 0, held: 0, has_begun: false }
    }

    /// Whether CNDT was seen; `None` before anything was said.
    pub(super) fn is_cndt(&self) -> Option<bool> {
        self.has_begun.then_some(self.dialect.is_some())
    }

    /// Bytes of memory.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// The next bytes.
    pub(super) fn push(&mut self, mut new: Bytes) {
        self.has_begun = true;
        match &mut self.state {
            State::Reading(decoder) => decoder.push(&new),
            State::Searching { bytes, skip, .. } => {
                let skipped = (*skip).min(new.len() as u64);
                new.advance(usize::try_from(skipped).unwrap_or(usize::MAX));
                *skip -= skipped;
                if bytes.is_empty() {
                    self.base = self.base.saturating_add(skipped);
                }
                bytes.extend_from_slice(&new);
            }
            State::Foreign(_) | State::Damaged => {}
        }
    }

    /// So many bytes do not come, of which the first would have been the one at `at`.
    pub(super) fn miss(&mut self, missing: u64, at: u64) {
        let (skip, why) = match &mut self.state {
            State::Reading(decoder) => {
                // The frame that lacks them ends where its header said.
                let skip = (decoder.needed() as u64).saturating_sub(missing);
                let skip = if decoder.buffered() == 0 { 0 } else { skip };
                (skip, Search::Missing { bytes: missing, at })
            }
            State::Searching { skip, why, .. } => {
                let why = match why {
                    Search::Open => Search::Open,
                    Search::Missing { bytes, at } => {
                        Search::Missing { bytes: bytes.saturating_add(missing), at: *at }
                    }
                };
                (skip.saturating_sub(missing), why)
            }
            State::Foreign(_) | State::Damaged => return,
        };
        self.base = at.saturating_add(missing);
        self.state = State::Searching { bytes: BytesMut::new(), skip, why };
    }

    /// What the bytes so far hold; `None` until there are more.
    pub(super) fn next(&mut self) -> Option<Event> {
        loop {
            match &mut self.state {
                State::Reading(_) => return self.read(),
                State::Searching { bytes, .. } => {
                    let (passed, is_found) = search(bytes, self.dialect);
                    bytes.advance(passed);
                    self.base = self.base.saturating_add(passed as u64);
                    self.held = bytes.len();
                    if !is_found {
                        return None;
                    }
                    if let Some(event) = self.found() {
                        return Some(event);
                    }
                }
                State::Foreign(_) | State::Damaged => return None,
            }
        }
    }

    /// What is left to say at the end. `peer` is the dialect of the other direction: where there is
    /// one, this direction should have been CNDT as well.
    pub(super) fn finish(&mut self, peer: Option<Dialect>) -> Option<Event> {
        match std::mem::replace(&mut self.state, State::Damaged) {
            State::Reading(decoder) => {
                let words = cut_off(&decoder, self.base).filter(|_| self.dialect.is_some())?;
                Some(Event::Fault(format!("the stream ends {words}")))
            }
            State::Foreign(error) => peer.map(|_| Event::Fault(error.to_string())),
            State::Searching { why: Search::Missing { bytes, at }, .. } => (self.dialect.or(peer))
                .map(|_| {
                    let words = "no frame was found behind them";
                    Event::Fault(format!("{bytes} bytes are missing at byte {at}; {words}"))
                }),
            State::Searching { why: Search::Open, .. } | State::Damaged => None,
        }
    }

    /// The dialect, once it is known.
    pub(super) fn dialect(&self) -> Option<Dialect> {
        self.dialect
    }

    fn read(&mut self) -> Option<Event> {
        let State::Reading(decoder) = &mut self.state else { return None };
        let offset = self.base.saturating_add(decoder.offset());
        let outcome = decoder.next_frame();
        self.dialect = self.dialect.or(decoder.dialect());
        self.held = decoder.buffered();
        match outcome {
            Ok(frame) => frame.map(|frame| Event::Frame(offset, frame)),
            Err(error) => {
                let error = WireError { offset: self.base.saturating_add(error.offset), ..error };
                let is_foreign = self.dialect.is_none();
                self.state = if is_foreign { State::Foreign(error) } else { State::Damaged };
                (!is_foreign).then(|| Event::Fault(error.to_string()))
            }
        }
    }

    /// A header was found: frames are read from there on.
    fn found(&mut self) -> Option<Event> {
        let mut decoder = Decoder::new(Dialects::BOTH, FRAME_CEILING);
        let State::Searching { bytes, why, .. } =
            std::mem::replace(&mut self.state, State::Damaged)
        else {
            return None;
        };
        decoder.push(&bytes);
        self.state = State::Reading(decoder);
        let found_at = self.base;
        match why {
            Search::Open if found_at == 0 => None,
            Search::Open => Some(Event::Note(format!(
                "it was open before the capture: {found_at} bytes passed over"
            ))),
            Search::Missing { bytes, at } => Some(Event::Fault(format!(
                "{bytes} bytes are missing at byte {at}; the next frame found is at byte {found_at}"
            ))),
        }
    }
}

fn reading() -> State {
    State::Reading(Decoder::new(Dialects::BOTH, FRAME_CEILING))
}

/// How many of the bytes belong to no frame, and whether one begins behind them.
fn search(bytes: &[u8], dialect: Option<Dialect>) -> (usize, bool) {
    let mut at = 0;
    while let Some(rest) = bytes.get(at..) {
        match rest.iter().position(|byte| Some(byte) == MAGIC.first()) {
            None => return (bytes.len(), false),
            Some(passed) => at += passed,
        }
        let rest = bytes.get(at..).unwrap_or_default();
        let known = rest.len().min(MAGIC.len());
        if rest.get(..known) == MAGIC.get(..known) {
            match rest.first_chunk() {
                None => return (at, false),
                Some(header) if is_header(header, dialect) => return (at, true),
                Some(_) => {}
            }
        }
        at += 1;
    }
    (bytes.len(), false)
}

/// Stricter than a reader must be: four bytes that look like the magic may stand in any payload.
fn is_header(bytes: &[u8; HEADER_LEN], dialect: Option<Dialect>) -> bool {
    let fits = |dialect| {
        let header = Header::decode(dialect, bytes).ok()?;
        let length = usize::try_from(header.length).ok()?;
        let is_known = !matches!(header.kind, Kind::Unknown(_)) && header.unknown_flags == 0;
        (is_known && header.reserved == 0 && length <= FRAME_CEILING).then_some(())
    };
    [Dialect::Cndt, Dialect::Netconduit]
        .into_iter()
        .filter(|candidate| dialect.is_none_or(|known| known == *candidate))
        .any(|candidate| fits(candidate).is_some())
}
