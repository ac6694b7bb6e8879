//! Which handler a path belongs to.

mod path;
mod pattern;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

pub use path::PathError;
use pattern::{Pattern, Rank};

/// Routes that can be registered.
pub const ROUTES_MAX: usize = 1000;
/// Bytes that a pattern may have.
pub const PATTERN_LENGTH_MAX: usize = 1024;
/// Bytes that a path may have, without its query.
pub const PATH_LENGTH_MAX: usize = 4096;

/// Handlers, or whatever else, by the paths that they are for.
///
/// # Patterns
///
/// | in a pattern | matches |
/// |---|---|
/// | text | itself |
/// | `*`, the only wildcard, anywhere | any text, none too, slashes too: prefix and suffix must fit |
/// | `{name}` as a whole segment | one segment that is not empty |
/// | `*` as a whole segment, beside other wildcards | the same |
/// | `**` as the last segment | any number of segments, none too: `/a/**` also matches `/a` |
///
/// So `/alerts/*` matches `/alerts/fire` and `/alerts/fire/7`; write `/alerts/{kind}` for one segment.
/// Names are letters, digits and underscores, up to 32, and each is used once in a pattern. Patterns
/// begin with a slash; `*` alone is the same as `/*` and `/**`: every path.
///
/// # Precedence
///
/// An exact path goes before all wildcards. Among those, the first of these that tells two apart:
/// more text before the first wildcard; more text in all; `{name}`, then `*`, then `**`; more
/// segments; the pattern's text, by bytes. The order in which they are registered never counts.
/// Patterns that match the same paths, such as `/{a}` and `/{b}`, cannot both be registered.
///
/// # Paths
///
/// A path is matched as it came, byte for byte: case counts, a slash at the end counts, and escapes
/// are not decoded, so that a path is never one thing to a proxy and another one here. What a proxy
/// or a handler might read as other segments than are seen here is [refused](PathError): `.` and
/// `..`, escaped or not, escaped slashes, backslashes. Everything from `?` or `#` on is no part of it.
///
/// Finding takes time linear in the length of the path for each pattern with a wildcard.
///
/// ```
/// use cndt_core::webhook::Routes;
///
/// let mut routes = Routes::new();
/// routes.insert("/trading/signal", "signal")?;
/// routes.insert("/alerts/*", "any alert")?;
/// routes.insert("/alerts/{kind}/test", "test")?;
///
/// assert_eq!(routes.find("/trading/signal?retry=1")?.map(|found| *found.value), Some("signal"));
/// assert_eq!(routes.find("/alerts/fire/7")?.map(|found| *found.value), Some("any alert"));
/// let test = routes.find("/alerts/fire/test")?.expect("it is there");
/// assert_eq!((*test.value, test.param("kind")), ("test", Some("fire")));
/// assert!(routes.find("/trading/Signal")?.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Routes<T> {
    exact: BTreeMap<Box<str>, T>,
    /// The most specific first.
    wild: BTreeMap<Rank, (Pattern, T)>,
}

/// The route of a path.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a, T> {
    /// What was registered.
    pub value: &'a T,
    pattern: Option<&'a Pattern>,
    path: &'a str,
}

/// Why a pattern cannot be registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// It matches exactly what another one matches.
    #[error("{pattern:?} matches the same paths as {other:?}, which is registered already")]
    Duplicate {
        /// The new one.
        pattern: String,
        /// The old one.
        other: String,
    },
    /// There are [`ROUTES_MAX`] already.
    #[error("at most {ROUTES_MAX} routes can be registered; use wildcards")]
    TooMany,
    /// More than [`PATTERN_LENGTH_MAX`] bytes.
    #[error("a pattern has at most {PATTERN_LENGTH_MAX} bytes, not {0}")]
    TooLong(usize),
    /// No path that is [taken](PathError) could ever match.
    #[error("nothing can match {pattern:?}: {error}")]
    Path {
        /// The pattern.
        pattern: String,
        /// What is wrong with its text.
        error: PathError,
    },
    /// A query or fragment, which is no part of a path.
    #[error("{0:?} has ? or #: the query is not matched")]
    Query(String),
    /// Something is wrong with its wildcards.
    #[error("{pattern:?} cannot be used: {expected}")]
    Wildcard {
        /// The pattern.
        pattern: String,
        /// What is allowed.
        expected: &'static str,
    },
}

impl<T> Routes<T> {
    /// None.
    pub const fn new() -> Self {
        Self { exact: BTreeMap::new(), wild: BTreeMap::new() }
    }

    /// Registers a pattern.
    ///
    /// # Errors
    /// What is wrong with the pattern, or that there is no place for it. Nothing changes then.
    pub fn insert(&mut self, pattern: &str, value: T) -> Result<(), RouteError> {
        let parsed = Pattern::parse(pattern)?;
        if self.len() >= ROUTES_MAX {
            return Err(RouteError::TooMany);
        }
        let duplicate = |other: &str| {
            let (pattern, other) = (String::from(pattern), String::from(other));
            Err(RouteError::Duplicate { pattern, other })
        };
        let Some(wild) = parsed else {
            if self.exact.contains_key(pattern) {
                return duplicate(pattern);
            }
            self.exact.insert(Box::from(pattern), value);
            return Ok(());
        };
        let rank = wild.rank();
        if let Some((other, _)) = self.wild.get(&rank) {
            return duplicate(other.as_str());
        }
        self.wild.insert(rank, (wild, value));
        Ok(())
    }

    /// The route of the target of a request, which is a path and perhaps a query; `None` if there is
    /// none.
    ///
    /// # Errors
    /// A path that is not matched with anything: answer as to a malformed request.
    pub fn find<'a>(&'a self, target: &'a str) -> Result<Option<Found<'a, T>>, PathError> {
        let path = target.split(['?', '#']).next().unwrap_or(target);
        path::check(path)?;
        if let Some(value) = self.exact.get(path) {
            return Ok(Some(Found { value, pattern: None, path }));
        }
        let found = self.wild.values().find(|(pattern, _)| pattern.matches(path));
        Ok(found.map(|(pattern, value)| Found { value, pattern: Some(pattern), path }))
    }

    /// All patterns, in the order in which they are tried.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        let wild = self.wild.values().map(|(pattern, _)| pattern.as_str());
        self.exact.keys().map(|path| &**path).chain(wild)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.exact.len().saturating_add(self.wild.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.wild.is_empty()
    }
}

impl<T> Default for Routes<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a, T> Found<'a, T> {
    /// The pattern as it was registered.
    pub fn pattern(&self) -> &'a str {
        self.pattern.map_or(self.path, Pattern::as_str)
    }

    /// The path, without its query.
    pub fn path(&self) -> &'a str {
        self.path
    }

    /// The names of the pattern, and what stood in their place.
    pub fn params(&self) -> Vec<(&'a str, &'a str)> {
        self.pattern.map(|pattern| pattern.params(self.path)).unwrap_or_default()
    }

    /// What stood in the place of this name.
    pub fn param(&self, name: &str) -> Option<&'a str> {
        self.params().into_iter().find(|(known, _)| *known == name).map(|(_, text)| text)
    }
}
