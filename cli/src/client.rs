//! The commands that talk to a server: call, send, listen, methods, ping.

use std::io::{self, IsTerminal};
use std::time::Duration;

use cndt_tokio::{
    CallError, CallFailure, Client, ClientDescriptor, ClientHandle, Dialect, ErrorCode, Message,
    Messages, MethodInfo,
};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::advice::{self, Wanted};
use crate::args::{CallArgs, DialectName, ListenArgs, MethodsArgs, PingArgs, SendArgs, Target};
use crate::exit::{self, Failure};
use crate::json::{self, Style};
use crate::{near, out, params, secret};

/// The gap between pings: fast enough to watch, slow enough to be no flood.
const PING_GAP: Duration = Duration::from_millis(100);

/// How long a suggestion may take.
const DISCOVERY: Duration = Duration::from_secs(1);

async fn connect(target: &Target) -> Result<ClientHandle, Failure> {
    advice::connect(client(target)?, &target.address, Wanted::Cndt(target.dialect)).await
}

/// Connects and listens from the first message on.
async fn connect_listening(target: &Target) -> Result<(ClientHandle, Messages), Failure> {
    let (client, messages) = client(target)?.with_messages();
    let wanted = Wanted::Cndt(target.dialect);
    Ok((advice::connect(client, &target.address, wanted).await?, messages))
}

fn client(target: &Target) -> Result<Client, Failure> {
    Ok(Client::new(descriptor(target)?))
}

/// Whom to talk to, with the password that must be known for it.
pub(crate) fn descriptor(target: &Target) -> Result<ClientDescriptor, Failure> {
    target.address.is_cndt().map_err(Failure::Usage)?;
    let password = secret::password(target.password_file.as_deref())?;
    let dialect = match target.dialect {
        DialectName::Cndt => Dialect::Cndt,
        DialectName::Netconduit => Dialect::Netconduit,
    };
    let (host, port) = target.address.host_and_port();
    let descriptor = ClientDescriptor::new(host, port, password)
        .name("cndt")
        .version(env!("CARGO_PKG_VERSION"))
        .dialect(dialect)
        .user(target.user.as_str())
        .password_iterations_min(target.password_iterations_min)
        .connect_timeout(target.timeout.min(Duration::from_secs(10)))
        .rpc_timeout(target.timeout)
        .send_timeout(target.timeout)
        .reconnect_enabled(false);
    Ok(target.tls.apply(target.address.tls, descriptor))
}

pub(crate) async fn call(arguments: CallArgs) -> Result<(), Failure> {
    let params = params::payload(&arguments.body)?;
    let client = connect(&arguments.target).await?;
    let reply = match client.call::<_, Value>(&arguments.method, &params).raw().await {
        Ok(reply) => reply,
        Err(error) => {
            suggest(&client, &error, &arguments.method).await;
            return Err(error.into());
        }
    };
    let style = if io::stdout().is_terminal() { Style::Pretty } else { Style::Compact };
    let result = json::from_msgpack(&reply.data, style)
        .map_err(|error| Failure::Connection(format!("the result cannot be read: {error}")))?;
    out::line(&result)?;
    client.disconnect().await;
    Ok(())
}

/// Names that are nearly this one, for people: programs read one JSON object on stderr.
async fn suggest(client: &ClientHandle, error: &CallError, method: &str) {
    let CallError::Failed(CallFailure::Remote(error)) = error else { return };
    if error.code != ErrorCode::MethodNotFound || !io::stderr().is_terminal() {
        return;
    }
    // Whoever does not tell his methods in a moment is not asked any longer.
    let Ok(Ok(methods)) = timeout(DISCOVERY, client.discover()).await else { return };
    if let Some(line) = near::hint(method, methods.iter().map(|method| method.name.as_str())) {
        exit::print_error_line(&exit::printable(&line));
    }
}

pub(crate) async fn send(arguments: SendArgs) -> Result<(), Failure> {
    let data = params::payload(&arguments.body)?;
    let (client, mut messages) = connect_listening(&arguments.target).await?;
    client.send(&arguments.kind, &data).await?;
    if let Some(patience) = arguments.wait {
        let wanted = format!("{}_response", arguments.kind);
        let answer = async {
            loop {
                match messages.next().await {
                    Some(message) if message.name.as_str() == wanted => break Some(message),
                    Some(_) => {}
                    None => break None,
                }
            }
        };
        let message = timeout(patience, answer)
            .await
            .map_err(|_| {
                Failure::TimedOut(format!("no message `{wanted}` came within {patience:?}"))
            })?
            .ok_or_else(lost)?;
        out::line(&data_as_json(&message)?)?;
    }
    client.disconnect().await;
    Ok(())
}

pub(crate) async fn listen(arguments: ListenArgs) -> Result<(), Failure> {
    let (client, mut messages) = connect_listening(&arguments.target).await?;
    let (mut left, mut missed) = (arguments.count, 0);
    while left != Some(0) {
        let Some(message) = messages.next().await else {
            let reason = client.closed().await;
            return Err(Failure::Connection(format!("the connection ended: {reason}")));
        };
        if messages.missed() > missed {
            let more = messages.missed() - missed;
            exit::print_error_line(&format!("warning: {more} messages came too fast, dropped"));
            missed = messages.missed();
        }
        let name = message.name.as_str();
        if !arguments.kinds.is_empty() && !arguments.kinds.iter().any(|kind| kind == name) {
            continue;
        }
        let (kind, data) = (json::quoted(name), data_as_json(&message)?);
        let timestamp = message.timestamp;
        out::line(&format!(r#"{{"type":{kind},"data":{data},"timestamp":{timestamp}}}"#))?;
        left = left.map(|left| left - 1);
    }
    client.disconnect().await;
    Ok(())
}

pub(crate) async fn methods(arguments: MethodsArgs) -> Result<(), Failure> {
    let client = connect(&arguments.target).await?;
    let methods = client.discover().await?;
    if arguments.json {
        let list: Vec<Value> = methods.iter().map(as_json).collect();
        out::line(&Value::from(list).to_string())?;
    } else {
        table(&methods)?;
    }
    client.disconnect().await;
    Ok(())
}

fn as_json(method: &MethodInfo) -> Value {
    let parameters: serde_json::Map<String, Value> = method
        .parameters
        .iter()
        .map(|(name, kind)| (name.clone(), Value::from(kind.as_str())))
        .collect();
    json!({
        "name": method.name,
        "description": method.description,
        "parameters": parameters,
        "return_type": method.return_type,
        "requires_auth": method.requires_auth,
    })
}

fn table(methods: &[MethodInfo]) -> Result<(), Failure> {
    let signature = |method: &MethodInfo| {
        let parameters: Vec<String> =
            method.parameters.iter().map(|(name, kind)| format!("{name}: {kind}")).collect();
        parameters.join(", ")
    };
    let rows: Vec<[String; 4]> = methods
        .iter()
        .map(|method| {
            let description = method.description.lines().next().unwrap_or_default();
            [&method.name, &signature(method), &method.return_type, description]
                .map(|cell: &str| exit::printable(cell))
        })
        .collect();
    let heads = ["NAME", "PARAMETERS", "RETURNS", "DESCRIPTION"];
    let mut widths = heads.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let [name, parameters, returns, _] = widths;
    let print = |[a, b, c, d]: [&str; 4]| {
        let line = format!("{a:name$}  {b:parameters$}  {c:returns$}  {d}");
        out::line(line.trim_end())
    };
    print(heads)?;
    for row in &rows {
        print(std::array::from_fn(|column| row[column].as_str()))?;
    }
    Ok(())
}

pub(crate) async fn ping(arguments: PingArgs) -> Result<(), Failure> {
    let client = connect(&arguments.target).await?;
    let patience = arguments.target.timeout;
    let handshake = client.handshake_time();
    let is_shown = !arguments.json;
    if let Some(handshake) = handshake.filter(|_| is_shown) {
        out::line(&format!("handshake {}", millis(handshake)))?;
    }
    let mut trips = Vec::new();
    for number in 1..=arguments.count {
        if number > 1 {
            sleep(PING_GAP).await;
        }
        let trip = timeout(patience, client.ping())
            .await
            .map_err(|_| {
                Failure::TimedOut(format!("ping {number} had no pong within {patience:?}"))
            })?
            .map_err(|_| lost())?;
        if is_shown {
            out::line(&format!("pong {number} {}", millis(trip)))?;
        }
        trips.push(trip);
    }
    let in_order: Vec<f64> = trips.iter().copied().map(milliseconds).collect();
    trips.sort_unstable();
    if let (Some(least), Some(middle), Some(most)) = (trips.first(), median(&trips), trips.last()) {
        if arguments.json {
            let report = json!({
                "handshake_ms": handshake.map(milliseconds),
                "round_trips_ms": in_order,
                "min_ms": milliseconds(*least),
                "median_ms": milliseconds(middle),
                "max_ms": milliseconds(*most),
            });
            out::line(&report.to_string())?;
            client.disconnect().await;
            return Ok(());
        }
        let (least, middle, most) = (millis(*least), millis(middle), millis(*most));
        out::line(&format!("min {least} median {middle} max {most}"))?;
    }
    client.disconnect().await;
    Ok(())
}

/// Of an even number, the mean of the two in the middle.
fn median(sorted: &[Duration]) -> Option<Duration> {
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = *sorted.get(sorted.len().saturating_sub(1) / 2)?;
    Some((lower + upper) / 2)
}

fn millis(span: Duration) -> String {
    format!("{:.3} ms", milliseconds(span))
}

fn milliseconds(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}

fn data_as_json(message: &Message) -> Result<String, Failure> {
    json::from_msgpack(&message.data, Style::Compact).map_err(|error| {
        let name = exit::printable(message.name.as_str());
        Failure::Connection(format!("the data of message `{name}` cannot be read: {error}"))
    })
}

fn lost() -> Failure {
    Failure::Connection("the connection ended before the answer came".into())
}

#[cfg(test)]
mod tests {
    use super::median;
    use std::time::Duration;

    #[test]
    fn the_median_lies_in_the_middle() {
        let of = |millis: &[u64]| {
            median(&millis.iter().copied().map(Duration::from_millis).collect::<Vec<_>>())
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[1]), Some(Duration::from_millis(1)));
        assert_eq!(of(&[1, 3]), Some(Duration::from_millis(2)));
        assert_eq!(of(&[1, 2, 9]), Some(Duration::from_millis(2)));
    }
}
