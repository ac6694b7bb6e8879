use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cndt_runtime::Runtime;

use super::clock::{now, sleep_until};
use super::{Hits, Result, Shape, calls, idle, process, push};

/// What a run gave: numbers by name.
pub type Metrics = BTreeMap<String, f64>;

/// One connection of a client to its server. A clone shares the connection.
pub trait Peer: Clone + Send + Sync + 'static {
    /// What the client runs on.
    type Runtime: Runtime;

    /// Connects, and logs in where there is a login.
    fn connect(server: SocketAddr) -> impl Future<Output = Result<Self>> + Send;

    /// Asks for `a + b`.
    fn add(&self, a: i64, b: i64) -> impl Future<Output = Result<i64>> + Send;

    /// Sends bytes, and tells how many came back.
    fn echo(&self, data: Bytes) -> impl Future<Output = Result<usize>> + Send;

    /// From now on every message that the server pushes goes to [`Hits::hit`].
    fn subscribe(&self, hits: Hits) -> impl Future<Output = Result<()>> + Send;

    /// Has the server push `messages` messages to every subscriber: [`push_payload`] of 0, 1, 2 …
    /// None may be lost. It may resolve before they have arrived.
    ///
    /// [`push_payload`]: super::push_payload
    fn publish(&self, messages: u64) -> impl Future<Output = Result<()>> + Send;
}

/// One workload against one server.
#[derive(Debug, Clone)]
pub struct Task {
    /// What to do.
    pub shape: Shape,
    /// Where the server is.
    pub server: SocketAddr,
    /// The server's processes.
    pub server_pids: Vec<u32>,
    /// Time before the measured window.
    pub warmup: Duration,
    /// The measured window.
    pub window: Duration,
}

/// Seconds of CPU of the server and of this process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cpu {
    pub(super) server: f64,
    pub(super) client: f64,
}

/// From when to when calls count.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) from: Instant,
    pub(super) to: Instant,
}

impl Task {
    pub(super) fn window(&self) -> Window {
        let from = now() + self.warmup;
        Window { from, to: from + self.window }
    }

    pub(super) fn server_memory(&self) -> f64 {
        self.server_pids.iter().map(|pid| process::resident(*pid)).sum()
    }

    pub(super) fn cpu(&self) -> Cpu {
        Cpu {
            server: self.server_pids.iter().map(|pid| process::cpu_seconds(*pid)).sum(),
            client: process::cpu_seconds(std::process::id()),
        }
    }

    /// What is used within the window, by a thread that looks at its beginning and its end.
    pub(super) fn sample(&self, window: Window) -> std::thread::JoinHandle<Cpu> {
        let task = self.clone();
        std::thread::spawn(move || {
            sleep_until(window.from);
            let before = task.cpu();
            sleep_until(window.to);
            task.cpu().since(before)
        })
    }
}

impl Cpu {
    pub(super) fn since(self, before: Self) -> Self {
        Self { server: self.server - before.server, client: self.client - before.client }
    }

    /// Microseconds for each of so many calls.
    pub(super) fn tell(self, calls: f64, metrics: &mut Metrics) {
        let each = |seconds: f64| seconds * 1e6 / calls.max(1.0);
        metrics.insert("server_cpu_us".into(), each(self.server));
        metrics.insert("client_cpu_us".into(), each(self.client));
    }
}

/// Runs a workload through `P`.
///
/// # Errors
/// Whatever `P` fails with, wrong results, messages that are lost or damaged.
pub async fn drive<P: Peer>(task: Task) -> Result<Metrics> {
    match task.shape {
        Shape::Calls { connections, outstanding, payload } => {
            calls::run::<P>(&task, connections, outstanding, payload).await
        }
        Shape::Idle { connections } => idle::run::<P>(&task, connections).await,
        Shape::Push { receivers } => push::run::<P>(&task, receivers).await,
    }
}

/// Makes so many connections, a few at a time.
pub(super) async fn connect_all<P: Peer>(server: SocketAddr, connections: usize) -> Result<Vec<P>> {
    const AT_A_TIME: usize = 16;
    let (made, ready) = smol::channel::unbounded();
    for lane in 0..AT_A_TIME {
        let made = made.clone();
        P::Runtime::default().spawn(async move {
            for _ in (lane..connections).step_by(AT_A_TIME) {
                let peer = P::connect(server).await;
                let is_last = peer.is_err();
                if made.send(peer).await.is_err() || is_last {
                    return;
                }
            }
        });
    }
    drop(made);
    let mut peers = Vec::new();
    while let Ok(peer) = ready.recv().await {
        peers.push(peer?);
    }
    Ok(peers)
}

/// Waits.
pub(super) async fn pause<R: Runtime>(span: Duration) {
    let runtime = R::default();
    runtime.sleep_until(runtime.now() + span).await;
}
