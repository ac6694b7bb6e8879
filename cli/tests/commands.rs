//! Every command against `cndt serve`: results, exit statuses, stdout and stderr apart.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::Stdio;

use serde_json::{Value, json};
use support::{PASSWORD, Serve, command, run, run_with_input};

fn call(serve: &Serve, arguments: &[&str]) -> support::Ran {
    run(&[&["call", &serve.address], arguments].concat())
}

#[test]
fn the_demonstration_succeeds() {
    let ran = run(&["demo"]);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran:?}");
    for shown in [
        "handshake",
        "greeting",
        "rpc add",
        "discovery",
        "broadcast",
        "json-rpc",
        "webhook",
        "heartbeat",
    ] {
        assert!(ran.stdout.contains(&format!("✓ {shown}")), "{shown} in {}", ran.stdout);
    }
}

#[test]
fn a_call_prints_its_result_as_json() {
    let serve = Serve::start(&[]);
    assert_eq!(call(&serve, &["add", "a:=10", "b:=20"]).json(), json!(30));
    assert_eq!(call(&serve, &["multiply", "x:=3.5", "y:=2"]).stdout, "7.0\n");
    assert_eq!(call(&serve, &["greet", "name=World"]).json(), json!("Hello, World!"));
    let calculate = ["calculate", "a:=7", "b:=2", "operation=divide"];
    assert_eq!(call(&serve, &calculate).json(), json!({"result": 3.5}));
    assert_eq!(call(&serve, &["sleep", "ms:=5"]).json(), json!(5));
    let stats = call(&serve, &["get_stats"]).json();
    for key in ["clients", "messages_sent", "messages_received", "bytes_sent", "bytes_received"] {
        assert!(stats[key].is_u64(), "{key} in {stats}");
    }
    assert!(stats["uptime"].is_number());
}

#[test]
fn params_come_from_anywhere() {
    let serve = Serve::start(&[]);
    let value = json!({"n": u64::MAX, "low": i64::MIN, "f": 1.5, "text": "ž", "list": [null, true],
        "bytes": {"$binary": "AAEC"}});
    let text = value.to_string();
    assert_eq!(call(&serve, &["echo", "--data", &text]).json(), value);
    let stdin = run_with_input(&["call", &serve.address, "echo", "--data", "-"], text.as_bytes());
    assert_eq!(stdin.json(), value);
    let path = std::env::temp_dir().join(format!("cndt-test-{}.json", std::process::id()));
    std::fs::write(&path, &text).expect("a file");
    let at = format!("@{}", path.display());
    assert_eq!(call(&serve, &["echo", "--data", &at]).json(), value);
    std::fs::remove_file(&path).expect("it is there");
    assert_eq!(call(&serve, &["echo"]).json(), json!({}));
}

#[test]
fn an_error_of_the_peer_is_one_json_object_on_stderr_and_status_1() {
    let serve = Serve::start(&[]);
    let error = |arguments: &[&str]| -> Value {
        let ran = call(&serve, arguments);
        assert_eq!((ran.status, ran.stdout.as_str()), (1, ""), "{ran:?}");
        serde_json::from_str(&ran.stderr).expect("one JSON object")
    };
    let unknown = error(&["nope"]);
    assert_eq!(unknown, json!({"code": 4000, "message": "RPC method not found: nope"}));
    assert_eq!(error(&["add", "a:=1"])["code"], 2000);
    assert_eq!(error(&["add", "a=x", "b:=1"])["code"], 2000);
    assert_eq!(
        error(&["fail", "code:=4711", "message=mine"]),
        json!({"code": 4711, "message": "mine"})
    );
    let wrong = error(&["calculate", "a:=1", "b:=1", "operation=power"]);
    assert_eq!((&wrong["code"], &wrong["details"]["field"]), (&json!(2000), &json!("operation")));
    let zero = error(&["calculate", "a:=1", "b:=0", "operation=divide"]);
    assert_eq!(zero, json!({"code": 400, "message": "Division by zero"}));
}

#[test]
fn wrong_usage_is_status_2_and_names_the_value() {
    for (arguments, words) in [
        (&["call", "localhost", "add"][..], "must be host:port"),
        (&["call", "unix:/x", "add", "--tls-ca", "x.pem"], "tls_ca"),
        (&["serve", "--bind", "cndts://h:1"], "--tls-cert"),
        (&["serve", "--jsonrpc", "jsonrpcs://h:1"], "--tls-cert"),
        (&["serve", "--tls-cert", "x.pem"], "--tls-key"),
        (&["serve", "--tls-cert", "/no.pem", "--tls-key", "/no.key"], "tls_certificate"),
        (&["call", "127.0.0.1:1", "add", "oops"], "oops"),
        (&["call", "127.0.0.1:1", "add", "a:=x"], "a:=x"),
        (&["call", "127.0.0.1:1", "add", "--data", "{"], "--data"),
        (&["call", "127.0.0.1:1", "add", "a=1", "--data", "{}"], "--data"),
        (&["call", "127.0.0.1:1", "add", "--timeout", "soon"], "soon"),
        (&["call", "127.0.0.1:1", "add", "--dialect", "latin"], "latin"),
        (&["call", "127.0.0.1:1", "add", "--user", ""], "user name"),
        (&["serve", "--accept", "latin"], "latin"),
        (&["serve", "--rate-limit", "0"], "per second"),
        (&["serve", "--users", "/no/such/file"], "/no/such/file"),
        (&["password", "hash", "--iterations", "7"], "iterations"),
        (
            &["serve", "--heartbeat-interval", "9s", "--heartbeat-timeout", "3s"],
            "heartbeat_timeout",
        ),
        (&["serve", "--max-connections", "0"], "max_connections"),
        (&["no-such-command"], "no-such-command"),
    ] {
        let ran = run(arguments);
        assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains(words), "{arguments:?}: {}", ran.stderr);
    }
}

#[test]
fn a_password_is_wanted_and_comes_from_a_file_too() {
    let serve = Serve::start(&[]);
    let arguments = ["call", &serve.address, "greet", "name=x"];
    let none: support::Ran =
        command(&arguments).env_remove("CNDT_PASSWORD").output().expect("it runs").into();
    assert_eq!(none.status, 2);
    for way in ["CNDT_PASSWORD", "--password-file", "terminal"] {
        assert!(none.stderr.contains(way), "{}", none.stderr);
    }
    let path = std::env::temp_dir().join(format!("cndt-test-{}.password", std::process::id()));
    std::fs::write(&path, format!("{PASSWORD}\n")).expect("a file");
    let with_file = [&arguments[..], &["--password-file", path.to_str().expect("text")]].concat();
    let ran: support::Ran =
        command(&with_file).env_remove("CNDT_PASSWORD").output().expect("it runs").into();
    std::fs::remove_file(&path).expect("it is there");
    assert_eq!(ran.json(), json!("Hello, x!"));
}

#[test]
fn no_connection_is_status_3_and_says_what_to_do() {
    let refused = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("an address").to_string()
    };
    let ran = run(&["call", &refused, "add"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (3, ""), "{ran:?}");
    assert!(ran.stderr.contains("refused") && ran.stderr.contains("cndt serve"), "{}", ran.stderr);

    let serve = Serve::start(&[]);
    let arguments = ["call", &serve.address, "greet", "name=x"];
    let wrong: support::Ran =
        command(&arguments).env("CNDT_PASSWORD", "guess").output().expect("it runs").into();
    assert_eq!(wrong.status, 3);
    assert!(wrong.stderr.contains("CNDT_PASSWORD"), "{}", wrong.stderr);
}

#[test]
fn the_weak_dialect_is_spoken_only_where_both_sides_name_it() {
    let strong = Serve::start(&[]);
    let weak = Serve::start(&["--accept", "netconduit"]);
    let both = Serve::start(&["--accept", "cndt,netconduit"]);
    let speak = |serve: &Serve, dialect: &str| {
        run(&["call", &serve.address, "add", "a:=1", "b:=2", "--dialect", dialect])
    };
    for (serve, dialect, is_right) in [
        (&strong, "cndt", true),
        (&strong, "netconduit", false),
        (&weak, "cndt", false),
        (&weak, "netconduit", true),
        (&both, "cndt", true),
        (&both, "netconduit", true),
    ] {
        let ran = speak(serve, dialect);
        if is_right {
            assert_eq!(ran.json(), json!(3));
        } else {
            assert_eq!((ran.status, ran.stdout.as_str()), (3, ""), "{ran:?}");
            assert!(ran.stderr.contains("--dialect"), "{}", ran.stderr);
        }
    }
}

#[test]
fn users_log_in_by_what_was_hashed_for_them() {
    let hash = |user: &str, password: &str| {
        let ran: support::Ran =
            command(&["password", "hash", "--user", user, "--iterations", "100000"])
                .env("CNDT_PASSWORD", password)
                .output()
                .expect("it runs")
                .into();
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran:?}");
        assert!(ran.stdout.starts_with(&format!("{user}:SCRAM-SHA-256$100000:")), "{ran:?}");
        ran.stdout
    };
    let path = std::env::temp_dir().join(format!("cndt-test-{}.users", std::process::id()));
    let text = format!("# who may\n{}{}", hash("ann", "apple"), hash("bob", "berry"));
    std::fs::write(&path, text).expect("a file");
    let serve = Serve::start(&["--users", path.to_str().expect("text")]);
    std::fs::remove_file(&path).expect("it is there");
    for (user, password, status) in
        [("ann", "apple", 0), ("bob", "apple", 3), ("eve", "apple", 3), ("default", "apple", 3)]
    {
        let ran: support::Ran =
            command(&["call", &serve.address, "greet", "name=x", "--user", user])
                .env("CNDT_PASSWORD", password)
                .output()
                .expect("it runs")
                .into();
        assert_eq!(ran.status, status, "{user}: {ran:?}");
    }
}

#[test]
fn a_peer_that_is_no_cndt_server_is_named_as_such() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").expect("it is there");
        // Held open, so that it is not the end that is noticed.
        std::thread::park();
    });
    let ran = run(&["ping", &address]);
    assert_eq!(ran.status, 3, "{ran:?}");
    assert!(ran.stderr.contains("no CNDT peer"), "{}", ran.stderr);
}

#[test]
fn a_peer_that_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    let ran = run(&["ping", &address, "--timeout", "1s"]);
    assert_eq!(ran.status, 3, "{ran:?}");
    assert!(ran.stderr.contains("1s"), "{}", ran.stderr);
}

#[test]
fn a_call_that_takes_too_long_is_status_4() {
    let serve = Serve::start(&[]);
    let ran = call(&serve, &["sleep", "ms:=60000", "--timeout", "1s"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (4, ""), "{ran:?}");
    assert!(ran.stderr.contains("--timeout"), "{}", ran.stderr);
    let ran = run(&["send", &serve.address, "no_such_type", "--wait", "200ms"]);
    assert_eq!(ran.status, 4, "{ran:?}");
}

#[test]
fn a_message_prints_its_answer() {
    let serve = Serve::start(&[]);
    let greeting = run(&["send", &serve.address, "greeting", "name=World", "--wait", "5s"]);
    assert_eq!(greeting.json(), json!({"reply": "Hello, World!"}));
    assert_eq!(run(&["send", &serve.address, "greeting", "name=x"]).stdout, "");
    let pong = run(&["send", &serve.address, "ping", "--wait", "5s"]).json();
    assert_eq!(pong["pong"], true);
    assert!(pong["time"].as_f64() > Some(1.7e9), "{pong}");
    let identity = run(&["send", &serve.address, "identify", "--wait", "5s"]).json();
    assert_eq!(identity["authenticated"], true);
    assert!(identity["your_id"].is_string());
    assert!(identity["your_address"].as_str().is_some_and(|a| a.starts_with("127.0.0.1:")));
}

#[test]
fn listening_prints_what_others_say() {
    let serve = Serve::start(&[]);
    let mut listener = command(&["listen", &serve.address, "chat", "--count", "1"])
        .spawn()
        .expect("the command runs");
    // It is there once the server counts it.
    while call(&serve, &["get_stats"]).json()["clients"] != 2 {}
    let sent = run(&["send", &serve.address, "chat", "message=hello", "--wait", "5s"]);
    assert_eq!(sent.json(), json!({"sent": true}));
    let mut line = String::new();
    BufReader::new(listener.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    let heard: Value = serde_json::from_str(&line).expect("one JSON line");
    assert_eq!((&heard["type"], &heard["data"]["message"]), (&json!("chat"), &json!("hello")));
    assert!(heard["timestamp"].is_u64());
    assert!(listener.wait().expect("it ends").success());
}

#[test]
fn a_server_that_ends_ends_its_listeners() {
    let serve = Serve::start(&[]);
    let listener = command(&["listen", &serve.address]).spawn().expect("the command runs");
    while call(&serve, &["get_stats"]).json()["clients"] != 2 {}
    serve.signal("TERM");
    assert_eq!(serve.wait(), 0);
    let ran: support::Ran = listener.wait_with_output().expect("it ends").into();
    assert_eq!(ran.status, 3, "{ran:?}");
    assert!(ran.stderr.contains("closed by the peer"), "{}", ran.stderr);
}

#[test]
fn a_signal_lets_calls_under_way_finish() {
    let serve = Serve::start(&[]);
    let caller =
        command(&["call", &serve.address, "sleep", "ms:=1500"]).spawn().expect("the command runs");
    while call(&serve, &["get_stats"]).json()["clients"] != 2 {}
    serve.signal("INT");
    assert_eq!(serve.wait(), 0);
    let ran: support::Ran = caller.wait_with_output().expect("it ends").into();
    assert_eq!(ran.json(), json!(1500));
}

#[test]
fn methods_are_listed_for_people_and_programs() {
    let serve = Serve::start(&[]);
    let list = run(&["methods", &serve.address, "--json"]).json();
    let add = list.as_array().expect("a list").iter().find(|method| method["name"] == "add");
    let add = add.expect("add is listed");
    assert_eq!(add["parameters"], json!({"a": "int", "b": "int"}));
    assert_eq!(add["return_type"], "int");
    let table = run(&["methods", &serve.address]).stdout;
    assert!(table.lines().next().is_some_and(|head| head.starts_with("NAME")), "{table}");
    assert!(table.contains("a: int, b: int"), "{table}");

    let bare = Serve::start(&["--no-demo"]);
    assert_eq!(run(&["methods", &bare.address, "--json"]).json(), json!([]));
}

#[test]
fn ping_tells_the_handshake_and_every_round_trip() {
    let serve = Serve::start(&[]);
    let ran = run(&["ping", &serve.address, "--count", "3"]);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran:?}");
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 5, "{ran:?}");
    assert!(lines[0].starts_with("handshake ") && lines[3].starts_with("pong 3 "));
    assert!(lines[4].contains("min ") && lines[4].contains("median ") && lines[4].contains("max "));
    let report = run(&["ping", &serve.address, "--count", "3", "--json"]).json();
    let trips = report["round_trips_ms"].as_array().expect("a list");
    assert_eq!(trips.len(), 3, "{report}");
    for mark in ["handshake_ms", "min_ms", "median_ms", "max_ms"] {
        assert!(report[mark].as_f64() > Some(0.0), "{mark} in {report}");
    }
    assert!(trips.contains(&report["min_ms"]) && trips.contains(&report["median_ms"]), "{report}");
}

#[test]
fn several_listeners_serve_one_set_of_clients() {
    let mut serve = Serve::start(&["--bind", "[::1]:0"]);
    let second = serve.next_address();
    assert!(second.starts_with("[::1]:"), "{second}");
    assert_eq!(run(&["call", &second, "greet", "name=six"]).json(), json!("Hello, six!"));
    assert_eq!(call(&serve, &["greet", "name=four"]).json(), json!("Hello, four!"));
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let mut child = command(&["completions", "bash"]).stdout(Stdio::piped()).spawn().expect("runs");
    drop(child.stdout.take());
    assert!(child.wait().expect("it ends").success());
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&["completions", shell]);
        assert!(script.status == 0 && script.stdout.contains("cndt"), "{shell}");
    }
}

/// Every command there is, found by the help of the one above.
fn every_command() -> Vec<Vec<String>> {
    let (mut found, mut left) = (Vec::new(), vec![Vec::new()]);
    while let Some(path) = left.pop() {
        let mut arguments: Vec<&str> = path.iter().map(String::as_str).collect();
        arguments.push("--help");
        let help = run(&arguments);
        assert_eq!((help.status, help.stderr.as_str()), (0, ""), "{path:?}");
        let below = help.stdout.lines().skip_while(|line| *line != "Commands:").skip(1);
        for line in below.take_while(|line| !line.is_empty()) {
            let name = line.split_whitespace().next().expect("a name");
            if name != "help" {
                left.push([&path[..], &[name.to_owned()]].concat());
            }
        }
        found.push(path);
    }
    found
}

#[test]
fn help_shows_examples() {
    let commands = every_command();
    assert!(commands.len() > 20, "{commands:?}");
    for path in commands {
        let arguments: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
        let help = run(&arguments).stdout;
        let (_, examples) = help.split_once("Example").expect("examples");
        assert!(examples.contains(&format!("cndt {}", path.join(" "))), "{path:?}: {help}");
    }
}

#[test]
fn completions_know_every_command() {
    let names: Vec<String> = every_command().into_iter().flatten().collect();
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&["completions", shell]);
        assert_eq!((script.status, script.stderr.as_str()), (0, ""), "{shell}");
        for name in &names {
            assert!(script.stdout.contains(name.as_str()), "{name} in {shell}");
        }
    }
    // The one shell that is everywhere reads it.
    let script = run(&["completions", "bash"]).stdout;
    let reads = std::process::Command::new("bash").args(["-n", "-c", &script]).status();
    assert!(reads.expect("bash runs").success());
    assert_eq!(run(&["completions", "tcsh"]).status, 2);
}

#[test]
fn a_message_right_behind_the_login_is_heard() {
    /// A frame of dialect `netconduit`.
    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = b"CNDT\x01\x00\x00".to_vec();
        frame.extend([kind, 0, 0, 0, 0]);
        frame.extend(u32::try_from(payload.len()).expect("short").to_be_bytes());
        frame.extend([0; 16]);
        frame.extend(payload);
        frame
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut login = [0; 4096];
        assert!(std::io::Read::read(&mut stream, &mut login).expect("a login") > 32);
        // {session_token: ""}, then {type: "news", data: 1}, in one segment.
        let both =
            [frame(8, b"\x81\xadsession_token\xa0"), frame(1, b"\x82\xa4type\xa4news\xa4data\x01")];
        stream.write_all(&both.concat()).expect("it is there");
        std::thread::park();
    });
    let mut child = command(&["listen", &address, "--count", "1", "--dialect", "netconduit"])
        .spawn()
        .expect("the command runs");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    assert_eq!(line, "{\"type\":\"news\",\"data\":1,\"timestamp\":0}\n");
    // How it parts from a peer that never closes is not what is tested here.
    child.kill().expect("it is there");
    child.wait().expect("it ends");
}

#[test]
fn tls_and_unix_sockets_are_spoken() {
    let files = tempfile::tempdir().expect("a directory");
    let path = |name: &str| files.path().join(name).display().to_string();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (certificate, key, socket) = (path("c.pem"), path("k.pem"), path("s.sock"));
    std::fs::write(&certificate, made.cert.pem()).expect("a file");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("a file");
    let unix = format!("unix:{socket}");
    let options = ["--tls-cert", &certificate, "--tls-key", &key, "--bind", &unix];
    let mut serve = Serve::start(&options);
    assert!(serve.address.starts_with("cndts://127.0.0.1:"), "{}", serve.address);
    assert_eq!(serve.next_address(), unix);
    let trusted = ["--tls-ca", &certificate, "--tls-server-name", "localhost"];
    let add = ["add", "a:=1", "b:=2"];
    assert_eq!(call(&serve, &[&add[..], &trusted].concat()).json(), json!(3));
    assert_eq!(run(&[&["call", &unix][..], &add].concat()).json(), json!(3));
    // A certificate that nobody vouches for is no certificate.
    let refused = call(&serve, &add);
    assert_eq!(refused.status, 3, "{refused:?}");
    assert!(refused.stderr.contains("no TLS"), "{refused:?}");
    // What only makes sense with TLS is refused without it.
    let plain = run(&["call", &unix, "add", "--tls-ca", &certificate]);
    assert_eq!(plain.status, 2, "{plain:?}");
    serve.signal("TERM");
    assert_eq!(serve.wait(), 0);
    assert!(!std::path::Path::new(&socket).exists(), "the socket is left behind");
}

#[test]
fn json_rpc_is_spoken_beside_cndt() {
    let mut serve = Serve::start(&["--jsonrpc", "127.0.0.1:0"]);
    let address = serve.next_address();
    assert!(address.starts_with("jsonrpc://127.0.0.1:"), "{address}");
    let call = |arguments: &[&str]| run(&[&["jsonrpc", "call", &address], arguments].concat());
    for framing in ["newline", "bare", "content-length"] {
        assert_eq!(call(&["add", "a:=10", "b:=20", "--framing", framing]).json(), json!(30));
    }
    assert_eq!(call(&["add", "--data", "[1, 2]"]).json(), json!(3));
    let value = json!({"n": u64::MAX, "f": 1.5, "text": "ž", "list": [null, true]});
    assert_eq!(call(&["echo", "--data", &value.to_string()]).json(), value);
    let notified = call(&["greeting", "name=x", "--notify"]);
    assert_eq!((notified.status, notified.stdout.as_str()), (0, ""), "{notified:?}");
    let error = |arguments: &[&str]| -> Value {
        let ran = call(arguments);
        assert_eq!((ran.status, ran.stdout.as_str()), (1, ""), "{ran:?}");
        serde_json::from_str(&ran.stderr).expect("one JSON object")
    };
    assert_eq!(error(&["nope"])["code"], -32601);
    let wrong = error(&["add", "a=x", "b:=1"]);
    assert_eq!((&wrong["code"], &wrong["details"]["field"]), (&json!(-32602), &json!("a")));
    assert_eq!(error(&["fail", "code:=42", "message=no"]), json!({"code": 42, "message": "no"}));
    let slow = call(&["sleep", "ms:=60000", "--timeout", "200ms"]);
    assert_eq!(slow.status, 4, "{slow:?}");
    serve.signal("TERM");
    assert_eq!(serve.wait(), 0);
}
