//! What was measured, for people and for programs.

use std::time::Duration;

use hdrhistogram::Histogram;
use indicatif::HumanCount;
use serde_json::{Value, json};

use super::{Ending, Tally, Workload};
use crate::args::BenchArgs;
use crate::exit::Failure;
use crate::{json, out};

/// Columns of the longest bar.
const BAR: u64 = 40;

pub(super) struct Report<'a> {
    arguments: &'a BenchArgs,
    method: &'a str,
    /// Bytes that went along with each call.
    size: usize,
    calls: u64,
    errors: u64,
    first_error: Option<String>,
    took: Duration,
    ending: Ending,
    latencies: Option<Histogram<u64>>,
}

/// Calls that took between `from` and `to`, in nanoseconds.
struct Bucket {
    from: u64,
    to: u64,
    count: u64,
}

impl<'a> Report<'a> {
    pub(super) fn new(
        arguments: &'a BenchArgs,
        workload: &'a Workload,
        tally: &Tally,
        took: Duration,
        ending: Ending,
    ) -> Self {
        let (method, size) = match workload {
            Workload::Calls(call) => (call.method.as_str(), call.size),
            Workload::Push { size } => ("push", *size),
        };
        let latencies = tally.latencies();
        Self {
            arguments,
            method,
            size,
            // Those that the latencies are of, whatever came since.
            calls: latencies.as_ref().map_or(0, Histogram::len),
            errors: tally.errors(),
            first_error: tally.first_miss().map(|miss| miss.to_string()),
            took,
            ending,
            latencies,
        }
    }

    pub(super) fn print(&self) -> Result<(), Failure> {
        if self.arguments.json { out::line(&self.json().to_string()) } else { self.table() }
    }

    fn calls_per_second(&self) -> f64 {
        self.calls as f64 / self.took.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    fn megabytes_per_second(&self) -> f64 {
        self.calls_per_second() * self.size as f64 / 1e6
    }

    /// The marks of the distribution, by name, in nanoseconds.
    fn marks(&self) -> Vec<(&'static str, u64)> {
        let Some(latencies) = self.latencies.as_ref().filter(|all| !all.is_empty()) else {
            return Vec::new();
        };
        let at = |quantile| latencies.value_at_quantile(quantile);
        vec![
            ("min", latencies.min()),
            ("p50", at(0.5)),
            ("p90", at(0.9)),
            ("p99", at(0.99)),
            ("p99.9", at(0.999)),
            ("max", latencies.max()),
        ]
    }

    /// From the fastest call to the slowest, each bucket twice as wide as the one before.
    fn buckets(&self) -> Vec<Bucket> {
        let Some(latencies) = self.latencies.as_ref().filter(|all| !all.is_empty()) else {
            return Vec::new();
        };
        let mut from = 1_u64 << latencies.min().max(1).ilog2();
        let mut buckets = Vec::new();
        while from <= latencies.max() {
            let to = from.saturating_mul(2);
            let count = latencies.count_between(from, to - 1);
            buckets.push(Bucket { from, to, count });
            from = to;
        }
        buckets
    }

    fn json(&self) -> Value {
        let BenchArgs { connections, in_flight, .. } = self.arguments;
        let name = |mark: &str| mark.replace('.', "_");
        let latency: serde_json::Map<String, Value> = self
            .marks()
            .into_iter()
            .map(|(mark, nanos)| (name(mark), json!(millis(nanos))))
            .collect();
        let buckets: Vec<Value> = self
            .buckets()
            .iter()
            .map(|Bucket { from, to, count }| {
                json!({"from_ms": millis(*from), "to_ms": millis(*to), "calls": count})
            })
            .collect();
        json!({
            "address": self.arguments.target.address.to_string(),
            "method": self.method,
            "size": self.size,
            "connections": connections,
            "in_flight": in_flight,
            "seconds": self.took.as_secs_f64(),
            "interrupted": self.ending == Ending::Interrupted,
            "calls": self.calls,
            "calls_per_second": self.calls_per_second(),
            "megabytes_per_second": self.megabytes_per_second(),
            "errors": self.errors,
            "first_error": self.first_error,
            "latency_ms": latency,
            "buckets": buckets,
        })
    }

    fn table(&self) -> Result<(), Failure> {
        let BenchArgs { connections, in_flight, .. } = self.arguments;
        let method = json::quoted(self.method);
        let method = method.trim_matches('"');
        out::line(&format!(
            "{method}, {} bytes, {connections} × {in_flight} for {:.1} s{}",
            self.size,
            self.took.as_secs_f64(),
            match self.ending {
                Ending::Regular => "",
                Ending::Interrupted => ", interrupted",
            }
        ))?;
        out::line(&format!("calls    {}", HumanCount(self.calls)))?;
        out::line(&format!("calls/s  {}", HumanCount(self.calls_per_second() as u64)))?;
        out::line(&format!("MB/s     {:.2}", self.megabytes_per_second()))?;
        out::line(&format!("errors   {}", HumanCount(self.errors)))?;
        for (mark, nanos) in self.marks() {
            out::line(&format!("{mark:<8} {:.3} ms", millis(nanos)))?;
        }
        let buckets = self.buckets();
        let most = buckets.iter().map(|bucket| bucket.count).max().unwrap_or(0).max(1);
        if !buckets.is_empty() {
            out::line("")?;
        }
        for Bucket { from, to, count } in buckets {
            // Whatever is there is seen.
            let length = (count.saturating_mul(BAR) / most).max(u64::from(count > 0));
            let bar = "█".repeat(usize::try_from(length).unwrap_or_default());
            let (from, to) = (millis(from), millis(to));
            let line = format!("{from:>10.3} to {to:>10.3} ms  {bar} {}", HumanCount(count));
            out::line(&line)?;
        }
        Ok(())
    }
}

fn millis(nanos: u64) -> f64 {
    nanos as f64 / 1e6
}
