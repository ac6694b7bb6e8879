//! A run is a function of its tape: every choice is the next number on it. Beyond its end there are
//! only zeros, and zero always means the simplest choice and no fault, so that a shorter tape is a
//! simpler run.

/// The tape that a seed stands for.
pub(super) fn from_seed(seed: u64) -> Vec<u16> {
    let mut state = seed;
    let mut next = move || {
        // SplitMix64: any seed is good, neighbours are unrelated.
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    };
    let length = 1500 + (next() % 6500) as usize;
    let mut tape = Vec::with_capacity(length + 4);
    while tape.len() < length {
        let word = next();
        tape.extend((0..4).map(|quarter| (word >> (16 * quarter)) as u16));
    }
    tape
}

/// A tape and the place on it.
#[derive(Debug)]
pub(super) struct Tape<'a> {
    draws: &'a [u16],
    at: usize,
}

impl<'a> Tape<'a> {
    pub(super) fn new(draws: &'a [u16]) -> Self {
        Self { draws, at: 0 }
    }

    pub(super) fn is_over(&self) -> bool {
        self.at >= self.draws.len()
    }

    fn next(&mut self) -> u16 {
        let draw = self.draws.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        draw
    }

    /// Less than `bound`.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        usize::from(self.next()) % bound.max(1)
    }

    /// True so many times in a hundred.
    pub(super) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) >= 100 - percent.min(100)
    }

    pub(super) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}
