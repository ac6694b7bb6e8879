//! `cndt demo`: everything at work in one process, over real TCP, each result checked.

use std::time::Duration;

use cndt_tokio::webhook::{Keys, Proxy, Scheme, WebhookClientDescriptor, Webhooks};
use cndt_tokio::{
    Client, ClientDescriptor, ClientHandle, JsonRpc, Listener, LocalAddress, Messages, Server,
    ServerDescriptor, WebhookClient,
};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use crate::exit::{self, Failure};
use crate::handlers::Taken;
use crate::{builtin, out};

/// Nobody waits longer for a demonstration.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) async fn run() -> Result<(), Failure> {
    // Loopback only, for the moment that the demonstration takes.
    let password = "demo";
    let descriptor = ServerDescriptor::new(password).name("demo_server").host("127.0.0.1").port(0);
    let keys = Keys::parse(Scheme::Hex, "a secret of the demonstration")
        .map_err(|error| Failure::Failed(error.to_string()))?;
    let beside = Listener::tcp("127.0.0.1", 0).jsonrpc(JsonRpc::new().trusted());
    let server = builtin::install(Server::new(descriptor), &Taken::default())
        .listen(beside)
        .listen(Listener::tcp("127.0.0.1", 0).webhooks(Webhooks::signed(keys.clone())))
        .start()
        .await
        .map_err(|error| Failure::Failed(error.to_string()))?;
    let address = server.address();
    out::line(&format!("cndt {}: a server on {address}", env!("CARGO_PKG_VERSION")))?;

    let connect = async |name: &str| -> Result<ClientHandle, Failure> {
        let descriptor = ClientDescriptor::new("127.0.0.1", address.port(), password).name(name);
        Ok(Client::new(descriptor).connect().await?)
    };
    let mut show = Show::new();

    let ada = connect("ada").await?;
    let handshake = ada.handshake_time().unwrap_or_default();
    let server_name = ada.server_info().map(|info| info.peer_name.clone()).unwrap_or_default();
    show.row("handshake", handshake, &server_name, server_name == "demo_server")?;
    let bob = connect("bob").await?;
    let (mut to_ada, mut to_bob) = (ada.messages(), bob.messages());

    show.start();
    ada.send("greeting", &json!({"name": "World"})).await?;
    let reply = next(&mut to_ada, "greeting_response").await?["reply"].clone();
    show.done("greeting", &reply.to_string(), reply == "Hello, World!")?;

    show.start();
    let sum: i64 = ada.call("add", &json!({"a": 10, "b": 20})).await?;
    show.done("rpc add", &format!("10 + 20 = {sum}"), sum == 30)?;

    show.start();
    let product: f64 = ada.call("multiply", &json!({"x": 3.5, "y": 2.0})).await?;
    show.done("rpc multiply", &format!("3.5 × 2.0 = {product:?}"), product == 7.0)?;

    show.start();
    let refused = ada.call::<_, Value>("no_such_method", &json!({})).await;
    let words = refused.as_ref().map_or_else(ToString::to_string, ToString::to_string);
    show.done("rpc error", &words, refused.is_err() && words.contains("4000"))?;

    show.start();
    let methods = ada.discover().await?;
    let names: Vec<&str> = methods.iter().map(|method| method.name.as_str()).collect();
    show.done("discovery", &names.join(", "), names.contains(&"add"))?;

    show.start();
    let calls = (0..500_i64).map(|i| {
        let ada = ada.clone();
        tokio::spawn(async move { ada.call::<_, i64>("add", &json!({"a": i, "b": i})).await })
    });
    let mut right = 0;
    for (i, call) in calls.collect::<Vec<_>>().into_iter().enumerate() {
        let sum = call.await.map_err(|error| Failure::Failed(error.to_string()))??;
        right += usize::from(usize::try_from(sum) == Ok(i * 2));
    }
    show.done("500 calls at once", &format!("{right} right"), right == 500)?;

    show.start();
    ada.send("chat", &json!({"message": "hello, everyone"})).await?;
    let heard = next(&mut to_bob, "chat").await?["message"].clone();
    let sent = next(&mut to_ada, "chat_response").await?["sent"].clone();
    let told = format!("bob hears {heard}, ada does not");
    show.done("broadcast", &told, heard == "hello, everyone" && sent == true)?;

    let (mut json_port, mut hooks) = (address.port(), String::new());
    for place in server.local_addresses() {
        match place {
            LocalAddress::JsonRpc(place) => {
                json_port = place.socket_address().map_or(json_port, |address| address.port());
            }
            LocalAddress::Http(_) => hooks = place.to_string(),
            LocalAddress::Tcp(_) | LocalAddress::Tls(_) | LocalAddress::Unix(_) => {}
        }
    }
    show.start();
    let eve = ClientDescriptor::jsonrpc("127.0.0.1", json_port);
    let sum: i64 = Client::new(eve).call_once("add", &(10, 20)).await?;
    show.done("json-rpc", &format!("add [10, 20] = {sum}, by the same handler"), sum == 30)?;

    show.start();
    let url = format!("{hooks}/events");
    let sender = |keys: Option<Keys>| {
        let descriptor = WebhookClientDescriptor::new(&*url).proxy(Proxy::Never);
        let descriptor = match keys {
            Some(keys) => descriptor.keys(keys),
            None => descriptor,
        };
        let client = WebhookClient::new(descriptor);
        client.map_err(|error| Failure::Failed(error.to_string()))
    };
    let event = json!({"event": "demo"});
    let signed = sender(Some(keys))?.send(&event).await;
    let answer = signed.ok().and_then(|answer| answer.json::<Value>().ok());
    let took = answer.is_some_and(|answer| answer["result"] == event);
    let refused = sender(None)?
        .send(&event)
        .await
        .is_err_and(|error| error.status().is_some_and(|status| status == 401));
    show.done("webhook", "signed: received; unsigned: 401", took && refused)?;

    match ada.ping().await {
        Ok(round_trip) => show.row("heartbeat", round_trip, "ping and pong", true)?,
        Err(error) => show.row("heartbeat", Duration::ZERO, &error.to_string(), false)?,
    }

    ada.disconnect().await;
    bob.disconnect().await;
    server.stop().await;
    show.verdict()
}

/// The data of the next message of that type.
async fn next(messages: &mut Messages, name: &str) -> Result<Value, Failure> {
    let wanted = async {
        while let Some(message) = messages.next().await {
            if message.name.as_str() == name {
                return cndt_tokio::from_slice(&message.data)
                    .map_err(|error| Failure::Failed(error.to_string()));
            }
        }
        Err(Failure::Connection("the connection ended".into()))
    };
    timeout(PATIENCE, wanted).await.map_err(|_| exit::Failure::timed_out(name, PATIENCE))?
}

/// Prints one line for each thing shown, and remembers whether all was right.
struct Show {
    colour: bool,
    wrong: usize,
    began: Instant,
}

impl Show {
    fn new() -> Self {
        Self { colour: exit::stdout_takes_colour(), wrong: 0, began: Instant::now() }
    }

    fn start(&mut self) {
        self.began = Instant::now();
    }

    fn done(&mut self, what: &str, words: &str, right: bool) -> Result<(), Failure> {
        self.row(what, self.began.elapsed(), words, right)
    }

    fn row(&mut self, what: &str, took: Duration, words: &str, right: bool) -> Result<(), Failure> {
        self.wrong += usize::from(!right);
        let (sign, code) = if right { ("✓", "32") } else { ("✗", "31") };
        let sign = if self.colour { format!("\x1b[{code}m{sign}\x1b[0m") } else { sign.to_owned() };
        let millis = took.as_secs_f64() * 1000.0;
        out::line(&format!("{sign} {what:<18} {millis:>9.3} ms  {words}"))
    }

    fn verdict(&self) -> Result<(), Failure> {
        match self.wrong {
            0 => Ok(()),
            wrong => Err(Failure::Failed(format!("{wrong} of the results above are wrong"))),
        }
    }
}
