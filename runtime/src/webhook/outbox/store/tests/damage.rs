//! Files that are not what they were: a typed error, or what was stored; never a panic.

use std::fs;

use redb::TableDefinition;

use super::super::power::Dice;
use super::super::tables::{META, META_FORMAT, RECORDS};
use super::*;

fn filled(path: &std::path::Path) -> Totals {
    let store = open(path).unwrap();
    let ids: Vec<String> = (0..6).map(|n| format!("id{n}")).collect();
    let adds: Vec<_> = ids.iter().map(|id| add(id, &[b'x'; 900], 1)).collect();
    store.apply(&adds).unwrap();
    let letters = store.due(9, 3, |_| false).unwrap().letters;
    let last = Last::new(2, Some(500), "busy");
    let failed = |next| Change::Failed { serial: letters[1].serial, last: last.clone(), next };
    store.apply(&[Change::Delivered { serial: letters[0].serial }]).unwrap();
    store.apply(&[failed(Next::Dead)]).unwrap();
    let totals = store.totals();
    store.close();
    totals
}

fn change(path: &std::path::Path, edit: impl FnOnce(&redb::WriteTransaction)) {
    let db = redb::Database::create(path).unwrap();
    let transaction = db.begin_write().unwrap();
    edit(&transaction);
    transaction.commit().unwrap();
}

#[test]
fn a_newer_format_is_left_alone() {
    let (_folder, path) = folder();
    filled(&path);
    change(&path, |transaction| {
        transaction.open_table(META).unwrap().insert(META_FORMAT, 2).unwrap();
    });
    let error = open(&path).err().unwrap();
    assert!(matches!(error, OutboxError::NewerFormat { found: 2, known: 1, .. }), "{error}");
}

#[test]
fn a_newer_record_is_left_alone() {
    let (_folder, path) = folder();
    filled(&path);
    change(&path, |transaction| {
        transaction.open_table(RECORDS).unwrap().insert(2, &[7_u8, 1, 2][..]).unwrap();
    });
    let error = open(&path).err().unwrap();
    assert!(matches!(error, OutboxError::NewerFormat { found: 7, .. }), "{error}");
}

#[test]
fn what_does_not_fit_together_is_told() {
    let (_folder, path) = folder();
    filled(&path);
    change(&path, |transaction| {
        transaction.open_table(super::super::tables::PAYLOADS).unwrap().remove(2).unwrap();
    });
    assert!(matches!(open(&path).err(), Some(OutboxError::Corrupted { .. })));
}

#[test]
fn other_files_are_no_outbox() {
    let (_folder, path) = folder();
    change(&path, |transaction| {
        const OTHER: TableDefinition<u64, u64> = TableDefinition::new("something else");
        transaction.open_table(OTHER).unwrap().insert(1, 2).unwrap();
    });
    let error = open(&path).err().unwrap();
    assert!(error.to_string().contains("no outbox"), "{error}");
    fs::write(
        &path,
        b"not a database, but quite long enough to have a header of its own".repeat(99),
    )
    .unwrap();
    assert!(matches!(open(&path).err(), Some(OutboxError::Corrupted { .. })));
}

#[test]
fn a_file_that_was_never_finished_begins_anew() {
    let (_folder, path) = folder();
    // What redb does first: the length, then a header whose magic number is missing.
    let mut unborn = vec![0; 1_585_152];
    fs::write(&path, &unborn).unwrap();
    assert_eq!(open(&path).unwrap().totals(), Totals::default());
    unborn[9..64].fill(7);
    fs::write(&path, &unborn).unwrap();
    assert_eq!(open(&path).unwrap().totals(), Totals::default());
}

#[test]
fn a_file_can_be_opened_whenever_the_power_failed_while_it_was_made() {
    let (_folder, path) = folder();
    for (writes, seed) in (0..40).flat_map(|writes| (0..5).map(move |seed| (writes, seed))) {
        let disk = Disk::default();
        disk.fail_after(writes);
        let made = on(&disk, LIMITS);
        fs::write(&path, disk.cut(seed).image()).unwrap();
        drop(made);
        let store = match open(&path) {
            Ok(store) => store,
            Err(error) => panic!("power failed after {writes} writes, seed {seed}: {error}"),
        };
        assert_eq!(store.totals(), Totals::default());
        assert_eq!(store.apply(&[add("a", b"1", 1)]).unwrap(), [Done::Added]);
    }
}

#[test]
fn a_lost_magic_number_loses_no_webhook() {
    let (_folder, path) = folder();
    filled(&path);
    let mut bytes = fs::read(&path).unwrap();
    bytes[..9].fill(0);
    fs::write(&path, &bytes).unwrap();
    assert!(matches!(open(&path).err(), Some(OutboxError::Corrupted { .. })));
    assert_eq!(fs::read(&path).unwrap(), bytes, "left as it was");
}

#[test]
fn a_truncated_file_is_an_error() {
    let (folder, path) = folder();
    filled(&path);
    let whole = fs::read(&path).unwrap();
    let copy = folder.path().join("copy");
    let mut dice = Dice(1);
    let ends = [1, 8, 9, 64, 319, 320, 321, 511, 512, 4095, 4096, 4097];
    let random = (0..20).map(|_| dice.roll(whole.len() as u64) as usize);
    for end in ends.into_iter().chain(random.collect::<Vec<_>>()) {
        fs::write(&copy, &whole[..end]).unwrap();
        let error = open(&copy).err();
        assert!(matches!(error, Some(OutboxError::Corrupted { .. })), "cut at {end}: {error:?}");
    }
}

#[test]
fn a_damaged_file_is_an_error_or_as_good_as_whole() {
    let (folder, path) = folder();
    let before = filled(&path);
    let whole = fs::read(&path).unwrap();
    let copy = folder.path().join("copy");
    let mut dice = Dice(2);
    let mut refused = 0;
    for round in 0..150 {
        let mut bytes = whole.clone();
        // Every other time where the tables begin, since most of a small file is free.
        let area = if round % 2 == 0 { bytes.len() } else { bytes.len().min(48 * 1024) };
        let at = dice.roll(area as u64) as usize;
        let end = bytes.len().min(at + [1, 16, 512, 4096][dice.roll(4) as usize]);
        bytes[at..end].iter_mut().for_each(|byte| *byte ^= dice.roll(255) as u8 + 1);
        fs::write(&copy, &bytes).unwrap();
        match open(&copy) {
            Ok(store) => {
                assert_eq!(store.totals(), before, "damage from {at} to {end} went unseen");
                for Letter { serial, payload, .. } in
                    store.due(u64::MAX, 9, |_| false).unwrap().letters
                {
                    let is_whole = payload[..] == [b'x'; 900];
                    assert!(
                        is_whole,
                        "damage from {at} to {end} changed {serial} unseen: {payload:?}"
                    );
                }
            }
            Err(OutboxError::Corrupted { .. } | OutboxError::NewerFormat { .. }) => refused += 1,
            Err(error) => panic!("damage from {at} to {end}: {error:?}"),
        }
    }
    assert!(refused > 10, "{refused}");
}
