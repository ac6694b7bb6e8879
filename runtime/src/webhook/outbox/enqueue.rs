use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use cndt_core::webhook::MessageId;
use http::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, PROXY_AUTHORIZATION,
    TRANSFER_ENCODING,
};
use http::{HeaderName, HeaderValue, Uri};

use super::error::{EnqueueError, OutboxError};
use super::record::{Record, State, sum};
use super::shared::Shared;
use super::store::{Change, Done};
use super::worker::millis;
use super::writer;
use crate::entropy;
use crate::rt::Runtime;
use crate::telemetry;

/// Headers that one webhook may have, and the bytes of those.
const HEADERS_MAX: usize = 32;
const HEADER_BYTES_MAX: usize = 8 * 1024;
const CONTENT_TYPE_MAX: usize = 256;
/// Bytes that a URL may have.
const URL_MAX: usize = 2048;

/// A webhook that is to be accepted; await it. Made by `Outbox::enqueue`.
///
/// Dropped before it is done, the webhook may be accepted or not.
#[must_use = "nothing is enqueued before it is awaited"]
#[derive(Debug)]
pub struct Enqueue<R> {
    pub(super) shared: Shareholder,
    pub(super) url: String,
    pub(super) payload: Result<Bytes, String>,
    pub(super) content_type: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) id: Option<MessageId>,
    pub(super) runtime: std::marker::PhantomData<R>,
}

/// A webhook that is on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enqueued {
    /// Its id.
    pub id: MessageId,
    /// Whether it was accepted just now. Otherwise a webhook of this id waits, is dead or was
    /// delivered; nothing was changed, whatever the payload.
    pub is_new: bool,
}

pub(super) struct Shareholder(pub(super) Arc<Shared>);

impl std::fmt::Debug for Shareholder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Outbox")
    }
}

impl<R: Runtime> Enqueue<R> {
    /// Its id, by which it is accepted once, however often it is enqueued: whoever dies after
    /// enqueuing can do it again. Without it, a random one.
    pub fn id(mut self, id: MessageId) -> Self {
        self.id = Some(id);
        self
    }

    /// Sends this header as well; at most 32, of 8 KiB. It is stored, so it must hold no secret.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    fn change(self, id: &MessageId) -> Result<Change, EnqueueError> {
        let config = &self.shared.0.config;
        check_url(&self.url)?;
        let headers = check_headers(self.headers)?;
        if self.content_type.len() > CONTENT_TYPE_MAX
            || HeaderValue::from_str(&self.content_type).is_err()
        {
            let why = "has a value that HTTP does not allow";
            return Err(EnqueueError::Header { name: CONTENT_TYPE.to_string(), why });
        }
        let payload = self.payload.map_err(EnqueueError::Encode)?;
        let max = config.limits.payload_max;
        if payload.len() > max {
            return Err(EnqueueError::TooLarge { size: payload.len(), max });
        }
        let now = R::default().unix_millis();
        // The same for all: those that are accepted together have not failed together.
        let pause = config.schedule.pause(0, None, 0).unwrap_or_default();
        let record = Record {
            id: id.as_str().to_owned(),
            url: self.url,
            headers,
            content_type: self.content_type,
            payload_size: payload.len() as u64,
            payload_sum: sum(&payload),
            created_at: now,
            attempts: 0,
            round: 0,
            last: None,
            state: State::Pending { next_at: now.saturating_add(millis(pause)) },
        };
        Ok(Change::Add { record: Box::new(record), payload })
    }

    async fn run(self) -> Result<Enqueued, EnqueueError> {
        let id = match &self.id {
            Some(id) => id.clone(),
            None => {
                let entropy = entropy::draw();
                MessageId::new(entropy.map_err(|error| EnqueueError::Entropy(Arc::new(error)))?)
            }
        };
        let shared = Arc::clone(&self.shared.0);
        let change = self.change(&id)?;
        match writer::add::<R>(&shared, change).await? {
            Done::Added => {
                telemetry::outbox("enqueued");
                Ok(Enqueued { id, is_new: true })
            }
            Done::Known => Ok(Enqueued { id, is_new: false }),
            Done::Full(fullness) => Err(EnqueueError::Full(fullness)),
            Done::Changed(_) => Err(OutboxError::Closed.into()),
        }
    }
}

impl<R: Runtime> IntoFuture for Enqueue<R> {
    type Output = Result<Enqueued, EnqueueError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

fn check_url(url: &str) -> Result<(), EnqueueError> {
    let wrong = |why| {
        // What may be credentials is not shown.
        let shown = match url.split_once("://") {
            Some((scheme, _)) if url.contains('@') => format!("{scheme}://…"),
            Some(_) | None => url.chars().take(200).collect(),
        };
        Err(EnqueueError::Url { url: shown, why })
    };
    if url.len() > URL_MAX {
        return wrong("has more than 2048 bytes");
    }
    let Ok(uri) = url.parse::<Uri>() else {
        return wrong("is none; write https://host/path");
    };
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return wrong("must begin with https:// or http://");
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return wrong("holds credentials, which are not stored; give them to the sender");
    }
    match uri.host() {
        Some(host) if !host.is_empty() => Ok(()),
        Some(_) | None => wrong("names no host"),
    }
}

fn check_headers(headers: Vec<(String, String)>) -> Result<Vec<(String, String)>, EnqueueError> {
    let mut bytes = 0_usize;
    let mut checked = Vec::with_capacity(headers.len().min(HEADERS_MAX));
    for (name, value) in headers {
        let shown: String = name.chars().take(64).collect();
        let wrong = |why| Err(EnqueueError::Header { name: shown, why });
        let Ok(parsed) = HeaderName::from_bytes(name.as_bytes()) else {
            return wrong("has a name that HTTP does not allow");
        };
        if [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE].contains(&parsed) {
            return wrong("is a secret, which is not stored; give it to the sender");
        }
        if [HOST, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING].contains(&parsed) {
            return wrong("is not the caller's to set; the type goes with the payload");
        }
        if HeaderValue::from_str(&value).is_err() {
            return wrong("has a value that HTTP does not allow");
        }
        bytes = bytes.saturating_add(name.len()).saturating_add(value.len());
        if checked.len() >= HEADERS_MAX || bytes > HEADER_BYTES_MAX {
            return wrong("is one too many: 32 headers of 8 KiB are taken");
        }
        checked.push((parsed.as_str().to_owned(), value));
    }
    Ok(checked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_checked_and_credentials_never_shown() {
        for url in ["http://localhost:8080/hook?x=1", "https://[::1]/", "https://example.com"] {
            assert!(check_url(url).is_ok(), "{url}");
        }
        let bad = ["", "/hook", "ftp://example.com/", "example.com", "http://", "http://a b/"];
        for url in bad {
            assert!(matches!(check_url(url), Err(EnqueueError::Url { .. })), "{url}");
        }
        for url in ["https://user:pass@example.com/", "https://user:pa ss@example.com/"] {
            let error = check_url(url).unwrap_err().to_string();
            assert!(!error.contains("user"), "{error}");
        }
        assert!(check_url(&format!("http://localhost/{}", "a".repeat(2048))).is_err());
    }

    #[test]
    fn headers_are_checked() {
        let check = |name: &str, value: &str| check_headers(vec![(name.into(), value.into())]);
        assert_eq!(check("X-Shop", "7").unwrap(), [("x-shop".to_owned(), "7".to_owned())]);
        for (name, value) in [
            ("Authorization", "Bearer secret"),
            ("cookie", "secret"),
            ("Host", "elsewhere"),
            ("a b", "1"),
            ("x-split", "a\r\nb: c"),
            ("", "1"),
        ] {
            let error = check(name, value).unwrap_err();
            assert!(!error.to_string().contains("secret:"), "{error}");
        }
        let many = (0..33).map(|n| (format!("x-{n}"), "1".to_owned())).collect();
        assert!(check_headers(many).is_err());
        assert!(check("x-large", &"a".repeat(9000)).is_err());
    }
}
