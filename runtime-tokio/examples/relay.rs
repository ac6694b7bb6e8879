//! A relay: takes signed webhooks, tells CNDT clients at once, and passes each on to another URL, signed
//! by a key of its own and kept in a file until it has arrived.
//!
//! `cargo run -p cndt-tokio --example relay` shows all of it in one program: a sender, the relay, a client
//! that listens, a receiver, and somebody who forges. `--rounds N` sends N webhooks; three otherwise.
//!
//! `relay serve CNDT_HOST:PORT HTTP_HOST:PORT URL FILE` is the relay alone. It reads `CNDT_PASSWORD`,
//! `RELAY_SECRET_IN` and `RELAY_SECRET_OUT` (`whsec_…`), and ends by Ctrl-C.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::env;
use std::error::Error;
use std::path::Path;

use cndt_tokio::webhook::outbox::OutboxConfig;
use cndt_tokio::webhook::{Keys, Scheme, Webhook, WebhookClientDescriptor, Webhooks};
use cndt_tokio::{
    Address, Client, ClientDescriptor, Data, Listener, Outbox, RpcError, Server, ServerDescriptor,
    ServerHandle, State, WebhookClient, from_slice,
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

type Failure = Box<dyn Error + Send + Sync>;

// --- The relay -----------------------------------------------------------------------------------

struct Settings<'a> {
    /// Where CNDT clients log in.
    clients: (String, u16),
    password: String,
    /// Where webhooks come in, and how they are signed.
    webhooks: (String, u16),
    keys_in: Keys,
    /// Where they go, and how they are signed then.
    url: String,
    keys_out: Keys,
    outbox: &'a Path,
}

/// Where webhooks are passed on to.
#[derive(Clone)]
struct Onward {
    url: String,
    outbox: Outbox,
}

/// By now the signature was right, and the delivery is none that was handled before.
async fn relay(
    State(onward): State<Onward>,
    server: ServerHandle,
    webhook: Webhook,
    Data(event): Data<Value>,
) -> Result<(), RpcError> {
    let failed = |error: &dyn Error| RpcError::internal(error.to_string());
    // Kept first: whatever fails from here on, it is not lost. Its sender's id makes sure that it is
    // passed on once, even if this program dies before it has answered.
    let id = webhook.id().and_then(|id| id.parse().ok());
    let id = id.ok_or_else(|| RpcError::validation("a webhook needs an id of printable ASCII"))?;
    let kept = onward.outbox.enqueue(&onward.url, &event).id(id).await;
    if kept.map_err(|error| failed(&error))?.is_new {
        let news = json!({"path": webhook.path(), "event": event});
        server.broadcast("webhook", &news).send().map_err(|error| failed(&error))?;
    }
    Ok(())
}

async fn start(settings: Settings<'_>) -> Result<(ServerHandle, Outbox), Failure> {
    let outbox = Outbox::open(OutboxConfig::new(settings.outbox)).await?;
    // Each webhook has its own URL; the sender's is not used.
    let sender = WebhookClientDescriptor::new("http://localhost/").keys(settings.keys_out);
    outbox.start(WebhookClient::new(sender)?)?;
    let (host, port) = settings.clients;
    let door = Listener::tcp(settings.webhooks.0, settings.webhooks.1);
    let server = Server::new(ServerDescriptor::new(settings.password).host(host).port(port))
        .listen(door.webhooks(Webhooks::signed(settings.keys_in)))
        .state(Onward { url: settings.url, outbox: outbox.clone() })
        .webhook("/*", relay)
        .start()
        .await?;
    Ok((server, outbox))
}

async fn serve(clients: &str, webhooks: &str, url: &str, file: &str) -> Result<(), Failure> {
    let key = |name| -> Result<Keys, Failure> {
        Ok(Keys::parse(Scheme::Standard, &env::var(name).map_err(|_| format!("set {name}"))?)?)
    };
    let settings = Settings {
        clients: host_and_port(clients)?,
        password: env::var("CNDT_PASSWORD").map_err(|_| "set CNDT_PASSWORD")?,
        webhooks: host_and_port(webhooks)?,
        keys_in: key("RELAY_SECRET_IN")?,
        url: url.to_owned(),
        keys_out: key("RELAY_SECRET_OUT")?,
        outbox: Path::new(file),
    };
    let (server, outbox) = start(settings).await?;
    server.local_addresses().iter().for_each(|address| println!("{address}"));
    tokio::signal::ctrl_c().await?;
    server.stop().await;
    outbox.close().await;
    Ok(())
}

fn host_and_port(address: &str) -> Result<(String, u16), Failure> {
    match address.parse()? {
        Address::Tcp { host, port } => Ok((host, port)),
        Address::Unix(_) => Err("HOST:PORT, not a Unix socket".into()),
    }
}

// --- Everyone else, for the show -----------------------------------------------------------------

/// Known to whoever has read this. Yours come from a file or the environment.
const SECRET_IN: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const SECRET_OUT: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const SECRET_FORGED: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Whom the relay passes webhooks on to.
async fn receive(told: mpsc::UnboundedSender<String>) -> Result<ServerHandle, Failure> {
    let settings = Webhooks::signed(Keys::parse(Scheme::Standard, SECRET_OUT)?);
    let server = Server::new(ServerDescriptor::new(""))
        .listen_only(Listener::tcp("127.0.0.1", 0).webhooks(settings))
        .webhook("/in", move |webhook: Webhook, Data(event): Data<Value>| {
            let line = format!("received {} {event}", webhook.id().unwrap_or("without an id"));
            // Whoever reads them is gone once the show is over.
            let _ = told.send(line);
            async {}
        });
    Ok(server.start().await?)
}

async fn show(rounds: usize) -> Result<(), Failure> {
    let (tell, mut told) = mpsc::unbounded_channel();
    let receiver = receive(tell).await?;
    let folder = tempfile::tempdir()?;
    let loopback = || ("127.0.0.1".to_owned(), 0);
    let settings = Settings {
        clients: loopback(),
        password: "relay".to_owned(),
        webhooks: loopback(),
        keys_in: Keys::parse(Scheme::Standard, SECRET_IN)?,
        url: format!("{}/in", receiver.local_addresses()[0]),
        keys_out: Keys::parse(Scheme::Standard, SECRET_OUT)?,
        outbox: &folder.path().join("relay.outbox"),
    };
    let (server, outbox) = start(settings).await?;

    let descriptor = ClientDescriptor::new("127.0.0.1", server.address().port(), "relay");
    let (client, mut messages) = Client::new(descriptor).with_messages();
    let client = client.connect().await?;

    let url = format!("{}/trades", server.local_addresses()[1]);
    let send_as = |secret| -> Result<WebhookClient, Failure> {
        let keys = Keys::parse(Scheme::Standard, secret)?;
        Ok(WebhookClient::new(WebhookClientDescriptor::new(url.as_str()).keys(keys))?)
    };
    let sender = send_as(SECRET_IN)?;
    for round in 1..=rounds {
        let event = json!({"symbol": "EURUSD", "ticket": round});
        let answer = sender.send(&event).id(format!("trade-{round}").parse()?).await?;
        println!("sent trade-{round}: {}", answer.status());
        let news = messages.next().await.ok_or("the relay is gone")?;
        println!("told {} {}", news.name, from_slice::<Value>(&news.data)?);
        println!("{}", told.recv().await.ok_or("the receiver is gone")?);
    }
    match send_as(SECRET_FORGED)?.send(&json!({"symbol": "EURUSD", "ticket": 0})).await {
        Ok(_) => return Err("a forged webhook was taken".into()),
        Err(error) => println!("forged: {}", error.status().ok_or("no answer")?),
    }
    outbox.drained().await?;
    let stats = outbox.stats();
    println!("{} passed on, {} left, {} dead", stats.delivered, stats.pending, stats.dead);

    client.disconnect().await;
    server.stop().await;
    outbox.close().await;
    receiver.stop().await;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => show(3).await,
        ["--rounds", rounds] => show(rounds.parse()?).await,
        ["serve", clients, webhooks, url, file] => serve(clients, webhooks, url, file).await,
        _ => Err("usage: relay [--rounds N] | relay serve CNDT_ADDR HTTP_ADDR URL FILE".into()),
    }
}
