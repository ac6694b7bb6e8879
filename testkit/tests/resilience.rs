//! The laws of breakers, bulkheads and limiters, over schedules at random.

use cndt_testkit::properties;
use proptest::collection::vec;
use proptest::prelude::*;

fn schedules() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..1500)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_breaker_does_what_its_model_does(data in schedules()) {
        properties::breaker(&data);
    }

    #[test]
    fn many_breakers_are_so_many(data in schedules()) {
        properties::breakers(&data);
    }

    #[test]
    fn a_bulkhead_does_what_its_model_does(data in schedules()) {
        properties::bulkhead(&data);
    }

    #[test]
    fn a_limiter_does_what_its_model_does(data in schedules()) {
        properties::limiter(&data);
    }
}
