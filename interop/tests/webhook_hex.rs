//! Programs that know plain hex and nothing else, on Python's standard library.

use cndt_interop::webhooks::{Receiver, SECRET, keys};
use cndt_interop::{ForeignPeer, Language, fixture::TEXT};
use cndt_tokio::webhook::{Scheme, Webhooks};
use serde_json::{Value, json};

fn echoed(payload: &Value) -> Value {
    json!({"payload": payload, "id": null, "has_timestamp": false})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_plain_hex_is_served() {
    let receiver = Receiver::start(Webhooks::signed(keys(Scheme::Hex, &[SECRET]))).await;
    let arguments = [&*receiver.port.to_string(), SECRET];
    let mut client =
        ForeignPeer::start(Language::WebhookPython, "webhook_hex_client.py", &arguments).await;
    assert_eq!(client.next().await, json!({"healthy": true}));
    let text = json!({"text": TEXT, TEXT: [1.5, null, true]});
    assert_eq!(client.next().await, json!({"sent": echoed(&text)}));
    assert_eq!(client.next().await, json!({"custom": "value"}));
    assert_eq!(client.next().await, json!({"nothing": null}));
    assert_eq!(client.next().await, json!({"wildcard": ["/alerts/fire/7", "exact"]}));
    // The number of the run that answered.
    assert_eq!(client.next().await, json!({"flaky": {"result": 3}}));
    let expected = json!({"stranger": {"error": "401 error: invalid signature"}, "waited": true});
    assert_eq!(client.next().await, expected);
    let expected = json!({"unsigned": {"error": "401 error: signature required"}});
    assert_eq!(client.next().await, expected);
    let expected = json!({
        "failed": {"error": "500 error: out of order"},
        "unknown": {"error": "404 error: Not found"},
    });
    assert_eq!(client.next().await, expected);
    let results: Vec<_> = (0..100)
        .map(|n| match n % 10 {
            3 => json!({"error": "500 error: out of order"}),
            _ => echoed(&json!({"n": n})),
        })
        .collect();
    assert_eq!(client.next().await, json!({"in_turn": results}));
    assert_eq!(client.next().await, json!({"at_once": results}));
    assert_eq!(client.next().await, json!({"done": true}));
    receiver.server.stop().await;
}
