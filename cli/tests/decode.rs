//! `cndt decode` on captured and on damaged bytes.

mod support;

use std::io::{BufRead, BufReader, Write};

use support::{run, run_with_input};

/// Upstream's own example of dialect `cndt`.
const CNDT_REQUEST: &str = "434e4454 01 02 0000 0000001a 0000000000000001 0000019b18daa2b4 00000000
    82a66d6574686f64a3616464a6706172616d7382a1610aa16214";
/// Captured from the Python package.
const PYTHON_PING: &str = "434e445401000005000000000000000000000000000000000000 01a1fb65e710";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().filter(|c| !c.is_whitespace()).collect();
    let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16);
    digits.chunks(2).map(|pair| byte(pair).expect("hex")).collect()
}

#[test]
fn frames_of_either_dialect_are_one_line_each() {
    let ran = run_with_input(&["decode", "--hex"], CNDT_REQUEST.as_bytes());
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran:?}");
    assert_eq!(
        ran.stdout,
        "0 cndt RPC_REQUEST - 26 1 2025-12-13T17:55:40.340Z \
         {\"method\":\"add\",\"params\":{\"a\":10,\"b\":20}}\n"
    );
    let twice = [bytes(PYTHON_PING), bytes(PYTHON_PING)].concat();
    let ran = run_with_input(&["decode", "-"], &twice);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{ran:?}");
    assert!(lines[0].starts_with("0 netconduit HEARTBEAT_PING - 0 0 "), "{ran:?}");
    assert!(lines[1].starts_with("32 netconduit HEARTBEAT_PING "), "{ran:?}");
}

#[test]
fn damage_is_named_with_its_byte_after_what_came_before() {
    let mut input = bytes(PYTHON_PING);
    input.extend(b"CNXT");
    let ran = run_with_input(&["decode"], &input);
    assert_eq!(ran.status, 1, "{ran:?}");
    assert_eq!(ran.stdout.lines().count(), 1);
    assert!(ran.stderr.contains("34"), "the third byte behind 32: {}", ran.stderr);

    let cut = &bytes(CNDT_REQUEST)[..40];
    let ran = run_with_input(&["decode"], cut);
    assert_eq!((ran.status, ran.stdout.as_str()), (1, ""));
    assert!(ran.stderr.contains("18 bytes of its payload"), "{}", ran.stderr);
    let ran = run_with_input(&["decode"], &cut[..10]);
    assert!(ran.stderr.contains("22 bytes of its header"), "{}", ran.stderr);
}

#[test]
fn a_payload_that_is_no_messagepack_does_not_hide_the_others() {
    let mut broken = bytes(CNDT_REQUEST);
    broken[32] = 0xc1;
    let input = [broken, bytes(CNDT_REQUEST)].concat();
    let ran = run_with_input(&["decode"], &input);
    assert_eq!((ran.status, ran.stdout.lines().count()), (1, 2), "{ran:?}");
    assert!(ran.stdout.lines().next().is_some_and(|line| line.contains("$binary")), "{ran:?}");
    assert!(ran.stderr.contains("0xc1") && ran.stderr.contains("byte 32 "), "{ran:?}");
    assert!(ran.stdout.lines().nth(1).is_some_and(|line| line.ends_with("}}")), "{ran:?}");
}

#[test]
fn frames_are_shown_as_they_come() {
    let mut child = support::command(&["decode", "--hex"])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("the command runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    for expected in ["0 cndt RPC_REQUEST", "58 cndt RPC_REQUEST"] {
        stdin.write_all(CNDT_REQUEST.as_bytes()).expect("it reads its input");
        let mut line = String::new();
        // The input is still open: nothing else could end this wait.
        stdout.read_line(&mut line).expect("a line");
        assert!(line.starts_with(expected), "{line}");
    }
    drop(stdin);
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn a_file_that_is_not_there_is_wrong_usage() {
    let ran = run(&["decode", "no-such-file"]);
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.contains("no-such-file"), "{}", ran.stderr);
    let ran = run_with_input(&["decode", "--hex"], b"43 4x");
    assert!(ran.status == 1 && ran.stderr.contains("byte 4"), "{ran:?}");
}
