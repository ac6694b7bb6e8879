use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// How long a step is, in microseconds.
const STEP: u64 = 10_000;

/// Events to come, in the order of their times, and within one moment in the order in which they were
/// planned.
///
/// Only those of the current step are kept in order; later ones lie unsorted in their own steps. With
/// half a million to come a single heap spends its time on waiting for memory.
#[derive(Debug)]
pub(super) struct Timeline<E> {
    current: usize,
    soon: BinaryHeap<Reverse<(u64, u64, E)>>,
    steps: Vec<Vec<(u64, u64, E)>>,
    planned: u64,
}

impl<E: Ord> Timeline<E> {
    /// With an end, in microseconds: what is planned for then or later never happens.
    pub(super) fn new(end: u64) -> Self {
        let steps = usize::try_from(end.div_ceil(STEP)).unwrap_or(usize::MAX);
        Self {
            current: 0,
            soon: BinaryHeap::new(),
            steps: (0..steps).map(|_| Vec::new()).collect(),
            planned: 0,
        }
    }

    /// Not before the event that happened last.
    pub(super) fn plan(&mut self, micros: u64, event: E) {
        self.planned += 1;
        let planned = (micros, self.planned, event);
        let step = usize::try_from(micros / STEP).unwrap_or(usize::MAX);
        if step <= self.current {
            self.soon.push(Reverse(planned));
        } else if let Some(step) = self.steps.get_mut(step) {
            step.push(planned);
        }
    }

    /// The next one, and when it happens.
    pub(super) fn next(&mut self) -> Option<(u64, E)> {
        while self.soon.is_empty() {
            self.current += 1;
            let step = std::mem::take(self.steps.get_mut(self.current)?);
            self.soon.extend(step.into_iter().map(Reverse));
        }
        self.soon.pop().map(|Reverse((micros, _, event))| (micros, event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_happen_in_the_order_of_their_times_and_then_of_their_planning() {
        let mut timeline = Timeline::new(50_000);
        for (micros, event) in [(20_001, 0), (5, 1), (20_000, 2), (49_999, 3), (5, 4), (50_000, 5)]
        {
            timeline.plan(micros, event);
        }
        assert_eq!(timeline.next(), Some((5, 1)));
        timeline.plan(5, 6);
        timeline.plan(20_000, 7);
        let rest: Vec<_> = std::iter::from_fn(|| timeline.next()).map(|(_, event)| event).collect();
        assert_eq!(rest, [4, 6, 2, 7, 0, 3]);
    }
}
