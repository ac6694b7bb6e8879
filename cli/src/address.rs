//! Where a peer is: `host:port`, `[::1]:port`, `cndt://host:port`.

use std::fmt;
use std::str::FromStr;

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("unix:") || text.starts_with("cndts://") {
            return Err("this version speaks plain TCP only: write host:port".into());
        }
        let rest = text.strip_prefix("cndt://").unwrap_or(text);
        if rest.contains("://") {
            return Err("the only scheme is cndt://".into());
        }
        let (host, port) = rest
            .strip_suffix('/')
            .unwrap_or(rest)
            .rsplit_once(':')
            .ok_or("the port is missing: write host:port")?;
        let host = match host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
            Some(inner) => inner,
            None if host.contains(':') => {
                return Err(format!("write an IPv6 address in brackets: [{host}]:{port}"));
            }
            None => host,
        };
        if host.is_empty() {
            return Err("the host is missing: write host:port".into());
        }
        let port = port.parse().map_err(|_| format!("`{port}` is no port (0 to 65535)"))?;
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn every_form_is_read_and_written_back() {
        for (text, host, port) in [
            ("localhost:8080", "localhost", 8080),
            ("cndt://127.0.0.1:1", "127.0.0.1", 1),
            ("[::1]:0", "::1", 0),
            ("cndt://[fe80::1]:65535/", "fe80::1", 65535),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!((address.host.as_str(), address.port), (host, port));
            assert_eq!(address.to_string().parse::<Address>().unwrap(), address);
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, words) in [
            ("localhost", "port is missing"),
            (":80", "host is missing"),
            ("::1:80", "brackets"),
            ("host:99999", "99999"),
            ("http://host:80", "cndt://"),
            ("unix:/tmp/x", "TCP only"),
            ("cndts://host:1", "TCP only"),
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
