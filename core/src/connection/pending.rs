//! What is under way and found by its id. Ids mostly count up and mostly end in about that order, so
//! a queue serves better than a tree; what deviates is found all the same, at the cost of a tree.

use alloc::collections::{BTreeMap, VecDeque};

/// How many ended entries are tolerated beyond as many as there are open ones.
const ENDED_MAX: usize = 64;

#[derive(Debug)]
pub(crate) struct Pending<T> {
    /// Ordered by id. What has ended stays as `None` until it is in front, or swept.
    rising: VecDeque<(u64, Option<T>)>,
    /// How many of `rising` have not ended.
    rising_open: usize,
    /// Ids that came after greater ones.
    others: BTreeMap<u64, T>,
}

impl<T> Pending<T> {
    pub(crate) fn new() -> Self {
        Self { rising: VecDeque::new(), rising_open: 0, others: BTreeMap::new() }
    }

    /// Adds what is not there.
    pub(crate) fn insert(&mut self, id: u64, value: T) {
        if self.rising.back().is_some_and(|(last, _)| *last >= id) {
            self.others.insert(id, value);
            return;
        }
        self.rising.push_back((id, Some(value)));
        self.rising_open = self.rising_open.saturating_add(1);
        let ended = self.rising.len().saturating_sub(self.rising_open);
        if ended > self.rising_open.saturating_add(ENDED_MAX) {
            self.rising.retain(|(_, value)| value.is_some());
        }
    }

    pub(crate) fn contains(&self, id: u64) -> bool {
        let risen = self.position(id).and_then(|index| self.rising.get(index));
        risen.is_some_and(|(_, value)| value.is_some())
            || !self.others.is_empty() && self.others.contains_key(&id)
    }

    pub(crate) fn remove(&mut self, id: u64) -> Option<T> {
        let slot = self.position(id).and_then(|index| self.rising.get_mut(index));
        let Some(value) = slot.and_then(|(_, value)| value.take()) else {
            return self.others.remove(&id);
        };
        self.rising_open = self.rising_open.saturating_sub(1);
        while self.rising.front().is_some_and(|(_, value)| value.is_none()) {
            self.rising.pop_front();
        }
        Some(value)
    }

    /// Where among `rising` it is or was.
    fn position(&self, id: u64) -> Option<usize> {
        let (first, _) = self.rising.front()?;
        let guess = usize::try_from(id.checked_sub(*first)?).ok()?;
        if self.rising.get(guess).is_some_and(|(found, _)| *found == id) {
            return Some(guess);
        }
        self.rising.binary_search_by_key(&id, |(id, _)| *id).ok()
    }

    pub(crate) fn len(&self) -> usize {
        self.rising_open.saturating_add(self.others.len())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The ids: those that counted up, in order, before the others.
    pub(crate) fn ids(&self) -> impl Iterator<Item = u64> {
        let rising = self.rising.iter().filter(|(_, value)| value.is_some()).map(|(id, _)| *id);
        rising.chain(self.others.keys().copied())
    }

    /// Gives memory back that only a busy connection needs.
    pub(crate) fn shrink(&mut self) {
        self.rising.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::btree_map::Entry;
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against the tree that it stands for, with ids in any order.
        #[test]
        fn is_a_map(steps in prop::collection::vec((0_u64..40, any::<bool>(), any::<bool>()), 0..400)) {
            let (mut pending, mut model) = (Pending::new(), BTreeMap::new());
            let mut next = 0;
            for (step, (id, counts_up, removes)) in steps.into_iter().enumerate() {
                let id = if counts_up { next } else { id };
                if removes {
                    prop_assert_eq!(pending.remove(id), model.remove(&id));
                } else if let Entry::Vacant(vacant) = model.entry(id) {
                    prop_assert!(!pending.contains(id));
                    pending.insert(id, step);
                    vacant.insert(step);
                    next = next.max(id + 1);
                }
                prop_assert_eq!(pending.contains(id), model.contains_key(&id));
                prop_assert_eq!(pending.len(), model.len());
                prop_assert_eq!(pending.is_empty(), model.is_empty());
                let mut ids: Vec<u64> = pending.ids().collect();
                ids.sort_unstable();
                prop_assert!(ids.into_iter().eq(model.keys().copied()));
            }
        }
    }

    #[test]
    fn one_that_stays_does_not_keep_the_others() {
        let mut pending = Pending::new();
        pending.insert(0, ());
        for id in 1..10_000 {
            pending.insert(id, ());
            assert_eq!(pending.remove(id), Some(()));
        }
        assert!(pending.rising.len() <= ENDED_MAX + 3, "{}", pending.rising.len());
        assert!(pending.contains(0));
    }
}
