use super::{Failure, replay};

/// Cuts the tape of a failure down, as long as the same rule is broken and `may_go_on` says so.
///
/// Shorter is simpler, and so is a zero: beyond its end a tape has only zeros, and a zero is the
/// simplest choice.
pub fn shrink(failure: Failure, mut may_go_on: impl FnMut() -> bool) -> Failure {
    let mut best = failure;
    loop {
        let before = (best.tape.len(), best.steps);
        let mut size = best.tape.len().max(1);
        while size > 0 {
            let mut at = 0;
            while at < best.tape.len() {
                if !may_go_on() {
                    return best;
                }
                let end = (at + size).min(best.tape.len());
                let without = [&best.tape[..at], &best.tape[end..]].concat();
                let mut zeroed = best.tape.clone();
                zeroed[at..end].fill(0);
                match better(&best, without).or_else(|| better(&best, zeroed)) {
                    // After a deletion the next numbers stand here; after zeroing they do not.
                    Some(smaller) if smaller.tape.len() < best.tape.len() => best = smaller,
                    Some(smaller) => {
                        best = smaller;
                        at = end;
                    }
                    None => at = end,
                }
            }
            size /= 2;
        }
        if (best.tape.len(), best.steps) == before {
            return best;
        }
    }
}

/// The failure of this tape, if it is the same one and the tape is simpler.
fn better(best: &Failure, mut tape: Vec<u16>) -> Option<Failure> {
    while tape.last() == Some(&0) {
        tape.pop();
    }
    let weight = |tape: &[u16]| (tape.len(), tape.iter().filter(|draw| **draw != 0).count());
    if weight(&tape) >= weight(&best.tape) {
        return None;
    }
    let failure = replay(&tape).err()?;
    (failure.invariant == best.invariant).then_some(failure)
}
