use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Reverse;

use super::{PATTERN_LENGTH_MAX, RouteError, path};

/// Bytes that a name may have.
const NAME_LENGTH_MAX: usize = 32;

/// A pattern with at least one wildcard.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    text: Box<str>,
    shape: Shape,
}

#[derive(Debug, Clone)]
enum Shape {
    /// Any text between these two.
    Text {
        prefix: Box<str>,
        suffix: Box<str>,
    },
    Segments {
        segments: Box<[Segment]>,
        tail: Tail,
    },
}

#[derive(Debug, Clone)]
enum Segment {
    Literal(Box<str>),
    /// With the name, if it has one.
    Any(Option<Box<str>>),
}

/// What may follow the segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tail {
    Nothing,
    Anything,
}

/// What decides between patterns: the smaller one is tried first. Two have the same rank if and only if
/// they match the same paths.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    prefix: Reverse<usize>,
    literal: Reverse<usize>,
    width: Width,
    segments: Reverse<usize>,
    /// The pattern without its names.
    text: Box<str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Width {
    Segments,
    Text,
    Tail,
}

impl Pattern {
    /// `None` is a path without wildcards.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, RouteError> {
        if text.len() > PATTERN_LENGTH_MAX {
            return Err(RouteError::TooLong(text.len()));
        }
        if text == "*" || text == "/**" {
            let (prefix, suffix) = (Box::from("/"), Box::from(""));
            return Ok(Some(Self { text: text.into(), shape: Shape::Text { prefix, suffix } }));
        }
        if text.contains(['?', '#']) {
            return Err(RouteError::Query(String::from(text)));
        }
        // Wildcards are printable and no dots: they do not make a path that is refused.
        if let Err(error) = path::check(text) {
            return Err(RouteError::Path { pattern: String::from(text), error });
        }
        let shape = match (text.matches('*').count(), text.contains(['{', '}'])) {
            (0, false) => return Ok(None),
            (1, false) => {
                let (prefix, suffix) = text.split_once('*').unwrap_or_default();
                Shape::Text { prefix: prefix.into(), suffix: suffix.into() }
            }
            (_, _) => segments(text).map_err(|expected| RouteError::Wildcard {
                pattern: String::from(text),
                expected,
            })?,
        };
        Ok(Some(Self { text: text.into(), shape }))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn matches(&self, path: &str) -> bool {
        match &self.shape {
            Shape::Text { prefix, suffix } => {
                path.strip_prefix(&**prefix).is_some_and(|rest| rest.ends_with(&**suffix))
            }
            Shape::Segments { segments, tail } => {
                let mut parts = split(path);
                let all = segments.iter().all(|segment| match (segment, parts.next()) {
                    (Segment::Literal(text), Some(part)) => **text == *part,
                    (Segment::Any(_), Some(part)) => !part.is_empty(),
                    (_, None) => false,
                });
                all && (*tail == Tail::Anything || parts.next().is_none())
            }
        }
    }

    /// Names and what stands in their place, in a path that matches.
    pub(super) fn params<'a>(&'a self, path: &'a str) -> Vec<(&'a str, &'a str)> {
        match &self.shape {
            Shape::Text { .. } => Vec::new(),
            Shape::Segments { segments, .. } => {
                let named = |(segment, part): (&'a Segment, &'a str)| match segment {
                    Segment::Any(Some(name)) => Some((&**name, part)),
                    Segment::Any(None) | Segment::Literal(_) => None,
                };
                segments.iter().zip(split(path)).filter_map(named).collect()
            }
        }
    }

    pub(super) fn rank(&self) -> Rank {
        match &self.shape {
            Shape::Text { prefix, suffix } => {
                let text = [prefix, "*", suffix].concat();
                Rank {
                    prefix: Reverse(prefix.len()),
                    literal: Reverse(prefix.len().saturating_add(suffix.len())),
                    width: Width::Text,
                    segments: Reverse(split(&text).count()),
                    text: text.into(),
                }
            }
            Shape::Segments { segments, tail } => Self::rank_of_segments(segments, *tail),
        }
    }

    fn rank_of_segments(segments: &[Segment], tail: Tail) -> Rank {
        let (mut prefix, mut literal) = (None, 0_usize);
        let mut text = String::new();
        for segment in segments {
            text.push('/');
            literal = literal.saturating_add(1);
            match segment {
                Segment::Literal(part) => {
                    text.push_str(part);
                    literal = literal.saturating_add(part.len());
                }
                Segment::Any(_) => {
                    prefix.get_or_insert(literal);
                    text.push('*');
                }
            }
        }
        let width = match tail {
            Tail::Nothing => Width::Segments,
            Tail::Anything => {
                text.push_str("/**");
                literal = literal.saturating_add(1);
                Width::Tail
            }
        };
        Rank {
            prefix: Reverse(prefix.unwrap_or(literal)),
            literal: Reverse(literal),
            width,
            segments: Reverse(segments.len()),
            text: text.into(),
        }
    }
}

fn segments(text: &str) -> Result<Shape, &'static str> {
    let (text, tail) = match text.strip_suffix("/**") {
        Some(before) => (before, Tail::Anything),
        None => (text, Tail::Nothing),
    };
    let mut names: Vec<&str> = Vec::new();
    let mut parts = Vec::new();
    for part in split(text) {
        let name = part.strip_prefix('{').and_then(|part| part.strip_suffix('}'));
        parts.push(match (part, name) {
            ("*", _) => Segment::Any(None),
            ("**", _) => return Err("** must be the last segment"),
            (_, Some(name)) => {
                if !is_name(name) {
                    return Err("a name in braces has 1 to 32 letters, digits and underscores");
                }
                if names.contains(&name) {
                    return Err("a name can be used once");
                }
                names.push(name);
                Segment::Any(Some(name.into()))
            }
            (part, None) if part.contains(['*', '{', '}']) => {
                return Err("beside another wildcard, * and {name} must be whole segments");
            }
            (part, None) => Segment::Literal(part.into()),
        });
    }
    Ok(Shape::Segments { segments: parts.into(), tail })
}

/// What stands behind each slash.
fn split(path: &str) -> impl Iterator<Item = &str> {
    path.strip_prefix('/').unwrap_or(path).split('/')
}

fn is_name(name: &str) -> bool {
    let fits = (1..=NAME_LENGTH_MAX).contains(&name.len());
    fits && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
