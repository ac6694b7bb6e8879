//! What the commands say when there is no connection: what is wrong, and what to do.

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;

use support::{Ran, Serve, command, run};

/// Runs a command that finds nobody to talk to.
fn refused(arguments: &[&str]) -> String {
    let ran = run(arguments);
    assert_eq!((ran.status, ran.stdout.as_str()), (3, ""), "{arguments:?}: {ran:?}");
    assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
    ran.stderr
}

#[track_caller]
fn says(words: &str, parts: &[&str]) {
    for part in parts {
        assert!(words.contains(part), "{part:?} in {words:?}");
    }
}

/// Every command that connects, with this address.
fn all(address: &str) -> Vec<Vec<&str>> {
    vec![
        vec!["call", address, "add"],
        vec!["send", address, "greeting"],
        vec!["listen", address],
        vec!["methods", address],
        vec!["ping", address],
        vec!["bench", address],
        vec!["jsonrpc", "call", address, "add"],
    ]
}

/// A port on which nobody listens.
fn free_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").to_string()
}

/// Somebody who answers everyone with `greeting`, whatever is asked.
fn peer(greeting: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a client");
            std::thread::spawn(move || {
                let _ = stream.write_all(greeting);
                // It stays until the other side goes.
                let _ = stream.read_to_end(&mut Vec::new());
            });
        }
    });
    address
}

#[test]
fn nobody_listens() {
    let address = free_port();
    for arguments in all(&address) {
        says(&refused(&arguments), &[&address, "refused", "is a server listening", "cndt serve"]);
    }
}

#[test]
fn there_is_no_such_host() {
    for arguments in all("no-such-host.invalid:1") {
        says(&refused(&arguments), &["no-such-host.invalid:1", "check the host name"]);
    }
}

#[test]
fn there_is_no_such_socket() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("none.sock");
    let address = format!("unix:{}", path.display());
    for arguments in all(&address) {
        says(&refused(&arguments), &[&address, "no socket", "cndt serve --bind unix:"]);
    }
    // It is left over from somebody who is gone.
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket"));
    says(&refused(&["ping", &address]), &["nobody listens on this socket"]);
}

#[test]
fn a_wrong_password_is_told_as_one() {
    let serve = Serve::start(&["--accept", "cndt,netconduit"]);
    for dialect in ["cndt", "netconduit"] {
        let arguments = ["ping", &serve.address, "--dialect", dialect];
        let ran: Ran =
            command(&arguments).env("CNDT_PASSWORD", "guess").output().expect("it runs").into();
        assert_eq!(ran.status, 3, "{ran:?}");
        says(&ran.stderr, &["refused the login", "password", "CNDT_PASSWORD", "--password-file"]);
    }
}

#[test]
fn a_full_server_is_told_as_one() {
    let serve = Serve::start(&["--max-connections", "1"]);
    let words = refused(&["bench", &serve.address, "--connections", "2"]);
    says(&words, &["Server is full", "--max-connections"]);
}

#[test]
fn the_other_dialect_is_named() {
    let (strong, weak) = (Serve::start(&[]), Serve::start(&["--accept", "netconduit"]));
    let words = refused(&["ping", &weak.address]);
    says(&words, &["the peer speaks the netconduit dialect: add --dialect netconduit"]);
    let words = refused(&["ping", &strong.address, "--dialect", "netconduit"]);
    says(&words, &["the peer speaks the cndt dialect: add --dialect cndt"]);
    says(&refused(&["bench", &weak.address]), &["add --dialect netconduit"]);
}

#[test]
fn a_peer_that_only_hangs_up_may_speak_the_other_dialect() {
    // As a Python server does that cannot read the login.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut all = [0; 4096];
            let _ = stream.expect("a client").read(&mut all);
        }
    });
    let words = refused(&["ping", &address]);
    says(&words, &["--dialect netconduit", "cndt doctor"]);
}

#[test]
fn protocols_that_are_met_on_the_wrong_port_are_named() {
    let mut serve = Serve::start(&["--jsonrpc", "127.0.0.1:0", "--webhook", "127.0.0.1:0"]);
    let jsonrpc = serve.next_address().replace("jsonrpc://", "");
    let http = serve.next_address().replace("http://", "");
    for dialect in ["cndt", "netconduit"] {
        let words = refused(&["ping", &jsonrpc, "--dialect", dialect]);
        says(&words, &["JSON-RPC is spoken there", &format!("cndt jsonrpc call {jsonrpc}")]);
        let words = refused(&["ping", &http, "--dialect", dialect]);
        says(&words, &["HTTP is spoken there", &format!("cndt webhook send http://{http}")]);
    }
    let words = refused(&["jsonrpc", "call", &serve.address, "add"]);
    says(&words, &["CNDT is spoken there", "cndt call"]);
    let words = refused(&["jsonrpc", "call", &http, "add"]);
    says(&words, &["HTTP is spoken there"]);
    let ssh = peer(b"SSH-2.0-someone\r\n");
    let words = refused(&["ping", &ssh]);
    says(&words, &["no CNDT peer", "begins with `SSH-2.0-someone`"]);
    for (address, words) in [(&serve.address, "CNDT is spoken"), (&jsonrpc, "JSON-RPC is spoken")] {
        let url = format!("http://{address}/hook");
        let ran = run(&["webhook", "send", &url, "a=b", "--retries", "0"]);
        assert_eq!((ran.status, ran.stdout.as_str()), (3, ""), "{ran:?}");
        says(&ran.stderr, &[words]);
    }
    // What an address says of itself is believed.
    let ran = run(&["ping", &format!("jsonrpc://{jsonrpc}")]);
    assert_eq!(ran.status, 2, "{ran:?}");
    says(&ran.stderr, &["cndt jsonrpc call"]);
    assert_eq!(run(&["ping", &format!("http://{http}")]).status, 2);
}

#[test]
fn tls_and_no_tls_are_told_apart() {
    let files = tempfile::tempdir().expect("a directory");
    let path = |name: &str| files.path().join(name).display().to_string();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (certificate, key) = (path("c.pem"), path("k.pem"));
    std::fs::write(&certificate, made.cert.pem()).expect("a file");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("a file");
    let options = ["--tls-cert", &certificate, "--tls-key", &key];
    let mut serve = Serve::start(&[&options[..], &["--jsonrpc", "127.0.0.1:0"]].concat());
    let secure = serve.address.clone();
    let place = secure.replace("cndts://", "");
    let jsonrpc = serve.next_address().replace("jsonrpcs://", "");
    // Plain against TLS.
    says(&refused(&["ping", &place]), &["TLS is spoken there: use cndts://"]);
    says(&refused(&["jsonrpc", "call", &jsonrpc, "add"]), &["use jsonrpcs://"]);
    let url = format!("http://{place}/hook");
    let ran = run(&["webhook", "send", &url, "a=b", "--retries", "0"]);
    assert_eq!(ran.status, 3, "{ran:?}");
    says(&ran.stderr, &["TLS is spoken there: use https://"]);
    // TLS against plain.
    let mut plain = Serve::start(&["--jsonrpc", "127.0.0.1:0"]);
    let address = format!("cndts://{}", plain.address);
    let words = refused(&["ping", &address, "--tls-ca", &certificate]);
    says(&words, &["no TLS is spoken there: use cndt://"]);
    let address = plain.next_address().replace("jsonrpc:", "jsonrpcs:");
    let words = refused(&["jsonrpc", "call", &address, "add", "--tls-ca", &certificate]);
    says(&words, &["no TLS is spoken there: use jsonrpc://"]);
    let web = peer(b"HTTP/1.0 400 Bad Request\r\n\r\n");
    let url = format!("https://{web}/hook");
    let ran = run(&["webhook", "send", &url, "a=b", "--retries", "0", "--tls-ca", &certificate]);
    assert_eq!(ran.status, 3, "{ran:?}");
    says(&ran.stderr, &["no TLS is spoken there: use http://"]);
    // Certificates.
    says(&refused(&["ping", &secure]), &["no TLS", "--tls-ca"]);
    let words = refused(&["ping", &secure, "--tls-ca", &certificate]);
    says(&words, &["no TLS", "--tls-server-name"]);
    let strict = Serve::start(&[&options[..], &["--tls-client-ca", &certificate]].concat());
    let trusted = ["--tls-ca", &certificate, "--tls-server-name", "localhost"];
    let words = refused(&[&["ping", &strict.address][..], &trusted].concat());
    says(&words, &["the server wants a certificate", "--tls-key"]);
}

#[test]
fn a_value_of_the_wrong_type_is_named_with_what_belongs_there() {
    let serve = Serve::start(&[]);
    let long = format!("a={}", "x".repeat(1000));
    for (value, found) in [("a=x", r#"string \"x\""#), (&long, "string"), ("a:=true", "boolean")] {
        let ran = run(&["call", &serve.address, "add", value, "b:=2"]);
        assert_eq!((ran.status, ran.stdout.as_str()), (1, ""), "{ran:?}");
        says(&ran.stderr, &["Invalid parameters for add: `a`", found]);
        assert!(ran.stderr.len() < 400, "{ran:?}");
        if value.len() < 100 {
            says(&ran.stderr, &["expected i64"]);
        }
    }
}
