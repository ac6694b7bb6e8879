use super::*;
use alloc::vec::Vec;

fn at(seconds: u64) -> Instant {
    Instant::from_micros(seconds * 1_000_000)
}

fn bulkhead(calls_max: usize, waiting_max: usize) -> Bulkhead {
    let wait_max = Duration::from_secs(10);
    Bulkhead::new(BulkheadConfig { calls_max, waiting_max, wait_max }).unwrap()
}

fn pass(bulkhead: &mut Bulkhead, now: Instant) -> Pass {
    match bulkhead.enter(now).unwrap() {
        Entered::Go(pass) => pass,
        Entered::Wait(ticket) => panic!("{ticket:?} has to wait"),
    }
}

fn ticket(bulkhead: &mut Bulkhead, now: Instant) -> Ticket {
    match bulkhead.enter(now).unwrap() {
        Entered::Go(pass) => panic!("{pass:?} went ahead"),
        Entered::Wait(ticket) => ticket,
    }
}

#[test]
fn places_go_round_in_the_order_of_arrival() {
    let mut bulkhead = bulkhead(2, 3);
    let passes = [0, 0].map(|now| pass(&mut bulkhead, at(now)));
    let tickets = [0, 1, 2].map(|now| ticket(&mut bulkhead, at(now)));
    assert_eq!(bulkhead.enter(at(2)), Err(Full { calls: 2, waiting: 3 }));
    let ids: Vec<_> = tickets.iter().map(Ticket::id).collect();
    for (pass, id) in passes.into_iter().zip(&ids) {
        assert_eq!(bulkhead.poll_decided(at(2)), None);
        bulkhead.leave(at(2), pass);
        assert_eq!(bulkhead.poll_decided(at(2)), Some(*id));
    }
    let claims = tickets.map(|ticket| bulkhead.claim(at(2), ticket));
    assert!(matches!(claims, [Claim::Go(_), Claim::Go(_), Claim::Wait(_)]));
}

#[test]
fn an_abandoned_turn_goes_to_the_next() {
    for is_told in [false, true] {
        let mut bulkhead = bulkhead(1, 3);
        let first = pass(&mut bulkhead, at(0));
        let [one, two, three] = [0, 0, 0].map(|now| ticket(&mut bulkhead, at(now)));
        bulkhead.abandon(at(0), two);
        bulkhead.leave(at(0), first);
        if is_told {
            assert_eq!(bulkhead.poll_decided(at(0)), Some(one.id()));
        }
        bulkhead.abandon(at(0), one);
        assert_eq!(bulkhead.poll_decided(at(0)), Some(three.id()));
        assert_eq!(bulkhead.poll_decided(at(0)), None);
        bulkhead.abandon(at(0), three);
        assert_eq!((bulkhead.calls(), bulkhead.waiting()), (0, 0));
    }
}

#[test]
fn nobody_waits_for_longer_than_allowed() {
    let mut bulkhead = bulkhead(1, 2);
    let first = pass(&mut bulkhead, at(0));
    let [one, two] = [0, 5].map(|now| ticket(&mut bulkhead, at(now)));
    assert_eq!(bulkhead.next_deadline(), Some(at(10)));
    assert_eq!(bulkhead.poll_decided(at(9)), None);
    assert!(bulkhead.enter(at(10)).is_err(), "nobody was told yet that there is room");
    assert_eq!(bulkhead.poll_decided(at(10)), Some(one.id()));
    bulkhead.leave(at(10), first);
    assert_eq!(bulkhead.claim(at(10), one), Claim::Expired);
    assert!(matches!(bulkhead.claim(at(100), two), Claim::Go(_)), "its turn had come in time");
}

#[test]
fn nonsense_is_refused_by_name() {
    let field = |calls_max, waiting_max, wait_max| {
        let config = BulkheadConfig { calls_max, waiting_max, wait_max };
        Bulkhead::new(config).unwrap_err().field
    };
    let second = Duration::from_secs(1);
    assert_eq!(field(0, 0, second), "bulkhead.calls_max");
    assert_eq!(field(1_000_001, 0, second), "bulkhead.calls_max");
    assert_eq!(field(1, 1_000_001, second), "bulkhead.waiting_max");
    assert_eq!(field(1, 0, Duration::ZERO), "bulkhead.wait_max");
    assert_eq!(field(1, 0, Duration::MAX), "bulkhead.wait_max");
}
