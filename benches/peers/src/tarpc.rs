//! tarpc over TCP, by its own serde transport: frames with a length before them, bincode in them.
//!
//! A tarpc server cannot push. As in its publish-and-subscribe example, each subscriber serves a
//! second service on a second connection, and every message is a call.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use cndt_benches::sockets::{
    Announce, Executor, Hits, Metrics, Peer, Result, System, Task, drive, push_payload,
};
use cndt_tokio::Tokio;
use futures_util::{StreamExt, stream};
use tarpc::client::Config;
use tarpc::context::{self, Context};
use tarpc::server::{BaseChannel, Channel};
use tarpc::tokio_serde::formats::Bincode;
use tarpc::tokio_util::codec::{Framed, LengthDelimitedCodec};
use tokio::net::{TcpListener, TcpStream};

/// Messages on their way to one subscriber.
const PUSHES_MAX: usize = 64;

pub struct Tarpc;

impl System for Tarpc {
    fn name(&self) -> &'static str {
        "tarpc"
    }

    fn serve(&self, announce: Announce) -> Result<()> {
        Tokio::run(async move {
            let listener = TcpListener::from_std(crate::listen(announce)?)?;
            serve(listener).await
        })
    }

    fn drive(&self, task: Task) -> Result<Metrics> {
        Tokio::run(drive::<TarpcPeer>(task))
    }
}

#[tarpc::service]
trait Bench {
    async fn add(a: i64, b: i64) -> i64;
    async fn echo(data: Bytes) -> Bytes;
    /// Where the server takes connections on which it calls.
    async fn subscribers() -> SocketAddr;
    async fn publish(messages: u64);
}

#[tarpc::service]
trait Subscriber {
    async fn push(data: Bytes);
}

type Transport<Item, SinkItem> =
    tarpc::serde_transport::Transport<TcpStream, Item, SinkItem, Bincode<Item, SinkItem>>;

fn transport<Item, SinkItem>(stream: TcpStream) -> Transport<Item, SinkItem>
where
    Item: for<'de> serde::Deserialize<'de>,
    SinkItem: serde::Serialize,
{
    let frames = Framed::new(stream, LengthDelimitedCodec::new());
    tarpc::serde_transport::new(frames, Bincode::default())
}

#[derive(Clone)]
struct Server {
    subscribers_at: SocketAddr,
    subscribers: Arc<Mutex<Vec<SubscriberClient>>>,
}

impl Bench for Server {
    async fn add(self, _: Context, a: i64, b: i64) -> i64 {
        a + b
    }

    async fn echo(self, _: Context, data: Bytes) -> Bytes {
        data
    }

    async fn subscribers(self, _: Context) -> SocketAddr {
        self.subscribers_at
    }

    async fn publish(self, _: Context, messages: u64) {
        let subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for subscriber in subscribers {
            tokio::spawn(stream::iter(0..messages).for_each_concurrent(
                PUSHES_MAX,
                move |number| {
                    let subscriber = subscriber.clone();
                    async move {
                        let data = Bytes::copy_from_slice(&push_payload(number));
                        // A message that does not arrive is missed by the client.
                        let _ = subscriber.push(context::current(), data).await;
                    }
                },
            ));
        }
    }
}

async fn serve(listener: TcpListener) -> Result<()> {
    let callers = TcpListener::bind((listener.local_addr()?.ip(), 0)).await?;
    let server = Server { subscribers_at: callers.local_addr()?, subscribers: Arc::default() };
    let subscribers = Arc::clone(&server.subscribers);
    tokio::spawn(async move {
        while let Ok((stream, _)) = callers.accept().await {
            let _ = stream.set_nodelay(true);
            let subscriber = SubscriberClient::new(Config::default(), transport(stream)).spawn();
            subscribers.lock().unwrap_or_else(PoisonError::into_inner).push(subscriber);
        }
    });
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let channel = BaseChannel::with_defaults(transport(stream));
        tokio::spawn(channel.execute(server.clone().serve()).for_each(spawn));
    }
}

async fn spawn(request: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(request);
}

#[derive(Clone)]
struct Subscribed(Hits);

impl Subscriber for Subscribed {
    async fn push(self, _: Context, data: Bytes) {
        self.0.hit(&data);
    }
}

#[derive(Clone)]
struct TarpcPeer(BenchClient);

async fn dial(server: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Peer for TarpcPeer {
    type Runtime = Tokio;

    async fn connect(server: SocketAddr) -> Result<Self> {
        let transport = transport(dial(server).await?);
        Ok(Self(BenchClient::new(Config::default(), transport).spawn()))
    }

    async fn add(&self, a: i64, b: i64) -> Result<i64> {
        Ok(self.0.add(context::current(), a, b).await?)
    }

    async fn echo(&self, data: Bytes) -> Result<usize> {
        Ok(self.0.echo(context::current(), data).await?.len())
    }

    async fn subscribe(&self, hits: Hits) -> Result<()> {
        let address = self.0.subscribers(context::current()).await?;
        let channel = BaseChannel::with_defaults(transport(dial(address).await?));
        tokio::spawn(channel.execute(Subscribed(hits).serve()).for_each(spawn));
        Ok(())
    }

    async fn publish(&self, messages: u64) -> Result<()> {
        Ok(self.0.publish(context::current(), messages).await?)
    }
}
