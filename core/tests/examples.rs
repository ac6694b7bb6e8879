//! The examples do what they promise: documentation that only compiles is none.
#![cfg(feature = "std")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::SystemTime;

/// Cargo puts examples next to the directory of the test binaries. It builds them for a plain
/// `cargo test`, but not for `--test examples` alone: then an old one must not pass for the new.
fn example(name: &str) -> PathBuf {
    let tests = std::env::current_exe().expect("a test has a path");
    let profile = tests.parent().and_then(Path::parent).expect("cargo puts it two levels deep");
    let program = profile.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    let advice = format!("cargo build -p cndt-core --example {name}");
    assert!(program.exists(), "build it first: {advice}");
    let sources = fs::read_to_string(program.with_extension("d")).expect("cargo lists the sources");
    let (_, sources) = sources.split_once(": ").expect("a rule of make");
    for source in sources.split_whitespace().filter(|source| Path::new(source).exists()) {
        assert!(changed(Path::new(source)) <= changed(&program), "{source} is newer: {advice}");
    }
    program
}

fn changed(file: &Path) -> SystemTime {
    fs::metadata(file).and_then(|about| about.modified()).expect("the system tells")
}

fn run(name: &str, arguments: &[&str]) -> (Output, String) {
    let output = Command::new(example(name)).args(arguments).output().expect("it starts");
    let text = String::from_utf8(output.stdout.clone()).expect("it writes text");
    (output, text)
}

#[test]
fn poll_loop_answers_every_caller_and_ends() {
    let (output, text) = run("poll_loop", &[]);
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    let count = |line: &str| text.lines().filter(|found| *found == line).count();
    for name in ["ada", "edith", "grace"] {
        let refused = "the peer answered with error [4000] RPC method not found: divide";
        for line in [
            format!("server: talking to {name}"),
            format!("{name}: welcome \"{name}\""),
            format!("{name}: add {{\"a\":20,\"b\":22}} = 42"),
            format!("{name}: echo [\"it\",\"is\",\"{name}\"] = [\"it\",\"is\",\"{name}\"]"),
            format!("{name}: divide {{\"a\":1,\"b\":0}} failed: {refused}"),
            format!("{name}: closed by this side"),
        ] {
            assert_eq!(count(&line), 1, "{line:?} in\n{text}");
        }
    }
    assert_eq!(count("server: closed by the peer"), 3, "{text}");
    assert_eq!(text.lines().last(), Some("all connections are closed"), "{text}");
}

#[test]
fn poll_loop_refuses_arguments_it_does_not_know() {
    let (output, text) = run("poll_loop", &["sing"]);
    assert!(!output.status.success(), "{output:?}");
    assert!(text.is_empty(), "{text}");
}

#[test]
fn blocking_makes_its_calls_and_ends() {
    let (output, text) = run("blocking", &["--rounds", "2"]);
    assert!(output.status.success(), "{output:?}");
    let said = |who: &str| text.lines().filter(|line| line.starts_with(who)).collect::<Vec<_>>();
    let (server, client) = (said("server: "), said("client: "));
    let served =
        ["server: somebody has logged in", "server: greeting", "server: closed by the peer"];
    assert_eq!(server, served, "{text}");
    let called = ["client: 0 + 20 = 20", "client: 1 + 20 = 21", "client: closed by this side"];
    assert_eq!(client, called, "{text}");
    assert_eq!(text.lines().last(), Some("2 calls were answered"), "{text}");
}
