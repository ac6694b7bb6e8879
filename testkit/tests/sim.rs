//! The rules of a connection hold in simulated worlds.

use cndt_testkit::sim;

#[test]
fn a_few_thousand_worlds_keep_the_rules() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let total = 3000;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                for seed in (thread..total).step_by(threads as usize) {
                    if let Err(failure) = sim::run(seed) {
                        panic!("seed {seed}: {failure}\ncndt-sim --replay {seed}");
                    }
                }
            });
        }
    });
}

#[test]
fn any_tape_is_a_world() {
    for tape in [vec![], vec![0; 100], vec![u16::MAX; 500]] {
        if let Err(failure) = sim::replay(&tape) {
            panic!("{failure}");
        }
    }
}
