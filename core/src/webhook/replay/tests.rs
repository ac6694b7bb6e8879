use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec::Vec;
use core::time::Duration;

use proptest::prelude::*;

use super::*;

const NOW: u64 = 1_700_000_000;

fn guard(ids_max: usize) -> ReplayGuard {
    let limits = ReplayLimits { ids_max, ..ReplayLimits::default() };
    ReplayGuard::new(limits, Tolerance::default()).unwrap()
}

#[test]
fn limits_that_protect_nothing_are_refused_by_name() {
    let of = |ids_max, window, tolerance| {
        let limits = ReplayLimits { ids_max, window: Duration::from_secs(window) };
        ReplayGuard::new(limits, tolerance).map(drop).map_err(|error| error.field)
    };
    let within = |seconds| Tolerance::Within(Duration::from_secs(seconds));
    assert_eq!(of(1, 600, within(300)), Ok(()));
    assert_eq!(of(1, 599, within(300)), Err("window"));
    assert_eq!(of(1, 0, within(0)), Err("window"));
    assert_eq!(of(1, 1, within(0)), Ok(()));
    assert_eq!(of(1, u64::MAX, within(u64::MAX)), Ok(()));
    assert_eq!((of(1, 0, Tolerance::Off), of(1, 1, Tolerance::Off)), (Err("window"), Ok(())));
    assert_eq!(of(0, 600, within(300)), Err("ids_max"));
    assert_eq!(of(10_000_001, 600, within(300)), Err("ids_max"));
}

#[test]
fn an_id_is_known_to_the_last_second_of_its_window() {
    let mut guard = guard(10);
    assert_eq!(guard.check(NOW, "a"), Ok(()));
    assert_eq!(guard.clone().check(NOW + 600, "a"), Err(ReplayError::Replayed));
    assert_eq!(guard.check(NOW + 601, "a"), Ok(()));
}

#[test]
fn an_id_that_comes_again_is_remembered_anew() {
    let mut guard = guard(10);
    assert_eq!(guard.check(NOW, "a"), Ok(()));
    // A second try, with a later timestamp: whoever records that one has it for longer.
    assert_eq!(guard.check(NOW + 500, "a"), Err(ReplayError::Replayed));
    assert_eq!(guard.clone().check(NOW + 1100, "a"), Err(ReplayError::Replayed));
    assert_eq!(guard.check(NOW + 1101, "a"), Ok(()));
}

#[test]
fn what_failed_may_come_again() {
    let mut guard = guard(10);
    let ticket = guard.begin(NOW, "a").unwrap();
    assert_eq!(guard.begin(NOW + 1, "a"), Err(ReplayError::InProgress));
    guard.settle(ticket, Settlement::Forgotten);
    assert!(guard.is_empty() && guard.by_age.is_empty());
    let ticket = guard.begin(NOW + 2, "a").unwrap();
    guard.settle(ticket, Settlement::Kept);
    assert_eq!(guard.begin(NOW + 3, "a"), Err(ReplayError::Replayed));
}

#[test]
fn a_late_end_does_not_touch_what_came_after() {
    for settlement in [Settlement::Kept, Settlement::Forgotten] {
        let mut guard = guard(10);
        let first = guard.begin(NOW, "a").unwrap();
        let second = guard.begin(NOW + 601, "a").unwrap();
        guard.settle(first, settlement);
        assert_eq!(guard.begin(NOW + 602, "a"), Err(ReplayError::InProgress));
        guard.settle(second, Settlement::Kept);
        assert_eq!(guard.begin(NOW + 602, "a"), Err(ReplayError::Replayed));
    }
}

#[test]
fn a_full_memory_takes_nothing_new_until_something_is_old() {
    let mut guard = guard(3);
    for (at, id) in ["a", "b", "c"].into_iter().enumerate() {
        assert_eq!(guard.check(NOW + at as u64, id), Ok(()));
    }
    assert_eq!(guard.check(NOW + 10, "d"), Err(ReplayError::Full { max: 3 }));
    assert_eq!(guard.check(NOW + 10, "a"), Err(ReplayError::Replayed));
    // `a` was seen again; `b` is the oldest.
    assert_eq!(guard.check(NOW + 601, "d"), Err(ReplayError::Full { max: 3 }));
    assert_eq!(guard.check(NOW + 602, "d"), Ok(()));
    assert_eq!(guard.check(NOW + 602, "a"), Err(ReplayError::Replayed));
    assert_eq!(guard.len(), 3);
}

#[test]
fn a_full_memory_of_failures_is_empty() {
    let mut guard = guard(2);
    let tickets: Vec<_> = (0..2).map(|n| guard.begin(NOW, &format!("{n}")).unwrap()).collect();
    assert_eq!(guard.check(NOW, "new"), Err(ReplayError::Full { max: 2 }));
    for ticket in tickets {
        guard.settle(ticket, Settlement::Forgotten);
    }
    assert_eq!(guard.check(NOW, "new"), Ok(()));
}

#[test]
fn a_clock_that_is_set_back_reopens_nothing() {
    let mut guard = guard(10);
    assert_eq!(guard.check(NOW, "a"), Ok(()));
    // An hour ahead by mistake: `a` is forgotten, and fresh again when the mistake is mended.
    assert_eq!(guard.check(NOW + 3600, "b"), Ok(()));
    assert_eq!(guard.check(NOW + 5, "a"), Err(ReplayError::ClockWentBack { wait: 596 }));
    assert_eq!(guard.check(NOW + 5, "b"), Err(ReplayError::Replayed));
    assert_eq!(guard.check(NOW + 601, "c"), Ok(()));
    assert_eq!(guard.check(u64::MAX, "c"), Ok(()));
    assert_eq!(guard.check(u64::MAX, "c"), Err(ReplayError::Replayed));
}

#[test]
fn many_old_ids_are_forgotten_little_by_little() {
    let mut guard = guard(1000);
    for n in 0..1000 {
        assert_eq!(guard.check(NOW, &format!("{n}")), Ok(()));
    }
    for n in 0..400 {
        assert_eq!(guard.check(NOW + 601, &format!("{n}")), Ok(()), "as if it were forgotten");
        assert_eq!(guard.ids.len(), guard.by_age.len());
    }
    assert_eq!(guard.len(), 400);
}

/// A tolerance of 5 s and a window of 10 s.
const TOLERANCE: u64 = 5;

proptest! {
    /// Requests are pairs of an id and a timestamp. They come when the clock says anything at all,
    /// for the first time or again; what the tolerance refuses never gets to the guard.
    #[test]
    fn no_request_is_handled_twice(
        ids_max in 1_usize..6,
        steps in proptest::collection::vec(
            (0_u64..60, 0_u8..6, -6_i64..7, any::<prop::sample::Index>(), any::<bool>(), 0_u8..3),
            1..200,
        ),
        runs_back in any::<bool>(),
    ) {
        let tolerance = Tolerance::Within(Duration::from_secs(TOLERANCE));
        let limits = ReplayLimits { ids_max, window: Duration::from_secs(2 * TOLERANCE) };
        let mut guard = ReplayGuard::new(limits, tolerance).unwrap();
        let mut sent: Vec<(u8, u64)> = Vec::new();
        let mut handled: BTreeMap<(u8, u64), u64> = BTreeMap::new();
        let mut last: BTreeMap<u8, u64> = BTreeMap::new();
        let mut now = 1000;
        for (time, id, offset, old, is_replay, end) in steps {
            now = if runs_back { 1000 + time } else { now + time / 10 };
            let request = match is_replay && !sent.is_empty() {
                true => *old.get(&sent),
                false => (id, now.saturating_add_signed(offset)),
            };
            sent.push(request);
            if tolerance.check(request.1, now).is_err() {
                continue;
            }
            let outcome = guard.begin(now, &format!("{}", request.0));
            let is_known = last.get(&request.0).is_some_and(|at| now <= at + 2 * TOLERANCE);
            match outcome {
                Ok(ticket) => {
                    prop_assert!(!handled.contains_key(&request), "{request:?} handled twice");
                    prop_assert!(runs_back || !is_known);
                    match end {
                        0 => {
                            guard.settle(ticket, Settlement::Forgotten);
                            last.remove(&request.0);
                        }
                        1 => {
                            guard.settle(ticket, Settlement::Kept);
                            handled.insert(request, now);
                            last.insert(request.0, now);
                        }
                        // Never settled.
                        _ => {
                            handled.insert(request, now);
                            last.insert(request.0, now);
                        }
                    }
                }
                Err(ReplayError::Replayed | ReplayError::InProgress) => {
                    prop_assert!(runs_back || is_known, "{request:?} is new");
                    last.insert(request.0, now);
                }
                Err(ReplayError::Full { .. }) => {
                    let live = last.values().filter(|at| now <= **at + 2 * TOLERANCE).count();
                    prop_assert!(runs_back || live >= ids_max, "there was room");
                }
                Err(ReplayError::ClockWentBack { .. }) => prop_assert!(runs_back),
            }
            prop_assert!(guard.len() <= ids_max && guard.ids.len() == guard.by_age.len());
        }
    }
}
