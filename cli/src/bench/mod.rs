//! `cndt bench`: calls under load, and how they fared.

mod calls;
mod push;
mod report;
mod tally;

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::Duration;

use cndt_tokio::{Client, ClientDescriptor, ClientHandle, ConnectError};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep_until};

use crate::advice::{self, Wanted};
use crate::args::{BenchArgs, Target, WorkloadName};
use crate::exit::{self, Failure};
use crate::{client, jsonrpc, serve};
use calls::Call;
use report::Report;
use tally::{Miss, Tally};

/// How often the progress is drawn.
const DRAWN_EVERY: Duration = Duration::from_millis(100);

/// How many connections log in at a time: deriving keys keeps a core busy.
const LOGINS_MAX: usize = 8;

pub(crate) async fn run(arguments: BenchArgs) -> Result<(), Failure> {
    let mut signals = serve::Signals::new()?;
    let workload = Workload::new(&arguments)?;
    let descriptor = descriptor(&arguments)?;
    let bar = Bar::new();
    let clients = tokio::select! {
        clients = workload.connect(&descriptor, arguments.connections, &bar) => clients,
        () = signals.or(std::future::pending()) => {
            return Err(Failure::Failed("interrupted before everyone had connected".into()));
        }
    };
    let clients = match clients {
        Ok(clients) => clients,
        Err(error) => {
            let Target { address, dialect, .. } = &arguments.target;
            let wanted =
                if is_jsonrpc(&arguments) { Wanted::JsonRpc } else { Wanted::Cndt(*dialect) };
            return Err(advice::failure(error, address, wanted).await);
        }
    };
    let tally = Arc::new(Tally::new(arguments.connections)?);
    let begun = Instant::now();
    let until = begun + arguments.duration;
    let mut load = workload.start(&clients, &tally, arguments.in_flight);
    let mut ending = Ending::Interrupted;
    let work = async {
        bar.watch(&tally, begun, arguments.duration, load.ended(until)).await;
        ending = Ending::Regular;
    };
    signals.or(work).await;
    let took = begun.elapsed();
    load.stop().await;
    let report = Report::new(&arguments, &workload, &tally, took, ending);
    bar.clear();
    report.print()?;
    say_goodbye(clients).await;
    verdict(&tally, took, ending)
}

fn is_jsonrpc(arguments: &BenchArgs) -> bool {
    arguments.jsonrpc || arguments.target.address.is_jsonrpc
}

fn descriptor(arguments: &BenchArgs) -> Result<ClientDescriptor, Failure> {
    let BenchArgs { target, framing, .. } = arguments;
    let descriptor = if is_jsonrpc(arguments) {
        jsonrpc::descriptor(&target.address, *framing, target.timeout, &target.tls).retry_count(1)
    } else {
        client::descriptor(target)?
    };
    Ok(descriptor)
}

/// How the load came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// The time is over, or nobody is left to call.
    Regular,
    /// By a signal.
    Interrupted,
}

/// What is done all the time.
enum Workload {
    Calls(Call),
    Push { size: usize },
}

impl Workload {
    fn new(arguments: &BenchArgs) -> Result<Self, Failure> {
        match (&arguments.method, arguments.workload) {
            (None, WorkloadName::Push) => {
                push::check(arguments)?;
                Ok(Self::Push { size: arguments.size })
            }
            (Some(_), _) | (None, WorkloadName::Add | WorkloadName::Echo) => {
                Call::new(arguments).map(Self::Calls)
            }
        }
    }

    /// Opens the connections; with push there is one more, the last, which speaks.
    async fn connect(
        &self,
        descriptor: &ClientDescriptor,
        connections: usize,
        bar: &Bar,
    ) -> Result<Vec<ClientHandle>, ConnectError> {
        let count = match self {
            Self::Calls(_) => connections,
            Self::Push { .. } => connections + 1,
        };
        let (mut connecting, mut clients) = (JoinSet::new(), Vec::with_capacity(count));
        for number in 0..count {
            if connecting.len() == LOGINS_MAX {
                clients.push(joined(&mut connecting).await?);
            }
            bar.say(&format!("connecting, {number} of {count}"));
            let client = Client::new(descriptor.clone());
            connecting.spawn(async move { client.connect().await });
        }
        while !connecting.is_empty() {
            clients.push(joined(&mut connecting).await?);
        }
        Ok(clients)
    }

    fn start(&self, clients: &[ClientHandle], tally: &Arc<Tally>, in_flight: usize) -> Load {
        let tasks = match self {
            Self::Calls(call) => calls::start(call, clients, tally, in_flight),
            Self::Push { size } => push::start(*size, clients, tally, in_flight),
        };
        Load(tasks)
    }
}

async fn joined(
    connecting: &mut JoinSet<Result<ClientHandle, ConnectError>>,
) -> Result<ClientHandle, ConnectError> {
    match connecting.join_next().await {
        Some(Ok(outcome)) => outcome,
        Some(Err(error)) => Err(not_tried(io::Error::other(error))),
        None => Err(not_tried(io::Error::other("nobody is connecting"))),
    }
}

fn not_tried(error: io::Error) -> ConnectError {
    ConnectError { address: "the server".into(), kind: error.into() }
}

/// The tasks that make the load; they end when this is dropped.
struct Load(JoinSet<()>);

impl Load {
    /// Waits until `until`, or until no task is left: every connection is lost then.
    async fn ended(&mut self, until: Instant) {
        let all = async { while self.0.join_next().await.is_some() {} };
        tokio::select! {
            () = all => {}
            () = sleep_until(until) => {}
        }
    }

    /// Ends the tasks. One that is running on another thread ends only where it next waits, so this
    /// waits too: no call begins on a connection that is being closed, nor counts after the report.
    async fn stop(mut self) {
        self.0.shutdown().await;
    }
}

/// Calls that are under way are cancelled by now.
async fn say_goodbye(clients: Vec<ClientHandle>) {
    let mut leaving = JoinSet::new();
    for client in clients {
        leaving.spawn(async move { client.disconnect().await });
    }
    while leaving.join_next().await.is_some() {}
}

fn verdict(tally: &Tally, took: Duration, ending: Ending) -> Result<(), Failure> {
    let (calls, errors) = (tally.calls(), tally.errors());
    match tally.first_miss() {
        Some(first) if calls == 0 => return Err(first.into_failure()),
        Some(first) => {
            let share = format!("{errors} of {} calls failed", calls.saturating_add(errors));
            let words = exit::printable(&format!("warning: {share}; the first: {first}"));
            exit::print_error_line(&words);
        }
        None if calls == 0 && ending == Ending::Regular => {
            return Err(Failure::TimedOut(format!(
                "no answer came within {took:.1?}; --duration gives it longer"
            )));
        }
        None => {}
    }
    Ok(())
}

/// Progress, for whoever watches.
struct Bar(ProgressBar);

impl Bar {
    fn new() -> Self {
        if !io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let style = ProgressStyle::with_template("{bar:40} {msg}");
        let bar = ProgressBar::new(1);
        Self(bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())))
    }

    fn say(&self, words: &str) {
        self.0.set_message(words.to_owned());
        self.0.tick();
    }

    /// Draws how far it is while `work` goes on.
    async fn watch(
        &self,
        tally: &Tally,
        begun: Instant,
        duration: Duration,
        work: impl Future<Output = ()>,
    ) {
        self.0.set_length(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
        let mut ticks = interval(DRAWN_EVERY);
        tokio::pin!(work);
        loop {
            tokio::select! {
                () = &mut work => return,
                _ = ticks.tick() => {}
            }
            let elapsed = begun.elapsed();
            let rate = tally.calls() as f64 / elapsed.as_secs_f64().max(f64::MIN_POSITIVE);
            let rate = HumanCount(rate as u64);
            let left = duration.saturating_sub(elapsed).as_secs_f64();
            self.0.set_position(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
            self.0.set_message(format!("{rate} calls/s, {left:.1} s left"));
        }
    }

    fn clear(&self) {
        self.0.finish_and_clear();
    }
}
