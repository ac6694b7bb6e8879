//! Laws of webhooks: of their signatures and of their routes.

use cndt_core::webhook::{
    DeliveryId, Keys, MessageId, PathError, RouteError, Routes, Scheme, Secret, Tolerance,
    Verified, VerifyError,
};

use super::pieces;

const NOW: u64 = 1_700_000_000;
const PATTERNS_MAX: usize = 32;
const SECRETS: [&[u8; 32]; 4] = [
    b"\x8e\x04\xd2the first that signs here\xf1\x17\x9a\x55",
    b"\x3b\xee\x60the second, which does no\xc3\x28\x71\x0d",
    b"\x94\x5f\x02the third, and so on here\xab\x3c\x69\xe8",
    b"\x1d\x77\xc5the last one of those now\x02\xd6\x40\xbf",
];

type Headers = Vec<(String, Vec<u8>)>;

/// Nobody gets in who does not have a secret; whoever has one does; nothing can be changed on the
/// way; and the body means the same however it is cut.
///
/// The first four bytes of `data` choose the scheme, the number of secrets, and the change; then come
/// the number of cuts and the sizes of the pieces; then lines: the values of three headers and the
/// body, which may have more lines.
///
/// # Panics
/// When the law is broken.
pub fn webhook_verify(data: &[u8]) {
    let Some((&[scheme, secrets, at, change, cuts], rest)) = data.split_first_chunk() else {
        return;
    };
    let scheme = Scheme::ALL[usize::from(scheme) % Scheme::ALL.len()];
    let secrets = &SECRETS[..1 + usize::from(secrets) % SECRETS.len()];
    let (sizes, lines) = rest.split_at(usize::from(cuts).min(rest.len()));
    let mut lines = lines.splitn(4, |byte| *byte == b'\n');
    let [signature, time, id, body] = [(); 4].map(|()| lines.next().unwrap_or_default());

    let all = keys(scheme, secrets);
    let presented = vec![
        (all.signature_header().lower().to_owned(), signature.to_vec()),
        ("webhook-timestamp".to_owned(), time.to_vec()),
        (scheme.id_header().lower().to_owned(), id.to_vec()),
    ];
    let outcome = outcome(&all, &presented, body, sizes);
    assert!(outcome.is_err(), "a stranger got in: {outcome:?}");

    let own = core::str::from_utf8(id).ok().and_then(|id| id.parse().ok());
    let id = own.unwrap_or(MessageId::new([at; 16]));
    let signed = sign(&all, &id, body);
    for (n, secret) in secrets.iter().enumerate() {
        let outcome = self::outcome(&keys(scheme, &[secret]), &signed, body, sizes);
        let accepts = n == 0 || scheme.signs_timestamp();
        assert_eq!(outcome.is_ok(), accepts, "{scheme}, secret {n}: {outcome:?}");
    }
    let one = keys(scheme, &secrets[..1]);
    let signed = sign(&one, &id, body);
    check_verified(&self::outcome(&all, &signed, body, sizes), scheme, &id);
    changes_are_noticed(&one, &signed, body, at, change);
}

fn check_verified(outcome: &Result<Verified, VerifyError>, scheme: Scheme, id: &MessageId) {
    let verified = outcome.as_ref().expect("what was signed verifies");
    assert_eq!(verified.timestamp, scheme.signs_timestamp().then_some(NOW));
    match &verified.id {
        Some(DeliveryId::Signed(told)) => {
            assert_eq!((told.as_str(), scheme), (id.as_str(), Scheme::Standard));
        }
        Some(DeliveryId::Unsigned(told)) => {
            assert_eq!(told, id.as_str());
            assert_ne!(scheme, Scheme::Standard);
        }
        None => panic!("the id is lost"),
    }
}

/// One byte of the body, one that is added or taken away, and one of each header that is signed.
fn changes_are_noticed(keys: &Keys, signed: &Headers, body: &[u8], at: u8, change: u8) {
    let change = change.max(1);
    let at = |length: usize| usize::from(at) % length.max(1);
    let mut bodies = vec![[body, &[change]].concat()];
    if !body.is_empty() {
        let mut other = body.to_vec();
        other[at(body.len())] ^= change;
        bodies.push(other);
        bodies.push(body[..body.len() - 1].to_vec());
    }
    for other in bodies {
        let outcome = outcome(keys, signed, &other, &[]);
        assert_eq!(outcome, Err(VerifyError::NoMatch), "another body was accepted");
    }
    for (n, (name, value)) in signed.iter().enumerate() {
        let is_signed = keys.scheme() == Scheme::Standard;
        if name == keys.scheme().id_header().lower() && !is_signed {
            continue;
        }
        let mut headers = signed.clone();
        headers[n].1[at(value.len())] ^= change;
        let outcome = outcome(keys, &headers, body, &[]);
        assert!(outcome.is_err(), "another {name} was accepted: {headers:?}");
    }
}

fn keys(scheme: Scheme, secrets: &[&[u8; 32]]) -> Keys {
    let secrets = secrets.iter().map(|secret| Secret::new(&secret[..]).expect("it is not empty"));
    Keys::new(scheme, secrets).expect("the secrets are right")
}

fn sign(keys: &Keys, id: &MessageId, body: &[u8]) -> Headers {
    let signed = keys.sign(id, NOW, body);
    signed.headers().map(|(name, value)| (name.lower().to_owned(), value.into())).collect()
}

/// What all ways to cut the body agree on.
fn outcome(
    keys: &Keys,
    headers: &Headers,
    body: &[u8],
    sizes: &[u8],
) -> Result<Verified, VerifyError> {
    let lookup = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, value)| &value[..]);
    let in_pieces = |pieces: &[&[u8]]| {
        let mut verifier = keys.verifier(NOW, Tolerance::Off, lookup)?;
        for piece in pieces {
            verifier.update(piece);
        }
        verifier.finish()
    };
    let whole = keys.verify(NOW, Tolerance::Off, lookup, body).map(|(_, verified)| verified);
    let cut = in_pieces(&pieces(body, sizes));
    assert_eq!(whole, cut, "a body cut after {sizes:?} means something else");
    let single: Vec<_> = body.chunks(1).collect();
    assert_eq!(whole, in_pieces(&single), "a body byte by byte means something else");
    let strict = keys.verify(NOW, Tolerance::default(), lookup, body);
    assert!(whole.is_ok() || strict.is_err(), "a tolerance lets more in");
    whole
}

/// Routes find what a plain recursive matcher finds, in any order of registration, and the one that
/// goes first.
///
/// The first line of `data` is the target of a request, the others are patterns.
///
/// # Panics
/// When the law is broken.
pub fn webhook_routes(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    let mut lines = text.split('\n');
    let target = lines.next().unwrap_or_default();
    let patterns: Vec<&str> = lines.take(PATTERNS_MAX).collect();
    let path = target.split(['?', '#']).next().unwrap_or_default();

    let (routes, accepted) = register(patterns.iter().copied(), path);
    let (reversed, others) = register(patterns.iter().rev().copied(), path);
    assert_eq!(accepted.len(), others.len(), "duplicates depend on the order of registration");
    let found = match routes.find(target) {
        Ok(found) => found,
        Err(error) => {
            check_refusal(path, error);
            return;
        }
    };
    assert!(path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic()));
    let matching: Vec<&str> = accepted.into_iter().filter(|p| reference(p, path)).collect();
    let Some(found) = found else {
        assert!(matching.is_empty(), "{path:?} is missed by {matching:?}");
        return;
    };
    let winner = found.pattern();
    assert!(matching.contains(&winner), "{winner:?} does not match {path:?}");
    assert_eq!(*found.value, winner, "a value got under another pattern");
    let is_exact = matching.contains(&path) && !path.contains(['*', '{']);
    assert!(!is_exact || winner == path, "the exact path does not go first");
    let longest = matching.iter().map(|pattern| prefix(pattern)).max();
    assert_eq!(longest, Some(prefix(winner)), "{winner:?} goes before {matching:?}");
    for (name, part) in found.params() {
        assert!(winner.contains(&format!("{{{name}}}")) && path.split('/').any(|p| p == part));
    }
    let again = reversed.find(target).expect("the path is the same").map(|found| *found.value);
    let same = again.is_some_and(|again| again == winner || same_paths(again, winner));
    assert!(same, "{winner:?} or {again:?}: the order of registration counts");
}

/// Routes with these patterns, and those that were taken.
fn register<'a>(
    patterns: impl Iterator<Item = &'a str>,
    path: &str,
) -> (Routes<&'a str>, Vec<&'a str>) {
    let (mut routes, mut accepted) = (Routes::new(), Vec::new());
    for pattern in patterns {
        match routes.insert(pattern, pattern) {
            Ok(()) => accepted.push(pattern),
            Err(RouteError::Duplicate { other, .. }) => {
                assert_eq!(reference(pattern, path), reference(&other, path), "no duplicates");
            }
            Err(_) => {}
        }
    }
    assert_eq!(routes.len(), accepted.len());
    (routes, accepted)
}

fn check_refusal(path: &str, error: PathError) {
    let lower = path.to_lowercase().replace("%2e", ".");
    match error {
        PathError::NoSlash => assert!(!path.starts_with('/')),
        PathError::TooLong(length) => assert_eq!(length, path.len()),
        PathError::Character(at) => assert!(!path.as_bytes()[at].is_ascii_graphic()),
        PathError::Escape(at) => assert_eq!(path.as_bytes()[at], b'%'),
        PathError::Slash(at) => {
            assert!(["\\", "%2f", "%5c"].iter().any(|slash| lower.contains(slash)), "{at}");
        }
        PathError::Dots => assert!(lower.split('/').any(|part| part == "." || part == "..")),
    }
}

/// Patterns that differ in the names of their segments alone, or that match everything.
fn same_paths(one: &str, other: &str) -> bool {
    let plain = |pattern: &str| match pattern {
        "*" | "/**" => String::from("/*"),
        _ => {
            let part =
                |part: &str| if part.starts_with('{') { "*".into() } else { part.to_owned() };
            pattern.split('/').map(part).collect::<Vec<_>>().join("/")
        }
    };
    plain(one) == plain(other)
}

/// Bytes before the first wildcard; an exact path has nothing else, and goes before all.
fn prefix(pattern: &str) -> usize {
    match pattern {
        "*" => 1,
        _ => pattern.find(['*', '{']).unwrap_or(usize::MAX),
    }
}

fn reference(pattern: &str, path: &str) -> bool {
    let is_segmented = pattern.matches('*').count() > 1 || pattern.contains('{');
    match pattern {
        _ if !path.starts_with('/') => false,
        "*" => true,
        _ if is_segmented => {
            let parts = |text: &'_ str| text.split('/').map(str::to_owned).collect::<Vec<_>>();
            segments_match(&parts(pattern), &parts(path))
        }
        _ => text_matches(pattern.as_bytes(), path.as_bytes()),
    }
}

fn text_matches(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([b'*', rest @ ..], _) => {
            text_matches(rest, text) || (!text.is_empty() && text_matches(pattern, &text[1..]))
        }
        ([expected, rest @ ..], [byte, after @ ..]) => {
            expected == byte && text_matches(rest, after)
        }
        ([], []) => true,
        ([], _) | (_, []) => false,
    }
}

fn segments_match(pattern: &[String], path: &[String]) -> bool {
    match (pattern, path) {
        ([tail], _) if tail == "**" => true,
        ([part, rest @ ..], [segment, after @ ..]) => {
            let fits = match part.as_str() {
                "*" => !segment.is_empty(),
                _ if part.starts_with('{') => !segment.is_empty(),
                literal => literal == segment,
            };
            fits && segments_match(rest, after)
        }
        ([], []) => true,
        ([], _) | (_, []) => false,
    }
}
