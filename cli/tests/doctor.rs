//! `cndt doctor`: what it finds, what it advises, how it ends.

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use serde_json::{Value, json};
use support::{Ran, Serve, command, run};

/// The report, its exit status, and the list for people, which must agree with it.
fn examine(address: &str, options: &[&str]) -> Value {
    let arguments = [&["doctor", address][..], options].concat();
    let (list, json) = (run(&arguments), run(&[&arguments[..], &["--json"]].concat()));
    assert_eq!((list.stderr.as_str(), json.stderr.as_str()), ("", ""), "{list:?} {json:?}");
    let report: Value = serde_json::from_str(&json.stdout).expect("a JSON object");
    assert_eq!(report["status"], json.status, "{report}");
    assert_eq!(list.status, json.status, "{list:?}");
    assert_eq!(report["ok"], json!(json.status == 0));
    let checks = report["checks"].as_object().expect("an object");
    let lines: Vec<&str> = list.stdout.lines().collect();
    for (line, name) in lines.iter().zip(checks.keys()) {
        assert_eq!(line.split_whitespace().nth(1), Some(name.as_str()), "{list:?}");
    }
    let advised = report["advice"].as_array().expect("a list").len();
    assert_eq!(lines.len(), checks.len() + advised, "{list:?}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("→ ")).count(), advised, "{list:?}");
    report
}

#[track_caller]
fn advises(report: &Value, words: &str) {
    let advice = report["advice"].to_string();
    assert!(advice.contains(words), "{words:?} in {report}");
}

/// Somebody who answers each connection once, and hangs up.
fn peer(answer: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream: TcpStream = stream.expect("a client");
            let mut question = [0; 4096];
            let read = stream.read(&mut question).unwrap_or(0);
            let _ = stream.write_all(&answer(&question[..read]));
        }
    });
    address
}

#[test]
fn a_healthy_server_is_described() {
    let serve = Serve::start(&["--name", "well", "--max-message-size", "70000"]);
    let report = examine(&serve.address, &[]);
    let checks = &report["checks"];
    assert_eq!((&report["status"], &report["advice"]), (&json!(0), &json!([])), "{report}");
    assert_eq!(checks["protocol"]["spoken"], json!(["cndt"]));
    assert_eq!(
        (&checks["login"]["server"], &checks["login"]["user"]),
        (&json!("well"), &json!("default"))
    );
    assert_eq!(
        (&checks["limits"]["max_frame"], &checks["limits"]["zlib"]),
        (&json!(70000), &json!(false))
    );
    assert_eq!(checks["limits"]["iterations"], 600_000);
    assert_eq!(checks["methods"]["count"], 8);
    assert!(checks["methods"]["names"].to_string().contains("\"add\""));
    assert!(checks["heartbeat"]["median_ms"].as_f64() > Some(0.0));
    let ahead = checks["clock"]["ahead_ms"].as_i64().expect("a number");
    assert!(ahead.abs() < 30_000, "both have one clock: {ahead}");
}

#[test]
fn every_protocol_is_recognized() {
    let mut serve = Serve::start(&["--jsonrpc", "127.0.0.1:0", "--webhook", "127.0.0.1:0"]);
    let jsonrpc = serve.next_address();
    let http = serve.next_address().replace("http://", "");
    let report = examine(&jsonrpc, &[]);
    assert_eq!((&report["status"], &report["advice"]), (&json!(0), &json!([])), "{report}");
    assert_eq!(report["checks"]["protocol"]["spoken"], json!(["json-rpc"]));
    assert_eq!(report["checks"]["methods"]["count"], 8);
    let bare = jsonrpc.replace("jsonrpc://", "");
    let report = examine(&bare, &[]);
    assert_eq!(report["status"], 0, "{report}");
    advises(&report, &format!("cndt jsonrpc call {bare}"));
    let report = examine(&http, &[]);
    assert_eq!(
        (&report["status"], &report["checks"]["health"]["status"]),
        (&json!(0), &json!(200))
    );
    advises(&report, "cndt webhook send http://");
    // Wherever it was called by the wrong name.
    let report = examine(&format!("jsonrpc://{}", serve.address), &[]);
    assert_eq!(report["status"], 3);
    advises(&report, "CNDT is spoken there");
    let report = examine(&format!("cndts://{}", serve.address), &[]);
    assert_eq!(report["status"], 3);
    advises(&report, "use cndt://");
}

#[test]
fn the_weak_dialect_is_found_without_giving_the_password_away() {
    let weak = Serve::start(&["--accept", "netconduit"]);
    let report = examine(&weak.address, &[]);
    assert_eq!(report["status"], 3);
    assert_eq!(report["checks"]["protocol"]["spoken"], json!(["netconduit"]));
    advises(&report, "add --dialect netconduit");
    let report = examine(&weak.address, &["--dialect", "netconduit"]);
    assert_eq!(
        (&report["status"], &report["checks"]["login"]["dialect"]),
        (&json!(0), &json!("netconduit"))
    );
    assert_eq!(report["checks"]["quirks"]["is_python_package"], false);
    // The hash of the password never leaves.
    let (heard, hears) = std::sync::mpsc::channel();
    let spy = peer(move |question| {
        heard.send(question.to_vec()).expect("the test waits");
        Vec::new()
    });
    let ran = run(&["doctor", &spy]);
    assert_eq!(ran.status, 3, "{ran:?}");
    let questions: Vec<Vec<u8>> = hears.try_iter().collect();
    let hash = b"2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
    assert!(questions.iter().any(|asked| asked.windows(64).any(|part| part == [b'0'; 64])));
    assert!(!questions.iter().any(|asked| asked.windows(64).any(|part| part == hash)));
}

/// A frame of dialect `netconduit`, sent two hours ago by the sender's clock.
fn late_frame(kind: u8, id: &[u8], payload: &[u8]) -> Vec<u8> {
    let now = std::time::UNIX_EPOCH.elapsed().expect("a clock").as_millis();
    let stamp = u64::try_from(now - 7_200_000).expect("soon enough");
    let length = u32::try_from(payload.len()).expect("short");
    let mut frame = [b"CNDT\x01\x00\x00", &[kind, 0, 0, 0, 0][..], &length.to_be_bytes()].concat();
    frame.extend(id);
    frame.extend(stamp.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Answers as the Python package does; the only method is one without a name.
fn late_server(mut stream: TcpStream) -> std::io::Result<()> {
    loop {
        let mut header = [0; 32];
        stream.read_exact(&mut header)?;
        if header[5] != 0 {
            // Whatever this is: the package cannot read it, and hangs up.
            return Ok(());
        }
        let length = header[12..16].try_into().map(u32::from_be_bytes).expect("four bytes");
        let mut payload = vec![0; usize::try_from(length).expect("short")];
        stream.read_exact(&mut payload)?;
        let none: &[u8] = &[0; 8];
        let answer = match header[7] {
            2 => {
                let listed = b"\x82\xa7success\xc3\xa6result\x82\xa7success\xc3\xa4data\
                    \x82\xa7methods\x90\xa5count\x00";
                late_frame(3, &header[16..24], listed)
            }
            5 => late_frame(6, none, b""),
            7 if payload.windows(64).any(|part| part == [b'0'; 64]) => {
                late_frame(9, none, b"\x81\xa6reason\xb0Invalid password")
            }
            7 => late_frame(8, none, b"\x81\xadsession_token\xa0"),
            _ => continue,
        };
        stream.write_all(&answer)?;
    }
}

#[test]
fn the_python_package_and_a_wrong_clock_are_told() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.expect("a client");
            std::thread::spawn(move || late_server(stream));
        }
    });
    let report = examine(&address, &[]);
    assert_eq!(
        (&report["status"], &report["checks"]["protocol"]["spoken"]),
        (&json!(3), &json!(["netconduit"]))
    );
    advises(&report, "add --dialect netconduit");
    let report = examine(&address, &["--dialect", "netconduit"]);
    let checks = &report["checks"];
    assert_eq!(report["status"], 1, "{report}");
    assert_eq!(checks["quirks"]["is_python_package"], true);
    assert_eq!(checks["methods"]["count"], 0);
    assert_eq!(checks["clock"]["state"], "wrong");
    let ahead = checks["clock"]["ahead_ms"].as_i64().expect("a number");
    assert!((-7_300_000..-7_100_000).contains(&ahead), "{ahead}");
    advises(&report, "set the clocks");
}

#[test]
fn nobody_to_talk_to_is_status_3() {
    let refused = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("an address").to_string()
    };
    let report = examine(&refused, &[]);
    assert_eq!(
        (&report["status"], &report["checks"]["connection"]["state"]),
        (&json!(3), &json!("unreachable"))
    );
    advises(&report, "is a server listening there?");
    let report = examine("no-such-host.invalid:1", &[]);
    assert_eq!(
        (&report["status"], &report["checks"]["name"]["state"]),
        (&json!(3), &json!("unreachable"))
    );
    advises(&report, "check the host name");
    let report = examine("unix:/no/such/socket", &[]);
    assert_eq!(report["status"], 3);
    advises(&report, "cndt serve --bind unix:");
    let silent = peer(|_| Vec::new());
    let report = examine(&silent, &["--timeout", "2s"]);
    assert_eq!(report["status"], 3);
    advises(&report, "look into its log");
    let ssh = peer(|_| b"SSH-2.0-someone\r\n".to_vec());
    let report = examine(&ssh, &[]);
    assert_eq!(report["status"], 3);
    advises(&report, "begins with `SSH-2.0-someone`");
}

#[test]
fn a_login_that_fails_is_status_3() {
    let serve = Serve::start(&[]);
    let ran: Ran = command(&["doctor", &serve.address, "--json"])
        .env("CNDT_PASSWORD", "guess")
        .output()
        .expect("it runs")
        .into();
    let report: Value = serde_json::from_str(&ran.stdout).expect("a JSON object");
    assert_eq!((ran.status, &report["checks"]["login"]["state"]), (3, &json!("unreachable")));
    advises(&report, "check user and password");
    let ran: Ran = command(&["doctor", &serve.address])
        .env_remove("CNDT_PASSWORD")
        .output()
        .expect("it runs")
        .into();
    assert_eq!(ran.status, 3, "{ran:?}");
    assert!(ran.stdout.contains("✗ login      no password: set CNDT_PASSWORD"), "{ran:?}");
    assert_eq!(run(&["doctor"]).status, 2);
}

#[test]
fn what_works_and_is_wrong_is_status_1() {
    // A web server that knows of no webhooks.
    let web = peer(|_| b"HTTP/1.0 404 Not Found\r\n\r\n".to_vec());
    let report = examine(&web, &[]);
    assert_eq!(
        (&report["status"], &report["checks"]["health"]["state"]),
        (&json!(1), &json!("wrong"))
    );
}

#[test]
fn unix_sockets_and_tls_are_examined_too() {
    let files = tempfile::tempdir().expect("a directory");
    let path = |name: &str| files.path().join(name).display().to_string();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (certificate, key, socket) = (path("c.pem"), path("k.pem"), path("s.sock"));
    std::fs::write(&certificate, made.cert.pem()).expect("a file");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("a file");
    let unix = format!("unix:{socket}");
    let serve = Serve::start(&["--tls-cert", &certificate, "--tls-key", &key, "--bind", &unix]);
    let report = examine(&unix, &[]);
    assert_eq!(
        (&report["status"], &report["checks"]["protocol"]["spoken"]),
        (&json!(0), &json!(["cndt"]))
    );
    let trusted = ["--tls-ca", &certificate, "--tls-server-name", "localhost"];
    let report = examine(&serve.address, &trusted);
    assert_eq!(report["status"], 0, "{report}");
    assert_eq!(report["checks"]["tls"]["protocol"], "TLSv1_3");
    assert_eq!(report["checks"]["methods"]["count"], 8);
    let report = examine(&serve.address.replace("cndts://", ""), &[]);
    assert_eq!(report["status"], 3);
    advises(&report, "use cndts://");
    let report = examine(&serve.address, &[]);
    advises(&report, "--tls-ca FILE");
}
