use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{Body, FramingName, Target, time};

pub(super) const BENCH_EXAMPLES: &str = "\
Examples:
  cndt bench localhost:8080
  cndt bench localhost:8080 --workload add --in-flight 1
  cndt bench localhost:8080 --workload echo --size 65536 --in-flight 16 --duration 10s
  cndt bench localhost:8080 --workload push --connections 50
  cndt bench localhost:8080 --method greet name=World --json | jq .latency_ms.p99
  cndt bench localhost:9001 --jsonrpc --workload add

Latencies are those of calls that were answered within the time; logging in is not counted. The workloads
want the methods of `cndt serve`, and push one connection more than it says: beyond 99 the server needs a
larger --max-connections. Ctrl-C ends early and prints what was measured. Exit status: 1 if every
call failed.";

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum WorkloadName {
    /// Method add, with two numbers; each sum is checked
    Add,
    /// Method echo, with --size bytes; each length is checked
    Echo,
    /// Message chat, with --size bytes: each is delivered to every connection
    Push,
}

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// What is called
    #[arg(long, value_enum, default_value_t = WorkloadName::Echo)]
    pub(crate) workload: WorkloadName,
    /// Calls this method instead, with ARGs or --data as its parameters; without them, as the workload
    /// of that name, or with --size bytes
    #[arg(long, value_name = "NAME", conflicts_with = "workload")]
    pub(crate) method: Option<String>,
    #[command(flatten)]
    pub(crate) body: Body,
    /// Bytes that go along with each call; a message of push has at least 20
    #[arg(long, value_name = "BYTES", default_value_t = 64)]
    pub(crate) size: usize,
    /// Connections, 1 to 10000; with push, those that listen
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = connections)]
    pub(crate) connections: usize,
    /// Calls that are under way on each connection, 1 to 1024; with push, messages in all
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = in_flight)]
    pub(crate) in_flight: usize,
    /// How long calls are made
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = time)]
    pub(crate) duration: Duration,
    /// Speaks JSON-RPC 2.0, which has no login
    #[arg(long)]
    pub(crate) jsonrpc: bool,
    /// How JSON-RPC texts are told apart on the stream
    #[arg(long, value_enum, default_value_t = FramingName::Newline)]
    pub(crate) framing: FramingName,
    /// Prints a JSON object instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

fn connections(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (1..=10_000).contains(count));
    count.ok_or_else(|| "a whole number from 1 to 10000".to_owned())
}

fn in_flight(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (1..=1024).contains(count));
    count.ok_or_else(|| "a whole number from 1 to 1024".to_owned())
}
