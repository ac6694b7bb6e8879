use super::PATH_LENGTH_MAX;

/// A path that nothing is matched with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It does not begin with a slash.
    #[error("a path begins with a slash")]
    NoSlash,
    /// More than [`PATH_LENGTH_MAX`] bytes.
    #[error("a path has at most {PATH_LENGTH_MAX} bytes, not {0}")]
    TooLong(usize),
    /// Something that is not printable ASCII, or a space.
    #[error("byte {0} of the path must be escaped: it is not printable ASCII")]
    Character(usize),
    /// A percent sign without two hex digits.
    #[error("the escape at byte {0} of the path is not a percent sign and two hex digits")]
    Escape(usize),
    /// An escaped slash, or a backslash, escaped or not.
    #[error("byte {0} of the path is an escaped slash or a backslash")]
    Slash(usize),
    /// A segment `.` or `..`, escaped or not.
    #[error("the path has a segment that is . or ..")]
    Dots,
}

/// Whether proxies, handlers and routes all see the same segments.
pub(super) fn check(path: &str) -> Result<(), PathError> {
    if !path.starts_with('/') {
        return Err(PathError::NoSlash);
    }
    if path.len() > PATH_LENGTH_MAX {
        return Err(PathError::TooLong(path.len()));
    }
    let bytes = path.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'\\' => return Err(PathError::Slash(at)),
            b'%' => match escaped(bytes.get(at..).unwrap_or_default()) {
                None => return Err(PathError::Escape(at)),
                Some(b'/' | b'\\') => return Err(PathError::Slash(at)),
                Some(_) => {}
            },
            _ if !byte.is_ascii_graphic() => return Err(PathError::Character(at)),
            _ => {}
        }
    }
    if path.split('/').any(is_dots) {
        return Err(PathError::Dots);
    }
    Ok(())
}

/// What `%xx` stands for.
fn escaped(text: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = text else { return None };
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

fn is_dots(segment: &str) -> bool {
    let (mut left, mut dots) = (segment.as_bytes(), 0_usize);
    while !left.is_empty() {
        left = match left.strip_prefix(b".") {
            Some(after) => after,
            None if escaped(left) == Some(b'.') => left.get(3..).unwrap_or_default(),
            None => return false,
        };
        dots = dots.saturating_add(1);
    }
    (1..=2).contains(&dots)
}
