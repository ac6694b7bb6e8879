use std::time::Duration;

use cndt_core::resilience::Permit;
use cndt_core::time::Instant;

use super::breaker::Breaker;
use crate::client::Load;

/// A member that was never measured counts as if its round trip took so long: it is chosen when the
/// others are busier still.
const UNMEASURED: Duration = Duration::from_secs(10);

/// Which member of a pool is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Balance {
    /// Members take turns: whoever was not chosen for longest is next.
    #[default]
    RoundRobin,
    /// Each with the same odds. Many pools that begin together do not keep in step.
    Random,
    /// Whoever will probably answer first: the mean round trip that its connection has measured,
    /// times one more than the calls that are under way on it. Round trips are measured by a ping at
    /// each login, by heartbeats and by `PoolHandle::ping_all`.
    LeastLatency,
}

/// Knows whose turn it is.
#[derive(Debug)]
pub(super) struct Chooser {
    balance: Balance,
    turn: u64,
    random: u64,
    standings: Vec<Standing>,
}

/// What is remembered of one member.
#[derive(Debug, Clone)]
struct Standing {
    last_turn: u64,
    breaker: Option<Breaker>,
}

impl Standing {
    fn ejected_for(&self, now: Instant) -> Option<Duration> {
        self.breaker.as_ref()?.ejected_for(now)
    }
}

/// How a call on a member ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Answered,
    Failed,
    /// Nobody knows how it would have ended.
    GivenUp,
}

/// Lesser is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fitness {
    Good,
    /// Paused, or not greeted yet.
    Waiting,
    Ejected,
}

impl Chooser {
    pub(super) fn new(balance: Balance, seed: u64, members: usize) -> Self {
        let standings = vec![Standing { last_turn: 0, breaker: Breaker::new() }; members];
        Self { balance, turn: 0, random: seed, standings }
    }

    /// The place of the member to use, given how busy each is; those without a load cannot be used.
    pub(super) fn choose(
        &mut self,
        now: Instant,
        loads: impl Iterator<Item = Option<Load>>,
        except: Option<usize>,
    ) -> Option<usize> {
        let mut best = None;
        for (place, load) in loads.enumerate() {
            let Some(load) = load.filter(|_| Some(place) != except) else { continue };
            let weight = self.weight(load);
            let Some(standing) = self.standings.get(place) else { continue };
            let fitness = if standing.ejected_for(now).is_some() {
                Fitness::Ejected
            } else if load.is_free {
                Fitness::Good
            } else {
                Fitness::Waiting
            };
            let rank = (fitness, weight, standing.last_turn);
            if best.is_none_or(|(lowest, _)| rank < lowest) {
                best = Some((rank, place));
            }
        }
        let (_, chosen) = best?;
        self.turn += 1;
        if let Some(standing) = self.standings.get_mut(chosen) {
            standing.last_turn = self.turn;
        }
        Some(chosen)
    }

    /// Lesser is better; equals take turns.
    fn weight(&mut self, load: Load) -> u128 {
        match self.balance {
            Balance::RoundRobin => 0,
            Balance::Random => u128::from(self.draw()),
            Balance::LeastLatency => {
                let round_trip = load.round_trip.unwrap_or(UNMEASURED).as_micros().max(1);
                let calls = u128::try_from(load.calls_open).unwrap_or(u128::MAX);
                round_trip.saturating_mul(calls.saturating_add(1))
            }
        }
    }

    /// SplitMix64: nobody gains by foreseeing these numbers, so that a cheap generator does.
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A call on this member begins.
    pub(super) fn begin(&mut self, member: usize, now: Instant) -> Option<Permit> {
        self.standings.get_mut(member)?.breaker.as_mut()?.begin(now)
    }

    pub(super) fn record(
        &mut self,
        member: usize,
        now: Instant,
        permit: Option<Permit>,
        ended: Ended,
    ) {
        let Some(standing) = self.standings.get_mut(member) else { return };
        let Some(breaker) = &mut standing.breaker else { return };
        match ended {
            Ended::Answered => breaker.answered(now, permit),
            Ended::Failed => breaker.failed(now, permit),
            Ended::GivenUp => breaker.given_up(now, permit),
        }
    }

    pub(super) fn ejected_for(&self, member: usize, now: Instant) -> Option<Duration> {
        self.standings.get(member)?.ejected_for(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_micros(1_000_000);
    const FREE: Load = Load { is_free: true, calls_open: 0, round_trip: None };

    fn choose(chooser: &mut Chooser, loads: &[Option<Load>]) -> Option<usize> {
        chooser.choose(NOW, loads.iter().copied(), None)
    }

    fn counts(chooser: &mut Chooser, loads: &[Option<Load>], rounds: usize) -> Vec<usize> {
        let mut counts = vec![0; loads.len()];
        for _ in 0..rounds {
            counts[choose(chooser, loads).unwrap()] += 1;
        }
        counts
    }

    fn eject(chooser: &mut Chooser, member: usize) {
        for _ in 0..3 {
            let permit = chooser.begin(member, NOW);
            chooser.record(member, NOW, permit, Ended::Failed);
        }
    }

    #[test]
    fn members_take_turns_also_when_some_are_missing() {
        let mut chooser = Chooser::new(Balance::RoundRobin, 0, 4);
        assert_eq!(counts(&mut chooser, &[Some(FREE); 4], 40), [10; 4]);
        let some = [Some(FREE), None, Some(FREE), Some(FREE)];
        assert_eq!(counts(&mut chooser, &some, 30), [10, 0, 10, 10]);
        // Who comes back makes up for nothing.
        let back = counts(&mut chooser, &[Some(FREE); 4], 40);
        assert!(back.iter().all(|count| (9..=11).contains(count)), "{back:?}");
        assert_eq!(choose(&mut chooser, &[None; 4]), None);
    }

    #[test]
    fn chance_favours_nobody() {
        for seed in [0, 1, u64::MAX] {
            let mut chooser = Chooser::new(Balance::Random, seed, 4);
            let counts = counts(&mut chooser, &[Some(FREE); 4], 4000);
            assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
        }
    }

    #[test]
    fn latency_counts_with_the_calls_under_way() {
        let load = |micros: Option<u64>, calls_open| {
            Some(Load { is_free: true, calls_open, round_trip: micros.map(Duration::from_micros) })
        };
        let mut chooser = Chooser::new(Balance::LeastLatency, 0, 3);
        let mut choose = |loads: &[_]| choose(&mut chooser, loads).unwrap();
        assert_eq!(choose(&[load(Some(900), 0), load(Some(300), 0), load(Some(500), 0)]), 1);
        assert_eq!(choose(&[load(Some(900), 0), load(Some(300), 3), load(Some(500), 0)]), 2);
        assert_eq!(choose(&[load(Some(900), 0), load(Some(300), 3), load(Some(500), 1)]), 0);
        assert_eq!(choose(&[load(None, 0), load(Some(300), 9), load(Some(500), 9)]), 1);
        let equal = [load(None, 0), load(None, 0), load(None, 0)];
        assert_eq!(counts(&mut Chooser::new(Balance::LeastLatency, 0, 3), &equal, 30), [10; 3]);
    }

    #[test]
    fn those_who_wait_or_are_out_come_last() {
        let paused = Some(Load { is_free: false, ..FREE });
        let mut chooser = Chooser::new(Balance::RoundRobin, 0, 3);
        eject(&mut chooser, 0);
        assert_eq!(counts(&mut chooser, &[Some(FREE), paused, Some(FREE)], 9), [0, 0, 9]);
        assert_eq!(counts(&mut chooser, &[Some(FREE), paused, None], 9), [0, 9, 0]);
        assert_eq!(counts(&mut chooser, &[Some(FREE), None, None], 9), [9, 0, 0]);
        assert_eq!(chooser.choose(NOW, [Some(FREE), None, None].into_iter(), Some(0)), None);
        chooser.record(0, NOW, None, Ended::Answered);
        assert_eq!(counts(&mut chooser, &[Some(FREE), paused, Some(FREE)], 8)[1], 0);
        assert_eq!(chooser.ejected_for(0, NOW), None);
    }
}
