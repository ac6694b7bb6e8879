use super::Balance;
use crate::descriptor::ClientDescriptor;
use crate::error::ConfigError;

/// Members of one pool, over all servers. Each is a connection with its buffers and timers.
const MEMBERS_MAX: usize = 1024;

/// How many members a pool has, of which servers, and how they take turns.
///
/// ```
/// use cndt_runtime::{Balance, PoolOptions};
///
/// let options = PoolOptions::new()
///     .size(2)
///     .server("10.0.0.2", 9000)
///     .server("unix:/run/app.sock", 0)
///     .balance(Balance::LeastLatency);
/// ```
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolOptions {
    pub(super) size: usize,
    pub(super) balance: Balance,
    more_servers: Vec<(String, u16)>,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl PoolOptions {
    /// Four members of the template's own server, which take turns.
    pub fn new() -> Self {
        Self { size: 4, balance: Balance::default(), more_servers: Vec::new() }
    }

    /// Members of each server, at least 1; up to 1,024 over all servers. 4.
    pub fn size(mut self, per_server: usize) -> Self {
        self.size = per_server;
        self
    }

    /// One more server, beside the one that the template names. Host and port are as in a
    /// `ClientDescriptor`; everything else is as with the first. A server that is named twice gets
    /// twice as many members.
    pub fn server(mut self, host: impl Into<String>, port: u16) -> Self {
        self.more_servers.push((host.into(), port));
        self
    }

    /// Which member is chosen. [`Balance::RoundRobin`].
    pub fn balance(mut self, balance: Balance) -> Self {
        self.balance = balance;
        self
    }

    /// The settings of one member of each server, all of them valid.
    pub(super) fn servers(
        &self,
        template: &ClientDescriptor,
    ) -> Result<Vec<ClientDescriptor>, ConfigError> {
        let mut servers = vec![template.clone()];
        for (host, port) in &self.more_servers {
            let mut descriptor = template.clone();
            descriptor.server_host.clone_from(host);
            descriptor.server_port = *port;
            servers.push(descriptor);
        }
        let count = self.size.saturating_mul(servers.len());
        if self.size == 0 || count > MEMBERS_MAX {
            let expected = "must be at least 1, and at most 1024 divided by the number of servers";
            return Err(ConfigError::new("size", expected, self.size));
        }
        servers.iter().try_for_each(ClientDescriptor::validate)?;
        Ok(servers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_checked() {
        let template = ClientDescriptor::new("localhost", 1, "secret");
        let servers = |options: PoolOptions| options.servers(&template);
        let fields = |options: PoolOptions| servers(options).map_err(|error| error.field);
        assert_eq!(fields(PoolOptions::new().size(0)).err(), Some("size"));
        assert_eq!(fields(PoolOptions::new().size(1024)).map(|all| all.len()), Ok(1));
        let two = || PoolOptions::new().server("other", 2);
        assert_eq!(fields(two().size(513)).err(), Some("size"));
        assert_eq!(fields(two().size(512)).map(|all| all.len()), Ok(2));
        assert_eq!(fields(two().size(usize::MAX)).err(), Some("size"));
        assert_eq!(fields(two().server("", 2)).err(), Some("server_host"));
        assert_eq!(fields(two().server("third", 0)).err(), Some("server_port"));
        let all = servers(two().server("unix:/x", 0)).unwrap();
        let addresses: Vec<String> = all.iter().map(ClientDescriptor::address).collect();
        assert_eq!(addresses, ["localhost:1", "other:2", "unix:/x"]);
    }
}
