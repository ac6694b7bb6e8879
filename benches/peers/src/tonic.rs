//! tonic: gRPC over HTTP/2. Messages are pushed on a stream that answers `Subscribe`.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use cndt_benches::sockets::{
    Announce, Executor, Hits, Metrics, Peer, Result, System, Task, drive, push_payload,
};
use cndt_tokio::Tokio;
use service::bench_client::BenchClient;
use service::bench_server::{Bench, BenchServer};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status};

#[allow(clippy::all)]
mod service {
    include!(concat!(env!("OUT_DIR"), "/bench.Bench.rs"));
}

/// Messages that wait for one subscriber; whoever publishes waits for room.
const WAITING_MAX: usize = 128;

pub struct Tonic;

impl System for Tonic {
    fn name(&self) -> &'static str {
        "tonic"
    }

    fn serve(&self, announce: Announce) -> Result<()> {
        Tokio::run(async move {
            let listener = TcpListener::from_std(crate::listen(announce)?)?;
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            let service = BenchServer::new(Subscribers::default());
            Server::builder().add_service(service).serve_with_incoming(incoming).await?;
            Ok(())
        })
    }

    fn drive(&self, task: Task) -> Result<Metrics> {
        Tokio::run(drive::<TonicPeer>(task))
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct AddRequest {
    #[prost(int64, tag = "1")]
    pub a: i64,
    #[prost(int64, tag = "2")]
    pub b: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct AddReply {
    #[prost(int64, tag = "1")]
    pub sum: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Payload {
    #[prost(bytes = "bytes", tag = "1")]
    pub data: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Count {
    #[prost(uint64, tag = "1")]
    pub messages: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Empty {}

type Pushed = std::result::Result<Payload, Status>;

#[derive(Clone, Default)]
struct Subscribers(Arc<Mutex<Vec<mpsc::Sender<Pushed>>>>);

#[tonic::async_trait]
impl Bench for Subscribers {
    type SubscribeStream = ReceiverStream<Pushed>;

    async fn add(
        &self,
        request: Request<AddRequest>,
    ) -> std::result::Result<Response<AddReply>, Status> {
        let AddRequest { a, b } = request.into_inner();
        Ok(Response::new(AddReply { sum: a + b }))
    }

    async fn echo(
        &self,
        request: Request<Payload>,
    ) -> std::result::Result<Response<Payload>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    async fn subscribe(
        &self,
        _: Request<Empty>,
    ) -> std::result::Result<Response<Self::SubscribeStream>, Status> {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn publish(
        &self,
        request: Request<Count>,
    ) -> std::result::Result<Response<Empty>, Status> {
        let subscribers = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Count { messages } = request.into_inner();
        tokio::spawn(async move {
            for number in 0..messages {
                let data = Bytes::copy_from_slice(&push_payload(number));
                for subscriber in &subscribers {
                    // One that has left misses it.
                    let _ = subscriber.send(Ok(Payload { data: data.clone() })).await;
                }
            }
        });
        Ok(Response::new(Empty {}))
    }
}

#[derive(Clone)]
struct TonicPeer(BenchClient<Channel>);

impl Peer for TonicPeer {
    type Runtime = Tokio;

    async fn connect(server: SocketAddr) -> Result<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{server}"))?.tcp_nodelay(true);
        Ok(Self(BenchClient::new(endpoint.connect().await?)))
    }

    async fn add(&self, a: i64, b: i64) -> Result<i64> {
        Ok(self.0.clone().add(AddRequest { a, b }).await?.into_inner().sum)
    }

    async fn echo(&self, data: Bytes) -> Result<usize> {
        Ok(self.0.clone().echo(Payload { data }).await?.into_inner().data.len())
    }

    async fn subscribe(&self, hits: Hits) -> Result<()> {
        let mut messages = self.0.clone().subscribe(Empty {}).await?.into_inner();
        tokio::spawn(async move {
            while let Ok(Some(Payload { data })) = messages.message().await {
                hits.hit(&data);
            }
        });
        Ok(())
    }

    async fn publish(&self, messages: u64) -> Result<()> {
        self.0.clone().publish(Count { messages }).await?;
        Ok(())
    }
}
