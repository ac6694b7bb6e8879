//! How often memory is asked for, by whom. Counted on the one thread that does everything.
//!
//! ```sh
//! cargo bench -p cndt-benches --bench allocations
//! ```

use std::error::Error;
use std::hint::black_box;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use cndt_benches::allocations::Counted;
use cndt_benches::{Memory, Pair, serve};
use cndt_core::connection::Event;
use cndt_core::jsonrpc::{Endpoint, EndpointConfig};
use cndt_core::message::{Typed, from_slice};
use cndt_core::time::Instant;
use cndt_core::webhook::{Keys, MessageId, Scheme, Secret, Tolerance};
use serde::{Deserialize, Serialize};

const NOW: Instant = Instant::ZERO;
const TIMEOUT: Duration = Duration::from_secs(30);
/// Operations of which the average is told; buffers that grow now and then show as parts of one.
const TIMES: usize = 10_000;

/// Counts allocations.
#[derive(Parser)]
struct Arguments {
    /// Writes the numbers to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Accepted because cargo passes it.
    #[arg(long, hide = true)]
    bench: bool,
    /// Counting is always quick.
    #[arg(long, hide = true)]
    quick: bool,
    /// Benchmarks to run, as cargo passes it.
    #[arg(hide = true)]
    filter: Option<String>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::print_stdout, reason = "this is what the program is for")]
fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    if arguments.filter.as_ref().is_some_and(|filter| !"allocations".contains(filter.as_str())) {
        return Ok(());
    }
    let mut all = calls()?;
    all.extend(whole_calls()?);
    all.extend(jsonrpc()?);
    all.extend(webhooks()?);
    println!("\n| what | allocations | bytes |\n|---|---:|---:|");
    for Counted { what, allocations, bytes } in &all {
        println!("| {what} | {allocations:.2} | {bytes:.0} |");
    }
    if let Some(file) = &arguments.json {
        std::fs::write(file, serde_json::to_string_pretty(&all)? + "\n")?;
    }
    Ok(())
}

/// Of each of `operations`, which `work` does in one go.
fn counted(what: &str, operations: usize, work: impl FnOnce()) -> Counted {
    let info = allocation_counter::measure(work);
    Counted {
        what: what.to_owned(),
        allocations: info.count_total as f64 / operations as f64,
        bytes: info.bytes_total as f64 / operations as f64,
    }
}

#[derive(Serialize, Deserialize)]
struct Add {
    a: i64,
    b: i64,
}

/// The core alone: two connections, bytes carried by hand.
fn calls() -> Result<Vec<Counted>, Box<dyn Error>> {
    let mut pair = Pair::new()?;
    let mut call = move || {
        let _ = pair.client.call(NOW, "add", &Typed(&Add { a: 70_000, b: 2 }), TIMEOUT);
        pair.to_server();
        serve(&mut pair.server, |server, event| {
            if let Event::Request(request) = event
                && let Ok(Add { a, b }) = from_slice(&request.params)
            {
                let _ = server.respond(NOW, request.id, &Typed(&(a + b)));
            }
        });
        pair.to_client();
        while let Some(event) = pair.client.poll_event() {
            if let Event::Finished { outcome: Ok(reply), .. } = event {
                let _ = black_box(from_slice::<i64>(&reply.data));
            }
        }
    };
    (0..TIMES).for_each(|_| call());
    let what = "typed call in the core, both sides";
    Ok(vec![counted(what, TIMES, || (0..TIMES).for_each(|_| call()))])
}

/// Through the public API of `cndt-tokio`, over a pipe in memory.
fn whole_calls() -> Result<Vec<Counted>, Box<dyn Error>> {
    const AT_ONCE: usize = 64;
    let memory = Memory::new().map_err(|error| error.to_string())?;
    let fine = |outcome: Result<(), _>| drop(black_box(outcome));
    let data = Bytes::from(vec![7; 1024]);
    fine(memory.add(TIMES));
    let rounds = TIMES / AT_ONCE;
    fine(memory.add_at_once(AT_ONCE));
    Ok(vec![
        counted("typed call of `cndt-tokio`, both sides, one at a time", TIMES, || {
            fine(memory.add(TIMES));
        }),
        counted("the same, 64 at a time from tasks, which are one each", rounds * AT_ONCE, || {
            (0..rounds).for_each(|_| fine(memory.add_at_once(AT_ONCE)));
        }),
        counted("echo of 1 KiB of `cndt-tokio`, both sides, one at a time", TIMES, || {
            fine(memory.echo(&data, TIMES));
        }),
    ])
}

fn jsonrpc() -> Result<Vec<Counted>, Box<dyn Error>> {
    let mut server = Endpoint::new(NOW, EndpointConfig::default())?;
    let text = b"{\"jsonrpc\":\"2.0\",\"method\":\"add\",\"params\":[70000,2],\"id\":1}\n";
    let mut serve = move || {
        server.receive(NOW, black_box(text));
        while let Some(event) = server.poll_event() {
            if let Event::Request(request) = event
                && let Ok((a, b)) = serde_json::from_slice::<(i64, i64)>(&request.params)
            {
                let _ = server.respond(NOW, request.id, &Typed(&(a + b)));
            }
        }
        server.advance_transmit(NOW, server.pending_bytes());
    };
    (0..TIMES).for_each(|_| serve());
    let what = "JSON-RPC request, read, typed and answered";
    Ok(vec![counted(what, TIMES, || (0..TIMES).for_each(|_| serve()))])
}

fn webhooks() -> Result<Vec<Counted>, Box<dyn Error>> {
    const UNIX: u64 = 1_700_000_000;
    let body = [b'x'; 1024];
    let id = MessageId::new([7; 16]);
    let mut all = Vec::new();
    for scheme in Scheme::ALL {
        let keys = Keys::new(scheme, [Secret::new(b"a secret of thirty-two bytes, so")?])?;
        let sign = || drop(black_box(keys.sign(&id, UNIX, black_box(&body))));
        all.push(counted(&format!("webhook of 1 KiB signed, {scheme}"), TIMES, || {
            (0..TIMES).for_each(|_| sign());
        }));
        let signed = keys.sign(&id, UNIX, &body);
        let headers: Vec<_> = signed.headers().collect();
        let lookup = |name: &str| {
            headers.iter().find(|(n, _)| n.lower() == name).map(|(_, value)| value.as_bytes())
        };
        let verify = || {
            let verified = keys.verify(UNIX, Tolerance::default(), lookup, black_box(&body));
            black_box(verified.is_ok());
        };
        all.push(counted(&format!("webhook of 1 KiB verified, {scheme}"), TIMES, || {
            (0..TIMES).for_each(|_| verify());
        }));
    }
    Ok(all)
}
