//! `cndt webhook`, as people run it: each test runs the built command.

mod support;

use std::io::{BufRead, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use support::{Ran, Serve, command, run};

const SECRET: &str = "It's a Secret to Everybody";
const STANDARD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn webhook(arguments: &[&str], secret: &str) -> Command {
    let mut command = command(&[&["webhook"], arguments].concat());
    command.env("CNDT_WEBHOOK_SECRET", secret);
    command
}

fn fed(mut command: Command, input: &[u8]) -> Ran {
    let mut child = command.stdin(Stdio::piped()).spawn().expect("the command runs");
    let mut stdin = child.stdin.take().expect("stdin is a pipe");
    // It need not read what it does not want.
    let _ = stdin.write_all(input);
    drop(stdin);
    child.wait_with_output().expect("it ends").into()
}

/// Status and body of the answer to one POST.
fn post(address: &str, path: &str, headers: &str, body: &str) -> (u16, Value) {
    let host = address.strip_prefix("http://").expect("webhooks come over HTTP");
    let mut stream = TcpStream::connect(host).expect("somebody listens");
    let length = body.len();
    let headers: String = headers.lines().map(|line| format!("{line}\r\n")).collect();
    let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}");
    let request = format!("{head}Content-Length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers and closes");
    let (head, body) = answer.split_once("\r\n\r\n").expect("HTTP");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, serde_json::from_str(body).expect("JSON"))
}

#[test]
fn signatures_are_those_that_vendors_publish() {
    let github = fed(webhook(&["sign", "--scheme", "github"], SECRET), b"Hello, World!");
    assert_eq!(
        github.stdout,
        "X-Hub-Signature-256: sha256=\
         757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17\n"
    );
    let hex = fed(webhook(&["sign"], SECRET), b"Hello, World!");
    assert_eq!(
        hex.stdout,
        "X-Webhook-Signature: 757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17\n"
    );
    let arguments = ["sign", "--scheme", "stripe", "--timestamp", "1700000000"];
    let secret = "whsec_test_secret";
    let stripe = fed(webhook(&arguments, secret), br#"{"id":"evt_test_webhook"}"#);
    assert_eq!(
        stripe.stdout,
        "Stripe-Signature: t=1700000000,\
         v1=31f5d883dbc7f94e904e545163bf33620012700d5b31ff192138ab47bf55025a\n"
    );
    let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    let arguments = ["sign", "--scheme", "standard", "--id", id, "--timestamp", "1614265330"];
    let standard = fed(webhook(&arguments, STANDARD), br#"{"test": 2432232314}"#);
    assert_eq!(
        standard.stdout,
        format!(
            "webhook-id: {id}\nwebhook-timestamp: 1614265330\n\
             webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=\n"
        )
    );
}

#[test]
fn what_is_signed_is_verified_and_nothing_else() {
    for (scheme, secret) in
        [("hex", SECRET), ("github", SECRET), ("stripe", SECRET), ("standard", STANDARD)]
    {
        let signed = fed(webhook(&["sign", "--scheme", scheme], secret), b"body");
        assert_eq!(signed.status, 0, "{signed:?}");
        let mut arguments = vec!["verify", "--scheme", scheme];
        for line in signed.stdout.lines() {
            arguments.extend(["--header", line]);
        }
        let right = fed(webhook(&arguments, secret), b"body");
        assert_eq!((right.status, &*right.stdout, &*right.stderr), (0, "", ""));
        let wrong = fed(webhook(&arguments, secret), b"another body");
        assert_eq!(wrong.status, 1, "{wrong:?}");
        assert!(wrong.stderr.contains("no signature matches"), "{wrong:?}");
    }
    let old = ["sign", "--scheme", "standard", "--timestamp", "1614265330"];
    let old = fed(webhook(&old, STANDARD), b"body");
    let mut arguments = vec!["verify", "--scheme", "standard"];
    for line in old.stdout.lines() {
        arguments.extend(["--header", line]);
    }
    let late = fed(webhook(&arguments, STANDARD), b"body");
    assert!(late.status == 1 && late.stderr.contains("s old"), "{late:?}");
    arguments.extend(["--tolerance", "off"]);
    assert_eq!(fed(webhook(&arguments, STANDARD), b"body").status, 0);
}

#[test]
fn wrong_usage_says_what_to_do() {
    let run = |arguments: &[&str], secret: &str| fed(webhook(arguments, secret), b"");
    for (ran, words) in [
        (run(&["sign"], ""), "CNDT_WEBHOOK_SECRET"),
        (run(&["sign", "--secret-file", "/no/such/file"], ""), "/no/such/file"),
        (run(&["sign", "--scheme", "standard"], "short"), "base64"),
        (run(&["sign", "--scheme", "stripe", "--signature-header", "X"], "s"), "stripe"),
        (run(&["sign", "--id", "a.b"], "s"), "no dot"),
        (run(&["verify"], "s"), "--header"),
        (run(&["verify", "--header", "nothing"], "s"), "X-Webhook-Signature"),
        (run(&["serve", "--bind", "127.0.0.1:0", "--on", "nothing"], "s"), "/path=COMMAND"),
        (run(&["serve", "--bind", "127.0.0.1:0", "--on", "/a/**/b=true"], "s"), "/a/**/b"),
    ] {
        assert!(ran.status == 2 && ran.stderr.contains(words), "{words}: {ran:?}");
    }
}

#[test]
fn several_secrets_come_from_a_file() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "new\nold\n").expect("it is written");
    let path = file.path().to_str().expect("text");
    let old = fed(webhook(&["sign"], "old"), b"body").stdout;
    let arguments = ["verify", "--secret-file", path, "--header", old.trim()];
    assert_eq!(fed(webhook(&arguments, ""), b"body").status, 0);
    let new = fed(webhook(&["sign", "--secret-file", path], ""), b"body").stdout;
    assert_eq!(new, fed(webhook(&["sign"], "new"), b"body").stdout);
}

#[test]
fn deliveries_are_printed_and_handled_by_commands() {
    let arguments = ["serve", "--bind", "127.0.0.1:0", "--scheme", "standard"];
    let handlers = ["--on", "/count=wc -c", "--on", "/fails=echo no luck >&2; exit 3"];
    let mut server = Serve::run(webhook(&[&arguments[..], &handlers[..]].concat(), STANDARD));
    let sign = |id: &str| {
        let signed = webhook(&["sign", "--scheme", "standard", "--id", id], STANDARD);
        fed(signed, b"{\"a\":  1}").stdout
    };
    let address = server.address.clone();
    let (status, answer) = post(&address, "/count", &sign("one"), "{\"a\":  1}");
    assert_eq!((status, &answer["result"]), (200, &json!(7)), "{answer}");
    let (status, answer) = post(&address, "/fails", &sign("two"), "{\"a\":  1}");
    assert_eq!((status, &answer["message"]), (500, &json!("no luck")), "{answer}");
    let (status, _) = post(&address, "/count", "", "{\"a\":  1}");
    assert_eq!(status, 401);
    let (status, _) = post(&address, "/elsewhere", &sign("three"), "{\"a\":  1}");
    assert_eq!(status, 404);
    server.signal("TERM");
    let rest = server.rest();
    let lines: Vec<Value> =
        rest.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let told: Vec<_> = lines.iter().map(|line| (&line["path"], &line["id"])).collect();
    assert_eq!(told, [(&json!("/count"), &json!("one")), (&json!("/fails"), &json!("two"))]);
    assert_eq!(lines[0]["payload"], json!({"a": 1}));
    assert!(lines[0]["timestamp"].is_u64(), "{}", lines[0]);
}

#[test]
fn every_path_is_taken_where_none_is_named() {
    let mut server = Serve::run(webhook(&["serve", "--bind", "127.0.0.1:0"], ""));
    let (status, answer) = post(&server.address, "/any/path?x=1", "", "[1]");
    assert_eq!((status, &answer["status"]), (200, &json!("success")), "{answer}");
    server.signal("INT");
    let expected = json!({"path": "/any/path", "id": null, "timestamp": null, "payload": [1]});
    assert_eq!(serde_json::from_str::<Value>(&server.rest()).expect("one line"), expected);
}

#[test]
fn a_server_of_all_receives_webhooks_too() {
    let arguments = ["serve", "--bind", "127.0.0.1:0", "--webhook", "127.0.0.1:0"];
    let mut command = command(&arguments);
    command.env("CNDT_WEBHOOK_SECRET", SECRET);
    let mut server = Serve::run(command);
    let address = server.next_address();
    assert!(address.starts_with("http://127.0.0.1:"), "{address}");
    let signed = fed(webhook(&["sign"], SECRET), b"{}").stdout;
    let (status, answer) = post(&address, "/x", &signed, "{}");
    assert_eq!((status, &answer["result"]), (200, &json!({})), "{answer}");
    assert_eq!(post(&address, "/x", "", "{}").0, 401);
}

/// What each request of a `cndt webhook serve` without handlers was told.
fn printed(server: &mut Serve) -> Vec<Value> {
    server.signal("TERM");
    let rest = server.rest();
    rest.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn a_webhook_is_sent_in_each_scheme() {
    for (scheme, secret) in
        [("hex", SECRET), ("github", SECRET), ("stripe", SECRET), ("standard", STANDARD)]
    {
        let arguments = ["serve", "--bind", "127.0.0.1:0", "--scheme", scheme, "--on", "/x=cat"];
        let mut server = Serve::run(webhook(&arguments, secret));
        let url = format!("{}/x", server.address);
        let send = ["send", &url, "a=text", "b:=[1.5,null]", "--scheme", scheme, "--retries", "0"];
        let sent = fed(webhook(&send, secret), b"").json();
        let payload = json!({"a": "text", "b": [1.5, null]});
        assert_eq!(sent["result"], payload, "{scheme}");
        let refused = fed(webhook(&send, STANDARD.replace("Mf", "Mg").as_str()), b"");
        assert_eq!(refused.status, 1, "{refused:?}");
        let told: Value = serde_json::from_str(&refused.stderr).expect("one JSON object");
        assert_eq!((&told["code"], &told["message"]), (&json!(401), &json!("invalid signature")));
        assert_eq!(printed(&mut server).len(), 1);
    }
}

#[test]
fn a_batch_is_answered_in_order() {
    let handler = "/x=sed 's/[^0-9]//g'";
    let arguments = ["serve", "--bind", "127.0.0.1:0", "--on", handler];
    let server = Serve::run(webhook(&arguments, SECRET));
    let url = format!("{}/x", server.address);
    let lines: String = (0..40).map(|n| format!("{{\"n\":{n}}}\n\n")).collect();
    for parallel in ["1", "8"] {
        let send = ["send", &url, "--batch", "-", "--parallel", parallel];
        let ran = fed(webhook(&send, SECRET), lines.as_bytes());
        assert_eq!(ran.status, 0, "{ran:?}");
        let results: Vec<Value> = ran
            .stdout
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["result"].clone())
            .collect();
        assert_eq!(results, (0..40).map(Value::from).collect::<Vec<_>>());
    }
    // Those that fail have their line as well.
    let other = format!("{}/nobody", server.address);
    let ran = fed(webhook(&["send", &other, "--batch", "-"], SECRET), b"1\n2\n");
    let errors = ran.stdout.lines().filter(|line| line.contains("\"code\":404")).count();
    assert_eq!((ran.status, errors), (1, 2), "{ran:?}");
}

#[test]
fn what_cannot_be_sent_ends_with_its_status() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let silent = format!("http://{}", listener.local_addr().expect("an address"));
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let nobody = format!("http://{}", free.local_addr().expect("an address"));
    drop(free);
    let none = ["--retries", "0"];
    for (arguments, status, words) in [
        (&["send", &nobody][..], 3, "refused"),
        (&["send", &silent, "--timeout", "200ms"], 4, "--timeout"),
        (&["send", &silent, "--block-private-addresses"], 3, "public"),
        (&["send", "ftp://x"], 2, "http"),
        (&["send", &nobody, "--scheme", "standard"], 2, "CNDT_WEBHOOK_SECRET"),
        (&["send", &nobody, "--parallel", "4"], 2, "--batch"),
        (&["send", &nobody, "--batch", "/no/such/file"], 2, "/no/such/file"),
        (&["send", &nobody, "--header", "nonsense"], 2, "="),
    ] {
        let ran = fed(webhook(&[arguments, &none].concat(), ""), b"");
        assert_eq!(ran.status, status, "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains(words), "{arguments:?}: {ran:?}");
    }
}

#[test]
fn an_outbox_keeps_what_was_not_delivered() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("deep/er/w.outbox");
    let path = file.to_str().expect("text");
    let outbox = |arguments: &[&str]| {
        let all = [&["outbox"], arguments, &["--outbox", path]].concat();
        fed(webhook(&all, SECRET), b"")
    };
    assert_eq!(outbox(&["list", "--json"]).json(), json!([]), "there is none yet");
    assert_eq!(outbox(&["retry"]).status, 0);

    // A receiver whose mood a file decides.
    let mood = folder.path().join("good");
    let handler = format!("/x=test -e {} && cat", mood.display());
    let arguments = ["serve", "--bind", "127.0.0.1:0", "--on", &handler];
    let mut server = Serve::run(webhook(&arguments, SECRET));
    let at = |place: &str| format!("{}/{place}", server.address);
    let named = format!("--outbox={path}");
    // Nobody takes webhooks there, and nobody ever will.
    let lost = fed(webhook(&["send", &at("nobody"), "a:=1", &named], SECRET), b"");
    assert!(lost.status == 1 && lost.stderr.contains("given up"), "{lost:?}");
    let id = lost.stdout.trim().to_owned();
    // The other one is in a bad mood; whoever sends is ended while it waits.
    let send = webhook(&["send", &at("x"), "b:=2", &named], SECRET).spawn().expect("it runs");
    let mut send = Ended(send);
    let waits = || {
        let listed = run(&["webhook", "outbox", "list", "--json", "--outbox", path]);
        // While it is in use nobody looks into it.
        (listed.status == 0).then(|| listed.json())
    };
    // It says that it has accepted it; then it sends.
    let mut accepted = String::new();
    let stdout = send.0.stdout.take().expect("stdout is a pipe");
    std::io::BufReader::new(stdout).read_line(&mut accepted).expect("a line");
    assert!(accepted.contains("\"id\""), "{accepted}");
    send.kill();
    let listed = waits().expect("nobody has it open");
    let rows = listed.as_array().expect("rows");
    let told: Vec<_> =
        rows.iter().map(|row| (&row["state"], &row["status"], &row["attempts"])).collect();
    assert_eq!(told[1], (&json!("dead"), &json!(404), &json!(1)), "{listed}");
    assert_eq!(rows[1]["id"], serde_json::from_str::<Value>(&id).expect("JSON")["id"]);
    assert_eq!(told[0].0, &json!("pending"), "{listed}");

    let table = outbox(&["list"]);
    assert!(table.stdout.contains("dead") && table.stdout.contains("/nobody"), "{table:?}");
    std::fs::write(&mood, "").expect("a mood");
    let pending = rows[0]["id"].as_str().expect("an id").to_owned();
    let retried = outbox(&["retry", &pending]);
    assert_eq!(retried.json(), json!({"id": pending, "delivered": true}));
    let again = outbox(&["retry"]);
    assert!(again.status == 1 && again.stdout.contains("404"), "{again:?}");
    assert_eq!(outbox(&["retry", "unknown"]).status, 2);
    assert_eq!(outbox(&["list", "--json"]).json().as_array().map(Vec::len), Some(1));
    let delivered = printed(&mut server);
    assert_eq!(delivered.last().expect("one")["payload"], json!({"b": 2}));
}

/// Killed at the end, at the latest.
struct Ended(std::process::Child);

impl Ended {
    fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.kill();
    }
}
