mod damage;
mod model;

use super::power::Disk;
use super::*;
use crate::webhook::outbox::record::{State, sum};

const LIMITS: OutboxLimits = OutboxLimits {
    payload_max: 4096,
    pending_max: 8,
    pending_bytes_max: 8_000,
    dead_max: 3,
    dead_bytes_max: 5_000,
    delivered_max: 4,
};

fn on(disk: &Disk, limits: OutboxLimits) -> Result<Store, OutboxError> {
    let path = PathBuf::from("a disk in memory");
    let opened = guarded(|| {
        let db = file::builder().create_with_backend(disk.clone())?;
        survey::begin(&db).map(|totals| (db, totals))
    });
    let (db, totals) = opened.map_err(|fault| fault.at(&path))?;
    Ok(Store::over(db, totals, path, limits))
}

fn add(id: &str, payload: &[u8], now: u64) -> Change {
    let record = Record {
        id: id.into(),
        url: "http://localhost/hook".into(),
        headers: Vec::new(),
        content_type: "application/json".into(),
        payload_size: payload.len() as u64,
        payload_sum: sum(payload),
        created_at: now,
        attempts: 0,
        round: 0,
        last: None,
        state: State::Pending { next_at: now },
    };
    Change::Add { record: Box::new(record), payload: Bytes::copy_from_slice(payload) }
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("outbox");
    (folder, path)
}

fn open(path: &std::path::Path) -> Result<Store, OutboxError> {
    Store::open(path.to_owned(), false, LIMITS)
}

#[test]
fn what_is_accepted_is_there_after_a_restart() {
    let (_folder, path) = folder();
    let store = open(&path).unwrap();
    assert_eq!(store.apply(&[add("a", b"{}", 5), add("b", b"[]", 3)]).unwrap(), [Done::Added; 2]);
    let before = store.totals();
    store.close();
    assert!(matches!(store.apply(&[]), Err(OutboxError::Closed)));
    let store = open(&path).unwrap();
    assert_eq!(store.totals(), before);
    let due = store.due(4, 10, |_| false).unwrap();
    assert_eq!(due.letters.len(), 1);
    assert_eq!((due.letters[0].record.id.as_str(), &due.letters[0].payload[..]), ("b", &b"[]"[..]));
    assert_eq!(due.next_at, Some(5));
}

#[test]
fn one_file_has_one_owner() {
    let (_folder, path) = folder();
    let store = open(&path).unwrap();
    let error = open(&path).err().unwrap();
    assert!(matches!(error, OutboxError::InUse { .. }), "{error:?}");
    assert!(error.to_string().contains("is in use by another process"));
    drop(store);
    assert!(open(&path).is_ok());
}

#[test]
fn a_missing_file_is_told() {
    let (_folder, path) = folder();
    let opened = Store::open(path.clone(), true, LIMITS);
    assert!(matches!(opened.err(), Some(OutboxError::Missing { .. })));
    assert!(!path.exists());
    let nowhere = path.join("deeper");
    assert!(matches!(open(&nowhere).err(), Some(OutboxError::Io { .. })));
}

#[cfg(unix)]
#[test]
fn the_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (_folder, path) = folder();
    let _store = open(&path).unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn limits_are_met_and_not_exceeded() {
    let store = on(&Disk::default(), LIMITS).unwrap();
    let ids: Vec<String> = (0..9).map(|n| format!("id{n}")).collect();
    let adds: Vec<_> = ids.iter().map(|id| add(id, b"{}", 1)).collect();
    let done = store.apply(&adds).unwrap();
    assert_eq!(done[..8], [Done::Added; 8]);
    assert_eq!(done[8], Done::Full(Fullness::Count(8)));

    let store = on(&Disk::default(), LIMITS).unwrap();
    let large = vec![b'1'; 3_900];
    let done = store.apply(&[add("a", &large, 1), add("b", &large, 1), add("c", &large, 1)]);
    assert_eq!(done.unwrap(), [Done::Added, Done::Added, Done::Full(Fullness::Bytes(8_000))]);
}

#[test]
fn an_id_is_accepted_once_even_after_delivery() {
    let store = on(&Disk::default(), LIMITS).unwrap();
    let again = store.apply(&[add("a", b"1", 1), add("a", b"2", 2)]).unwrap();
    assert_eq!(again, [Done::Added, Done::Known]);
    assert_eq!(&store.find("a").unwrap().unwrap().2[..], b"1", "the first one counts");
    let serial = store.due(9, 1, |_| false).unwrap().letters[0].serial;
    assert_eq!(store.apply(&[Change::Delivered { serial }]).unwrap(), [Done::Changed(1)]);
    assert_eq!(store.apply(&[add("a", b"3", 3)]).unwrap(), [Done::Known]);
    assert_eq!(store.totals().pending, 0);
}

#[test]
fn an_attempt_of_a_removed_webhook_settles_nothing() {
    let store = on(&Disk::default(), LIMITS).unwrap();
    store.apply(&[add("a", b"1", 1)]).unwrap();
    let serial = store.due(9, 1, |_| false).unwrap().letters[0].serial;
    let done = store.apply(&[Change::Remove { id: "a".into() }, add("a", b"2", 2)]).unwrap();
    assert_eq!(done, [Done::Changed(1), Done::Added]);
    assert_eq!(store.apply(&[Change::Delivered { serial }]).unwrap(), [Done::Changed(0)]);
    assert_eq!(store.totals().pending, 1, "the new one of the same id is still to be sent");
}

/// What was acknowledged and is damaged afterwards must be told, not taken back.
#[test]
fn damage_to_the_last_commit_of_a_killed_process_is_told() {
    for at in (512..65_536).step_by(512) {
        let disk = Disk::default();
        let store = on(&disk, LIMITS).unwrap();
        store.apply(&[add("a", b"1", 1)]).unwrap();
        store.apply(&[add("b", b"2", 2)]).unwrap();
        let damaged = disk.damaged(at);
        match on(&damaged, LIMITS) {
            Ok(store) => assert_eq!(store.totals().pending, 2, "damage at {at} lost a webhook"),
            Err(error) => assert!(matches!(error, OutboxError::Corrupted { .. }), "{error}"),
        }
    }
}

#[test]
fn many_changes_cost_as_many_syncs_as_one() {
    let disk = Disk::default();
    let store = on(&disk, OutboxLimits { pending_max: 1000, ..LIMITS }).unwrap();
    let syncs = |changes: &[Change]| {
        let before = disk.syncs();
        store.apply(changes).unwrap();
        disk.syncs() - before
    };
    let one = syncs(&[add("one", b"1", 1)]);
    let ids: Vec<String> = (0..50).map(|n| format!("id{n}")).collect();
    let adds: Vec<_> = ids.iter().map(|id| add(id, b"1", 1)).collect();
    assert!(one >= 1);
    assert_eq!(syncs(&adds), one);
}

#[test]
fn a_failed_write_is_told_and_the_file_opened_anew() {
    let (_folder, path) = folder();
    let store = open(&path).unwrap();
    store.apply(&[add("a", b"1", 1)]).unwrap();
    let error = io::Error::other("no space");
    store.give_up(&Fault::Redb(redb::Error::Io(error)));
    assert_eq!(store.apply(&[add("b", b"2", 2)]).unwrap(), [Done::Added]);
    assert_eq!(store.totals().pending, 2);
    store.give_up(&Fault::Redb(redb::Error::PreviousIo));
    std::fs::remove_file(&path).unwrap();
    let lost = store.apply(&[add("c", b"3", 3)]);
    assert!(matches!(lost, Err(OutboxError::Missing { .. })), "no empty one in its place");
}
