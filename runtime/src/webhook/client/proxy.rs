//! Proxies: which one, and tunnels through it.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;

use futures_io::{AsyncRead, AsyncWrite};
use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;
use zeroize::Zeroizing;

use super::endpoint::{Origin, host, port, shown};
use super::error::WebhookFailure;
use crate::descriptor::Password;
use crate::error::ConfigError;
use crate::net::BoxTransport;

/// What a proxy may answer to CONNECT, in bytes.
const HEAD_MAX: usize = 8 * 1024;

/// Through which proxy webhooks go: `https` URLs in a tunnel, `http` URLs as they are.
#[derive(Debug, Clone, Default)]
pub enum Proxy {
    /// As the environment says when the client is made: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`
    /// and the exceptions of `NO_PROXY`, in upper or lower case. In a CGI program, which strangers
    /// can give variables, none.
    #[default]
    Environment,
    /// None.
    Never,
    /// This one for all: a URL of `http` or `https`, with user and password where it wants them. It
    /// does not show itself.
    Url(Password),
}

/// The proxies of a client.
pub(super) struct Proxies(Option<Matcher>);

/// One proxy.
pub(super) struct ProxyServer {
    pub(super) origin: Origin,
    pub(super) authorization: Option<HeaderValue>,
}

const EXPECTED: &str = "must be a URL of http or https";

impl Proxies {
    pub(super) fn new(proxy: &Proxy) -> Result<Self, ConfigError> {
        let matcher = match proxy {
            Proxy::Never => return Ok(Self::none()),
            Proxy::Environment => Matcher::from_env(),
            Proxy::Url(url) => {
                let proxies = Self(Some(Matcher::builder().all(url.expose()).build()));
                let found = proxies.find(&Uri::from_static("http://a.example/"))?;
                return match found {
                    Some(_) => Ok(proxies),
                    None => {
                        let value = format_args!("{:?}", shown(url.expose())).to_string();
                        Err(ConfigError::new("proxy", EXPECTED, value))
                    }
                };
            }
        };
        Ok(Self(Some(matcher)))
    }

    pub(super) fn none() -> Self {
        Self(None)
    }

    /// The proxy on the way to `uri`.
    pub(super) fn find(&self, uri: &Uri) -> Result<Option<ProxyServer>, ConfigError> {
        let Some(intercept) = self.0.as_ref().and_then(|matcher| matcher.intercept(uri)) else {
            return Ok(None);
        };
        let proxy = intercept.uri();
        let wrong = || ConfigError::new("proxy", EXPECTED, format_args!("\"{proxy}\""));
        let is_tls = match proxy.scheme_str() {
            Some("http") => false,
            Some("https") if cfg!(feature = "tls") => true,
            Some(_) | None => return Err(wrong()),
        };
        let authority = proxy.authority().ok_or_else(wrong)?;
        let (host, port) = host(authority).zip(port(authority, is_tls)).ok_or_else(wrong)?;
        let authorization = intercept.basic_auth().cloned();
        Ok(Some(ProxyServer { origin: Origin { is_tls, host, port }, authorization }))
    }
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proxies(..)")
    }
}

/// Makes a tunnel to `origin` through a connection to a proxy.
pub(super) async fn tunnel(
    mut stream: BoxTransport,
    origin: &Origin,
    proxy: &ProxyServer,
) -> Result<BoxTransport, WebhookFailure> {
    let Origin { host, port, .. } = origin;
    let place =
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let mut request = Zeroizing::new(Vec::with_capacity(512));
    request.extend_from_slice(format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n").as_bytes());
    if let Some(value) = &proxy.authorization {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(value.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    let io = |error: io::Error| WebhookFailure::Proxy(error.to_string());
    write_all(&mut stream, &request).await.map_err(io)?;
    let head = read_head(&mut stream).await.map_err(io)?;
    match judge(&head) {
        Ok(()) => Ok(stream),
        Err(what) => Err(WebhookFailure::Proxy(what)),
    }
}

/// Whether that is a success.
fn judge(head: &[u8]) -> Result<(), String> {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let status = line
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split(' ').nth(1))
        .filter(|status| status.len() == 3)
        .and_then(|status| status.parse::<u16>().ok());
    match status {
        Some(200..=299) => Ok(()),
        Some(407) => Err("it wants a user and a password (status 407)".to_owned()),
        Some(status) => Err(format!("it answered with status {status}")),
        None => Err("its answer is no HTTP".to_owned()),
    }
}

async fn write_all(stream: &mut BoxTransport, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = poll_fn(|cx| Pin::new(&mut *stream).poll_write(cx, bytes)).await?;
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = bytes.get(count..).unwrap_or_default();
    }
    poll_fn(|cx| Pin::new(&mut *stream).poll_flush(cx)).await
}

/// Reads up to an empty line. What is in the tunnel begins with this side's words, so nothing may
/// follow.
async fn read_head(stream: &mut BoxTransport) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        let count = poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, &mut buffer)).await?;
        let end = |text| io::Error::new(io::ErrorKind::InvalidData, text);
        if count == 0 {
            return Err(end("it ended the connection"));
        }
        head.extend_from_slice(&buffer[..count]);
        match head.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            Some(at) if at + 4 == head.len() => return Ok(head),
            Some(_) => return Err(end("it said more than it was asked")),
            None if head.len() > HEAD_MAX => return Err(end("its answer is too long")),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(url: &str) -> Result<Proxies, ConfigError> {
        Proxies::new(&Proxy::Url(url.into()))
    }

    #[test]
    fn proxies_are_urls_of_http() {
        let proxies = url("http://u:p%40@[::1]:3128").unwrap();
        let found = proxies.find(&Uri::from_static("https://a.example/")).unwrap().unwrap();
        let origin = Origin { is_tls: false, host: "::1".into(), port: 3128 };
        assert_eq!(found.origin, origin);
        assert_eq!(found.authorization.unwrap(), "Basic dTpwQA==");
        let found = url("proxy.example").unwrap().find(&Uri::from_static("http://a.example/"));
        assert_eq!(found.unwrap().unwrap().origin.port, 80);
        for wrong in ["socks5://u:hidden@h:1", "ftp://u:hidden@h", "", "http://u:hidden@h:x"] {
            let error = url(wrong).err().unwrap().to_string();
            assert!(error.contains("http or https") && !error.contains("hidden"), "{error}");
        }
        assert!(!format!("{:?}", Proxy::Url("http://u:hidden@h".into())).contains("hidden"));
    }

    /// Variables belong to a process, so each set of them gets its own: this test once more.
    #[test]
    fn the_environment_is_heard() {
        const CHILD: &str = "CNDT_TEST_EXPECTS";
        if let Ok(expected) = std::env::var(CHILD) {
            let proxies = Proxies::new(&Proxy::Environment).unwrap();
            let found =
                ["http://a.example/", "https://a.example/", "http://b.no.example/"].map(|uri| {
                    match proxies.find(&Uri::from_static(uri)) {
                        Ok(Some(proxy)) => proxy.origin.host,
                        Ok(None) => "-".to_owned(),
                        Err(_) => "wrong".to_owned(),
                    }
                });
            assert_eq!(found.join(" "), expected);
            return;
        }
        let run = |variables: &[(&str, &str)], expected: &str| {
            let mut child = std::process::Command::new(std::env::current_exe().unwrap());
            let name = "webhook::client::proxy::tests::the_environment_is_heard";
            child.args(["--exact", name]).env(CHILD, expected);
            for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUEST_METHOD"] {
                child.env_remove(name).env_remove(name.to_ascii_lowercase());
            }
            let output = child.envs(variables.iter().copied()).output().unwrap();
            assert!(output.status.success(), "{variables:?}: {output:?}");
            assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:?}");
        };
        run(&[], "- - -");
        run(&[("HTTP_PROXY", "http://p:1")], "p - p");
        run(&[("http_proxy", "http://p:1"), ("https_proxy", "q:2")], "p q p");
        run(&[("HTTPS_PROXY", "http://q:2"), ("NO_PROXY", "no.example")], "- q -");
        run(&[("ALL_PROXY", "http://p:1"), ("no_proxy", ".no.example, 10.0.0.0/8")], "p p -");
        run(&[("ALL_PROXY", "http://p:1"), ("NO_PROXY", "*")], "- - -");
        run(&[("ALL_PROXY", "socks5://p:1")], "wrong wrong wrong");
        run(&[("HTTP_PROXY", "http://p:1"), ("REQUEST_METHOD", "GET")], "- - -");
    }

    #[test]
    fn a_tunnel_is_a_success() {
        assert_eq!(judge(b"HTTP/1.1 200 Connection established\r\n\r\n"), Ok(()));
        assert_eq!(judge(b"HTTP/1.0 204\r\n\r\n"), Ok(()));
        for (head, words) in [
            (&b"HTTP/1.1 407 No\r\n\r\n"[..], "password"),
            (b"HTTP/1.1 502 Bad\r\n\r\n", "502"),
            (b"HTTP/1.1 2000 OK\r\n\r\n", "no HTTP"),
            (b"SSH-2.0\r\n\r\n", "no HTTP"),
            (b"\r\n\r\n", "no HTTP"),
        ] {
            assert!(judge(head).unwrap_err().contains(words), "{words}");
        }
    }
}
