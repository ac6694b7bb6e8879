//! CNDT through its public API: typed arguments and results, handlers by the router, logged in,
//! heartbeats and timeouts as they are by default.

use std::future::Future;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use cndt_async_std::AsyncStd;
use cndt_runtime::users::{UserName, Users, hash_password};
use cndt_runtime::{
    Blob, Client, ClientDescriptor, ClientHandle, Data, Params, Peer as Remote, RpcError, Runtime,
    Server, ServerDescriptor, ServerHandle,
};
use cndt_smol::Smol;
use cndt_tokio::Tokio;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Announce, Executor, Hits, Metrics, Peer, Result, System, Task};
use super::{drive, push_payload};

const PASSWORD: &str = "a password of some length";
/// The fewest that there may be, since every connection derives its keys anew: 2,000 logins of one
/// process would else take six minutes. Nothing that is measured depends on it but the logins.
const ITERATIONS: u32 = 4096;
/// 100 would do for nothing but W1 to W5.
const CONNECTIONS_MAX: usize = 20_000;

/// CNDT on the runtime `R`.
#[derive(Debug)]
pub struct Cndt<R>(PhantomData<R>);

impl Cndt<Tokio> {
    /// On tokio.
    pub const TOKIO: Self = Self(PhantomData);
}

impl Cndt<Smol> {
    /// On smol.
    pub const SMOL: Self = Self(PhantomData);
}

impl Cndt<AsyncStd> {
    /// On async-std.
    pub const ASYNC_STD: Self = Self(PhantomData);
}

impl<R: Executor> System for Cndt<R> {
    fn name(&self) -> &'static str {
        R::NAME
    }

    fn serve(&self, announce: Announce) -> Result<()> {
        R::run(async move {
            announce(serve::<R>().await?.address());
            std::future::pending().await
        })
    }

    fn drive(&self, task: Task) -> Result<Metrics> {
        R::run(drive::<CndtPeer<R>>(task))
    }
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

#[derive(Serialize, Deserialize, JsonSchema)]
struct Publish {
    messages: u64,
}

async fn serve<R: Runtime>() -> Result<ServerHandle> {
    let users = Users::new().with(UserName::default(), hash_password(PASSWORD, ITERATIONS)?);
    let descriptor = ServerDescriptor::new("")
        .users(users)
        .host("127.0.0.1")
        .port(0)
        .max_connections(CONNECTIONS_MAX);
    let server = Server::<R>::new(descriptor)
        .rpc("add", |Params(Add { a, b }): Params<Add>| async move { a + b })
        .rpc("echo", |Params(Echo { data }): Params<Echo>| async move { data })
        .rpc("publish", publish::<R>);
    Ok(server.start().await?)
}

/// Starts the messages and returns.
async fn publish<R: Runtime>(
    Params(Publish { messages }): Params<Publish>,
    publisher: Remote,
    server: ServerHandle,
) -> std::result::Result<(), RpcError> {
    R::default().spawn(async move {
        // The client that waits for the messages is the one who notices.
        if let Err(error) = broadcast(&server, &publisher, messages).await {
            eprintln!("{error}");
        }
    });
    Ok(())
}

/// How long one receiver may keep all others waiting.
const PATIENCE: Duration = Duration::from_secs(30);

async fn broadcast(server: &ServerHandle, publisher: &Remote, messages: u64) -> Result<()> {
    for number in 0..messages {
        let data = Bytes::copy_from_slice(&push_payload(number));
        let message = server.broadcast("push", &data).exclude(publisher.id());
        let delivered = message.send_within(PATIENCE).await?;
        if delivered.refused > 0 {
            return Err(format!("{} receivers had no room", delivered.refused).into());
        }
    }
    Ok(())
}

#[derive(Debug)]
struct CndtPeer<R> {
    client: ClientHandle,
    hits: Arc<OnceLock<Hits>>,
    runtime: PhantomData<R>,
}

impl<R> Clone for CndtPeer<R> {
    fn clone(&self) -> Self {
        let Self { client, hits, runtime } = self;
        Self { client: client.clone(), hits: Arc::clone(hits), runtime: *runtime }
    }
}

impl<R: Executor> Peer for CndtPeer<R> {
    type Runtime = R;

    fn connect(server: SocketAddr) -> impl Future<Output = Result<Self>> + Send {
        let hits: Arc<OnceLock<Hits>> = Arc::default();
        let of_handler = Arc::clone(&hits);
        let descriptor = ClientDescriptor::new(server.ip().to_string(), server.port(), PASSWORD)
            .password_iterations_min(ITERATIONS);
        let client = Client::<R>::new(descriptor).on("push", move |Data(message): Data<Bytes>| {
            if let Some(hits) = of_handler.get() {
                hits.hit(&message);
            }
            std::future::ready(())
        });
        async move { Ok(Self { client: client.connect().await?, hits, runtime: PhantomData }) }
    }

    async fn add(&self, a: i64, b: i64) -> Result<i64> {
        Ok(self.client.call("add", &Add { a, b }).await?)
    }

    async fn echo(&self, data: Bytes) -> Result<usize> {
        let echoed: Blob = self.client.call("echo", &Echo { data: Blob(data) }).await?;
        Ok(echoed.len())
    }

    async fn subscribe(&self, hits: Hits) -> Result<()> {
        self.hits.set(hits).map_err(|_| "subscribed already")?;
        Ok(())
    }

    async fn publish(&self, messages: u64) -> Result<()> {
        Ok(self.client.call("publish", &Publish { messages }).await?)
    }
}
