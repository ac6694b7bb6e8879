//! What is neither CNDT nor JSON-RPC.

use serde_json::json;

use super::report::{Check, Report, State, millis, milliseconds};
use crate::args::Target;
use crate::exit::Failure;
use crate::probe;

/// A receiver of webhooks says that it is well; any other web server does not know what that is.
pub(super) async fn http(target: &Target, report: &mut Report) -> Result<(), Failure> {
    let place = &target.address.place;
    let (status, took) = probe::health(place).await;
    let facts = json!({"status": status, "milliseconds": milliseconds(took)});
    let advice = format!("for webhooks use `cndt webhook send http://{place}/…`");
    let check = match status {
        Some(200) => {
            let words = format!("GET /health is 200, {}", millis(took));
            Check::new("health", State::Good, words)
        }
        Some(status) => {
            let words = format!("GET /health is {status}: this may be no receiver of webhooks");
            Check::new("health", State::Wrong, words)
        }
        None => Check::new("health", State::Wrong, "GET /health is not answered as HTTP"),
    };
    report.add(check.facts(facts).advice(advice))
}
