use std::collections::VecDeque;

use super::schedule::{Health, Phase};

/// Nanoseconds of a second. Finer than the clients' clocks: at 30,000 requests a second each takes
/// 33.3 µs.
const SECOND: u64 = 1_000_000_000;

/// What becomes of a request. Times are in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    /// It is done then, whether or not anybody still waits.
    Done { at: u64 },
    /// The queue is full: RATE_LIMITED, at once.
    Busy,
    /// The connection is refused, at once.
    Unreachable,
    /// Nothing is ever heard of it.
    Lost,
}

/// One after the other, first come first served, with a bounded queue. It does not learn that a
/// client has given up, and does the work all the same; when it goes down its queue is gone.
#[derive(Debug)]
pub(super) struct Server {
    /// Each with its end, in nanoseconds.
    phases: Vec<(u64, Health)>,
    current: usize,
    per_second: u64,
    queue_max: usize,
    /// When each request that was taken is done, in nanoseconds.
    queue: VecDeque<u64>,
}

impl Server {
    pub(super) fn new(schedule: &[Phase], per_second: u64, queue_max: usize) -> Self {
        let mut end = 0_u64;
        let phases = schedule.iter().map(|phase| {
            end += phase.seconds * SECOND;
            (end, phase.health)
        });
        Self {
            phases: phases.collect(),
            current: 0,
            per_second: per_second.max(1),
            queue_max,
            queue: VecDeque::new(),
        }
    }

    /// A request that arrives at so many microseconds, not before an earlier one.
    pub(super) fn offer(&mut self, micros: u64) -> Reply {
        let now = micros * 1000;
        self.advance(now);
        match self.health(self.current) {
            Health::Silent => return Reply::Lost,
            Health::Refusing => return Reply::Unreachable,
            Health::Up | Health::Slow(_) => {}
        }
        if self.queue.len() >= self.queue_max {
            return Reply::Busy;
        }
        let begins = self.queue.back().map_or(now, |last| now.max(*last));
        match self.finish(begins) {
            Some(done) => {
                self.queue.push_back(done);
                Reply::Done { at: done.div_ceil(1000) }
            }
            None => Reply::Lost,
        }
    }

    fn health(&self, phase: usize) -> Health {
        self.phases.get(phase).map_or(Health::Up, |(_, health)| *health)
    }

    fn advance(&mut self, now: u64) {
        while self.phases.get(self.current).is_some_and(|(end, _)| *end <= now) {
            self.current += 1;
            if self.health(self.current).percent() == 0 {
                self.queue.clear();
            }
        }
        while self.queue.front().is_some_and(|done| *done <= now) {
            self.queue.pop_front();
        }
    }

    /// When work is done that begins then; `None` if the server goes down before. It goes on at
    /// another pace where a phase ends.
    fn finish(&self, mut begins: u64) -> Option<u64> {
        let mut phase = self.current;
        // In nanoseconds at full capacity, times 100.
        let mut left = SECOND * 100 / self.per_second;
        loop {
            let end = self.phases.get(phase).map_or(u64::MAX, |(end, _)| *end);
            if end > begins {
                let percent = self.health(phase).percent();
                let takes = left.div_ceil(percent.max(1));
                if percent == 0 {
                    return None;
                }
                if takes <= end - begins {
                    return Some(begins + takes);
                }
                left -= (end - begins) * percent;
                begins = end;
            } else if self.health(phase).percent() == 0 {
                return None;
            }
            phase += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(health: Health, seconds: u64) -> Phase {
        Phase { health, seconds }
    }

    #[test]
    fn requests_are_done_one_after_the_other_and_those_beyond_the_queue_are_refused() {
        let mut server = Server::new(&[phase(Health::Up, 100)], 10, 3);
        let done = [100_000, 200_000, 300_000].map(|at| Reply::Done { at });
        assert_eq!([0; 3].map(|now| server.offer(now)), done);
        assert_eq!(server.offer(99_999), Reply::Busy);
        assert_eq!(server.offer(100_000), Reply::Done { at: 400_000 });
        assert_eq!(server.offer(5_000_000), Reply::Done { at: 5_100_000 });
    }

    #[test]
    fn what_waits_when_it_goes_down_is_gone() {
        let schedule = [phase(Health::Up, 1), phase(Health::Silent, 1), phase(Health::Up, 1)];
        let mut server = Server::new(&schedule, 2, 100);
        let replies = [0, 0, 0].map(|now| server.offer(now));
        let done = |at| Reply::Done { at };
        assert_eq!(replies, [done(500_000), done(1_000_000), Reply::Lost]);
        assert_eq!(server.offer(1_500_000), Reply::Lost);
        assert_eq!(server.offer(2_000_000), done(2_500_000));
    }

    #[test]
    fn work_goes_on_at_the_pace_of_the_hour() {
        let schedule = [phase(Health::Up, 1), phase(Health::Slow(50), 2), phase(Health::Up, 9)];
        let mut server = Server::new(&schedule, 1, 100);
        assert_eq!(server.offer(500_000), Reply::Done { at: 2_000_000 });
        assert_eq!(server.offer(2_000_000), Reply::Done { at: 3_500_000 });
        let mut refusing = Server::new(&[phase(Health::Refusing, 1)], 1, 100);
        assert_eq!(refusing.offer(0), Reply::Unreachable);
        assert_eq!(refusing.offer(1_000_000), Reply::Done { at: 2_000_000 });
    }
}
