use std::ops::Bound;

use bytes::Bytes;
use redb::{Database, ReadOnlyTable, ReadableDatabase, ReadableTable};

use super::tables::{DEAD, DUE, IDS, Key, PAYLOADS, RECORDS};
use super::{Due, Fault, Letter, List, unreadable};
use crate::webhook::outbox::entry::Place;
use crate::webhook::outbox::record::{Record, State};

type Records = ReadOnlyTable<u64, &'static [u8]>;

pub(super) fn due(
    db: &Database,
    now: u64,
    max: usize,
    is_taken: &dyn Fn(u64) -> bool,
) -> Result<Due, Fault> {
    let reading = db.begin_read()?;
    let (records, payloads) = (reading.open_table(RECORDS)?, reading.open_table(PAYLOADS)?);
    let mut due = Due::default();
    // Those that are taken are no more than there are attempts under way.
    for entry in reading.open_table(DUE)?.iter()? {
        let (next_at, serial) = entry?.0.value();
        if is_taken(serial) {
            continue;
        }
        if next_at > now || due.letters.len() >= max {
            due.next_at = Some(next_at);
            break;
        }
        let record = record(&records, serial)?;
        let payload = payload(&payloads, serial, &record)?;
        due.letters.push(Letter { serial, record, payload });
    }
    Ok(due)
}

pub(super) fn page(
    db: &Database,
    list: List,
    after: Option<Place>,
    max: usize,
) -> Result<Vec<(Place, Record)>, Fault> {
    let reading = db.begin_read()?;
    let records = reading.open_table(RECORDS)?;
    let table = reading.open_table(match list {
        List::Pending => DUE,
        List::Dead => DEAD,
    })?;
    let from: Bound<Key> = match after {
        Some(Place(at, serial)) => Bound::Excluded((at, serial)),
        None => Bound::Unbounded,
    };
    let mut page = Vec::new();
    for entry in table.range::<Key>((from, Bound::Unbounded))?.take(max) {
        let (at, serial) = entry?.0.value();
        page.push((Place(at, serial), record(&records, serial)?));
    }
    Ok(page)
}

pub(super) fn find(db: &Database, id: &str) -> Result<Option<(Place, Record, Bytes)>, Fault> {
    let reading = db.begin_read()?;
    let Some(serial) = reading.open_table(IDS)?.get(id)?.map(|serial| serial.value()) else {
        return Ok(None);
    };
    let record = record(&reading.open_table(RECORDS)?, serial)?;
    let payload = payload(&reading.open_table(PAYLOADS)?, serial, &record)?;
    let at = match record.state {
        State::Pending { next_at } => next_at,
        State::Dead { at } => at,
    };
    Ok(Some((Place(at, serial), record, payload)))
}

fn record(records: &Records, serial: u64) -> Result<Record, Fault> {
    let bytes = bytes_of(records, serial)?;
    Record::decode(bytes.value()).map_err(|error| unreadable(serial, error))
}

fn payload(payloads: &Records, serial: u64, record: &Record) -> Result<Bytes, Fault> {
    let bytes = bytes_of(payloads, serial)?;
    match record.fits(bytes.value()) {
        true => Ok(Bytes::copy_from_slice(bytes.value())),
        false => Err(Fault::Damaged(format!("the payload of record {serial} has changed"))),
    }
}

fn bytes_of(
    table: &Records,
    serial: u64,
) -> Result<redb::AccessGuard<'static, &'static [u8]>, Fault> {
    let missing = || Fault::Damaged(format!("record {serial} is not whole"));
    table.get(serial)?.ok_or_else(missing)
}
