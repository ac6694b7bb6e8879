//! Two connections in memory that have logged in.

use std::error::Error;

use cndt_core::auth::scram::Derivation;
use cndt_core::auth::{Access, Credentials, Entropy, UserName};
use cndt_core::connection::{Config, Connection, Event};
use cndt_core::time::Instant;

/// Two connections and the bytes between them.
#[derive(Debug)]
pub struct Pair {
    /// Calls.
    pub client: Connection,
    /// Answers.
    pub server: Connection,
}

impl Pair {
    /// A client and a server after login, their first events read.
    ///
    /// # Errors
    /// Never with the default configuration.
    pub fn new() -> Result<Self, Box<dyn Error>> {
        let now = Instant::ZERO;
        let keys = Derivation::new("secret", &[7; 16], 100_000)?.run();
        let access = Access::new().with_user(UserName::default(), keys.verifier());
        let credentials = Credentials::new(UserName::default(), "secret")?.with_keys(keys);
        let client = Connection::client(now, Config::default(), credentials, Entropy([9; 64]))?;
        let server = Connection::server(now, Config::default(), access, Entropy([7; 64]))?;
        let mut pair = Self { client, server };
        for _ in 0..3 {
            pair.to_server();
            pair.to_client();
        }
        while pair.client.poll_event().is_some() {}
        while pair.server.poll_event().is_some() {}
        Ok(pair)
    }

    /// Carries what the client has written to the server.
    pub fn to_server(&mut self) {
        carry(&mut self.client, &mut self.server);
    }

    /// Carries what the server has written to the client.
    pub fn to_client(&mut self) {
        carry(&mut self.server, &mut self.client);
    }
}

/// As a driver does: straight into the decoder's buffer.
fn carry(from: &mut Connection, to: &mut Connection) {
    let mut moved = 0;
    for piece in from.transmit() {
        to.read_buffer().extend_from_slice(piece);
        moved += piece.len();
    }
    from.advance_transmit(Instant::ZERO, moved);
    to.received(Instant::ZERO, moved);
}

/// Runs every waiting request through `answer`.
pub fn serve(server: &mut Connection, mut answer: impl FnMut(&mut Connection, Event)) {
    while let Some(event) = server.poll_event() {
        answer(server, event);
    }
}
