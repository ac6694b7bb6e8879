use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::resilience::{Backoff, Jitter};

const NOW: u64 = 1_700_000_000_000;
const SECOND: Duration = Duration::from_secs(1);
const ALL: [u16; 7] = [408, 425, 429, 500, 502, 503, 504];

fn answered(status: u16) -> Attempted {
    Attempted::Answered { status, retry_after: None }
}

fn seconds(policy: &DeliveryPolicy, entropy: u64) -> Vec<u64> {
    let mut delivery = policy.begin(NOW);
    let mut pauses = Vec::new();
    let mut now = NOW;
    while let Next::At(at) = delivery.next_attempt() {
        pauses.push((at - now) / 1000);
        now = at;
        delivery.attempt(now).unwrap();
        delivery.failed(now, Attempted::Unanswered, entropy);
    }
    assert_eq!(delivery.next_attempt(), Next::Dead(Dead::Exhausted));
    pauses
}

#[test]
fn schedules_are_kept() {
    let hours = [0, 5, 300, 1800, 7200, 18_000, 36_000, 36_000];
    assert_eq!(seconds(&DeliveryPolicy::standard(), 0), hours);
    let longer = hours.map(|pause| pause + pause / 10);
    assert_eq!(seconds(&DeliveryPolicy::standard(), u64::MAX), longer);
    let backoff = Backoff { jitter: Jitter::None, ..Backoff::exponential(SECOND, 5 * SECOND) };
    let policy = DeliveryPolicy::new(5, backoff).unwrap();
    assert_eq!(seconds(&policy, 7), [0, 1, 2, 4, 5]);
    let policy = DeliveryPolicy::listed(&[3 * SECOND, SECOND], 0).unwrap();
    assert_eq!(seconds(&policy, u64::MAX), [3, 1]);
}

#[test]
fn nonsense_is_refused_by_name() {
    let field =
        |outcome: Result<DeliveryPolicy, crate::limits::LimitError>| outcome.unwrap_err().field;
    let constant = Backoff::constant(SECOND);
    assert_eq!(field(DeliveryPolicy::new(0, constant)), "delivery.attempts_max");
    assert_eq!(field(DeliveryPolicy::new(1001, constant)), "delivery.attempts_max");
    let backoff = Backoff { min: 2 * SECOND, ..constant };
    assert_eq!(field(DeliveryPolicy::new(3, backoff)), "backoff.min");
    assert_eq!(field(DeliveryPolicy::listed(&[], 0)), "delivery.attempts_max");
    assert_eq!(field(DeliveryPolicy::listed(&[Duration::MAX], 0)), "delivery.delays");
    assert_eq!(field(DeliveryPolicy::listed(&[SECOND], 101)), "delivery.spread_percent");
}

#[test]
fn each_status_has_its_meaning() {
    let policy = DeliveryPolicy::new(2, Backoff::constant(SECOND)).unwrap();
    let after = |policy: &DeliveryPolicy, status| {
        let mut delivery = policy.begin(NOW);
        delivery.attempt(NOW).unwrap();
        delivery.failed(NOW, answered(status), 0)
    };
    for status in 0..=u16::MAX {
        let expected = match status {
            _ if ALL.contains(&status) => Next::At(NOW + 1000),
            410 => Next::Dead(Dead::Gone),
            300..=399 => Next::Dead(Dead::Redirected(status)),
            _ => Next::Dead(Dead::Refused(status)),
        };
        assert_eq!(after(&policy, status), expected);
    }
    let policy = policy.with_statuses(Statuses::none().with(410).with(599).with(302).with(200));
    assert_eq!(after(&policy, 410), Next::At(NOW + 1000));
    assert_eq!(after(&policy, 599), Next::At(NOW + 1000));
    assert_eq!(after(&policy, 503), Next::Dead(Dead::Refused(503)));
    assert_eq!(after(&policy, 302), Next::Dead(Dead::Redirected(302)));
    assert_eq!(after(&policy, 200), Next::Dead(Dead::Refused(200)));
}

#[test]
fn receivers_may_ask_for_longer_pauses_up_to_a_cap() {
    let policy = DeliveryPolicy::new(9, Backoff::constant(2 * SECOND)).unwrap();
    let policy = policy.with_retry_after_max(10 * SECOND);
    let mut delivery = policy.begin(NOW);
    let millisecond = Duration::from_millis(1);
    for (asked, pause) in [
        (SECOND, 2000),
        (3 * SECOND, 3000),
        (3 * SECOND + Duration::from_nanos(1), 3001),
        (10 * SECOND - millisecond, 9999),
        (11 * SECOND, 10_000),
        (Duration::MAX, 10_000),
    ] {
        delivery.attempt(NOW).unwrap();
        let how = Attempted::Answered { status: 429, retry_after: Some(asked) };
        assert_eq!(delivery.failed(NOW, how, 0), Next::At(NOW + pause));
    }
}

#[test]
fn the_whole_has_a_deadline() {
    let policy = DeliveryPolicy::new(9, Backoff::constant(SECOND)).unwrap();
    let policy = policy.with_elapsed_max(3 * SECOND);
    let mut delivery = policy.begin(NOW);
    delivery.attempt(NOW).unwrap();
    assert_eq!(delivery.failed(NOW + 2000, answered(500), 0), Next::At(NOW + 3000));
    // It slept through it.
    assert_eq!(policy.resume(delivery.state()).attempt(NOW + 3001), Err(Dead::Expired));
    delivery.attempt(NOW + 3000).unwrap();
    assert_eq!(delivery.failed(NOW + 3000, answered(500), 0), Next::Dead(Dead::Expired));
}

#[test]
fn what_dies_with_its_process_counts() {
    let policy = DeliveryPolicy::new(3, Backoff::constant(SECOND)).unwrap();
    let mut state = policy.begin(NOW).state();
    for number in 1..=3 {
        let mut delivery = policy.resume(state);
        assert_eq!(delivery.attempt(NOW), Ok(number));
        state = delivery.state();
    }
    let mut delivery = policy.resume(state);
    assert_eq!(delivery.attempt(NOW), Err(Dead::Exhausted));
    assert_eq!(delivery.next_attempt(), Next::Dead(Dead::Exhausted));
}

#[test]
fn a_clock_that_is_set_back_delays_nothing() {
    let policy = DeliveryPolicy::new(3, Backoff::constant(SECOND)).unwrap();
    let mut delivery = policy.begin(NOW);
    delivery.attempt(NOW).unwrap();
    delivery.failed(NOW, Attempted::Unanswered, 0);
    assert_eq!(delivery.due_in(NOW + 400), Duration::from_millis(600));
    assert_eq!(delivery.due_in(NOW - 3_600_000), SECOND);
    assert_eq!(delivery.due_in(NOW + 3_600_000), Duration::ZERO);
}

#[test]
fn the_end_is_the_end() {
    let policy = DeliveryPolicy::new(3, Backoff::constant(SECOND)).unwrap();
    let mut delivery = policy.begin(NOW);
    delivery.attempt(NOW).unwrap();
    assert_eq!(delivery.succeeded(), Next::Delivered);
    assert_eq!(delivery.failed(NOW, answered(500), 0), Next::Delivered);
    assert_eq!(delivery.attempt(NOW), Err(Dead::Exhausted));
    let mut delivery = policy.begin(NOW);
    assert_eq!(delivery.failed(NOW, Attempted::Impossible, 0), Next::Dead(Dead::Impossible));
    assert_eq!(delivery.succeeded(), Next::Dead(Dead::Impossible));
    assert_eq!(delivery.attempt(NOW), Err(Dead::Impossible));
}

proptest! {
    /// A list of what happens, against the rules in plain words: each pause lies within its bounds,
    /// attempts and time are never exceeded, and whether it was stored in between makes no difference.
    #[test]
    fn deliveries_do_what_a_plain_model_does(
        pauses in proptest::collection::vec(0_u64..5_000, 1..8),
        percent in 0_u32..=100,
        elapsed_max in 0_u64..20_000,
        cap in 0_u64..4_000,
        acts in proptest::collection::vec(
            (0_u64..2_000, 0_usize..12, proptest::option::of(0_u64..9_000), any::<u64>(), any::<bool>()),
            1..12,
        ),
    ) {
        let delays: Vec<_> = pauses.iter().map(|pause| Duration::from_millis(*pause)).collect();
        let policy = DeliveryPolicy::listed(&delays, percent).unwrap()
            .with_elapsed_max(Duration::from_millis(elapsed_max))
            .with_retry_after_max(Duration::from_millis(cap));
        let mut delivery = policy.begin(NOW);
        let (mut now, mut made) = (NOW, 0_usize);
        for (took, what, asked, entropy, restart) in acts {
            let Next::At(at) = delivery.next_attempt() else { break };
            prop_assert!(made < pauses.len());
            now = now.max(at);
            let begun = delivery.attempt(now);
            if now - NOW > elapsed_max {
                prop_assert_eq!(begun, Err(Dead::Expired));
                break;
            }
            made += 1;
            prop_assert_eq!(begun, Ok(u32::try_from(made).unwrap()));
            now += took;
            let next = match ALL.get(what) {
                Some(status) => {
                    let retry_after = asked.map(Duration::from_millis);
                    delivery.failed(now, Attempted::Answered { status: *status, retry_after }, entropy)
                }
                None if what == 11 => delivery.failed(now, answered(404), entropy),
                None => delivery.failed(now, Attempted::Unanswered, entropy),
            };
            let is_status = what < ALL.len();
            match next {
                Next::Delivered => prop_assert!(false, "nothing was"),
                Next::Dead(Dead::Refused(404)) => prop_assert_eq!(what, 11),
                Next::Dead(Dead::Exhausted) => prop_assert_eq!(made, pauses.len()),
                Next::Dead(Dead::Expired) => {
                    let longest = pauses[made] * (100 + u64::from(percent)) / 100 + 1;
                    let latest = longest.max(asked.unwrap_or(0).min(cap));
                    prop_assert!(now + latest - NOW > elapsed_max);
                }
                Next::Dead(why) => prop_assert!(false, "{why}"),
                Next::At(at) => {
                    let asked = if is_status { asked.unwrap_or(0).min(cap) } else { 0 };
                    let (least, most) = (pauses[made], pauses[made] * (100 + u64::from(percent)) / 100);
                    prop_assert!((least.max(asked)..=(most + 1).max(asked)).contains(&(at - now)));
                    prop_assert!(at - NOW <= elapsed_max);
                    prop_assert_eq!(delivery.due_in(now), Duration::from_millis(at - now));
                }
            }
            if restart && delivery.next_attempt() == next && matches!(next, Next::At(_)) {
                let again = policy.resume(delivery.state());
                prop_assert_eq!(&again, &delivery);
                delivery = again;
            }
        }
    }
}
