//! This side's calls that have no outcome yet: found by correlation id, walked in order, timed out
//! by one deadline.

use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::time::Duration;

use super::pending::Pending;
use crate::time::Instant;

/// How many stale heap entries are tolerated beyond twice the open calls.
const STALE_MAX: usize = 64;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    /// How long it may take, for the words of its failure.
    pub(crate) timeout: Duration,
    pub(crate) awaits: Awaits,
}

/// What ends a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Awaits {
    /// The answer to a request: the peer can be told that nobody wants it any more.
    Answer,
    /// The answer to one of several requests that left together.
    #[cfg(feature = "jsonrpc")]
    AnswerInBatch,
    /// The acknowledgement of a message.
    Ack,
}

#[derive(Debug)]
pub(crate) struct Calls {
    open: Pending<Call>,
    /// Deadlines of open calls, and stale ones of finished calls until they are swept: most calls
    /// end long before their deadline, and removing from the middle of a heap is dear.
    deadlines: BinaryHeap<Reverse<(Instant, u64)>>,
    next: u64,
    /// Calls that ended without an answer, which may still come: late, once.
    unanswered: u64,
}

impl Calls {
    pub(crate) fn new() -> Self {
        // Wire fact 7: ids count up from 1.
        Self { open: Pending::new(), deadlines: BinaryHeap::new(), next: 1, unanswered: 0 }
    }

    /// The id for the next call; `None` once they are used up.
    pub(crate) fn next_id(&self) -> Option<u64> {
        (self.next < u64::MAX).then_some(self.next)
    }

    pub(crate) fn was_issued(&self, id: u64) -> bool {
        (1..self.next).contains(&id)
    }

    pub(crate) fn open(&mut self, id: u64, now: Instant, timeout: Duration, awaits: Awaits) {
        let deadline = now + timeout;
        self.next = id.saturating_add(1);
        self.open.insert(id, Call { timeout, awaits });
        self.deadlines.push(Reverse((deadline, id)));
        if self.deadlines.len() > self.open.len().saturating_mul(2).saturating_add(STALE_MAX) {
            self.sweep();
        }
    }

    pub(crate) fn close(&mut self, id: u64) -> Option<Call> {
        let call = self.open.remove(id);
        if self.open.is_empty() {
            self.deadlines.clear();
        }
        call
    }

    /// As [`Calls::close`], for a call whose answer may still come.
    pub(crate) fn abandon(&mut self, id: u64) -> Option<Call> {
        let call = self.close(id)?;
        self.unanswered = self.unanswered.saturating_add(1);
        Some(call)
    }

    /// Whether an answer to a call that has ended may be a late one. Each counts once.
    pub(crate) fn late_answer(&mut self) -> bool {
        match self.unanswered.checked_sub(1) {
            Some(left) => {
                self.unanswered = left;
                true
            }
            None => false,
        }
    }

    /// The only call that an answer may belong to, if there is but one: none that has ended is
    /// unanswered.
    #[cfg(feature = "jsonrpc")]
    pub(crate) fn only(&self) -> Option<u64> {
        let mut ids = self.open.ids();
        ids.next().filter(|_| ids.next().is_none() && self.unanswered == 0)
    }

    pub(crate) fn contains(&self, id: u64) -> bool {
        self.open.contains(id)
    }

    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Ends one call whose deadline has come.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<(u64, Call)> {
        loop {
            let Reverse((deadline, id)) = *self.deadlines.peek()?;
            if deadline > now {
                return None;
            }
            self.deadlines.pop();
            if let Some(call) = self.open.remove(id) {
                self.unanswered = self.unanswered.saturating_add(1);
                return Some((id, call));
            }
        }
    }

    /// The earliest deadline. It may belong to a call that has ended: one needless wake-up is cheaper
    /// than keeping the heap exact.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.peek().map(|Reverse((deadline, _))| *deadline)
    }

    /// Ends every call, in order of issue.
    pub(crate) fn drain(&mut self) -> Vec<u64> {
        self.deadlines.clear();
        core::mem::replace(&mut self.open, Pending::new()).ids().collect()
    }

    /// Gives memory back that only a busy connection needs.
    pub(crate) fn shrink(&mut self) {
        self.open.shrink();
        self.deadlines.shrink_to_fit();
    }

    fn sweep(&mut self) {
        let open = &self.open;
        self.deadlines.retain(|Reverse((_, id))| open.contains(*id));
    }
}
