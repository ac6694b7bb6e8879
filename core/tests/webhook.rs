//! Known answers: signatures that vendors publish, and requests that must be refused.
#![cfg(feature = "webhook")]

use cndt_core::webhook::{DeliveryId, Keys, Scheme, Tolerance, Verified, VerifyError};
use serde_json::Value;

fn vectors(name: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("webhook.json")).expect("it is JSON");
    all[name].as_array().expect("a list").clone()
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value[name].as_str()
}

/// The headers of a request, and its body.
struct Request {
    keys: Keys,
    headers: Vec<(String, String)>,
    now: u64,
    body: Vec<u8>,
}

impl Request {
    fn of(vector: &Value) -> Self {
        let scheme: Scheme = text(vector, "scheme").expect("a name").parse().expect("a scheme");
        let secret = text(vector, "secret").or(text(vector, "secret_utf8")).expect("a secret");
        let headers = match text(vector, "header") {
            Some(header) => {
                let (name, value) = header.split_once(": ").expect("a header");
                vec![(name.to_lowercase(), value.to_string())]
            }
            None => [("webhook-id", "id"), ("webhook-signature", "signature")]
                .map(|(name, field)| (name, text(vector, field).expect("a field").to_string()))
                .into_iter()
                .chain([("webhook-timestamp", vector["timestamp"].to_string())])
                .map(|(name, value)| (name.to_string(), value))
                .collect(),
        };
        Self {
            keys: Keys::parse(scheme, secret).expect("the secret is right"),
            headers,
            now: vector["timestamp"].as_u64().unwrap_or(0),
            body: text(vector, "payload_utf8").expect("a body").as_bytes().to_vec(),
        }
    }

    fn set(&mut self, name: &str, value: &str) {
        let header = self.headers.iter_mut().find(|(n, _)| n == name).expect("it is there");
        header.1 = value.to_string();
    }

    fn verify(&self) -> Result<Verified, VerifyError> {
        let lookup = |name: &str| {
            self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_bytes())
        };
        let outcome = self.keys.verify(self.now, Tolerance::default(), lookup, &self.body);
        outcome.map(|(body, verified)| {
            assert_eq!(body, self.body);
            verified
        })
    }
}

#[test]
fn published_signatures_are_accepted_and_made() {
    let vectors = vectors("signatures");
    assert_eq!(vectors.len(), 3);
    for vector in vectors {
        let mut request = Request::of(&vector);
        let verified = request.verify().unwrap_or_else(|error| panic!("{error}: {vector}"));
        assert_eq!(verified.timestamp, vector["timestamp"].as_u64());
        let id = text(&vector, "id").unwrap_or("msg_1");
        let signed_id = verified.id.map(|id| match id {
            DeliveryId::Signed(id) => id,
            DeliveryId::Unsigned(id) => panic!("{id} is covered by the signature"),
        });
        assert_eq!(signed_id.as_deref(), text(&vector, "id"));

        let id = id.parse().expect("an id");
        let made = request.keys.sign(&id, request.now, &request.body);
        for (name, value) in made.headers() {
            let published = request.headers.iter().find(|(n, _)| *n == name.lower());
            // The id of schemes that have none is ours alone.
            assert_eq!(published.map_or(id.as_str(), |(_, value)| value), value, "{name}");
        }
        request.body.push(b' ');
        assert_eq!(request.verify(), Err(VerifyError::NoMatch));
    }
}

#[test]
fn variants_are_judged_as_they_must_be() {
    let base = &vectors("signatures")[0];
    let vectors = vectors("variants");
    assert_eq!(vectors.len(), 17);
    for vector in vectors {
        let mut request = Request::of(base);
        for field in ["id", "timestamp", "signature"] {
            if let Some(value) = text(&vector, field) {
                request.set(&format!("webhook-{field}"), value);
            }
        }
        request.now = vector["now"].as_u64().unwrap_or(request.now);
        let told = match request.verify() {
            Ok(_) => "ok",
            Err(VerifyError::TooOld { .. }) => "too_old",
            Err(VerifyError::TooNew { .. }) => "too_new",
            Err(VerifyError::BadTimestamp) => "bad_timestamp",
            Err(VerifyError::NoMatch) => "no_match",
            Err(VerifyError::TooManySignatures) => "too_many",
            Err(VerifyError::BadId) => "bad_id",
            Err(error) => panic!("{error}: {vector}"),
        };
        assert_eq!(Some(told), text(&vector, "expect"), "{vector}");
    }
}
