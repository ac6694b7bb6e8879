//! Where a webhook goes.

use std::fmt;

use base64ct::{Base64, Encoding};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Uri};
use zeroize::Zeroizing;

use crate::error::ConfigError;

/// A URL that can be sent to. Its user and password have become a header; its fragment is dropped.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) origin: Origin,
    /// Absolute.
    pub(super) uri: Uri,
    pub(super) path: PathAndQuery,
    pub(super) authority: Authority,
    pub(super) authorization: Option<HeaderValue>,
}

/// What connections lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) is_tls: bool,
    /// Without brackets.
    pub(super) host: String,
    pub(super) port: u16,
}

impl Endpoint {
    /// # Errors
    /// What is wrong with the URL, which is shown without user, password and query.
    pub(super) fn parse(url: &str) -> Result<Self, ConfigError> {
        let wrong = |expected| ConfigError::new("url", expected, format_args!("{:?}", shown(url)));
        let parsed: Uri = url.parse().map_err(|_| {
            wrong("must be a URL in ASCII: names in other scripts as xn--…, the rest as %XX")
        })?;
        let is_tls = match parsed.scheme_str() {
            Some("http") => false,
            Some("https") if cfg!(feature = "tls") => true,
            Some("https") => {
                return Err(wrong("must be http unless the crate is built with its feature `tls`"));
            }
            Some(_) | None => return Err(wrong("must begin with http:// or https://")),
        };
        let authority = parsed.authority().ok_or_else(|| wrong("must name a host"))?;
        let (user, place) = match authority.as_str().rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority.as_str()),
        };
        let authority: Authority = place.parse().map_err(|_| wrong("must name a host"))?;
        let port = port(&authority, is_tls);
        let port = port.ok_or_else(|| wrong("must have a port from 1 to 65535"))?;
        let path = parsed.path_and_query().cloned();
        let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
        let scheme = if is_tls { Scheme::HTTPS } else { Scheme::HTTP };
        let uri = Uri::builder().scheme(scheme).authority(authority.clone());
        let uri = uri.path_and_query(path.clone()).build();
        let uri = uri.map_err(|_| wrong("must be a URL"))?;
        let host = host(&authority).ok_or_else(|| wrong("must name a host"))?;
        let origin = Origin { is_tls, host, port };
        let authorization = user.map(basic).transpose().map_err(wrong)?;
        Ok(Self { origin, uri, path, authority, authorization })
    }
}

/// Without brackets; `None` if it is empty.
pub(super) fn host(authority: &Authority) -> Option<String> {
    let host = authority.host();
    let inner = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
    Some(inner.unwrap_or(host)).filter(|host| !host.is_empty()).map(str::to_owned)
}

/// What is named or usual; `None` if it is neither. A port that is none does not go unheard.
pub(super) fn port(authority: &Authority, is_tls: bool) -> Option<u16> {
    let place = authority.as_str().rsplit('@').next()?;
    match place.strip_prefix(authority.host())? {
        "" => Some(if is_tls { 443 } else { 80 }),
        rest => rest.strip_prefix(':')?.parse().ok().filter(|port| *port > 0),
    }
}

/// Without what may be secret.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.origin.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.path.path())
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

/// A URL without user, password, query and fragment, however broken it is.
pub(super) fn shown(url: &str) -> String {
    let head = url.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = match head.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), head),
    };
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    format!("{scheme}{}", rest.chars().take(200).collect::<String>())
}

/// `user:password`, percent-encoded, as a header.
fn basic(user: &str) -> Result<HeaderValue, &'static str> {
    const EXPECTED: &str = "must have a user and a password that are percent-encoded";
    let mut plain = Zeroizing::new(decode(user).ok_or(EXPECTED)?);
    if !plain.contains(&b':') {
        plain.push(b':');
    }
    let text = Zeroizing::new(format!("Basic {}", Base64::encode_string(&plain)));
    let mut value = HeaderValue::from_str(&text).map_err(|_| EXPECTED)?;
    value.set_sensitive(true);
    Ok(value)
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut plain = Vec::with_capacity(text.len() + 1);
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'%' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        for (url, host, port, uri) in [
            ("http://localhost:8080/events", "localhost", 8080, "http://localhost:8080/events"),
            ("http://a.example", "a.example", 80, "http://a.example/"),
            ("http://[::1]:7/a?b=c#d", "::1", 7, "http://[::1]:7/a?b=c"),
            ("http://a.example?x=1", "a.example", 80, "http://a.example/?x=1"),
            ("http://u:p%40@127.0.0.1/", "127.0.0.1", 80, "http://127.0.0.1/"),
            ("HTTP://a.example/%20", "a.example", 80, "http://a.example/%20"),
        ] {
            let endpoint = Endpoint::parse(url).unwrap();
            assert_eq!(
                (endpoint.origin.host.as_str(), endpoint.origin.port),
                (host, port),
                "{url}"
            );
            assert_eq!(endpoint.uri.to_string(), uri);
        }
        let user = |url| Endpoint::parse(url).unwrap().authorization.unwrap();
        assert_eq!(user("http://Aladdin:open%20sesame@h/"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(user("http://token@h/"), "Basic dG9rZW46");
        if cfg!(feature = "tls") {
            let endpoint = Endpoint::parse("https://a.example/").unwrap();
            assert!(endpoint.origin.is_tls && endpoint.origin.port == 443);
        }
    }

    #[test]
    fn nonsense_is_refused_without_telling_secrets() {
        for (url, words) in [
            ("localhost:80", "http://"),
            ("ftp://u:hidden@h/", "http://"),
            ("http://h:0/", "1 to 65535"),
            ("http://u:hidden@h:/", "1 to 65535"),
            ("http://u:hidden@h:99999/?hidden", "1 to 65535"),
            ("http://u:hidden@žluť.example/", "ASCII"),
            ("http://u:hid%zzen@h/", "percent-encoded"),
            ("http:///x", ""),
            ("", ""),
            ("http://h/a b", "ASCII"),
        ] {
            let error = Endpoint::parse(url).unwrap_err().to_string();
            assert!(error.contains(words) && !error.contains("hid"), "{error}");
        }
        let endpoint = Endpoint::parse("http://u:hidden@h/path?hidden").unwrap();
        assert_eq!(format!("{endpoint} {endpoint:?}"), "http://h/path Endpoint(http://h/path)");
        assert!(!format!("{:?}", endpoint.authorization).contains("dTpoaWRkZW4"));
    }
}
