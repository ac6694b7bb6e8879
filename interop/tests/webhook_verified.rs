//! What we sign, verified by Python libraries.

use cndt_interop::webhooks::{OLD_SECRET, SECRET, headers, keys, scheme_of};
use cndt_interop::{ForeignPeer, Language, fixture::TEXT};
use serde_json::{Map, Value, json};

const STRANGE_SECRET: &str = "whsec_c3RyYW5nZXJzdHJhbmdlcnN0cmFuZ2Vy";

struct Verifying {
    library: &'static str,
    verifier: ForeignPeer,
}

impl Verifying {
    async fn start(library: &'static str) -> Self {
        let verifier =
            ForeignPeer::start(Language::WebhookPython, "webhook_verifier.py", &[]).await;
        Self { library, verifier }
    }

    async fn verdict(&mut self, secret: &str, headers: &[(String, String)], body: &str) -> Value {
        let headers: Map<_, _> =
            headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let library = self.library;
        let asked = json!({"library": library, "secret": secret, "headers": headers, "body": body});
        self.verifier.tell(&asked).await;
        self.verifier.next().await
    }

    async fn takes(&mut self, secret: &str, headers: &[(String, String)], body: &str) {
        let payload: Value = serde_json::from_str(body).expect("JSON");
        let verdict = self.verdict(secret, headers, body).await;
        assert!(verdict == json!({"payload": payload}), "{} {headers:?}", self.library);
    }

    async fn refuses(&mut self, secret: &str, headers: &[(String, String)], body: &str) {
        let refused = match self.library {
            "standardwebhooks" | "svix" => "WebhookVerificationError",
            "stripe" => "SignatureVerificationError",
            _ => "WrongSignature",
        };
        let verdict = self.verdict(secret, headers, body).await;
        assert_eq!(verdict, json!({"refused": refused}), "{} {headers:?}", self.library);
    }
}

async fn verifies_what_we_sign(library: &'static str) {
    let mut verifying = Verifying::start(library).await;
    let scheme = scheme_of(library);
    let ours = keys(scheme, &[SECRET]);
    let text = json!({"text": TEXT, TEXT: [1.5, null, true]}).to_string();
    let large = json!({"text": "ž".repeat(500_000)}).to_string();
    let spaced = " {\r\n\t\"object\" : \"event\" }\n";
    for (n, body) in [&*text, &*large, spaced, "{}"].into_iter().enumerate() {
        let signed = headers(&ours, &format!("evt_{n}"), 0, body);
        verifying.takes(SECRET, &signed, body).await;
        let changed = body.replacen('{', "{ ", 1);
        verifying.refuses(SECRET, &signed, &changed).await;
        verifying.refuses(STRANGE_SECRET, &signed, body).await;
        for missing in signed.iter().filter(|(name, _)| name.to_lowercase().contains("signature")) {
            let rest: Vec<_> = signed.iter().filter(|header| *header != missing).cloned().collect();
            verifying.refuses(SECRET, &rest, body).await;
        }
    }
    // Within five minutes and beyond, as they see it.
    if scheme.signs_timestamp() {
        verifying.takes(SECRET, &headers(&ours, "evt_late", 120, "{}"), "{}").await;
        verifying.refuses(SECRET, &headers(&ours, "evt_old", 330, "{}"), "{}").await;
    }
    // The new secret before the old one: receivers take either where there is room for both.
    let both = keys(scheme, &[SECRET, OLD_SECRET]);
    let signed = headers(&both, "evt_rotated", 0, &text);
    verifying.takes(SECRET, &signed, &text).await;
    match scheme.signs_timestamp() {
        true => verifying.takes(OLD_SECRET, &signed, &text).await,
        false => verifying.refuses(OLD_SECRET, &signed, &text).await,
    }
    verifying.refuses(STRANGE_SECRET, &signed, &text).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standardwebhooks_verifies_what_we_sign() {
    verifies_what_we_sign("standardwebhooks").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn svix_verifies_what_we_sign() {
    verifies_what_we_sign("svix").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stripe_verifies_what_we_sign() {
    verifies_what_we_sign("stripe").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_github_documents_verifies_what_we_sign() {
    verifies_what_we_sign("github").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_hex_verifies_what_we_sign() {
    verifies_what_we_sign("hex").await;
}
