//! `cndt serve --rpc` and `--on`: shell commands that answer calls and messages.

mod support;

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use support::{Ran, Serve, command, run, until};

fn call(serve: &Serve, arguments: &[&str]) -> Ran {
    run(&[&["call", &serve.address], arguments].concat())
}

fn error(ran: &Ran) -> Value {
    assert_eq!((ran.status, ran.stdout.as_str()), (1, ""), "{ran:?}");
    serde_json::from_str(&ran.stderr).expect("one JSON object")
}

/// A command that writes its process into a file, starts another one and waits for it.
struct Sleeper {
    directory: tempfile::TempDir,
}

impl Sleeper {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a directory") }
    }

    fn line(&self) -> String {
        let path = |name| self.directory.path().join(name).display().to_string();
        let (own, other, done) = (path("own"), path("other"), path("done"));
        format!("echo $$ > {own}; sleep 600 & echo $! > {other}; echo > {done}; wait")
    }

    fn begins(&self) {
        until("it begins", || self.directory.path().join("done").exists());
    }

    /// Neither the shell nor what it has started is left.
    fn ends(&self) {
        for name in ["own", "other"] {
            let pid = std::fs::read_to_string(self.directory.path().join(name)).expect("a file");
            until("it is killed", || !is_running(pid.trim()));
        }
    }
}

fn is_running(pid: &str) -> bool {
    // One that has ended and that nobody has waited for yet is a zombie.
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat"));
    if Path::new("/proc/self/stat").exists() {
        return stat.is_ok_and(|stat| !stat.contains(") Z "));
    }
    Command::new("kill").args(["-0", pid]).status().expect("kill runs").success()
}

#[test]
fn a_command_answers_calls_of_every_protocol() {
    let mut serve = Serve::start(&[
        "--accept",
        "cndt,netconduit",
        "--jsonrpc",
        "127.0.0.1:0",
        "--rpc",
        "same=cat",
        "--rpc",
        "count=wc -c",
        "--rpc",
        "nothing=true",
    ]);
    let jsonrpc = serve.next_address();
    let value = json!({"n": u64::MAX, "f": 1.5, "text": "ž", "list": [null, true, -1],
        "bytes": {"$binary": "AAEC"}});
    let text = value.to_string();
    for dialect in ["cndt", "netconduit"] {
        let ran = call(&serve, &["same", "--data", &text, "--dialect", dialect]);
        assert_eq!(ran.json(), value, "{dialect}");
    }
    let plain = json!({"n": u64::MAX, "text": "ž", "list": [null, 1.5]});
    let ran = run(&["jsonrpc", "call", &jsonrpc, "same", "--data", &plain.to_string()]);
    assert_eq!(ran.json(), plain);
    let ran = run(&["jsonrpc", "call", &jsonrpc, "same", "--data", "[1,2]"]);
    assert_eq!(ran.json(), json!([1, 2]));
    // Nothing but the parameters stands on stdin: {"a":10}
    assert_eq!(call(&serve, &["count", "a:=10"]).json(), json!(8));
    assert_eq!(call(&serve, &["nothing"]).json(), Value::Null);
    // The demonstration is there as well.
    assert_eq!(call(&serve, &["add", "a:=1", "b:=2"]).json(), json!(3));
    let listed = run(&["methods", &serve.address, "--json"]).json();
    let names: Vec<_> = listed.as_array().expect("a list").iter().map(|m| &m["name"]).collect();
    assert!(names.contains(&&json!("same")) && names.contains(&&json!("greet")), "{names:?}");
    serve.signal("TERM");
    assert_eq!(serve.wait(), 0);
}

#[test]
fn what_a_command_says_wrong_is_an_error() {
    let serve = Serve::start(&[
        "--rpc",
        "fails=echo out; echo 'no luck' >&2; exit 3",
        "--rpc",
        "mute=exit 4",
        "--rpc",
        "text=echo hello",
        "--rpc",
        "chatty=head -c 100000 /dev/zero | tr '\\0' x >&2; exit 1",
        "--rpc",
        "endless=yes 1",
        "--rpc",
        "secret=env | grep -c secret",
    ]);
    assert_eq!(error(&call(&serve, &["fails"])), json!({"code": 1001, "message": "no luck"}));
    let told = |method: &str| error(&call(&serve, &[method]))["message"].to_string();
    assert!(told("mute").contains("exit status: 4"), "{}", told("mute"));
    assert!(told("text").contains("printed no JSON"), "{}", told("text"));
    assert!((1000..10_000).contains(&told("chatty").len()), "{}", told("chatty").len());
    assert!(told("endless").contains("printed more than"), "{}", told("endless"));
    // The password is in the server's environment, and not in theirs: grep finds nothing.
    assert_eq!(error(&call(&serve, &["secret"]))["code"], 1001);
}

#[test]
fn messages_are_answered_by_what_a_command_prints() {
    let serve = Serve::start(&[
        "--on",
        "note=cat",
        "--on",
        "quiet=cat > /dev/null",
        "--on",
        "twice=echo 1",
        "--on",
        "twice=echo 2",
        "--on",
        "greeting=echo '\"mine\"'",
    ]);
    let send =
        |kind: &str, wait: &str| run(&["send", &serve.address, kind, "a:=1", "--wait", wait]);
    assert_eq!(send("note", "30s").json(), json!({"a": 1}));
    assert_eq!(send("twice", "30s").json(), json!(2));
    assert_eq!(send("greeting", "30s").json(), json!("mine"));
    let unanswered = send("quiet", "500ms");
    assert_eq!((unanswered.status, unanswered.stdout.as_str()), (4, ""), "{unanswered:?}");
    serve.signal("TERM");
    assert_eq!(serve.wait(), 0);
}

#[test]
fn a_message_whose_command_fails_is_told_on_stderr() {
    let mut child = command(&["serve", "--bind", "127.0.0.1:0", "--on", "x=echo why >&2; exit 1"])
        .spawn()
        .expect("the command runs");
    let mut stdout = std::io::BufReader::new(child.stdout.take().expect("a pipe"));
    let mut address = String::new();
    std::io::BufRead::read_line(&mut stdout, &mut address).expect("a line");
    assert_eq!(run(&["send", address.trim(), "x"]).status, 0);
    let mut line = String::new();
    let mut stderr = std::io::BufReader::new(child.stderr.take().expect("a pipe"));
    std::io::BufRead::read_line(&mut stderr, &mut line).expect("a line");
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    assert_eq!(line, "warning: --on x: why\n");
}

#[test]
fn an_own_name_replaces_one_of_the_demonstration() {
    let both = Serve::start(&["--rpc", "add=echo '\"mine\"'"]);
    assert_eq!(call(&both, &["add", "a:=1", "b:=2"]).json(), json!("mine"));
    assert_eq!(call(&both, &["greet", "name=x"]).json(), json!("Hello, x!"));
    let alone = Serve::start(&["--no-demo", "--rpc", "add=echo 7"]);
    assert_eq!(call(&alone, &["add"]).json(), json!(7));
    let listed = run(&["methods", &alone.address, "--json"]).json();
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
}

#[test]
fn wrong_words_are_wrong_usage() {
    for (arguments, words) in [
        (&["--rpc", "sum"][..], "no `=`"),
        (&["--rpc", "=cat"], "no name"),
        (&["--rpc", "sum= "], "no command"),
        (&["--rpc", "sum=cat", "--rpc", "sum=cat"], "sum: this method is given twice"),
        (&["--rpc", "listall=cat"], "choose another"),
        (&["--on", "note"], "no `=`"),
        (&["--commands-max", "0"], "1 to 10000"),
        (&["--command-timeout", "0s"], "longer than nothing"),
    ] {
        let ran = run(&[&["serve", "--bind", "127.0.0.1:0"], arguments].concat());
        assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "{ran:?}");
        assert!(ran.stderr.contains(words), "{words}: {ran:?}");
    }
}

#[test]
fn a_command_is_killed_when_nobody_wants_its_answer() {
    // Cancelled, as calls are that time out.
    let sleeper = Sleeper::new();
    let serve = Serve::start(&["--rpc", &format!("slow={}", sleeper.line())]);
    let caller = command(&["call", &serve.address, "slow", "--timeout", "3s"]).spawn();
    sleeper.begins();
    let ran: Ran = caller.expect("it runs").wait_with_output().expect("it ends").into();
    assert_eq!(ran.status, 4, "{ran:?}");
    sleeper.ends();
    // The caller is gone.
    let sleeper = Sleeper::new();
    let serve = Serve::start(&["--rpc", &format!("slow={}", sleeper.line())]);
    let mut caller = command(&["call", &serve.address, "slow"]).spawn().expect("it runs");
    sleeper.begins();
    caller.kill().expect("it runs");
    caller.wait().expect("it ends");
    sleeper.ends();
}

#[test]
fn a_command_that_takes_too_long_is_killed() {
    let sleeper = Sleeper::new();
    let slow = format!("slow={}", sleeper.line());
    let serve = Serve::start(&["--rpc", &slow, "--command-timeout", "2s"]);
    let told = error(&call(&serve, &["slow"]));
    assert_eq!(told["code"], 5001, "{told}");
    assert!(told["message"].as_str().is_some_and(|words| words.contains("2s")), "{told}");
    sleeper.ends();
}

#[test]
fn no_more_commands_run_at_once_than_may() {
    let sleeper = Sleeper::new();
    let slow = format!("slow={}", sleeper.line());
    let serve = Serve::start(&["--rpc", &slow, "--rpc", "quick=echo 1", "--commands-max", "1"]);
    let mut caller = command(&["call", &serve.address, "slow"]).spawn().expect("it runs");
    sleeper.begins();
    let told = error(&call(&serve, &["quick"]));
    assert_eq!(told["code"], 6000, "{told}");
    caller.kill().expect("it runs");
    caller.wait().expect("it ends");
    sleeper.ends();
    until("there is a place again", || call(&serve, &["quick"]).stdout == "1\n");
}

#[test]
fn a_signal_lets_a_command_finish() {
    let directory = tempfile::tempdir().expect("a directory");
    let begun = directory.path().join("begun");
    let slow = format!("slow=echo > {}; sleep 2; echo 7", begun.display());
    let serve = Serve::start(&["--rpc", &slow]);
    let caller = command(&["call", &serve.address, "slow"]).spawn().expect("the command runs");
    until("it begins", || begun.exists());
    serve.signal("INT");
    let ran: Ran = caller.wait_with_output().expect("it ends").into();
    assert_eq!(ran.json(), json!(7));
    assert_eq!(serve.wait(), 0);
}

#[test]
fn a_server_that_ends_leaves_no_command_behind() {
    let sleeper = Sleeper::new();
    let slow = format!("slow={}", sleeper.line());
    let serve = Serve::start(&["--rpc", &slow, "--shutdown-timeout", "1s"]);
    let caller = command(&["call", &serve.address, "slow"]).spawn().expect("the command runs");
    sleeper.begins();
    serve.signal("TERM");
    assert_eq!(serve.wait(), 0);
    sleeper.ends();
    let ran: Ran = caller.wait_with_output().expect("it ends").into();
    assert_ne!(ran.status, 0, "{ran:?}");
}
