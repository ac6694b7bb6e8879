use redb::{Table, TableDefinition, TableError, WriteTransaction};

/// A moment and a serial number: what makes the order of a list.
pub(super) type Key = (u64, u64);

/// Of those that are pending or dead.
pub(super) const IDS: TableDefinition<&str, u64> = TableDefinition::new("ids");
pub(super) const RECORDS: TableDefinition<u64, &[u8]> = TableDefinition::new("records");
/// Apart from the records, which change with each attempt.
pub(super) const PAYLOADS: TableDefinition<u64, &[u8]> = TableDefinition::new("payloads");
/// What is pending, by when it is due.
pub(super) const DUE: TableDefinition<Key, ()> = TableDefinition::new("due");
/// What is dead, by when it died.
pub(super) const DEAD: TableDefinition<Key, ()> = TableDefinition::new("dead");
/// Ids of what was delivered.
pub(super) const KNOWN: TableDefinition<&str, u64> = TableDefinition::new("known");
/// The same in their order, so that the oldest can be forgotten.
pub(super) const KNOWN_ORDER: TableDefinition<u64, &str> = TableDefinition::new("known_order");
pub(super) const META: TableDefinition<&str, u64> = TableDefinition::new("meta");

pub(super) const META_FORMAT: &str = "format";
pub(super) const META_SERIAL: &str = "next_serial";
pub(super) const META_DELIVERED: &str = "delivered";
pub(super) const META_DROPPED: &str = "dropped";

/// All tables of one transaction.
pub(super) struct Tables<'t> {
    pub(super) ids: Table<'t, &'static str, u64>,
    pub(super) records: Table<'t, u64, &'static [u8]>,
    pub(super) payloads: Table<'t, u64, &'static [u8]>,
    pub(super) due: Table<'t, Key, ()>,
    pub(super) dead: Table<'t, Key, ()>,
    pub(super) known: Table<'t, &'static str, u64>,
    pub(super) known_order: Table<'t, u64, &'static str>,
    pub(super) meta: Table<'t, &'static str, u64>,
}

impl<'t> Tables<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, TableError> {
        Ok(Self {
            ids: transaction.open_table(IDS)?,
            records: transaction.open_table(RECORDS)?,
            payloads: transaction.open_table(PAYLOADS)?,
            due: transaction.open_table(DUE)?,
            dead: transaction.open_table(DEAD)?,
            known: transaction.open_table(KNOWN)?,
            known_order: transaction.open_table(KNOWN_ORDER)?,
            meta: transaction.open_table(META)?,
        })
    }
}
