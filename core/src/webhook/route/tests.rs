use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::*;

fn routes(patterns: &[&str]) -> Routes<usize> {
    let mut routes = Routes::new();
    for (at, pattern) in patterns.iter().enumerate() {
        routes.insert(pattern, at).unwrap();
    }
    routes
}

fn matches(pattern: &str, path: &str) -> bool {
    routes(&[pattern]).find(path).unwrap().is_some()
}

/// The one that wins, whatever the order of registration.
fn winner<'a>(patterns: &[&'a str], path: &str) -> &'a str {
    let mut order = patterns.to_vec();
    let mut winners = Vec::new();
    for _ in patterns {
        order.rotate_left(1);
        for order in [order.clone(), order.iter().rev().copied().collect()] {
            let routes = routes(&order);
            winners.push(order[*routes.find(path).unwrap().unwrap().value]);
        }
    }
    winners.dedup();
    assert_eq!(winners.len(), 1, "{path}: the order of registration counts");
    winners[0]
}

fn error(pattern: &str) -> RouteError {
    Routes::new().insert(pattern, ()).unwrap_err()
}

#[test]
fn a_star_alone_matches_any_text() {
    for path in ["/alerts/", "/alerts/a", "/alerts/a/b", "/alerts//", "/alerts/*"] {
        assert!(matches("/alerts/*", path), "{path}");
    }
    for path in ["/alerts", "/alert/", "/", "/Alerts/a", "/x/alerts/a"] {
        assert!(!matches("/alerts/*", path), "{path}");
    }
    for path in ["/ab", "/aab", "/axb", "/a/b", "/a/x/b"] {
        assert!(matches("/a*b", path), "{path}");
    }
    // Prefix and suffix do not share what they match.
    for (pattern, path) in [("/a*a", "/a"), ("/ab*bc", "/abc"), ("/a*b", "/abc"), ("/*/", "/")] {
        assert!(!matches(pattern, path), "{pattern} {path}");
    }
    assert!(matches("/hooks/*/done", "/hooks/a/b/done"));
}

#[test]
fn everything_is_a_pattern_too() {
    for pattern in ["*", "/*", "/**"] {
        for path in ["/", "/a", "/a/", "/a/b/c", "//"] {
            assert!(matches(pattern, path), "{pattern} {path}");
        }
    }
    let mut routes = routes(&["*"]);
    for pattern in ["/*", "/**", "*"] {
        assert!(matches!(routes.insert(pattern, 1), Err(RouteError::Duplicate { .. })));
    }
}

#[test]
fn names_and_several_stars_match_one_segment_each() {
    for pattern in ["/a/{x}/b/{y}", "/a/*/b/*", "/a/{x}/b/*"] {
        assert!(matches(pattern, "/a/1/b/2"), "{pattern}");
        for path in ["/a/1/2/b/3", "/a//b/2", "/a/1/b/", "/a/1/b", "/a/1/b/2/", "/a/1/c/2", "/a"] {
            assert!(!matches(pattern, path), "{pattern} {path}");
        }
    }
    assert!(matches("/{x}", "/a") && !matches("/{x}", "/") && !matches("/{x}", "/a/b"));
    assert!(matches("/a/{x}/", "/a/b/") && !matches("/a/{x}/", "/a/b"));
}

#[test]
fn a_tail_matches_any_number_of_segments() {
    for path in ["/a", "/a/", "/a/b", "/a/b/c"] {
        assert!(matches("/a/**", path), "{path}");
    }
    assert!(!matches("/a/**", "/ab") && !matches("/a/**", "/"));
    assert!(matches("/{x}/b/**", "/a/b/c/d") && !matches("/{x}/b/**", "/a/c/b"));
    assert!(matches("/*/**", "/a") && !matches("/*/**", "/") && !matches("/*/**", "//a"));
}

#[test]
fn the_most_specific_wins_in_any_order() {
    let all =
        ["/a/b/c", "/a/b/{x}", "/a/b/*", "/a/b/**", "/a/{x}/c", "/a/*", "/a/**", "/{x}/b/c", "*"];
    for (path, expected) in [
        ("/a/b/c", "/a/b/c"),
        ("/a/b/d", "/a/b/{x}"),
        ("/a/b/d/e", "/a/b/*"),
        ("/a/b", "/a/b/**"),
        ("/a/d/c", "/a/{x}/c"),
        ("/a/d/d", "/a/*"),
        ("/a", "/a/**"),
        ("/d/b/c", "/{x}/b/c"),
        ("/d", "*"),
    ] {
        assert_eq!(winner(&all, path), expected, "{path}");
    }
    // More text before the first wildcard, then more in all, then the narrower kind.
    assert_eq!(winner(&["/ab*", "/a*longer"], "/ab/longer"), "/ab*");
    assert_eq!(winner(&["/a*", "/a*d", "/a*cd"], "/abcd"), "/a*cd");
    assert_eq!(winner(&["/a/*/d", "/a/{x}/d"], "/a/b/d"), "/a/{x}/d");
    assert_eq!(winner(&["/{x}/a/*", "/*/a/**"], "/1/a/2"), "/{x}/a/*");
}

#[test]
fn the_query_is_no_part_of_a_path() {
    let routes = routes(&["/a", "/b*c"]);
    for target in ["/a?x=/b", "/a#f", "/a?", "/a?%", "/a?\u{e9}", "/bc?d", "/bc#?"] {
        assert!(routes.find(target).unwrap().is_some(), "{target}");
    }
    assert!(routes.find("/b?c").unwrap().is_none());
}

#[test]
fn what_was_found_is_told() {
    let routes = routes(&["/a/{one}/*/{two_2}/**", "/b", "/c*"]);
    let found = routes.find("/a/1/2/3/4/5?q").unwrap().unwrap();
    assert_eq!((found.path(), found.pattern()), ("/a/1/2/3/4/5", "/a/{one}/*/{two_2}/**"));
    assert_eq!(found.params(), [("one", "1"), ("two_2", "3")]);
    assert_eq!((found.param("two_2"), found.param("two")), (Some("3"), None));
    let found = routes.find("/b?q").unwrap().unwrap();
    assert_eq!((*found.value, found.pattern(), found.params().len()), (1, "/b", 0));
    let patterns: Vec<_> = routes.patterns().collect();
    assert_eq!(patterns, ["/b", "/a/{one}/*/{two_2}/**", "/c*"]);
    assert_eq!((routes.len(), routes.is_empty()), (3, false));
}

#[test]
fn what_matches_the_same_cannot_be_registered_twice() {
    for (one, two) in [
        ("/a", "/a"),
        ("/a*", "/a*"),
        ("/{x}", "/{y}"),
        ("/a/{x}/b/{y}", "/a/*/b/*"),
        ("/{x}/**", "/*/**"),
    ] {
        let mut routes = routes(&[one]);
        let (pattern, other) = (String::from(two), String::from(one));
        assert_eq!(routes.insert(two, 1), Err(RouteError::Duplicate { pattern, other }));
        assert_eq!(routes.len(), 1);
        assert_eq!(routes.patterns().next(), Some(one));
    }
}

#[test]
fn patterns_that_make_no_sense_are_refused() {
    for pattern in ["/a**", "/**/a", "/a*b*", "/a*/b/*", "/a/x{y}", "/{x}*", "/a/**b", "/***"] {
        assert!(matches!(error(pattern), RouteError::Wildcard { .. }), "{pattern}");
    }
    let long = format!("/{{{}}}", "x".repeat(33));
    for pattern in ["/{}", "/{a b}", "/{a-b}", "/{", "/}", "/}{", "/{a}/{a}", "/{a/b}", &long] {
        let error = error(pattern);
        let is_path = matches!(error, RouteError::Path { .. });
        assert!(is_path || matches!(error, RouteError::Wildcard { .. }), "{pattern}");
    }
    for pattern in ["", "a", "*a", "{x}", "/gr\u{fc}n", "/a b", "/../a", "/%2f*", "/%*", "/a\\"] {
        assert!(matches!(error(pattern), RouteError::Path { .. }), "{pattern}");
    }
    assert!(matches!(error("/a?b=*"), RouteError::Query(_)));
    assert!(matches!(error("/a#b"), RouteError::Query(_)));
}

#[test]
fn paths_that_could_be_read_in_two_ways_are_refused() {
    let routes = routes(&["*"]);
    let outcome = |path: &str| routes.find(path).map(|found| found.is_some());
    for path in ["/%20", "/a%c3%A9", "/...", "/.a", "/a.", "/..a", "/%2e%2e%2e", "/a;b=c", "/a=b&c"]
    {
        assert_eq!(outcome(path), Ok(true), "{path}");
    }
    for path in ["/.", "/..", "/a/../b", "/a/./b", "/%2e", "/.%2E/", "/%2E%2e", "/a/..?b"] {
        assert_eq!(outcome(path), Err(PathError::Dots), "{path}");
    }
    for path in ["/a%2fb", "/a%2Fb", "/a\\b", "/a%5cb", "/a%5C"] {
        assert_eq!(outcome(path), Err(PathError::Slash(2)), "{path}");
    }
    for path in ["/%", "/%2", "/%g0", "/%0g", "/%+1", "/%%41"] {
        assert_eq!(outcome(path), Err(PathError::Escape(1)), "{path}");
    }
    for path in ["/ ", "/\u{e9}", "/\0", "/\u{7f}", "/\r\n"] {
        assert_eq!(outcome(path), Err(PathError::Character(1)), "{path}");
    }
    for path in ["", "*", "a", "?/", "http://localhost/a"] {
        assert_eq!(outcome(path), Err(PathError::NoSlash), "{path}");
    }
}

#[test]
fn the_limits_are_met_and_kept() {
    let mut many = Routes::new();
    for n in 0..ROUTES_MAX {
        let pattern = if n % 2 == 0 { format!("/{n}") } else { format!("/{n}/*") };
        assert_eq!(many.insert(&pattern, n), Ok(()));
    }
    assert_eq!(many.insert("/more", 0), Err(RouteError::TooMany));
    let text = |length: usize| format!("/{}", "a".repeat(length - 1));
    let mut long = Routes::new();
    assert_eq!(long.insert(&text(PATTERN_LENGTH_MAX), 0), Ok(()));
    let refused = long.insert(&text(PATTERN_LENGTH_MAX + 1), 0);
    assert_eq!(refused, Err(RouteError::TooLong(PATTERN_LENGTH_MAX + 1)));
    assert!(long.find(&format!("{}?{}", text(PATH_LENGTH_MAX), text(9000))).is_ok());
    let refused = long.find(&text(PATH_LENGTH_MAX + 1)).map(drop);
    assert_eq!(refused, Err(PathError::TooLong(PATH_LENGTH_MAX + 1)));
}
