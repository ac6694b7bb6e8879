//! Who may begin a login: strangers are bounded, in number and in how often they may be wrong.
//!
//! Nothing here takes time or does I/O; the clock is passed in.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use cndt_core::resilience::{Rate, TokenBucket};
use cndt_core::time::Instant;

use crate::descriptor::ServerDescriptor;

/// Addresses that are remembered for failed logins. Beyond it the one that failed longest ago is
/// forgotten.
const SOURCES_MAX: usize = 65_536;

/// Why a connection was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Too many connections are logging in, and all of them have begun to.
    #[error("{0} connections are logging in already (half_open_max); try again in a moment")]
    HalfOpen(usize),
    /// Every place is taken, and the connection would not log in.
    #[error("all {0} places are taken (max_connections)")]
    Full(usize),
    /// Too many connections from there are logging in.
    #[error("{0} connections from this address are logging in (half_open_per_address_max)")]
    Address(usize),
    /// Too many logins from there have failed.
    #[error("logins from this address have failed too often; the next is looked at in {0:?}")]
    FailedLogins(Duration),
    /// Too many logins from anywhere have failed, and some of them from there.
    #[error("too many logins fail at the moment (failed_logins_per_second_max)")]
    Overload,
}

/// Where connections come from: an address, or the network that one subscriber has of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Source(u64);

impl Source {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(u64::from(address.to_bits())),
            // Networks of IPv6 are /64; no address of IPv4 has bits so high up that it meets one.
            IpAddr::V6(address) => Self((address.to_bits() >> 64) as u64 | 1 << 63),
        }
    }
}

/// Counts the strangers.
#[derive(Debug)]
pub(super) struct Admission {
    per_address_max: usize,
    limits_loopback: bool,
    half_open: HashMap<Source, usize>,
    /// What one failure costs, in the unit of the buckets.
    failure_cost: u64,
    failure_rate: Rate,
    failures: HashMap<Source, (u64, TokenBucket)>,
    /// The same sources by when they failed last.
    by_age: BTreeMap<u64, Source>,
    failed: u64,
    all_failures: Option<TokenBucket>,
}

impl Admission {
    /// The descriptor has been validated.
    pub(super) fn new(descriptor: &ServerDescriptor) -> Self {
        const MICROS: u64 = 1_000_000;
        let interval = descriptor.failed_login_interval.as_micros().max(1);
        let failure_cost = u64::try_from(interval).unwrap_or(u64::MAX);
        let burst = failure_cost.saturating_mul(u64::from(descriptor.failed_logins_max));
        Self {
            per_address_max: descriptor.half_open_per_address_max,
            limits_loopback: descriptor.limit_loopback,
            half_open: HashMap::new(),
            failure_cost,
            failure_rate: Rate { per_second: MICROS, burst },
            failures: HashMap::new(),
            by_age: BTreeMap::new(),
            failed: 0,
            all_failures: TokenBucket::new(Rate::per_second(
                descriptor.failed_logins_per_second_max,
            ))
            .ok(),
        }
    }

    /// The source that rules per address apply to. Loopback is spared unless it is to be limited:
    /// proxies, tests and local tools share it. So are streams without an address.
    pub(super) fn source(&self, address: Option<IpAddr>) -> Option<Source> {
        let address = address?;
        let is_spared = address.to_canonical().is_loopback() && !self.limits_loopback;
        (!is_spared).then(|| Source::of(address))
    }

    /// Counts one more that begins to log in; undone by [`Admission::end`].
    pub(super) fn begin(&mut self, now: Instant, source: Option<Source>) -> Result<(), Refusal> {
        let Some(source) = source else { return Ok(()) };
        let cost = self.failure_cost;
        if let Some((_, failures)) = self.failures.get_mut(&source) {
            let wait = failures.time_until_allowed(now, cost);
            if !wait.is_zero() {
                return Err(Refusal::FailedLogins(wait));
            }
            let overload = self.all_failures.as_mut();
            if overload.is_some_and(|all| !all.time_until_allowed(now, 1).is_zero()) {
                return Err(Refusal::Overload);
            }
        }
        let count = self.half_open.get(&source).copied().unwrap_or(0);
        if count >= self.per_address_max {
            return Err(Refusal::Address(count));
        }
        self.half_open.insert(source, count + 1);
        Ok(())
    }

    /// One that had begun is logged in, or gone.
    pub(super) fn end(&mut self, source: Option<Source>) {
        let Some(source) = source else { return };
        if let Some(count) = self.half_open.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.half_open.remove(&source);
            }
        }
    }

    /// A login was wrong.
    pub(super) fn failed(&mut self, now: Instant, source: Option<Source>) {
        if let Some(all) = &mut self.all_failures {
            let _ = all.take(now, 1);
        }
        let Some(source) = source else { return };
        let order = self.failed;
        self.failed += 1;
        let bucket = match self.failures.remove(&source) {
            Some((before, bucket)) => {
                self.by_age.remove(&before);
                Some(bucket)
            }
            None => TokenBucket::new(self.failure_rate).ok(),
        };
        let Some(mut bucket) = bucket else { return };
        if self.failures.len() >= SOURCES_MAX
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.failures.remove(&oldest);
        }
        let _ = bucket.take(now, self.failure_cost);
        self.failures.insert(source, (order, bucket));
        self.by_age.insert(order, source);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    fn admission() -> Admission {
        Admission::new(&ServerDescriptor::new("secret").limit_loopback(true))
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))
    }

    #[test]
    fn one_address_has_its_share_and_no_more() {
        let mut admission = admission();
        let one = admission.source(Some(address(1)));
        for _ in 0..16 {
            assert_eq!(admission.begin(at(0), one), Ok(()));
        }
        assert_eq!(admission.begin(at(0), one), Err(Refusal::Address(16)));
        let other = admission.source(Some(address(2)));
        assert_eq!(admission.begin(at(0), other), Ok(()));
        admission.end(one);
        assert_eq!(admission.begin(at(0), one), Ok(()));
        for _ in 0..16 {
            admission.end(one);
        }
        admission.end(other);
        assert!(admission.half_open.is_empty(), "nothing is left behind");
    }

    #[test]
    fn an_address_that_is_often_wrong_waits_and_no_other_does() {
        let mut admission = admission();
        let wrong = admission.source(Some(address(1)));
        for _ in 0..5 {
            assert_eq!(admission.begin(at(0), wrong), Ok(()));
            admission.end(wrong);
            admission.failed(at(0), wrong);
        }
        let wait = Duration::from_secs(5);
        assert_eq!(admission.begin(at(0), wrong), Err(Refusal::FailedLogins(wait)));
        assert_eq!(admission.begin(at(0), admission.source(Some(address(2)))), Ok(()));
        assert_eq!(admission.begin(at(5), wrong), Ok(()));
        admission.failed(at(5), wrong);
        assert!(admission.begin(at(5), wrong).is_err());
    }

    #[test]
    fn under_a_storm_only_those_who_were_never_wrong_are_looked_at() {
        let mut admission = admission();
        for last in 0..100 {
            admission.failed(at(0), admission.source(Some(address(last))));
        }
        let seen = admission.source(Some(address(7)));
        assert_eq!(admission.begin(at(0), seen), Err(Refusal::Overload));
        assert_eq!(admission.begin(at(0), admission.source(Some(address(200)))), Ok(()));
        assert_eq!(admission.begin(at(1), seen), Ok(()));
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let mut admission = admission();
        for number in 0..u32::try_from(SOURCES_MAX).expect("it is small") + 100 {
            let address = IpAddr::V4(Ipv4Addr::from_bits(number));
            admission.failed(at(0), admission.source(Some(address)));
        }
        assert_eq!((admission.failures.len(), admission.by_age.len()), (SOURCES_MAX, SOURCES_MAX));
        let first = admission.source(Some(IpAddr::V4(Ipv4Addr::from_bits(0))));
        assert!(first.is_some_and(|first| !admission.failures.contains_key(&first)));
    }

    #[test]
    fn neighbours_share_a_network_of_ipv6_and_loopback_is_spared() {
        let network = |host: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, 2, 0, 0, 0, host));
        let admission = admission();
        assert_eq!(admission.source(Some(network(1))), admission.source(Some(network(9))));
        let mapped = Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped();
        assert_eq!(admission.source(Some(IpAddr::V6(mapped))), admission.source(Some(address(1))));
        let sparing = Admission::new(&ServerDescriptor::new("secret"));
        for loopback in ["127.3.2.1", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(sparing.source(loopback.parse().ok()), None, "{loopback}");
        }
        assert_eq!(sparing.source(None), None);
    }
}
