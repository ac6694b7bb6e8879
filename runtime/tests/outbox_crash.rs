//! Processes that are killed while they enqueue and deliver: none of what they accepted is lost.
//!
//! The test runs itself again as the process that is killed; `CNDT_OUTBOX` tells that one what to do.
#![cfg(all(feature = "outbox", unix))]

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cndt_runtime::webhook::MessageId;
use cndt_runtime::webhook::outbox::{
    Attempt, Outbox as AnyOutbox, OutboxConfig, OutboxLimits, Outcome, Schedule,
};
use cndt_tokio::Tokio;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

type Outbox = AnyOutbox<Tokio>;

const JOB: &str = "CNDT_OUTBOX";
const ACCEPTED: &str = "accepted ";

fn config(path: &Path) -> OutboxConfig {
    let mut delays = vec![Duration::from_millis(5); 50];
    delays[0] = Duration::ZERO;
    let limits = OutboxLimits { pending_max: 100_000, ..OutboxLimits::default() };
    OutboxConfig::new(path).schedule(Schedule::listed(delays).unwrap()).limits(limits)
}

/// One attempt over TCP: the id goes out, one byte comes back, `y` for delivered.
async fn send(address: &str, attempt: Attempt) -> Outcome {
    let sent = async {
        let mut stream = tokio::net::TcpStream::connect(address).await?;
        stream.write_all(format!("{}\n", attempt.id).as_bytes()).await?;
        stream.read_u8().await
    };
    match sent.await {
        Ok(b'y') => Outcome::Answered { status: 200, retry_after: None },
        Ok(_) => Outcome::Answered { status: 503, retry_after: None },
        Err(error) => Outcome::Unanswered { reason: error.to_string() },
    }
}

/// What the killed process does: enqueues in several tasks at once, for ever, and delivers.
#[test]
fn child() {
    let Ok(job) = std::env::var(JOB) else { return };
    let [kind, path, address, run] = job.split('|').collect::<Vec<_>>()[..] else { panic!() };
    let (path, address) = (Path::new(path), address.to_owned());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let outbox = Outbox::open(config(path)).await.unwrap();
        if kind != "storm" {
            outbox
                .start(move |attempt: Attempt| {
                    let address = address.clone();
                    async move { send(&address, attempt).await }
                })
                .unwrap();
        }
        let (tasks, pause) = if kind == "storm" { (32, 0) } else { (4, 3) };
        let tasks: Vec<_> = (0..tasks)
            .map(|task| {
                let (outbox, run) = (outbox.clone(), run.to_owned());
                tokio::spawn(async move {
                    for n in 0_u32.. {
                        let id: MessageId = format!("{run}-{task}-{n}").parse().unwrap();
                        outbox.enqueue("http://localhost/", &n).id(id.clone()).await.unwrap();
                        // One write, whole or not at all: shorter than a pipe's buffer.
                        let line = format!("\n{ACCEPTED}{id}\n");
                        std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                        tokio::time::sleep(Duration::from_millis(pause)).await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

/// Counts what arrives, by id. Every fifth attempt is refused.
#[derive(Clone, Default)]
struct Receiver(Arc<Mutex<HashMap<String, u32>>>);

impl Receiver {
    fn listen(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let this = self.clone();
        std::thread::spawn(move || {
            for (turn, stream) in listener.incoming().flatten().enumerate() {
                // A killed sender may have said nothing.
                let _ = this.take(stream, turn % 5 != 4);
            }
        });
        address
    }

    fn take(&self, mut stream: TcpStream, is_taken: bool) -> std::io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut id = String::new();
        BufReader::new(&stream).read_line(&mut id)?;
        if is_taken && id.ends_with('\n') {
            *self.0.lock().unwrap().entry(id.trim().to_owned()).or_default() += 1;
        }
        stream.write_all(if is_taken { b"y" } else { b"n" })
    }
}

/// A process that runs until it is killed; what it accepted is collected as it says so.
struct Victim {
    process: Child,
    reader: std::thread::JoinHandle<Vec<String>>,
}

impl Victim {
    fn start(kind: &str, path: &Path, address: &str, run: u32) -> Self {
        let job = format!("{kind}|{}|{address}|run{run}", path.display());
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["child", "--exact", "--nocapture", "--test-threads=1"])
            .env(JOB, job)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let reader = std::thread::spawn(move || {
            let lines = stdout.lines().map_while(Result::ok);
            lines.filter_map(|line| line.strip_prefix(ACCEPTED).map(str::to_owned)).collect()
        });
        Self { process, reader }
    }

    fn kill_after(mut self, millis: u64) -> Vec<String> {
        #[allow(clippy::disallowed_methods, reason = "no runtime is at work here")]
        std::thread::sleep(Duration::from_millis(millis));
        assert!(self.process.try_wait().unwrap().is_none(), "it died by itself");
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.reader.join().unwrap()
    }
}

/// Kills so many processes, one after the other, each at another moment; then delivers what is left.
fn survive(kind: &str, kills: u32, files: u32) -> (usize, Receiver) {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::default();
    let address = receiver.listen();
    let mut accepted = HashSet::new();
    let mut state = 7_u64;
    for run in 0..kills {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let path = folder.path().join(format!("outbox{}", run % files));
        let ids = Victim::start(kind, &path, &address, run).kill_after(5 + (state >> 33) % 350);
        for id in ids {
            assert!(accepted.insert(id.clone()), "{id} was accepted twice");
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for file in 0..files {
            let path = folder.path().join(format!("outbox{file}"));
            let outbox = Outbox::open(config(&path).parallel_max(64)).await.unwrap();
            let address = address.clone();
            outbox
                .start(move |attempt: Attempt| {
                    let address = address.clone();
                    async move { send(&address, attempt).await }
                })
                .unwrap();
            let drained = tokio::time::timeout(Duration::from_secs(60), outbox.drained());
            drained.await.expect("it hangs").unwrap();
            assert_eq!(outbox.stats().dead, 0);
            outbox.close().await;
        }
    });
    let delivered = receiver.0.lock().unwrap().clone();
    let lost: Vec<_> = accepted.iter().filter(|id| !delivered.contains_key(*id)).collect();
    let some: Vec<_> = lost.iter().take(5).collect();
    assert!(lost.is_empty(), "{} of {} are lost: {some:?}", lost.len(), accepted.len());
    (accepted.len(), receiver)
}

#[test]
fn a_killed_process_loses_no_webhook() {
    let (accepted, receiver) = survive("deliver", 50, 1);
    assert!(accepted >= 300, "only {accepted} were accepted");
    let delivered = receiver.0.lock().unwrap();
    let twice = delivered.values().filter(|count| **count > 1).count();
    eprintln!("{accepted} accepted, {} delivered, {twice} more than once", delivered.len());
}

/// Also while files are being made: each file sees only a few processes.
#[test]
fn a_process_killed_while_many_enqueue_loses_none() {
    let (accepted, receiver) = survive("storm", 20, 10);
    assert!(accepted >= 300, "only {accepted} were accepted");
    let delivered = receiver.0.lock().unwrap();
    eprintln!("{accepted} accepted, {} delivered", delivered.len());
}
