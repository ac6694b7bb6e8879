//! Webhooks that curl sends.

use std::process::Stdio;

use cndt_interop::webhooks::{Receiver, SECRET, headers, keys};
use cndt_interop::{fixture::TEXT, in_time};
use cndt_tokio::Listener;
use cndt_tokio::net::rustls;
use cndt_tokio::webhook::{Scheme, Webhooks};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// What curl read: the version of HTTP, the status, and the body.
struct Answer {
    version: String,
    status: u16,
    body: String,
    /// All that it sent and got, as `--verbose` tells.
    log: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    fn is_received(&self, result: &Value) {
        assert_eq!(self.status, 200, "{}", self.log);
        let message = "Webhook received";
        let expected = json!({"status": "success", "message": message, "result": result});
        assert_eq!(self.json(), expected);
    }

    fn is_refused(&self, status: u16, words: &str) {
        assert_eq!(self.status, status, "{}", self.log);
        assert_eq!(self.json()["status"], "error");
        assert!(self.json()["message"].as_str().is_some_and(|said| said.contains(words)));
    }
}

/// Runs curl, which reads `body` from its stdin.
async fn curl(arguments: &[&str], body: &str) -> Answer {
    const HINT: &str = "curl is there: install it (Debian: apt-get install curl)";
    let mut child = Command::new("curl")
        // Neither the user's settings nor a proxy.
        .args(["--disable", "--noproxy", "*", "--silent", "--show-error", "--verbose"])
        .args(["--max-time", "100", "--write-out", "\n%{http_version} %{http_code}"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect(HINT);
    let mut input = child.stdin.take().expect("stdin is a pipe");
    let body = body.to_owned();
    let writing = tokio::spawn(async move {
        // One that is refused early reads no more.
        let _ = input.write_all(body.as_bytes()).await;
    });
    let output = in_time(child.wait_with_output()).await.expect("it runs");
    writing.await.expect("it is written");
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let said = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{}: {said} {log}", output.status);
    let (body, numbers) = said.rsplit_once('\n').expect("what is written out");
    let (version, status) = numbers.split_once(' ').expect("two numbers");
    Answer {
        version: version.to_owned(),
        status: status.parse().expect("a status"),
        body: body.to_owned(),
        log,
    }
}

/// A receiver of a scheme, and how curl is told of the headers that sign a body.
struct Target {
    receiver: Receiver,
    scheme: Scheme,
    url: String,
}

impl Target {
    async fn start(scheme: Scheme) -> Self {
        let receiver = Receiver::start(Webhooks::signed(keys(scheme, &[SECRET]))).await;
        let url = format!("http://127.0.0.1:{}", receiver.port);
        Self { receiver, scheme, url }
    }

    /// Sends `body`, with headers that sign `signed`, and whatever more curl is told.
    async fn send(&self, path: &str, signed: &str, body: &str, more: &[&str]) -> Answer {
        let url = format!("{}{path}", self.url);
        let id = format!("evt_{}", self.receiver.runs());
        let fields: Vec<_> = headers(&keys(self.scheme, &[SECRET]), &id, 0, signed)
            .into_iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        let mut arguments = vec!["-H", "Content-Type: application/json"];
        arguments.extend(fields.iter().flat_map(|field| ["-H", field]));
        arguments.extend(more);
        arguments.push(&url);
        curl(&arguments, body).await
    }
}

const POST: [&str; 2] = ["--data-binary", "@-"];
const UPLOAD: [&str; 4] = ["-T", "-", "-X", "POST"];

async fn curl_sends(scheme: Scheme) {
    let target = Target::start(scheme).await;
    let payload = |number| json!({"number": number, "text": TEXT, TEXT: [1.5, null, true]});
    let expecting = ["-H", "Expect: 100-continue"];
    let ways = [("1.1", &["--http1.1"][..]), ("1", &["--http1.0"]), ("1.1", &expecting)];
    for (number, (version, more)) in ways.into_iter().enumerate() {
        let payload = payload(number);
        let body = format!("{payload}\r\n");
        let answer = target.send("/echo", &body, &body, &[&POST[..], more].concat()).await;
        assert_eq!((answer.status, &*answer.version), (200, version), "{}", answer.log);
        assert_eq!(answer.json()["result"]["payload"], payload);
        assert_eq!(answer.log.contains("HTTP/1.1 100 Continue"), more == expecting);
    }
    let runs = target.receiver.runs();
    let (body, changed) = (payload(4).to_string(), payload(5).to_string());
    target.send("/echo", &body, &changed, &POST).await.is_refused(401, "invalid signature");
    assert_eq!(target.receiver.runs(), runs);

    let large = |number| json!({"number": number, "text": "ž".repeat(500_000)}).to_string();
    let answer = target.send("/size", &large(0), &large(0), &UPLOAD).await;
    assert!(answer.log.contains("Transfer-Encoding: chunked"), "{}", answer.log);
    answer.is_received(&json!(500_000));
    target.send("/size", &large(1), &large(1), &POST).await.is_received(&json!(500_000));
    target.receiver.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_sends_in_each_scheme() {
    for scheme in Scheme::ALL {
        curl_sends(scheme).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_is_told_of_a_body_that_is_too_large() {
    let target = Target::start(Scheme::Hex).await;
    let large = json!({"text": "x".repeat(1024 * 1024)}).to_string();
    // It asks before it sends so much, and need not.
    let expecting = ["-H", "Expect: 100-continue"];
    let answer = target.send("/size", &large, &large, &[&POST[..], &expecting].concat()).await;
    answer.is_refused(413, "more than 1048576 bytes");
    assert!(!answer.log.contains("100 Continue"), "{}", answer.log);
    assert_eq!(target.receiver.runs(), 0);
    target.receiver.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_asks_whether_it_is_well() {
    let target = Target::start(Scheme::Standard).await;
    let healthy = json!({"status": "healthy", "service": "webhook-server"});
    let at = |path: &str| format!("{}{path}", target.url);
    for version in ["--http1.0", "--http1.1"] {
        let answer = curl(&[version, &at("/health")], "").await;
        assert_eq!((answer.status, answer.json()), (200, healthy.clone()));
        let answer = curl(&[version, "--head", &at("/health")], "").await;
        assert_eq!(answer.status, 200, "{}", answer.log);
        let length = format!("content-length: {}", healthy.to_string().len());
        assert!(answer.body.contains(&length), "{}", answer.body);
    }
    curl(&[&at("/echo")], "").await.is_refused(404, "Not found");
    let answer = curl(&["-X", "PUT", "--data-binary", "{}", &at("/echo")], "").await;
    answer.is_refused(405, "POST");
    assert!(answer.log.to_lowercase().contains("< allow: post"), "{}", answer.log);
    let answer = curl(&["-X", "DELETE", &at("/health")], "").await;
    answer.is_refused(405, "GET");
    curl(&["--data-binary", "{}", &at("/echo")], "").await.is_refused(401, "signature required");
    assert_eq!(target.receiver.runs(), 0);
    target.receiver.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_sends_over_tls() {
    let names = ["localhost".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let folder = tempfile::tempdir().expect("a folder");
    let authority = folder.path().join("authority.pem");
    std::fs::write(&authority, made.cert.pem()).expect("it is written");
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config = rustls::ServerConfig::builder_with_provider(
        rustls::crypto::ring::default_provider().into(),
    )
    .with_safe_default_protocol_versions()
    .expect("versions")
    .with_no_client_auth()
    .with_single_cert(vec![made.cert.der().clone()], key.into())
    .expect("a certificate and its key");
    let webhooks = Webhooks::signed(keys(Scheme::Hex, &[SECRET]));
    let listener = Listener::tcp("127.0.0.1", 0).tls(config.into()).webhooks(webhooks);
    let receiver = Receiver::listen(listener).await;
    let url = format!("https://localhost:{}/tls", receiver.port);
    let signed = headers(&keys(Scheme::Hex, &[SECRET]), "evt_1", 0, "{}");
    let (name, value) = signed.last().expect("a signature");
    let field = format!("{name}: {value}");
    let authority = authority.to_str().expect("text");
    let resolve = format!("localhost:{}:127.0.0.1", receiver.port);
    let arguments = ["--cacert", authority, "--resolve", &resolve, "-H", &field, "-d", "{}", &url];
    let answer = curl(&arguments, "").await;
    assert_eq!(answer.status, 200, "{}", answer.log);
    let protocol = answer.json()["result"].clone();
    assert!(protocol == "TLSv1_3" || protocol == "TLSv1_2", "{protocol}");
    receiver.server.stop().await;
}
