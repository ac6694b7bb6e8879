//! Redis: a server in C with a protocol that is pipelined by nature. It is no RPC system: no code of
//! the user runs in it. `add` is INCRBY, which reads two arguments, adds, and answers a number;
//! `echo` is ECHO; messages are pushed by PUBLISH.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use bytes::Bytes;
use cndt_benches::sockets::{
    Announce, Executor, Hits, Metrics, Peer, Result, System, Task, drive, push_payload,
};
use cndt_tokio::Tokio;
use futures_util::StreamExt;
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{Client, IntoConnectionInfo, Pipeline, cmd};

const PROGRAM: &str = "redis-server";
/// Messages in one pipeline.
const BATCH: u64 = 64;

pub struct Redis;

impl Redis {
    /// Whether the program is there.
    pub fn is_here() -> bool {
        let said = Command::new(PROGRAM).arg("--version").stdout(Stdio::null()).status();
        said.is_ok_and(|status| status.success())
    }
}

impl System for Redis {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn program(&self, port: u16) -> Option<Command> {
        let mut command = Command::new(PROGRAM);
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1"]);
        // Nothing on disk.
        command.args(["--save", "", "--appendonly", "no"]);
        Some(command)
    }

    fn serve(&self, _: Announce) -> Result<()> {
        Err("redis has a server of its own".into())
    }

    fn drive(&self, task: Task) -> Result<Metrics> {
        Tokio::run(drive::<RedisPeer>(task))
    }
}

#[derive(Clone)]
struct RedisPeer {
    connection: MultiplexedConnection,
    server: SocketAddr,
}

fn client(server: SocketAddr) -> Result<Client> {
    let nodelay = TcpSettings::default().set_nodelay(true);
    let info = format!("redis://{server}/").into_connection_info()?.set_tcp_settings(nodelay);
    Ok(Client::open(info)?)
}

impl Peer for RedisPeer {
    type Runtime = Tokio;

    async fn connect(server: SocketAddr) -> Result<Self> {
        let connection = client(server)?.get_multiplexed_async_connection().await?;
        Ok(Self { connection, server })
    }

    async fn add(&self, a: i64, b: i64) -> Result<i64> {
        // The sum is of all calls, so it proves nothing.
        let _: i64 =
            cmd("INCRBY").arg("sum").arg(b).query_async(&mut self.connection.clone()).await?;
        Ok(a + b)
    }

    async fn echo(&self, data: Bytes) -> Result<usize> {
        let echoed: Bytes =
            cmd("ECHO").arg(&data[..]).query_async(&mut self.connection.clone()).await?;
        Ok(echoed.len())
    }

    async fn subscribe(&self, hits: Hits) -> Result<()> {
        let mut subscription = client(self.server)?.get_async_pubsub().await?;
        subscription.subscribe("push").await?;
        tokio::spawn(async move {
            let mut messages = subscription.into_on_message();
            while let Some(message) = messages.next().await {
                hits.hit(message.get_payload_bytes());
            }
        });
        Ok(())
    }

    async fn publish(&self, messages: u64) -> Result<()> {
        let mut from = 0;
        while from < messages {
            let to = messages.min(from + BATCH);
            let mut batch = Pipeline::new();
            for number in from..to {
                batch.cmd("PUBLISH").arg("push").arg(&push_payload(number)[..]).ignore();
            }
            let _: () = batch.query_async(&mut self.connection.clone()).await?;
            from = to;
        }
        Ok(())
    }
}
