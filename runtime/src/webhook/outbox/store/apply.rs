use redb::{Database, ReadableTable};

use super::tables::{META_DELIVERED, META_DROPPED, META_SERIAL, Tables};
use super::{Change, Done, Fault, Next, Totals, unreadable};
use crate::webhook::outbox::config::OutboxLimits;
use crate::webhook::outbox::error::Fullness;
use crate::webhook::outbox::record::{Last, Record, State};

/// One transaction. It is on the disk when this returns, and only then.
pub(super) fn commit(
    db: &Database,
    limits: &OutboxLimits,
    totals: Totals,
    changes: &[Change],
) -> Result<(Vec<Done>, Totals), Fault> {
    let mut transaction = db.begin_write()?;
    // With one phase a commit that the disk has damaged would be taken for one that was cut short, and
    // silently be taken back.
    transaction.set_two_phase_commit(true);
    let mut work = Work { tables: Tables::open(&transaction)?, limits, totals };
    let done = changes.iter().map(|change| work.apply(change)).collect::<Result<_, _>>()?;
    let totals = work.finish()?;
    transaction.commit()?;
    Ok((done, totals))
}

struct Work<'t, 'l> {
    tables: Tables<'t>,
    limits: &'l OutboxLimits,
    totals: Totals,
}

impl Work<'_, '_> {
    fn apply(&mut self, change: &Change) -> Result<Done, Fault> {
        match change {
            Change::Add { record, payload } => self.add(record, payload),
            Change::Delivered { serial } => self.delivered(*serial),
            Change::Failed { serial, last, next } => self.failed(*serial, last, *next),
            Change::Retry { id, now } => match self.serial_of(id)? {
                Some(serial) => self.retry(serial, *now),
                None => Ok(Done::Changed(0)),
            },
            Change::RetryDead { now, max } => self.retry_dead(*now, *max),
            Change::Remove { id } => self.remove(id),
        }
    }

    fn add(&mut self, record: &Record, payload: &[u8]) -> Result<Done, Fault> {
        let id = record.id.as_str();
        if self.tables.ids.get(id)?.is_some() || self.tables.known.get(id)?.is_some() {
            return Ok(Done::Known);
        }
        if self.totals.pending >= self.limits.pending_max {
            return Ok(Done::Full(Fullness::Count(self.limits.pending_max)));
        }
        let bytes = self.totals.pending_bytes.saturating_add(record.cost());
        if bytes > self.limits.pending_bytes_max {
            return Ok(Done::Full(Fullness::Bytes(self.limits.pending_bytes_max)));
        }
        let serial = self.next_serial();
        self.tables.ids.insert(id, serial)?;
        self.tables.payloads.insert(serial, payload)?;
        self.put(serial, record)?;
        Ok(Done::Added)
    }

    fn delivered(&mut self, serial: u64) -> Result<Done, Fault> {
        let Some(record) = self.pending(serial)? else { return Ok(Done::Changed(0)) };
        self.erase(serial, &record)?;
        self.totals.delivered = self.totals.delivered.saturating_add(1);
        let order = self.next_serial();
        self.tables.known.insert(record.id.as_str(), order)?;
        self.tables.known_order.insert(order, record.id.as_str())?;
        self.totals.known = self.totals.known.saturating_add(1);
        while self.totals.known > self.limits.delivered_max {
            let Some((_, oldest)) = self.tables.known_order.pop_first()? else {
                return Err(Fault::damaged("the list of delivered ids is too short"));
            };
            self.tables.known.remove(oldest.value())?;
            self.totals.known -= 1;
        }
        Ok(Done::Changed(1))
    }

    fn failed(&mut self, serial: u64, last: &Last, next: Next) -> Result<Done, Fault> {
        let Some(mut record) = self.pending(serial)? else { return Ok(Done::Changed(0)) };
        self.take(serial, &record)?;
        record.attempts = record.attempts.saturating_add(1);
        record.round = record.round.saturating_add(1);
        record.state = match next {
            Next::At(next_at) => State::Pending { next_at },
            Next::Dead => State::Dead { at: last.at },
        };
        record.last = Some(last.clone());
        self.put(serial, &record)?;
        self.bury()?;
        Ok(Done::Changed(1))
    }

    /// Makes a webhook due, whether it waits or is dead. Its schedule begins anew.
    fn retry(&mut self, serial: u64, now: u64) -> Result<Done, Fault> {
        let Some(mut record) = self.record(serial)? else {
            return Err(Fault::Damaged(format!("record {serial} is missing")));
        };
        self.take(serial, &record)?;
        record.round = 0;
        record.state = State::Pending { next_at: now };
        self.put(serial, &record)?;
        Ok(Done::Changed(1))
    }

    fn retry_dead(&mut self, now: u64, max: usize) -> Result<Done, Fault> {
        let mut count = 0;
        while count < max {
            let Some(serial) = self.tables.dead.first()?.map(|(key, _)| key.value().1) else {
                break;
            };
            self.retry(serial, now)?;
            count += 1;
        }
        Ok(Done::Changed(count))
    }

    fn remove(&mut self, id: &str) -> Result<Done, Fault> {
        let Some(serial) = self.serial_of(id)? else { return Ok(Done::Changed(0)) };
        let Some(record) = self.record(serial)? else {
            return Err(Fault::Damaged(format!("record {serial} is missing")));
        };
        self.erase(serial, &record)?;
        Ok(Done::Changed(1))
    }

    /// Drops the oldest dead letters that are too many. The newest stays, however large it is.
    fn bury(&mut self) -> Result<(), Fault> {
        let Totals { mut dead, .. } = self.totals;
        while dead > 1
            && (dead > self.limits.dead_max || self.totals.dead_bytes > self.limits.dead_bytes_max)
        {
            let Some(serial) = self.tables.dead.first()?.map(|(key, _)| key.value().1) else {
                return Err(Fault::damaged("the list of dead letters is too short"));
            };
            let Some(record) = self.record(serial)? else {
                return Err(Fault::Damaged(format!("record {serial} is missing")));
            };
            self.erase(serial, &record)?;
            self.totals.dropped = self.totals.dropped.saturating_add(1);
            dead = self.totals.dead;
            tracing::warn!(
                target: "cndt",
                id = record.id,
                url = record.url.split('?').next(),
                "the oldest dead webhook is dropped, there are too many"
            );
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Totals, Fault> {
        self.tables.meta.insert(META_SERIAL, self.totals.next_serial)?;
        self.tables.meta.insert(META_DELIVERED, self.totals.delivered)?;
        self.tables.meta.insert(META_DROPPED, self.totals.dropped)?;
        Ok(self.totals)
    }

    fn next_serial(&mut self) -> u64 {
        let serial = self.totals.next_serial;
        self.totals.next_serial = serial.saturating_add(1);
        serial
    }

    fn serial_of(&self, id: &str) -> Result<Option<u64>, Fault> {
        Ok(self.tables.ids.get(id)?.map(|serial| serial.value()))
    }

    fn record(&self, serial: u64) -> Result<Option<Record>, Fault> {
        let bytes = self.tables.records.get(serial)?;
        let record = bytes.map(|bytes| Record::decode(bytes.value())).transpose();
        record.map_err(|error| unreadable(serial, error))
    }

    /// The record of an attempt, unless somebody has removed it meanwhile.
    fn pending(&self, serial: u64) -> Result<Option<Record>, Fault> {
        let record = self.record(serial)?;
        Ok(record.filter(|record| matches!(record.state, State::Pending { .. })))
    }

    /// Takes a record off its list.
    fn take(&mut self, serial: u64, record: &Record) -> Result<(), Fault> {
        let was_there = match record.state {
            State::Pending { next_at } => self.tables.due.remove((next_at, serial))?.is_some(),
            State::Dead { at } => self.tables.dead.remove((at, serial))?.is_some(),
        };
        self.totals.leave(record);
        match was_there {
            true => Ok(()),
            false => Err(Fault::Damaged(format!("record {serial} is on no list"))),
        }
    }

    /// Writes a record, and puts it on its list.
    fn put(&mut self, serial: u64, record: &Record) -> Result<(), Fault> {
        let bytes = record.encode().map_err(|error| unreadable(serial, error))?;
        self.tables.records.insert(serial, bytes.as_slice())?;
        match record.state {
            State::Pending { next_at } => self.tables.due.insert((next_at, serial), ())?,
            State::Dead { at } => self.tables.dead.insert((at, serial), ())?,
        };
        self.totals.enter(record);
        Ok(())
    }

    fn erase(&mut self, serial: u64, record: &Record) -> Result<(), Fault> {
        self.take(serial, record)?;
        self.tables.ids.remove(record.id.as_str())?;
        self.tables.records.remove(serial)?;
        self.tables.payloads.remove(serial)?;
        Ok(())
    }
}
