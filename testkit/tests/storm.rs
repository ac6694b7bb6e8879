//! Ten thousand clients and a server that flaps: no storm under the full policy, and one without.

use std::sync::LazyLock;

use cndt_testkit::storm::{self, Health, Report, Scenario, Strategy};

/// Fewer than in the documentation: everything is per client. With less, chance would show in single
/// seconds.
const CLIENTS: u32 = 1000;
/// A storm is seen from farther away.
const STORMY: u32 = 300;
const SEEDS: [u64; 3] = [1, 2, 3];

fn play(clients: u32, strategy: &Strategy, seed: u64) -> Report {
    let scenario = Scenario { clients, ..Scenario::default() };
    storm::run(&scenario, strategy, seed).unwrap()
}

static FULL: LazyLock<Vec<Report>> = LazyLock::new(|| {
    let full = Strategy::full().unwrap();
    SEEDS.map(|seed| play(CLIENTS, &full, seed)).into()
});

#[test]
fn a_storm_is_seen_where_there_is_one() {
    for (strategy, seed) in [(Strategy::naive(), 1), (Strategy::backoff(), 2)] {
        let report = play(STORMY, &strategy.unwrap(), seed);
        let first = report.recoveries[0];
        assert!(report.peak() > 4.0, "{}", report.peak());
        assert!(first.during > 3.0 && first.after > 3.0, "{first:?}");
        // The server is back and does nothing but what nobody waits for.
        assert_eq!(first.recovered_after, None);
        assert!(report.wasted() > 0.4, "{}", report.wasted());
        assert!(report.left_behind > u64::from(STORMY) / 2, "{}", report.left_behind);
    }
}

#[test]
fn the_full_policy_offers_little_more_than_is_normal() {
    for report in FULL.iter() {
        // Any ten seconds: operations, a fifth of them, and one repetition for each client that it had
        // saved up. With two operations a second and client that is a twentieth of ten seconds. One
        // percent is chance: 20,000 operations begin, give or take 140.
        let attempts = |seconds: &[storm::Second]| -> u64 {
            seconds.iter().map(|second| second.offered).sum()
        };
        for ten in report.seconds.windows(10) {
            let bound = report.normal * 10 * 126 / 100;
            assert!(attempts(ten) <= bound, "{} of {bound}", attempts(ten));
        }
        // Any second: what was saved up is not spent in the same one. A client's first failure comes
        // after t with density 2 exp(-2 t), its repetition up to a second later, so that no more than
        // 0.6 of the clients repeat within one second: 0.3 of its operations. Who has failed twice by
        // then has saved nothing anew but by five operations. The rest is chance: 2,000 operations a
        // second, give or take 45.
        assert!(report.peak() < 1.40, "{}", report.peak());
        // After an outage nobody has anything saved up.
        for recovery in &report.recoveries {
            assert!(recovery.during < 1.0 && recovery.after < 1.0, "{recovery:?}");
        }
        let repeated = report.seconds.iter().map(|second| second.repeated).sum::<u64>();
        let operations = report.seconds.iter().map(|second| second.operations).sum::<u64>();
        assert!(repeated <= operations / 5 + u64::from(CLIENTS), "{repeated} of {operations}");
    }
}

#[test]
fn it_recovers_and_leaves_nobody_behind() {
    for report in FULL.iter() {
        assert_eq!(report.left_behind, 0);
        assert_eq!(report.recoveries.len(), 5);
        for recovery in report.recoveries.iter() {
            // A breaker is open for 8 s at most, its three trials come half a second apart, and twice
            // that is luck. Where the server goes down again before, nothing can be asked.
            if recovery.outage.next - recovery.outage.ended < 12 {
                continue;
            }
            let after = recovery.recovered_after.unwrap().as_secs();
            assert!(after <= 11, "{recovery:?}");
        }
        // The server was well for three quarters of the time; beyond that there is nothing to gain.
        assert!(report.succeeded() > 0.68, "{}", report.succeeded());
        assert!(report.wasted() < 0.06, "{}", report.wasted());
    }
}

#[test]
fn a_breaker_spares_the_server_what_a_budget_alone_does_not() {
    let budget = play(CLIENTS, &Strategy::budget().unwrap(), SEEDS[0]);
    let silent = |report: &Report| {
        let mut recoveries = report.recoveries.iter();
        recoveries.find(|recovery| recovery.outage.health == Health::Silent).unwrap().during
    };
    assert!(silent(&budget) > 1.0 && silent(&budget) < 1.25, "{}", silent(&budget));
    assert!(silent(&FULL[0]) < silent(&budget) / 3.0, "{}", silent(&FULL[0]));
    assert_eq!(budget.left_behind, 0);
}

#[test]
fn the_same_seed_gives_the_same_numbers() {
    let full = Strategy::full().unwrap();
    assert_eq!(play(CLIENTS, &full, SEEDS[0]), FULL[0]);
    assert_ne!(FULL[0].seconds, FULL[1].seconds);
}
