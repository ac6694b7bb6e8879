//! The example `complete` does for the Python package what its Python original does.

use std::process::Command;

use cndt_interop::{for_each_version, python_complete};
use cndt_runtime::conformance::examples::{Running, program};
use serde_json::{Value, json};

/// What stands in the example, as in the documentation that it follows.
const PASSWORD: &str = "secret123";

/// Starts it on a free port of loopback and gives that port.
fn start() -> (Running, u16) {
    let example = Running::start(&program("cndt-tokio", "complete"), &["127.0.0.1:0"]);
    assert_eq!(example.next_line(), "Starting ExampleServer v1.0.0");
    let port = example.next_after("Listening on 127.0.0.1:").parse().expect("a port");
    (example, port)
}

/// Tells it to end by a signal, and gives the lines that it has printed until then.
fn stop(example: Running, signal: &str) -> Vec<String> {
    let pid = example.id().to_string();
    let status = Command::new("kill").args(["-s", signal, &pid]).status().expect("kill runs");
    assert!(status.success());
    let (status, lines) = example.finish();
    assert!(status.success(), "{status} after {lines:?}");
    lines
}

async fn serves_its_clients(version: &str) {
    let (example, port) = start();
    let facts = python_complete(version, port, PASSWORD).await;

    let id = facts["join"]["id"].as_str().expect("an id");
    assert_eq!(facts["join"], json!({"id": id}));
    assert_eq!(facts["leave"], json!({"id": id}));
    assert_eq!(facts["ping"]["pong"], true);
    assert!(is_unix_time(&facts["ping"]["time"]), "{facts:#}");
    assert_eq!(facts["chat_answer"], json!({"sent": true}));
    assert_eq!(facts["chat_heard"]["from"], id);
    assert_eq!(facts["chat_heard"]["message"], "hello");
    assert!(is_unix_time(&facts["chat_heard"]["timestamp"]), "{facts:#}");

    let result = |value: f64| json!({"success": true, "data": {"result": value}});
    assert_eq!(
        facts["results"],
        json!({
            "add": result(7.5),
            "subtract": result(4.5),
            "multiply": result(9.0),
            "divide": result(4.0),
        })
    );
    let error = |case: &str| facts["errors"][case].clone();
    let unknown = error("unknown_operation");
    assert_eq!((&unknown["how"], &unknown["code"]), (&json!("result"), &json!(2000)));
    assert_eq!(unknown["message"], "Unknown operation: power");
    assert_eq!(unknown["details"]["field"], "operation");
    assert_eq!(
        error("division_by_zero"),
        json!({"how": "result", "code": 400, "message": "Division by zero", "details": null})
    );
    let missing = error("missing_field");
    assert_eq!(missing["code"], 2000);
    assert!(missing["message"].to_string().contains("operation"), "{missing}");

    assert_eq!(facts["stats"]["clients"], 2);
    assert_eq!(facts["stats_after"]["clients"], 1);
    let uptime = facts["stats"]["uptime"].as_f64();
    assert!(uptime > Some(0.0) && uptime < Some(600.0), "{uptime:?}");
    let names: Vec<&String> = facts["methods"].as_object().expect("a map").keys().collect();
    assert_eq!(names, ["calculate", "get_stats"]);
    let calculate = &facts["methods"]["calculate"];
    assert_eq!(calculate["description"], "Perform calculation.");
    assert_eq!(calculate["parameters"], json!({"a": "float", "b": "float", "operation": "str"}));
    assert_eq!(facts["heard_of_itself"], json!([]));
    assert_eq!(facts["witness_heard_more"], json!([]));

    let lines = stop(example, "TERM");
    let (last, lines) = lines.split_last().expect("it says goodbye");
    assert_eq!(last, "Shutting down. Goodbye!");
    let [witness_came, came, left, witness_left] = lines else { panic!("{lines:?}") };
    assert_eq!(
        (came, left),
        (&format!("Client {id} connected"), &format!("Client {id} disconnected"))
    );
    assert_eq!(witness_came.replace("connected", "disconnected"), *witness_left);
}

for_each_version!(serves_its_clients);

fn is_unix_time(value: &Value) -> bool {
    // Between 2017 and 2099, in seconds.
    value.as_f64().is_some_and(|seconds| (1.5e9..4.1e9).contains(&seconds))
}

#[test]
fn ends_at_an_interrupt_as_well() {
    let (example, _) = start();
    assert_eq!(stop(example, "INT"), ["Shutting down. Goodbye!"]);
}
