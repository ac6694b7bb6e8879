//! Any order of changes, restarts and power cuts, against a plain model in memory.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone, Copy)]
enum Step {
    Add {
        id: u8,
        size: usize,
    },
    /// Takes what is due, at most so many, and settles each: 0 delivered, 1 dead, else later.
    Attempt {
        max: usize,
        how: [u8; 3],
    },
    Retry {
        id: u8,
    },
    RetryDead {
        max: usize,
    },
    Remove {
        id: u8,
    },
    Pass {
        millis: u64,
    },
    Reopen,
    /// The power fails between two commits.
    Cut {
        seed: u64,
    },
    /// The power fails after so many writes of a commit.
    CutWithin {
        writes: u32,
        id: u8,
        seed: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0_u8..12, 0_usize..2500).prop_map(|(id, size)| Step::Add { id, size }),
        6 => (1_usize..=3, any::<[u8; 3]>())
            .prop_map(|(max, how)| Step::Attempt { max, how: how.map(|how| how % 4) }),
        1 => (0_u8..12).prop_map(|id| Step::Retry { id }),
        1 => (0_usize..4).prop_map(|max| Step::RetryDead { max }),
        1 => (0_u8..12).prop_map(|id| Step::Remove { id }),
        2 => (0_u64..200).prop_map(|millis| Step::Pass { millis }),
        1 => Just(Step::Reopen),
        2 => any::<u64>().prop_map(|seed| Step::Cut { seed }),
        2 => (0_u32..20, 0_u8..12, any::<u64>())
            .prop_map(|(writes, id, seed)| Step::CutWithin { writes, id, seed }),
    ]
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    id: String,
    /// When it is due, or when it died.
    at: u64,
    /// Breaks ties: the order of acceptance.
    order: u64,
    attempts: u32,
    round: u32,
    cost: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Model {
    pending: Vec<Item>,
    dead: Vec<Item>,
    known: VecDeque<String>,
    delivered: u64,
    dropped: u64,
    accepted: u64,
}

fn bytes(items: &[Item]) -> u64 {
    items.iter().map(|item| item.cost).sum()
}

impl Model {
    fn sort(&mut self) {
        self.pending.sort_by_key(|item| (item.at, item.order));
        self.dead.sort_by_key(|item| (item.at, item.order));
    }

    fn add(&mut self, id: &str, cost: u64, now: u64) -> Done {
        let is_there = self.pending.iter().chain(&self.dead).any(|item| item.id == id);
        if is_there || self.known.iter().any(|known| known == id) {
            return Done::Known;
        }
        if self.pending.len() as u64 >= LIMITS.pending_max {
            return Done::Full(Fullness::Count(LIMITS.pending_max));
        }
        if bytes(&self.pending) + cost > LIMITS.pending_bytes_max {
            return Done::Full(Fullness::Bytes(LIMITS.pending_bytes_max));
        }
        self.accepted += 1;
        let order = self.accepted;
        self.pending.push(Item { id: id.into(), at: now, order, attempts: 0, round: 0, cost });
        self.sort();
        Done::Added
    }

    fn settle(&mut self, id: &str, how: u8, now: u64) {
        let index = self.pending.iter().position(|item| item.id == id).unwrap();
        let mut item = self.pending.remove(index);
        item.attempts += 1;
        item.round += 1;
        match how {
            0 => {
                self.delivered += 1;
                self.known.push_back(item.id);
                if self.known.len() as u64 > LIMITS.delivered_max {
                    self.known.pop_front();
                }
            }
            1 => self.dead.push(Item { at: now, ..item }),
            _ => self.pending.push(Item { at: now + 50 * u64::from(how), ..item }),
        }
        self.sort();
        while self.dead.len() > 1
            && (self.dead.len() as u64 > LIMITS.dead_max
                || bytes(&self.dead) > LIMITS.dead_bytes_max)
        {
            self.dead.remove(0);
            self.dropped += 1;
        }
    }

    fn retry(&mut self, id: &str, now: u64) -> usize {
        let (list, index) = match self.dead.iter().position(|item| item.id == id) {
            Some(index) => (&mut self.dead, index),
            None => match self.pending.iter().position(|item| item.id == id) {
                Some(index) => (&mut self.pending, index),
                None => return 0,
            },
        };
        let item = Item { at: now, round: 0, ..list.remove(index) };
        self.pending.push(item);
        self.sort();
        1
    }

    fn remove(&mut self, id: &str) -> usize {
        let before = self.pending.len() + self.dead.len();
        self.pending.retain(|item| item.id != id);
        self.dead.retain(|item| item.id != id);
        before - self.pending.len() - self.dead.len()
    }
}

struct Run {
    disk: Disk,
    store: Store,
    model: Model,
    now: u64,
}

impl Run {
    fn take(&mut self, step: Step) {
        let now = self.now;
        match step {
            Step::Add { id, size } => {
                let (change, cost, id) = adding(id, size, now);
                let expected = self.model.add(&id, cost, now);
                assert_eq!(self.store.apply(&[change]).unwrap(), [expected]);
            }
            Step::Attempt { max, how } => self.attempt(max, how),
            Step::Retry { id } => {
                let id = format!("id{id}");
                let expected = Done::Changed(self.model.retry(&id, now));
                assert_eq!(self.store.apply(&[Change::Retry { id, now }]).unwrap(), [expected]);
            }
            Step::RetryDead { max } => {
                let ids: Vec<_> =
                    self.model.dead.iter().take(max).map(|item| item.id.clone()).collect();
                let count = ids.iter().map(|id| self.model.retry(id, now)).sum();
                let done = self.store.apply(&[Change::RetryDead { now, max }]).unwrap();
                assert_eq!(done, [Done::Changed(count)]);
            }
            Step::Remove { id } => {
                let id = format!("id{id}");
                let expected = Done::Changed(self.model.remove(&id));
                assert_eq!(self.store.apply(&[Change::Remove { id }]).unwrap(), [expected]);
            }
            Step::Pass { millis } => self.now += millis,
            Step::Reopen => {
                self.store.close();
                self.store = on(&self.disk, LIMITS).unwrap();
            }
            Step::Cut { seed } => self.restart(seed),
            Step::CutWithin { writes, id, seed } => self.cut_within(writes, id, seed),
        }
    }

    fn attempt(&mut self, max: usize, how: [u8; 3]) {
        let now = self.now;
        let due = self.store.due(now, max, |_| false).unwrap();
        let expected: Vec<_> =
            self.model.pending.iter().filter(|item| item.at <= now).take(max).cloned().collect();
        let ids: Vec<_> = due.letters.iter().map(|letter| letter.record.id.clone()).collect();
        assert_eq!(ids, expected.iter().map(|item| item.id.clone()).collect::<Vec<_>>());
        let next = self.model.pending.get(expected.len()).map(|item| item.at);
        assert_eq!(due.next_at, next);
        let changes: Vec<_> = due
            .letters
            .iter()
            .zip(how)
            .map(|(letter, how)| {
                let serial = letter.serial;
                let last = Last::new(now, None, "no answer");
                match how {
                    0 => Change::Delivered { serial },
                    1 => Change::Failed { serial, last, next: Next::Dead },
                    _ => {
                        let next = Next::At(now + 50 * u64::from(how));
                        Change::Failed { serial, last, next }
                    }
                }
            })
            .collect();
        let done = self.store.apply(&changes).unwrap();
        assert!(done.iter().all(|done| *done == Done::Changed(1)));
        ids.iter().zip(how).for_each(|(id, how)| self.model.settle(id, how, now));
    }

    fn restart(&mut self, seed: u64) {
        self.disk = self.disk.cut(seed);
        self.store = on(&self.disk, LIMITS).unwrap();
    }

    /// A commit that is cut short happened or did not happen. One that was reported did.
    fn cut_within(&mut self, writes: u32, id: u8, seed: u64) {
        let (change, cost, id) = adding(id, 700, self.now);
        let mut after = self.model.clone();
        let expected = after.add(&id, cost, self.now);
        self.disk.fail_after(writes);
        let applied = self.store.apply(&[change]);
        self.restart(seed);
        match applied {
            Ok(done) => {
                assert_eq!(done, [expected]);
                self.model = after;
            }
            Err(_) => {
                let stored = snapshot(&self.store);
                if stored == expected_snapshot(&after) {
                    self.model = after;
                }
            }
        }
    }
}

fn adding(id: u8, size: usize, now: u64) -> (Change, u64, String) {
    let id = format!("id{id}");
    let change = add(&id, &vec![b'7'; size], now);
    let cost = match &change {
        Change::Add { record, .. } => record.cost(),
        _ => unreachable!(),
    };
    (change, cost, id)
}

type Row = (String, u64, u32, u32);

#[derive(Debug, PartialEq, Eq)]
struct Snapshot {
    pending: Vec<Row>,
    dead: Vec<Row>,
    totals: [u64; 7],
}

fn snapshot(store: &Store) -> Snapshot {
    let rows = |list| -> Vec<Row> {
        let page = store.page(list, None, 100).unwrap();
        page.into_iter()
            .map(|(Place(at, _), record)| (record.id, at, record.attempts, record.round))
            .collect()
    };
    let totals = store.totals();
    let Totals { pending, pending_bytes, dead, dead_bytes, known, delivered, dropped, .. } = totals;
    Snapshot {
        pending: rows(List::Pending),
        dead: rows(List::Dead),
        totals: [pending, pending_bytes, dead, dead_bytes, known, delivered, dropped],
    }
}

fn expected_snapshot(model: &Model) -> Snapshot {
    let rows = |items: &[Item]| -> Vec<Row> {
        items.iter().map(|it| (it.id.clone(), it.at, it.attempts, it.round)).collect()
    };
    let count = |items: &[Item]| items.len() as u64;
    Snapshot {
        pending: rows(&model.pending),
        dead: rows(&model.dead),
        totals: [
            count(&model.pending),
            bytes(&model.pending),
            count(&model.dead),
            bytes(&model.dead),
            model.known.len() as u64,
            model.delivered,
            model.dropped,
        ],
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_acts_keeps_what_was_accepted(
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let disk = Disk::default();
        let store = on(&disk, LIMITS).unwrap();
        let mut run = Run { disk, store, model: Model::default(), now: 1_000 };
        for step in steps {
            run.take(step);
            prop_assert_eq!(snapshot(&run.store), expected_snapshot(&run.model), "after {:?}", step);
        }
    }
}
