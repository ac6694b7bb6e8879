//! Webhooks that our client sends to receivers in Python.

use std::time::Duration;

use cndt_interop::webhooks::{OLD_SECRET, SECRET, keys, scheme_of};
use cndt_interop::{ForeignPeer, Language, fixture::TEXT, in_time};
use cndt_tokio::WebhookClient;
use cndt_tokio::webhook::{
    Keys, Proxy, Scheme, WebhookAnswer, WebhookClientDescriptor, WebhookError,
};
use serde_json::{Value, json};

fn descriptor(port: u16, path: &str, keys: Keys) -> WebhookClientDescriptor {
    WebhookClientDescriptor::new(format!("http://127.0.0.1:{port}{path}"))
        .proxy(Proxy::Never)
        .keys(keys)
        .timeout(Duration::from_secs(100))
        .retry_delay(Duration::from_millis(20))
}

fn client(descriptor: WebhookClientDescriptor) -> WebhookClient {
    WebhookClient::new(descriptor).expect("settings that make sense")
}

fn result(outcome: Result<WebhookAnswer, WebhookError>) -> Value {
    let answer: Value = outcome.expect("it is delivered").json().expect("JSON");
    assert_eq!(
        (&answer["status"], &answer["message"]),
        (&json!("success"), &json!("Webhook received"))
    );
    answer["result"].clone()
}

/// A failure with a status: that, the attempts it took, and the body.
fn failure(outcome: Result<WebhookAnswer, WebhookError>) -> (u16, u32, Value) {
    let error = outcome.expect_err("it is not delivered");
    let answer = error.answer.expect("there was an answer");
    (answer.status().as_u16(), error.attempts, answer.json().expect("JSON"))
}

/// Attempts that fail, under one id, and each with a signature of its own. A connection that
/// was kept and is closed without an answer costs none.
async fn is_tried_again(receiver: &mut ForeignPeer, port: u16, ours: &Keys) {
    let client = client(descriptor(port, "/events?a=b", ours.clone()).retry_count(3));
    let payload = json!({"text": TEXT, TEXT: [1.5, null, true]});
    let sent = client.send(&payload).id("order-7".parse().expect("an id"));
    assert_eq!(result(in_time(sent.into_future()).await), payload);
    let bytes = payload.to_string().len();
    for was in ["500", "503", "close", "200"] {
        let expected = json!({
            "path": "/events?a=b", "id": "order-7", "bytes": bytes, "payload": payload, "was": was,
        });
        assert_eq!(receiver.next().await, expected);
    }
}

async fn is_sent_in_batches(receiver: &mut ForeignPeer, client: &WebhookClient) {
    let payloads: Vec<_> = (0..60).map(|n| json!({"n": n, "text": TEXT})).collect();
    for parallel in [1, 8] {
        let outcomes = in_time(client.send_batch(&payloads).parallel(parallel).into_future()).await;
        let results: Vec<_> = outcomes.into_iter().map(result).collect();
        assert_eq!(results, payloads);
        let mut heard = Vec::new();
        for _ in &payloads {
            heard.push(receiver.next().await["payload"].clone());
        }
        if parallel > 1 {
            heard.sort_by_key(|payload| payload["n"].as_u64());
        }
        assert_eq!(heard, payloads);
    }
}

async fn is_verified_by(library: &'static str, exception: &str) {
    let arguments = [library, SECRET, "500", "503", "close"];
    let mut receiver =
        ForeignPeer::start(Language::WebhookPython, "webhook_receiver.py", &arguments).await;
    let port = receiver.port().await;
    let scheme = scheme_of(library);
    is_tried_again(&mut receiver, port, &keys(scheme, &[SECRET])).await;

    let ours = client(descriptor(port, "/", keys(scheme, &[SECRET])).response_max(4 * 1024 * 1024));
    let large = json!({"text": "ž".repeat(2_000_000)});
    let answer = in_time(ours.send(&large).into_future()).await;
    assert!(result(answer) == large);
    assert_eq!(receiver.next().await["bytes"], large.to_string().len());
    // Not our JSON, and not touched.
    let raw = " {\"text\" :\r\n\"\\u017e ž\"} \n";
    let answer = in_time(ours.send_raw(raw).into_future()).await;
    assert_eq!(result(answer), json!({"text": "ž ž"}));
    assert_eq!(receiver.next().await["bytes"], raw.len());
    is_sent_in_batches(&mut receiver, &ours).await;

    let stranger = client(descriptor(port, "/", keys(scheme, &[OLD_SECRET])));
    let refused = failure(in_time(stranger.send(&json!({})).into_future()).await);
    assert_eq!(refused, (401, 1, json!({"error": "Invalid signature"})));
    assert_eq!(receiver.next().await["refused"], exception);
    // A new secret first: receivers that have only the old one go on where there is room for both.
    let rotated = client(descriptor(port, "/", keys(scheme, &[OLD_SECRET, SECRET])));
    let outcome = in_time(rotated.send(&json!({"n": 1})).into_future()).await;
    if scheme.signs_timestamp() {
        assert_eq!(result(outcome), json!({"n": 1}));
    } else {
        assert_eq!(failure(outcome).0, 401);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standardwebhooks_receives_what_we_send() {
    is_verified_by("standardwebhooks", "WebhookVerificationError").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn svix_receives_what_we_send() {
    is_verified_by("svix", "WebhookVerificationError").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stripe_receives_what_we_send() {
    is_verified_by("stripe", "SignatureVerificationError").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_github_documents_receives_what_we_send() {
    is_verified_by("github", "WrongSignature").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_hex_receives_what_we_send() {
    is_verified_by("hex", "WrongSignature").await;
}

/// A receiver that speaks HTTP/1.0 and knows plain hex alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_of_plain_hex_serves_us() {
    let mut server =
        ForeignPeer::start(Language::WebhookPython, "webhook_hex_server.py", &[SECRET]).await;
    let port = server.port().await;
    let url = |path: &str| format!("http://127.0.0.1:{port}{path}");
    let ours = keys(Scheme::Hex, &[SECRET]);
    let ours = client(descriptor(port, "/echo", ours).header("X-Custom", "value"));
    let status = in_time(ours.test_connection()).await.expect("an answer");
    assert_eq!(status.as_u16(), 501, "it knows no HEAD");
    let payload = json!({"text": TEXT, TEXT: [1.5, null, true]});
    for (path, expected) in [
        ("/echo", payload.clone()),
        ("/nothing", Value::Null),
        ("/alerts/fire/7", json!({"alert": payload})),
        ("/no/such/path", Value::Null),
    ] {
        let sent = ours.send(&payload).to(url(path));
        assert_eq!(result(in_time(sent.into_future()).await), expected);
        let heard = json!({"path": path, "payload": payload, "custom": "value"});
        assert_eq!(server.next().await, heard);
    }
    let sent = ours.send(&payload).to(url("/flaky"));
    assert_eq!(result(in_time(sent.into_future()).await), json!(3));
    let failed = failure(in_time(ours.send(&payload).to(url("/boom")).into_future()).await);
    assert_eq!(failed, (500, 3, json!({"status": "error", "message": "boom zoë"})));
    for path in ["/flaky", "/flaky", "/flaky", "/boom", "/boom", "/boom"] {
        assert_eq!(server.next().await["path"], path);
    }
    let failed = failure(in_time(ours.send_raw("{").into_future()).await);
    assert_eq!(failed, (400, 1, json!({"error": "Invalid JSON"})));
    let stranger = client(descriptor(port, "/echo", keys(Scheme::Hex, &[OLD_SECRET])));
    let failed = failure(in_time(stranger.send(&payload).into_future()).await);
    assert_eq!(failed, (401, 1, json!({"error": "Invalid signature"})));
    assert_eq!(server.next().await, json!({"refused": "/echo"}));
    let payloads: Vec<_> = (0..100).map(|n| json!({"n": n})).collect();
    let outcomes = in_time(ours.send_batch(&payloads).parallel(10).into_future()).await;
    let results: Vec<_> = outcomes.into_iter().map(result).collect();
    assert_eq!(results, payloads);
}
