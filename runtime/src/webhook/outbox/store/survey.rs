//! What an opened file holds, and whether it holds together.

use redb::{
    Database, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableHandle,
};

use super::tables::{
    DEAD, DUE, IDS, KNOWN, KNOWN_ORDER, META, META_DELIVERED, META_DROPPED, META_FORMAT,
    META_SERIAL, PAYLOADS, RECORDS, Tables,
};
use super::{FORMAT, Fault, Totals, unreadable};
use crate::webhook::outbox::record::{Record, State};

/// Makes the tables of a new file; counts those of an old one.
pub(super) fn begin(db: &Database) -> Result<Totals, Fault> {
    let reading = db.begin_read()?;
    let names: Vec<String> = reading.list_tables()?.map(|table| table.name().to_owned()).collect();
    if names.is_empty() {
        drop(reading);
        create(db)?;
        return Ok(Totals::default());
    }
    if !names.iter().any(|name| name == META.name()) {
        return Err(Fault::damaged("it is a database, but no outbox"));
    }
    survey(&reading)
}

fn create(db: &Database) -> Result<(), Fault> {
    let transaction = db.begin_write()?;
    let mut tables = Tables::open(&transaction)?;
    tables.meta.insert(META_FORMAT, FORMAT)?;
    drop(tables);
    transaction.commit()?;
    Ok(())
}

fn survey(reading: &ReadTransaction) -> Result<Totals, Fault> {
    let meta = reading.open_table(META)?;
    let number = |name| -> Result<Option<u64>, Fault> { Ok(meta.get(name)?.map(|it| it.value())) };
    match number(META_FORMAT)? {
        Some(FORMAT) => {}
        Some(found) if found > FORMAT => return Err(Fault::Newer(found)),
        Some(_) | None => return Err(Fault::damaged("its format is not known")),
    }
    let known = reading.open_table(KNOWN)?.len()?;
    if reading.open_table(KNOWN_ORDER)?.len()? != known {
        return Err(Fault::damaged("the list of delivered ids does not fit"));
    }
    let mut totals = Totals {
        known,
        delivered: number(META_DELIVERED)?.unwrap_or(0),
        dropped: number(META_DROPPED)?.unwrap_or(0),
        next_serial: number(META_SERIAL)?.unwrap_or(0),
        ..Totals::default()
    };
    count(reading, &mut totals)?;
    Ok(totals)
}

fn count(reading: &ReadTransaction, totals: &mut Totals) -> Result<(), Fault> {
    let (ids, payloads) = (reading.open_table(IDS)?, reading.open_table(PAYLOADS)?);
    let (due, dead) = (reading.open_table(DUE)?, reading.open_table(DEAD)?);
    for entry in reading.open_table(RECORDS)?.iter()? {
        let (serial, bytes) = entry?;
        let serial = serial.value();
        let record = Record::decode(bytes.value()).map_err(|error| unreadable(serial, error))?;
        let is_listed = match record.state {
            State::Pending { next_at } => due.get((next_at, serial))?.is_some(),
            State::Dead { at } => dead.get((at, serial))?.is_some(),
        };
        let is_named = ids.get(record.id.as_str())?.is_some_and(|it| it.value() == serial);
        let is_whole = payloads.get(serial)?.is_some_and(|payload| record.fits(payload.value()));
        if !is_listed || !is_named || !is_whole {
            return Err(Fault::Damaged(format!("record {serial} is not whole")));
        }
        if serial >= totals.next_serial {
            return Err(Fault::Damaged(format!("record {serial} has a number of the future")));
        }
        totals.enter(&record);
    }
    let all = totals.pending.saturating_add(totals.dead);
    let counted = [ids.len()?, payloads.len()?, due.len()?.saturating_add(dead.len()?)];
    match counted.iter().all(|count| *count == all) {
        true => Ok(()),
        false => Err(Fault::damaged("its lists do not fit together")),
    }
}

impl Totals {
    /// A record is there now.
    pub(super) fn enter(&mut self, record: &Record) {
        let (count, bytes) = self.of(record.state);
        *count = count.saturating_add(1);
        *bytes = bytes.saturating_add(record.cost());
    }

    /// A record is no longer there.
    pub(super) fn leave(&mut self, record: &Record) {
        let (count, bytes) = self.of(record.state);
        *count = count.saturating_sub(1);
        *bytes = bytes.saturating_sub(record.cost());
    }

    fn of(&mut self, state: State) -> (&mut u64, &mut u64) {
        match state {
            State::Pending { .. } => (&mut self.pending, &mut self.pending_bytes),
            State::Dead { .. } => (&mut self.dead, &mut self.dead_bytes),
        }
    }
}
