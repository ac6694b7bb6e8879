//! Whole connections in simulated time, with everything going wrong that can, and the rules of a
//! connection checked after every step.
//!
//! A run is a function of its tape of numbers, and a seed stands for a tape: the same seed gives the
//! same run on every machine. What fails is cut down to the shortest tape that still fails by the
//! same rule.
//!
//! ```
//! use cndt_testkit::sim;
//!
//! let summary = sim::run(7).map_err(|failure| failure.to_string())?;
//! assert!(summary.steps > 0);
//! assert_eq!(sim::run(7).map(|again| again.hash).ok(), Some(summary.hash));
//! # Ok::<(), String>(())
//! ```

mod broken;
mod endpoint;
mod hostile;
mod link;
mod pair;
mod payload;
mod pipe;
mod scene;
mod shrink;
mod tap;
mod tape;
mod world;

use std::fmt;
use std::num::ParseIntError;

pub use broken::Invariant;
pub use shrink::shrink;

use world::World;

/// What a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Things that were done.
    pub steps: u64,
    /// Events that connections told.
    pub events: u64,
    /// Simulated time.
    pub micros: u64,
    /// Stands for everything that was seen: two runs of one tape have the same.
    pub hash: u64,
}

/// A run in which a rule did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The rule.
    pub invariant: Invariant,
    /// How it did not hold.
    pub words: String,
    /// The numbers that the run was made of.
    pub tape: Vec<u16>,
    /// How many things were done until then.
    pub steps: u64,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} after {} steps: {}", self.invariant, self.steps, self.words)
    }
}

impl std::error::Error for Failure {}

/// Runs what a seed stands for. One seed in a hundred is run twice, to see that it gives the same.
///
/// # Errors
/// The first rule that did not hold.
pub fn run(seed: u64) -> Result<Summary, Failure> {
    let tape = tape::from_seed(seed);
    let summary = replay(&tape)?;
    if seed.is_multiple_of(100) && replay(&tape).ok() != Some(summary) {
        let words = "a second run of the same tape went another way".to_string();
        let (invariant, steps) = (Invariant::Deterministic, summary.steps);
        return Err(Failure { invariant, words, tape, steps });
    }
    Ok(summary)
}

/// Runs what a tape says. Any numbers are a tape.
///
/// # Errors
/// The first rule that did not hold.
pub fn replay(tape: &[u16]) -> Result<Summary, Failure> {
    let mut world = World::new(tape, false);
    let outcome = world.play();
    outcome.map(|()| summary(&world)).map_err(|broken| Failure {
        invariant: broken.invariant,
        words: broken.words,
        tape: tape.to_vec(),
        steps: world.steps,
    })
}

/// The tape that a seed stands for.
pub fn tape(seed: u64) -> Vec<u16> {
    tape::from_seed(seed)
}

/// Reads a tape as hex digits, four for each number; white space is passed over.
///
/// # Errors
/// What is no hex digit.
pub fn parse_tape(digits: &str) -> Result<Vec<u16>, ParseIntError> {
    let digits: Vec<char> = digits.chars().filter(|digit| !digit.is_whitespace()).collect();
    let numbers = digits.chunks(4).map(|four| four.iter().collect::<String>());
    numbers.map(|number| u16::from_str_radix(&number, 16)).collect()
}

/// What happens in the run of a tape, line by line, and how it ends.
pub fn trace(tape: &[u16]) -> Vec<String> {
    let mut world = World::new(tape, true);
    let end = match world.play() {
        Ok(()) => "all rules held".to_string(),
        Err(broken) => format!("{} does not hold: {}", broken.invariant, broken.words),
    };
    let mut lines = world.into_trace();
    lines.push(end);
    lines
}

fn summary(world: &World<'_>) -> Summary {
    Summary { steps: world.steps, events: world.events(), micros: world.time, hash: world.hash }
}
