//! A server and a client of `cndt-tokio` over a pipe in memory, on one thread.

use std::sync::Arc;

use bytes::Bytes;
use cndt_runtime::users::{UserName, Users, hash_password};
use cndt_tokio::{
    Blob, Client, ClientDescriptor, ClientHandle, Params, Server, ServerDescriptor, Stream,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::sockets::Result;

const PASSWORD: &str = "secret";
const ITERATIONS: u32 = 4096;
/// Methods beside `add`, so that it has to be looked for.
const OTHERS: usize = 100;

/// Whole calls without a socket: arguments, handlers by the router, results.
#[derive(Debug)]
pub struct Memory {
    runtime: Runtime,
    client: Arc<ClientHandle>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Add {
    a: i64,
    b: i64,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Echo {
    data: Blob,
}

impl Memory {
    /// Both, logged in.
    ///
    /// # Errors
    /// When the machine has no socket, thread or randomness to give.
    pub fn new() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let client = Arc::new(runtime.block_on(connect())?);
        Ok(Self { runtime, client })
    }

    /// So many calls of `add`, one after the other.
    ///
    /// # Errors
    /// When one fails or is wrong.
    pub fn add(&self, calls: usize) -> Result<()> {
        self.runtime.block_on(async {
            for _ in 0..calls {
                let sum: i64 = self.client.call("add", &Add { a: 70_000, b: 2 }).await?;
                if sum != 70_002 {
                    return Err(format!("70000 + 2 is not {sum}").into());
                }
            }
            Ok(())
        })
    }

    /// So many calls of `add` at a time, each from a task of its own.
    ///
    /// # Errors
    /// When one fails.
    pub fn add_at_once(&self, calls: usize) -> Result<()> {
        self.runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for _ in 0..calls {
                let client = Arc::clone(&self.client);
                tasks.spawn(
                    async move { client.call::<_, i64>("add", &Add { a: 70_000, b: 2 }).await },
                );
            }
            while let Some(sum) = tasks.join_next().await {
                sum??;
            }
            Ok(())
        })
    }

    /// So many echoes, one after the other.
    ///
    /// # Errors
    /// When one fails.
    pub fn echo(&self, data: &Bytes, calls: usize) -> Result<()> {
        self.runtime.block_on(async {
            for _ in 0..calls {
                let echo = Echo { data: data.clone().into() };
                let echoed: Echo = self.client.call("echo", &echo).await?;
                if echoed.data.len() != data.len() {
                    return Err("not everything came back".into());
                }
            }
            Ok(())
        })
    }
}

async fn connect() -> Result<ClientHandle> {
    let users = Users::new().with(UserName::default(), hash_password(PASSWORD, ITERATIONS)?);
    let descriptor = ServerDescriptor::new("").users(users).host("127.0.0.1").port(0);
    let mut server = Server::new(descriptor)
        .rpc("add", |Params(Add { a, b }): Params<Add>| async move { a + b })
        .rpc("echo", |Params(echo): Params<Echo>| async move { echo });
    for number in 0..OTHERS {
        server = server.rpc(format!("another_{number}"), || async {});
    }
    let (near, far) = tokio::io::duplex(1 << 20);
    server.start().await?.serve_stream(Stream(far), None)?;
    let descriptor =
        ClientDescriptor::new("memory", 1, PASSWORD).password_iterations_min(ITERATIONS);
    Ok(Client::new(descriptor).connect_over(Stream(near)).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_answered() {
        let memory = Memory::new().expect("logs in");
        memory.add(3).expect("adds");
        memory.add_at_once(300).expect("adds");
        memory.echo(&Bytes::from(vec![7; 100_000]), 2).expect("echoes");
    }
}
