use std::fmt;

/// A rule of a connection; see `ARCHITECTURE.md` for what breaks each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Invariant {
    /// Every call has exactly one outcome, and the right one.
    OneOutcome,
    /// Nothing is told and nothing is written after the end, which is told once.
    EndIsLast,
    /// What arrives is what was sent: in order, once, unchanged.
    Delivery,
    /// What did not leave is told, and what is told not to have left did not arrive.
    Accounting,
    /// After `handle_timeout` the next deadline lies later; no timer goes off early or is missed.
    Deadlines,
    /// Before login nothing but the login passes, in either direction.
    LoginFirst,
    /// Nobody gets in without knowing the password, or by what was recorded.
    OnlyTheRight,
    /// While a peer has asked for a pause, nothing new of what it holds back is sent to it.
    PauseHolds,
    /// A ping is answered at once, or the connection ends.
    PingsAnswered,
    /// Calls are numbered upwards from 1.
    IdsRise,
    /// What waits is within the limits.
    Bounded,
    /// The same bytes mean the same however they are cut.
    Chunking,
    /// The numbers of the statistics add up.
    StatsAddUp,
    /// Frames that leave are whole and of the connection's dialect.
    FramesWhole,
    /// Once faults cease, everything comes to an end in bounded time.
    ComesToRest,
    /// The same tape gives the same run.
    Deterministic,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// A rule that did not hold, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) invariant: Invariant,
    pub(super) words: String,
}

pub(super) fn broken<T>(invariant: Invariant, words: impl Into<String>) -> Result<T, Broken> {
    Err(Broken { invariant, words: words.into() })
}

/// Fails unless it holds; the words are made only then.
pub(super) fn ensure(
    holds: bool,
    invariant: Invariant,
    words: impl FnOnce() -> String,
) -> Result<(), Broken> {
    if holds { Ok(()) } else { broken(invariant, words()) }
}
