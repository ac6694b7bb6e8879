//! The laws of webhooks for inputs at random, which are near to what peers send.

use cndt_testkit::properties;
use proptest::collection::vec;
use proptest::prelude::*;

/// What headers are made of, so that random ones come far.
const VALUES: [&str; 12] = [
    "",
    "v1,",
    "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    " ",
    "sha256=",
    "t=1700000000",
    ",v1=",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "1700000000",
    "msg_1",
    ".",
    "é",
];

/// What patterns and paths are made of.
const PARTS: [&str; 18] = [
    "/", "/", "/", "a", "b", "ab", "*", "*", "/*", "/**", "/{x}", "/{y}", "{", "%61", "%2f", "..",
    "?q", "/a/b",
];

fn texts(parts: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
    vec(prop::sample::select(parts), 0..most).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn only_who_has_a_secret_gets_in(
        choices in any::<[u8; 4]>(),
        sizes in vec(0_u8..80, 0..8),
        headers in vec(texts(&VALUES, 5), 3),
        body in vec(any::<u8>(), 0..300),
    ) {
        let cuts = [sizes.len() as u8];
        let headers = headers.join("\n") + "\n";
        properties::webhook_verify(
            &[&choices[..], &cuts, &sizes, headers.as_bytes(), &body].concat(),
        );
    }

    #[test]
    fn routes_find_what_a_plain_matcher_finds(
        path in texts(&PARTS, 8),
        patterns in vec(texts(&PARTS, 6).prop_map(|text| format!("/{text}")), 0..12),
    ) {
        properties::webhook_routes(format!("/{path}\n{}", patterns.join("\n")).as_bytes());
    }
}
