//! Webhooks that Python libraries sign, and HTTP of Python's standard library, received by us.

use cndt_interop::webhooks::{Receiver, SECRET, keys, scheme_of};
use cndt_interop::{ForeignPeer, Language, fixture::TEXT};
use cndt_tokio::webhook::{Scheme, Webhooks};
use serde_json::{Value, json};

const LIMIT: usize = 1024 * 1024;

/// What is answered to a delivery of `payload`, handled for the first time.
fn handled(payload: &Value, id: Option<&str>, scheme: Scheme) -> Value {
    let has_timestamp = scheme.signs_timestamp();
    received(&json!({"payload": payload, "id": id, "has_timestamp": has_timestamp}))
}

fn received(result: &Value) -> Value {
    let message = "Webhook received";
    json!([200, {"status": "success", "message": message, "result": result}])
}

fn refused(status: u16, message: &str) -> Value {
    json!([status, {"status": "error", "message": message}])
}

/// Characters in the payloads of so many bytes.
fn characters(size: usize) -> Value {
    received(&json!((size - 40) / 2))
}

struct Sending {
    library: &'static str,
    scheme: Scheme,
    receiver: Receiver,
    sender: ForeignPeer,
}

impl Sending {
    async fn start(library: &'static str) -> Self {
        let scheme = scheme_of(library);
        let receiver = Receiver::start(Webhooks::signed(keys(scheme, &[SECRET]))).await;
        let port = receiver.port.to_string();
        let arguments = [&*port, library, SECRET];
        let sender =
            ForeignPeer::start(Language::WebhookPython, "webhook_sender.py", &arguments).await;
        Self { library, scheme, receiver, sender }
    }

    async fn says(&mut self, expected: Value) {
        assert_eq!(self.sender.next().await, expected, "{}", self.library);
    }

    /// The first delivery, the same again, and JSON in other clothes.
    async fn takes_what_is_right(&mut self) {
        let scheme = self.scheme;
        let id = |text| (scheme == Scheme::Standard).then_some(text);
        let payload = json!({"text": TEXT, TEXT: [1.5, null, true]});
        let first = handled(&payload, id("evt_1"), scheme);
        self.says(json!({"accepted": first})).await;
        let message = "Webhook received before";
        let again = match scheme {
            Scheme::Stripe | Scheme::Standard => {
                json!([200, {"status": "duplicate", "message": message, "result": null}])
            }
            // Nothing in it tells one delivery from another.
            Scheme::Hex | Scheme::GitHub => first,
        };
        self.says(json!({"again": again})).await;
        let escaped = handled(&json!({"text": TEXT}), id("evt_2"), scheme);
        self.says(json!({"escaped": escaped})).await;
        self.says(json!({"spaced": handled(&json!({"text": 1}), id("evt_3"), scheme)})).await;
    }

    async fn refuses_what_is_wrong(&mut self) {
        let runs = self.receiver.runs();
        let invalid = refused(401, "invalid signature");
        self.says(json!({"changed": invalid})).await;
        self.says(json!({"wrong_secret": invalid})).await;
        self.says(json!({"unsigned": refused(401, "signature required")})).await;
        if self.scheme.signs_timestamp() {
            let late = refused(401, "timestamp out of tolerance");
            self.says(json!({"old": late, "ahead": late})).await;
            assert_eq!(self.receiver.runs(), runs);
        } else {
            let said = self.sender.next().await;
            assert_eq!((&said["old"][0], &said["ahead"][0]), (&json!(200), &json!(200)), "{said}");
            assert_eq!(self.receiver.runs(), runs + 2);
        }
        self.says(json!({"invalid": [400, 400, 400, 400]})).await;
        self.says(json!({"unknown": 404})).await;
    }

    async fn takes_what_is_large(&mut self) {
        self.says(json!({"large": [characters(LIMIT - 1), characters(LIMIT)]})).await;
        let said = json!(["HTTP/1.1 100 Continue", characters(LIMIT)]);
        self.says(json!({"expects": LIMIT, "said": said})).await;
        let runs = self.receiver.runs();
        let too_large = refused(413, &format!("more than {LIMIT} bytes"));
        let said = json!(["HTTP/1.1 413 Payload Too Large", too_large]);
        self.says(json!({"expects": LIMIT + 1, "said": said})).await;
        // What it does next runs no handler either, should it be ahead.
        assert_eq!(self.receiver.runs(), runs);
        // With a secret that is wrong only the whole body shows it.
        let said = json!(["HTTP/1.1 100 Continue", refused(401, "invalid signature")]);
        self.says(json!({"stranger": said})).await;
        self.says(json!({"chunked": characters(50_000)})).await;
    }
}

async fn takes_what_is_signed_by(library: &'static str) {
    let mut sending = Sending::start(library).await;
    sending.takes_what_is_right().await;
    sending.refuses_what_is_wrong().await;
    sending.takes_what_is_large().await;
    sending.says(json!({"kept": [], "same": true})).await;
    let failed = |status: u16, code: i64, message: &str| {
        let said = json!({"status": "error", "code": code, "message": message});
        json!([status, said])
    };
    let expected = json!({
        "failed": failed(500, 1001, "out of order"),
        "refused": failed(429, 6000, "Rate limit exceeded"),
    });
    sending.says(expected).await;
    sending.says(json!({"done": true})).await;
    sending.receiver.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standardwebhooks_is_received() {
    takes_what_is_signed_by("standardwebhooks").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn svix_is_received() {
    takes_what_is_signed_by("svix").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stripe_is_received() {
    takes_what_is_signed_by("stripe").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_github_documents_is_received() {
    takes_what_is_signed_by("github").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_hex_is_received() {
    takes_what_is_signed_by("hex").await;
}
