//! `cndt bench`: what it counts, and how it ends.

mod support;

use std::process::Command;

use serde_json::{Value, json};
use support::{Ran, Serve, command, run, until};

fn bench(address: &str, arguments: &[&str]) -> Ran {
    run(&[&["bench", address, "--duration", "1s"], arguments].concat())
}

/// The report, which must add up.
fn report(ran: &Ran) -> Value {
    let report: Value = serde_json::from_str(&ran.stdout).expect("a JSON object");
    let number = |key: &str| report[key].as_f64().expect("a number");
    let buckets = report["buckets"].as_array().expect("a list");
    let counted: u64 = buckets.iter().filter_map(|bucket| bucket["calls"].as_u64()).sum();
    assert_eq!(Some(counted), report["calls"].as_u64(), "{report}");
    let rate = number("calls") / number("seconds");
    assert!((number("calls_per_second") - rate).abs() <= rate / 1000.0, "{report}");
    let volume = rate * number("size") / 1e6;
    assert!((number("megabytes_per_second") - volume).abs() <= volume / 1000.0, "{report}");
    if counted > 0 {
        let marks = ["min", "p50", "p90", "p99", "p99_9", "max"];
        let marks = marks.map(|mark| report["latency_ms"][mark].as_f64().expect("a number"));
        assert!(marks[0] > 0.0 && marks.is_sorted(), "{report}");
        let (first, last) = (&buckets[0], &buckets[buckets.len() - 1]);
        assert!(first["from_ms"].as_f64() <= Some(marks[0]), "{report}");
        assert!(last["to_ms"].as_f64() >= Some(marks[5]), "{report}");
    }
    report
}

#[test]
fn every_workload_is_measured_over_every_protocol() {
    let mut serve = Serve::start(&["--accept", "cndt,netconduit", "--jsonrpc", "127.0.0.1:0"]);
    let jsonrpc = serve.next_address();
    let native = serve.address.clone();
    for (address, workload, options) in [
        (&native, "add", &["--in-flight", "1"][..]),
        (&native, "add", &["--connections", "3", "--in-flight", "4"]),
        (&native, "echo", &["--size", "65536", "--in-flight", "16"]),
        (&native, "echo", &["--dialect", "netconduit"]),
        (&native, "push", &["--connections", "3"]),
        (&jsonrpc, "add", &[]),
        (&jsonrpc, "echo", &["--framing", "content-length"]),
        (&jsonrpc, "push", &["--size", "20"]),
    ] {
        let fixed = ["--workload", workload, "--json"];
        let ran = bench(address, &[&fixed[..], options].concat());
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{workload} {options:?} {ran:?}");
        let report = report(&ran);
        assert!(report["calls"].as_u64() > Some(0), "{report}");
        assert_eq!((&report["errors"], &report["interrupted"]), (&json!(0), &json!(false)));
        assert_eq!(report["method"], workload);
    }
    // What is named by its address needs no option.
    let bare = jsonrpc.trim_start_matches("jsonrpc://");
    assert_eq!(bench(bare, &["--jsonrpc"]).status, 0);
    assert!(call_count(&serve) > 0);
}

/// Messages and calls that the server has got.
fn call_count(serve: &Serve) -> u64 {
    let stats = run(&["call", &serve.address, "get_stats"]).json();
    stats["messages_received"].as_u64().expect("a number")
}

#[test]
fn people_see_a_table_with_bars() {
    let serve = Serve::start(&[]);
    let ran = bench(&serve.address, &["--method", "greet", "name=World"]);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran:?}");
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert!(lines[0].starts_with("greet, 12 bytes, 1 × 64 for "), "{ran:?}");
    for name in ["calls ", "calls/s ", "MB/s ", "errors ", "p50 ", "p90 ", "p99 ", "p99.9 ", "max "]
    {
        let stands = lines.iter().filter(|line| line.starts_with(name)).count();
        assert_eq!(stands, 1, "{name}: {ran:?}");
    }
    assert!(lines.iter().any(|line| line.contains(&"█".repeat(40))), "{ran:?}");
}

#[test]
fn errors_are_counted_and_the_first_is_told() {
    let serve = Serve::start(&["--rpc", "one=sleep 0.01; echo 1", "--commands-max", "1"]);
    let none = bench(&serve.address, &["--method", "nope", "--json"]);
    assert_eq!(none.status, 1, "{none:?}");
    let told: Value = serde_json::from_str(&none.stderr).expect("one JSON object");
    assert_eq!(told["code"], 4000);
    let failed = report(&none);
    assert_eq!(failed["calls"], 0);
    assert!(failed["errors"].as_u64() > Some(0) && failed["first_error"].is_string(), "{failed}");
    // Some of them fail.
    let some = bench(&serve.address, &["--method", "one", "--in-flight", "8", "--json"]);
    assert_eq!(some.status, 0, "{some:?}");
    let mixed = report(&some);
    assert!(mixed["calls"].as_u64() > Some(0) && mixed["errors"].as_u64() > Some(0), "{mixed}");
    assert!(some.stderr.contains("calls failed; the first: "), "{some:?}");
    assert!(some.stderr.contains("6000"), "{some:?}");
    // An answer that is wrong is no answer.
    let liar = Serve::start(&["--rpc", "add=echo 5"]);
    let wrong = bench(&liar.address, &["--workload", "add", "--in-flight", "2"]);
    assert_eq!(wrong.status, 1, "{wrong:?}");
    assert!(wrong.stderr.contains("add says"), "{wrong:?}");
    // Nothing comes in time.
    let slow = bench(&serve.address, &["--method", "sleep", "ms:=60000"]);
    assert_eq!(slow.status, 4, "{slow:?}");
    assert!(slow.stderr.contains("--duration"), "{slow:?}");
}

#[test]
fn wrong_words_are_wrong_usage() {
    for (arguments, words) in [
        (&["--in-flight", "0"][..], "1 to 1024"),
        (&["--connections", "0"], "1 to 10000"),
        (&["--duration", "0s"], "longer than nothing"),
        (&["--workload", "push", "--size", "19"], "at least 20"),
        (&["--workload", "push", "a=b"], "--method"),
        (&["--workload", "add", "a=b"], "--method"),
        (&["--workload", "add", "--method", "add"], "cannot be used with"),
        (&["--workload", "none"], "possible values"),
    ] {
        let ran = run(&[&["bench", "127.0.0.1:1"], arguments].concat());
        assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "{ran:?}");
        assert!(ran.stderr.contains(words), "{words}: {ran:?}");
    }
    assert_eq!(run(&["bench", "127.0.0.1:1"]).status, 3);
}

#[test]
fn a_signal_ends_it_early_and_prints_what_was_measured() {
    let serve = Serve::start(&[]);
    let arguments = ["bench", &serve.address, "--duration", "10m", "--json"];
    let child = command(&arguments).spawn().expect("the command runs");
    until("it has begun", || call_count(&serve) > 1000);
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-s", "INT", &pid]).status().expect("kill runs").success());
    let ran: Ran = child.wait_with_output().expect("it ends").into();
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran:?}");
    let report = report(&ran);
    assert_eq!(report["interrupted"], true);
    assert!(report["calls"].as_u64() > Some(0), "{report}");
}

#[test]
fn it_ends_when_the_server_is_gone() {
    for workload in ["echo", "push"] {
        let serve = Serve::start(&[]);
        let arguments = ["bench", &serve.address, "--duration", "10m", "--workload", workload];
        let child = command(&arguments).spawn().expect("the command runs");
        until("it has begun", || call_count(&serve) > 100);
        drop(serve);
        let ran: Ran = child.wait_with_output().expect("it ends").into();
        assert_eq!(ran.status, 0, "{ran:?}");
        assert!(ran.stderr.contains("failed; the first: "), "{ran:?}");
    }
}
