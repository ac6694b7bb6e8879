//! Where a peer is: `host:port`, `[::1]:port`, `cndt://host:port`, `cndts://host:port` with TLS,
//! `unix:PATH`; for JSON-RPC `jsonrpc://` and `jsonrpcs://` as well.

use std::fmt;
use std::str::FromStr;

/// A place, and what is spoken there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) place: cndt_tokio::Address,
    pub(crate) tls: bool,
    /// Whether the scheme says so. One that says nothing, or `cndt`, is taken for any protocol.
    pub(crate) is_jsonrpc: bool,
}

impl Address {
    /// Host and port, as descriptors take them.
    pub(crate) fn host_and_port(&self) -> (String, u16) {
        match &self.place {
            cndt_tokio::Address::Tcp { host, port } => (host.clone(), *port),
            unix @ cndt_tokio::Address::Unix(_) => (unix.to_string(), 0),
        }
    }

    /// Whether CNDT may be spoken there.
    ///
    /// # Errors
    /// The words for an address that says otherwise.
    pub(crate) fn is_cndt(&self) -> Result<(), String> {
        if self.is_jsonrpc {
            return Err(format!("{self} speaks JSON-RPC: use `cndt jsonrpc call`"));
        }
        Ok(())
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (rest, tls, is_jsonrpc) = match text.split_once("://") {
            None => (text, false, false),
            Some(("cndt", rest)) => (rest, false, false),
            Some(("cndts", rest)) => (rest, true, false),
            Some(("jsonrpc", rest)) => (rest, false, true),
            Some(("jsonrpcs", rest)) => (rest, true, true),
            Some(("http" | "https", _)) => {
                let words = "http:// is for `cndt webhook send`; elsewhere the schemes are cndt:// \
                             and jsonrpc://, with an s for TLS";
                return Err(words.into());
            }
            Some(_) => {
                return Err("the schemes are cndt:// and jsonrpc://, with an s for TLS".into());
            }
        };
        let rest = if text.contains("://") { rest.strip_suffix('/').unwrap_or(rest) } else { rest };
        if text.contains("://") && rest.starts_with("unix:") {
            return Err("write a Unix socket as unix:PATH, without a scheme".into());
        }
        let place = rest.parse().map_err(|error: cndt_tokio::ConfigError| error.to_string())?;
        Ok(Self { place, tls, is_jsonrpc })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.is_jsonrpc, self.tls) {
            (false, false) => self.place.fmt(f),
            (false, true) => write!(f, "cndts://{}", self.place),
            (true, false) => write!(f, "jsonrpc://{}", self.place),
            (true, true) => write!(f, "jsonrpcs://{}", self.place),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn every_form_is_read_and_written_back() {
        for (text, host, port, tls) in [
            ("localhost:8080", "localhost", 8080, false),
            ("cndt://127.0.0.1:1", "127.0.0.1", 1, false),
            ("cndts://example.org:1/", "example.org", 1, true),
            ("[::1]:0", "::1", 0, false),
            ("cndt://[fe80::1]:65535/", "fe80::1", 65535, false),
            ("unix:/tmp/a/", "unix:/tmp/a/", 0, false),
            ("jsonrpc://localhost:1", "localhost", 1, false),
            ("jsonrpcs://localhost:1", "localhost", 1, true),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!((address.host_and_port(), address.tls), ((host.into(), port), tls));
            assert_eq!(address.to_string().parse::<Address>().unwrap(), address);
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, words) in [
            ("localhost", "host:port"),
            (":80", "host before"),
            ("::1:80", "brackets"),
            ("host:99999", "0 to 65535"),
            ("http://host:80", "cndt://"),
            ("unix:", "a path"),
            ("cndts://unix:/x", "without a scheme"),
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
