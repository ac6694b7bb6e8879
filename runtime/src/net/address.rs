use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use crate::error::ConfigError;

/// What marks the path of a Unix socket.
const UNIX: &str = "unix:";

/// Where a server is, as people write it: `host:port`, `[::1]:port`, `unix:/run/app.sock`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// A name or an IP address, and a port.
    Tcp {
        /// Without brackets.
        host: String,
        /// 0 to 65535.
        port: u16,
    },
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl Address {
    /// From the two settings of a descriptor: a host of `unix:PATH` is a Unix socket, whatever the
    /// port.
    pub fn new(host: &str, port: u16) -> Self {
        match host.strip_prefix(UNIX) {
            Some(path) => Self::Unix(path.into()),
            None => Self::Tcp { host: host.to_owned(), port },
        }
    }
}

impl FromStr for Address {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let wrong = |expected| Err(ConfigError::new("address", expected, format_args!("{text:?}")));
        if let Some(path) = text.strip_prefix(UNIX) {
            if path.is_empty() {
                return wrong("must name a path after `unix:`");
            }
            return Ok(Self::Unix(path.into()));
        }
        let Some((host, port)) = text.rsplit_once(':') else {
            return wrong("must be host:port, [ipv6]:port or unix:PATH");
        };
        let inner = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
        let host = match inner {
            Some(inner) => inner,
            None if host.contains(':') => return wrong("must have an IPv6 address in brackets"),
            None => host,
        };
        if host.is_empty() {
            return wrong("must name a host before the port");
        }
        let Ok(port) = port.parse() else { return wrong("must end with a port, 0 to 65535") };
        Ok(Self::Tcp { host: host.to_owned(), port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

/// Where a server listens, as clients may write it: `cndt://127.0.0.1:8080`, `cndts://…` with TLS,
/// `unix:/run/app.sock`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LocalAddress {
    /// Plain TCP.
    Tcp(SocketAddr),
    /// TLS over TCP.
    Tls(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
    /// One of them, where JSON-RPC is spoken: `jsonrpc://…`, `jsonrpcs://…`, `jsonrpc+unix:…`.
    JsonRpc(Box<LocalAddress>),
    /// One of them, where webhooks are received: `http://…`, `https://…`, `http+unix:…`.
    Http(Box<LocalAddress>),
}

impl LocalAddress {
    /// The IP address and port; `None` for a Unix socket.
    pub fn socket_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) | Self::Tls(address) => Some(*address),
            Self::Unix(_) => None,
            Self::JsonRpc(address) | Self::Http(address) => address.socket_address(),
        }
    }
}

impl fmt::Display for LocalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "cndt://{address}"),
            Self::Tls(address) => write!(f, "cndts://{address}"),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
            Self::JsonRpc(address) => match &**address {
                Self::Tcp(address) => write!(f, "jsonrpc://{address}"),
                Self::Tls(address) => write!(f, "jsonrpcs://{address}"),
                other => write!(f, "jsonrpc+{other}"),
            },
            Self::Http(address) => match &**address {
                Self::Tcp(address) => write!(f, "http://{address}"),
                Self::Tls(address) => write!(f, "https://{address}"),
                other => write!(f, "http+{other}"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for text in ["localhost:80", "[::1]:8080", "unix:/run/a b.sock", "unix:relative"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        for (text, words) in [
            ("localhost", "host:port"),
            ("::1:80", "brackets"),
            (":80", "before the port"),
            ("h:99999", "0 to 65535"),
            ("unix:", "a path"),
        ] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(words) && error.contains(text), "{error}");
        }
        assert_eq!(Address::new("unix:/x", 7), Address::Unix("/x".into()));
    }
}
