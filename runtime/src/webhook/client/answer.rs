use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderMap, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde::de::DeserializeOwned;

/// What a receiver answered. Cheap to clone but for its headers.
#[derive(Debug, Clone)]
pub struct WebhookAnswer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) is_cut: bool,
    pub(super) retry_after: Option<Duration>,
}

/// Why a body is not what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// It has more bytes than `response_max`, and the rest was not read.
    #[error("the answer has more than {0} bytes; raise response_max")]
    Cut(usize),
    /// It is no JSON, or of another type.
    #[error("the answer is not of the expected type: {0}")]
    Json(#[from] serde_json::Error),
}

impl WebhookAnswer {
    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The body: `response_max` bytes of it at most.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Whether there is more of the body than was read.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// When it is none, of another type, or cut.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, AnswerError> {
        if self.is_cut {
            return Err(AnswerError::Cut(self.body.len()));
        }
        Ok(serde_json::from_slice(&self.body)?)
    }

    /// How long the receiver asks to be left alone, from when the answer came: its header
    /// `Retry-After`, be it a number or a date.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

/// What an answer asks for that comes at `unix_millis`.
pub(super) fn retry_after(headers: &HeaderMap, unix_millis: u64) -> Option<Duration> {
    span(headers.get(RETRY_AFTER)?, unix_millis)
}

/// Seconds or a date. What is neither asks for nothing.
fn span(value: &HeaderValue, unix_millis: u64) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More than fits is for ever.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let since_epoch = date.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Some(since_epoch.saturating_sub(Duration::from_millis(unix_millis)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let read = |text: &'static str| span(&HeaderValue::from_static(text), 784_111_770_500);
        assert_eq!(read("120"), Some(Duration::from_secs(120)));
        assert_eq!(read("0"), Some(Duration::ZERO));
        assert_eq!(read("99999999999999999999"), Some(Duration::from_secs(u64::MAX)));
        let half = Duration::from_millis(6500);
        for date in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(read(date), Some(half), "{date}");
        }
        assert_eq!(read("Sun, 06 Nov 1994 08:49:00 GMT"), Some(Duration::ZERO), "it is past");
        for nonsense in ["", "-1", "1.5", "soon", "+1"] {
            assert_eq!(read(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn a_cut_body_is_no_json() {
        let whole = WebhookAnswer {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: Bytes::from_static(b"12"),
            is_cut: false,
            retry_after: None,
        };
        assert_eq!(whole.json::<u32>().unwrap(), 12);
        assert!(matches!(whole.json::<String>(), Err(AnswerError::Json(_))));
        let cut = WebhookAnswer { is_cut: true, ..whole };
        assert!(matches!(cut.json::<u32>(), Err(AnswerError::Cut(2))));
    }
}
