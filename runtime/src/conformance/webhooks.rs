//! Webhook listeners, as senders of other makes see them: HTTP on a socket.

use std::collections::BTreeMap;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cndt_core::rpc::RpcError;
use cndt_core::webhook::{Keys, MessageId, ReplayLimits, Scheme, Tolerance};
use futures_io::{AsyncRead, AsyncWrite};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::support::{check, eventually, pause, read, server_descriptor, write_all};
use super::{Net, Outcome, Tcp, Tls};
use crate::net::{Listener, LocalAddress};
use crate::router::extract::{Data, Params};
use crate::router::{FailureCause, HandlerFailure, HandlerKind};
use crate::rt::Runtime;
use crate::server::{Server, ServerHandle};
use crate::webhook::{Headers, Webhook, Webhooks};

type Failure = Box<dyn Error>;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[derive(Deserialize, JsonSchema)]
struct Order {
    symbol: String,
    lots: f64,
}

/// A server with handlers of every temper, and how often they ran.
fn handlers<R: Runtime>(server: Server<R>) -> (Server<R>, Arc<AtomicUsize>) {
    let runs = Arc::<AtomicUsize>::default();
    let [count, slow] = std::array::from_fn(|_| Arc::clone(&runs));
    let server = server
        .webhook("/trading/signal", move |Data(signal): Data<Value>, webhook: Webhook| {
            count.fetch_add(1, Ordering::Relaxed);
            async move { json!({"got": signal["symbol"], "verified": webhook.is_verified()}) }
        })
        .webhook("/alerts/*", |webhook: Webhook, Headers(headers): Headers| async move {
            let custom = headers.get("x-custom").and_then(|value| value.to_str().ok());
            json!({"path": webhook.path(), "query": webhook.query(), "custom": custom})
        })
        .webhook("/alerts/exact", || async { "exact" })
        .webhook(
            "/users/{id}/orders",
            |webhook: Webhook, Params(order): Params<Order>| async move {
                (webhook.param("id").map(str::to_owned), order.symbol, order.lots)
            },
        )
        .webhook("/busy", || async {
            Err::<(), _>(RpcError::rate_limited(Duration::from_millis(1500)))
        })
        .webhook("/fails", || async { Err::<(), _>(RpcError::internal("out of order")) })
        .webhook("/panics", || async {
            if true {
                panic!("on purpose");
            }
        })
        .webhook("/slow", move || {
            let slow = Arc::clone(&slow);
            async move {
                Tcp::<R>::wait(Duration::from_millis(400)).await;
                slow.fetch_add(1, Ordering::Relaxed);
            }
        });
    (server, runs)
}

trait Wait {
    fn wait(span: Duration) -> impl Future<Output = ()> + Send;
}

impl<R: Runtime> Wait for Tcp<R> {
    fn wait(span: Duration) -> impl Future<Output = ()> + Send {
        let runtime = R::default();
        runtime.sleep_until(runtime.now() + span)
    }
}

async fn start<R: Runtime>(
    settings: Webhooks,
) -> Result<(ServerHandle, SocketAddr, Arc<AtomicUsize>), Failure> {
    let (server, runs) = handlers(Tcp::<R>::server(server_descriptor()));
    let server = server.listen(Listener::tcp("127.0.0.1", 0).webhooks(settings)).start().await?;
    let address = address(&server)?;
    Ok((server, address, runs))
}

fn address(server: &ServerHandle) -> Result<SocketAddr, Failure> {
    let mut all = server.local_addresses().iter();
    let found = all.find(|address| matches!(address, LocalAddress::Http(_)));
    Ok(found.and_then(LocalAddress::socket_address).ok_or("nowhere")?)
}

/// What came back.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: Value,
}

/// A connection of a sender who writes his own HTTP.
struct Sender<S> {
    stream: S,
    read: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Sender<S> {
    fn new(stream: S) -> Self {
        Self { stream, read: Vec::new() }
    }

    async fn write(&mut self, text: &str) -> Outcome {
        Ok(write_all(&mut self.stream, text.as_bytes()).await?)
    }

    async fn post(
        &mut self,
        path: &str,
        headers: &[(String, String)],
        body: &str,
    ) -> Result<Answer, Failure> {
        let mut head = format!("POST {path} HTTP/1.1\r\nHost: x\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        self.write(&head).await?;
        self.answer().await
    }

    /// One whole answer.
    async fn answer(&mut self) -> Result<Answer, Failure> {
        let head = loop {
            let end = self.read.windows(4).position(|four| four == b"\r\n\r\n");
            match end {
                Some(end) => break self.read.drain(..end + 4).collect::<Vec<_>>(),
                None => self.more().await?,
            }
        };
        let head = String::from_utf8(head)?;
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).ok_or("no status")?;
        let fields = lines.filter_map(|line| line.split_once(": "));
        let headers: BTreeMap<_, _> =
            fields.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
        let length = headers.get("content-length").map_or(Ok(0), |length| length.parse())?;
        while self.read.len() < length {
            self.more().await?;
        }
        let body: Vec<_> = self.read.drain(..length).collect();
        let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body)? };
        Ok(Answer { status: status.parse()?, headers, body })
    }

    async fn more(&mut self) -> Outcome {
        let mut buffer = [0; 4096];
        let n = read(&mut self.stream, &mut buffer).await?;
        check(n > 0, "the connection has ended")?;
        self.read.extend_from_slice(&buffer[..n]);
        Ok(())
    }

    /// Whether the server has ended the connection.
    async fn ends(&mut self) -> bool {
        let mut buffer = [0; 16];
        matches!(read(&mut self.stream, &mut buffer).await, Ok(0) | Err(_))
    }
}

async fn connect<R: Runtime>(address: SocketAddr) -> Result<Sender<R::Stream>, Failure> {
    Ok(Sender::new(R::default().connect(address).await?))
}

fn keys(scheme: Scheme) -> Result<Keys, Failure> {
    Ok(Keys::parse(scheme, SECRET)?)
}

fn signed<R: Runtime>(keys: &Keys, entropy: u8, body: &str) -> Vec<(String, String)> {
    let now = R::default().unix_millis() / 1000;
    let id = MessageId::new([entropy; 16]);
    let signed = keys.sign(&id, now, body.as_bytes());
    let owned = signed.headers().map(|(name, value)| (name.to_string(), value.to_owned()));
    owned.collect()
}

/// The signature decides, in each scheme, and before any handler.
pub async fn receives_what_is_signed<R: Runtime>() -> Outcome {
    const BODY: &str = r#"{"symbol": "EURUSD"}"#;
    for scheme in Scheme::ALL {
        let keys = keys(scheme)?;
        let (server, address, runs) = start::<R>(Webhooks::signed(keys.clone())).await?;
        let mut sender = connect::<R>(address).await?;
        let headers = signed::<R>(&keys, 1, BODY);
        let answer = sender.post("/trading/signal", &headers, BODY).await?;
        let expected = json!({
            "status": "success", "message": "Webhook received",
            "result": {"got": "EURUSD", "verified": true},
        });
        check(answer.status == 200 && answer.body == expected, (scheme, &answer))?;
        check(answer.headers["content-type"] == "application/json", &answer.headers)?;

        // Another body, another secret, a signature that is cut, and one that is not there.
        let changed = BODY.replace('E', "F");
        let stranger = Keys::parse(scheme, "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")?;
        let mut cut = headers.clone();
        for (_, value) in &mut cut {
            value.pop();
        }
        let signature = keys.signature_header().lower().to_owned();
        let is_other = |(name, _): &&(String, String)| name.to_lowercase() != signature;
        let bare: Vec<_> = headers.iter().filter(is_other).cloned().collect();
        let wrong = [
            (headers.clone(), changed.as_str()),
            (signed::<R>(&stranger, 2, BODY), BODY),
            (cut, BODY),
            (bare, BODY),
        ];
        for (headers, body) in wrong {
            let mut sender = connect::<R>(address).await?;
            let answer = sender.post("/trading/signal", &headers, body).await?;
            check(answer.status == 401 && answer.body["status"] == "error", (scheme, answer))?;
        }
        // A stranger learns nothing of paths, nor whether his JSON is any good.
        let mut sender = connect::<R>(address).await?;
        let answer = sender.post("/no/such/path", &[], "{").await?;
        check(answer.status == 401, answer)?;
        check(runs.load(Ordering::Relaxed) == 1, (scheme, runs))?;
        server.stop().await;
    }
    Ok(())
}

/// Old secrets go on while new ones come; a name of one's own for the header.
pub async fn takes_several_secrets<R: Runtime>() -> Outcome {
    use cndt_core::webhook::Secret;
    let secret = |text| Secret::parse(Scheme::Hex, text);
    let both = Keys::new(Scheme::Hex, [secret("new")?, secret("old")?])?;
    let both = both.with_signature_header("X-Signed-By")?;
    let (server, address, _) = start::<R>(Webhooks::signed(both)).await?;
    for (text, status) in [("new", 200), ("old", 200), ("older", 401)] {
        let keys = Keys::parse(Scheme::Hex, text)?.with_signature_header("X-Signed-By")?;
        let headers = signed::<R>(&keys, 1, "{}");
        let answer = connect::<R>(address).await?.post("/alerts/exact", &headers, "{}").await?;
        check(answer.status == status, (text, answer))?;
    }
    server.stop().await;
    Ok(())
}

/// Paths find their handlers, and everything but webhooks is told so.
pub async fn finds_who_takes_a_path<R: Runtime>() -> Outcome {
    let (server, address, _) = start::<R>(Webhooks::unsigned()).await?;
    let mut sender = connect::<R>(address).await?;
    let custom = [("X-Custom".to_owned(), "value".to_owned())];
    let order = r#"{"symbol": "X", "lots": 0.5}"#;
    for (path, body, expected) in [
        ("/alerts/exact", "{}", json!("exact")),
        (
            "/alerts/a/b?c=d",
            "{}",
            json!({"path": "/alerts/a/b", "query": "c=d", "custom": "value"}),
        ),
        ("/users/7/orders", order, json!(["7", "X", 0.5])),
        ("/trading/signal", " {\"symbol\": 1}\n", json!({"got": 1, "verified": false})),
    ] {
        let answer = sender.post(path, &custom, body).await?;
        check(answer.status == 200 && answer.body["result"] == expected, (path, answer))?;
    }
    let answer = sender.post("/nobody", &[], "{}").await?;
    check(answer.status == 404, answer)?;
    for (request, status) in [
        ("GET /health", 200),
        ("GET /health?x=1", 200),
        ("GET /alerts/exact", 404),
        ("DELETE /alerts/exact", 405),
        ("PUT /health", 405),
    ] {
        sender.write(&format!("{request} HTTP/1.1\r\nHost: x\r\n\r\n")).await?;
        let answer = sender.answer().await?;
        check(answer.status == status, (request, &answer))?;
        match status {
            200 => {
                let expected = json!({"status": "healthy", "service": "webhook-server"});
                check(answer.body == expected, answer)?;
            }
            405 => check(answer.headers.contains_key("allow"), answer)?,
            _ => {}
        }
    }
    server.stop().await;
    Ok(())
}

/// Handlers that fail cost one answer each, which says what happened.
pub async fn tells_how_handlers_failed<R: Runtime>() -> Outcome {
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let (server, _) = handlers(Tcp::<R>::server(server_descriptor()));
    let server = server
        .on_error(move |failure: HandlerFailure| {
            let HandlerFailure { peer, name, kind, cause, .. } = failure;
            if let Ok(mut told) = tell.lock() {
                told.push((peer.is_none(), name, kind, cause));
            }
            std::future::ready(())
        })
        .listen(Listener::tcp("127.0.0.1", 0).webhooks(Webhooks::unsigned()))
        .start()
        .await?;
    let mut sender = connect::<R>(address(&server)?).await?;
    for (path, body, status, words) in [
        ("/trading/signal", "{", 400, "Invalid JSON"),
        ("/trading/signal", "", 400, "Invalid JSON"),
        ("/trading/signal", "{} {}", 400, "Invalid JSON"),
        ("/trading/signal", "\"\u{0}\"", 400, "Invalid JSON"),
        ("/users/1/orders", r#"{"symbol": 1}"#, 422, "symbol"),
        ("/fails", "{}", 500, "out of order"),
        ("/panics", "{}", 500, "on purpose"),
        ("/busy", "{}", 429, ""),
    ] {
        let answer = sender.post(path, &[], body).await?;
        let said = answer.body["message"].as_str().unwrap_or_default();
        check(answer.status == status && said.contains(words), (path, &answer))?;
        check(answer.body["status"] == "error", &answer)?;
        let wait = answer.headers.get("retry-after").map(String::as_str);
        check(wait == (status == 429).then_some("2"), &answer)?;
    }
    let expected = [(true, "/panics".to_owned(), HandlerKind::Webhook, FailureCause::Panicked)];
    let told = told.lock().map(|told| told.clone()).unwrap_or_default();
    check(told == expected, told)?;
    server.stop().await;
    Ok(())
}

/// What is too large, too slow or too much is refused before it is there.
pub async fn bounds_what_senders_send<R: Runtime>() -> Outcome {
    let settings = Webhooks::unsigned().body_max(100).read_timeout(Duration::from_millis(500));
    let (server, address, runs) = start::<R>(settings).await?;
    let full = format!("{{\"symbol\": \"{}\"}}", "x".repeat(85));
    check(full.len() == 99, full.len())?;
    let answer = connect::<R>(address).await?.post("/trading/signal", &[], &full).await?;
    check(answer.status == 200, answer)?;
    let begun = runs.load(Ordering::Relaxed);
    let head = "POST /trading/signal HTTP/1.1\r\nHost: x\r\n";
    let fields: String = (0..100).map(|n| format!("X-{n}: y\r\n")).collect();
    for (request, status) in [
        // Announced, and never sent.
        (format!("{head}Content-Length: 101\r\n\r\n"), 413),
        (format!("{head}Content-Length: 999999999999\r\n\r\n"), 413),
        // Not announced.
        (format!("{head}Transfer-Encoding: chunked\r\n\r\n65\r\n{full}xx\r\n"), 413),
        // A body that stops coming.
        (format!("{head}Content-Length: 50\r\n\r\n{{"), 408),
        (format!("{head}Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{{}}"), 415),
        // Two lengths, or a length and chunks: whoever is in between may see another request.
        (format!("{head}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}"), 400),
        (format!("{head}{fields}Content-Length: 2\r\n\r\n{{}}"), 431),
        (format!("{head}X: {}\r\n\r\n", "y".repeat(17 * 1024)), 431),
        ("what is this?\r\n\r\n".to_owned(), 400),
    ] {
        let mut sender = connect::<R>(address).await?;
        sender.write(&request).await?;
        let start: String = request.chars().take(90).collect();
        let answer = sender.answer().await.map_err(|error| format!("{start}: {error}"))?;
        check(answer.status == status, (&start, &answer))?;
        check(sender.ends().await, "nothing more is read")?;
    }
    // Who is still sending when he is refused sees the answer all the same.
    for _ in 0..5 {
        let mut sender = connect::<R>(address).await?;
        let body = "x".repeat(16 * 1024 * 1024);
        let answer = sender.post("/trading/signal", &[], &body).await;
        let answer = answer.map_err(|error| format!("the answer was lost: {error}"))?;
        check(answer.status == 413, answer)?;
    }
    // A head that never ends, and none at all.
    for beginning in ["POST /tra", ""] {
        let mut sender = connect::<R>(address).await?;
        sender.write(beginning).await?;
        while !sender.ends().await {}
    }
    check(runs.load(Ordering::Relaxed) == begun, "no handler ran")?;
    server.stop().await;
    Ok(())
}

/// One delivery is handled once, however often it comes; unless it failed.
pub async fn handles_each_delivery_once<R: Runtime>() -> Outcome {
    let runs = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&runs);
    let keys = keys(Scheme::Standard)?;
    let limits = ReplayLimits { ids_max: 3, ..ReplayLimits::default() };
    let server = Tcp::<R>::server(server_descriptor())
        .webhook("/flaky", move || {
            let run = count.fetch_add(1, Ordering::Relaxed) + 1;
            async move {
                Tcp::<R>::wait(Duration::from_millis(300)).await;
                if run == 1 { Err(RpcError::internal("the first time")) } else { Ok(run) }
            }
        })
        .listen(
            Listener::tcp("127.0.0.1", 0).webhooks(Webhooks::signed(keys.clone()).replays(limits)),
        )
        .start()
        .await?;
    let address = address(&server)?;
    let headers = signed::<R>(&keys, 1, "{}");
    let mut one = connect::<R>(address).await?;
    let mut other = connect::<R>(address).await?;
    let answer = one.post("/flaky", &headers, "{}").await?;
    check(answer.status == 500, answer)?;
    // It may be tried again, but not twice at the same time.
    let head = "POST /flaky HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n";
    let fields: String = headers.iter().map(|(n, v)| format!("{n}: {v}\r\n")).collect();
    one.write(&format!("{head}{fields}\r\n{{}}")).await?;
    pause::<Tcp<R>>(Duration::from_millis(100)).await;
    let answer = other.post("/flaky", &headers, "{}").await?;
    check(answer.status == 409, answer)?;
    let answer = one.answer().await?;
    check(answer.status == 200 && answer.body["result"] == 2, answer)?;
    let answer = other.post("/flaky", &headers, "{}").await?;
    let is_duplicate = answer.status == 200 && answer.body["status"] == "duplicate";
    check(is_duplicate && answer.body["result"].is_null(), answer)?;
    check(runs.load(Ordering::Relaxed) == 2, &runs)?;
    // When no more can be told apart, none is taken.
    for (entropy, status) in [(2, 200), (3, 200), (4, 503)] {
        let headers = signed::<R>(&keys, entropy, "{}");
        let answer = one.post("/flaky", &headers, "{}").await?;
        check(answer.status == status, answer)?;
    }
    server.stop().await;
    Ok(())
}

/// Connections are kept; a handler goes on when its sender hangs up; a stop waits for answers.
pub async fn finishes_what_was_begun<R: Runtime>() -> Outcome {
    let (server, address, runs) = start::<R>(Webhooks::unsigned()).await?;
    let mut idle = connect::<R>(address).await?;
    let answer = idle.post("/alerts/exact", &[], "{}").await?;
    check(answer.status == 200, answer)?;
    // Two at once on one connection are answered in order.
    let request = "POST /alerts/exact HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}";
    idle.write(&request.repeat(2)).await?;
    for _ in 0..2 {
        let answer = idle.answer().await?;
        check(answer.status == 200, answer)?;
    }
    let slow = "POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}";
    let mut gone = connect::<R>(address).await?;
    gone.write(slow).await?;
    pause::<Tcp<R>>(Duration::from_millis(100)).await;
    drop(gone);
    eventually::<Tcp<R>>("it went on alone", || runs.load(Ordering::Relaxed) == 1).await?;

    let mut waiting = connect::<R>(address).await?;
    waiting.write(slow).await?;
    pause::<Tcp<R>>(Duration::from_millis(300)).await;
    // This one is not done when the other is, and nobody waits for it but the server.
    let mut gone = connect::<R>(address).await?;
    gone.write(slow).await?;
    pause::<Tcp<R>>(Duration::from_millis(50)).await;
    drop(gone);
    server.stop().await;
    check(runs.load(Ordering::Relaxed) == 3, &runs)?;
    let answer = waiting.answer().await?;
    check(answer.status == 200, answer)?;
    check(idle.ends().await && waiting.ends().await, "nobody listens any more")?;
    check(R::default().connect(address).await.is_err(), "nobody listens any more")
}

/// Senders take places as clients do, and only theirs.
pub async fn has_so_many_places<R: Runtime>() -> Outcome {
    let (server, _) = handlers(Tcp::<R>::server(server_descriptor().max_connections(2)));
    let listener = Listener::tcp("127.0.0.1", 0).webhooks(Webhooks::unsigned());
    let server = server.listen(listener).start().await?;
    let address = address(&server)?;
    let mut senders = Vec::new();
    for _ in 0..2 {
        let mut sender = connect::<R>(address).await?;
        let answer = sender.post("/alerts/exact", &[], "{}").await?;
        check(answer.status == 200, answer)?;
        senders.push(sender);
    }
    check(connect::<R>(address).await?.ends().await, "every place is taken")?;
    check(server.stats().refused == 1, server.stats())?;
    drop(senders);
    for _ in 0..200 {
        if let Ok(answer) = connect::<R>(address).await?.post("/alerts/exact", &[], "{}").await {
            check(answer.status == 200, answer)?;
            server.stop().await;
            return Ok(());
        }
        pause::<Tcp<R>>(Duration::from_millis(20)).await;
    }
    Err("no place was given back".into())
}

/// Whoever does not read his answer loses his place.
pub async fn cuts_off_who_takes_nothing<R: Runtime>() -> Outcome {
    let descriptor = server_descriptor().max_connections(1);
    let server = Tcp::<R>::server(descriptor.connection_timeout(Duration::from_millis(500)))
        .webhook("/large", || async { "x".repeat(32 * 1024 * 1024) })
        .webhook("/small", || async {})
        .listen(Listener::tcp("127.0.0.1", 0).webhooks(Webhooks::unsigned()))
        .start()
        .await?;
    let address = address(&server)?;
    let mut deaf = connect::<R>(address).await?;
    deaf.write("POST /large HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}").await?;
    for _ in 0..500 {
        pause::<Tcp<R>>(Duration::from_millis(20)).await;
        let mut next = connect::<R>(address).await?;
        if let Ok(answer) = next.post("/small", &[], "{}").await {
            check(answer.status == 200, answer)?;
            drop(deaf);
            server.stop().await;
            return Ok(());
        }
    }
    Err("its place was never given back".into())
}

/// The same over TLS, whose peers the handlers see, and over Unix sockets.
pub async fn comes_over_tls<R: Runtime>() -> Outcome {
    let server = Tls::<R>::server(server_descriptor())
        .webhook(
            "/tls",
            |webhook: Webhook| async move { webhook.tls().map(|tls| tls.protocol.clone()) },
        )
        .listen(Listener::tcp("127.0.0.1", 0).webhooks(Webhooks::unsigned()))
        .start()
        .await?;
    let stream = super::net::tls_stream::<R>(address(&server)?).await?;
    let answer = Sender::new(stream).post("/tls", &[], "{}").await?;
    check(answer.body["result"] == "TLSv1_3", answer)?;
    let place = server.local_addresses().iter().map(ToString::to_string).collect::<Vec<_>>();
    check(place.iter().any(|place| place.starts_with("https://127.0.0.1:")), place)?;
    server.stop().await;
    Ok(())
}

/// Nonsense is found at the start.
pub async fn refuses_nonsense<R: Runtime>() -> Outcome {
    let start = |settings: Webhooks| async {
        let server = Tcp::<R>::server(server_descriptor());
        let listener = Listener::tcp("127.0.0.1", 0).webhooks(settings);
        let refused = server.listen(listener).start().await.err();
        Ok::<_, Failure>(refused.ok_or("it was taken")?.to_string())
    };
    let signed = || Ok::<_, Failure>(Webhooks::signed(keys(Scheme::Standard)?));
    let short = ReplayLimits { window: Duration::from_secs(599), ..ReplayLimits::default() };
    for (settings, words) in [
        (Webhooks::unsigned().body_max(0), "webhooks.body_max"),
        (Webhooks::unsigned().read_timeout(Duration::ZERO), "webhooks.read_timeout"),
        (Webhooks::unsigned().health_path("health"), "webhooks.health_path"),
        (signed()?.replays(short), "window"),
        (signed()?.tolerance(Tolerance::Within(Duration::from_secs(900))), "window"),
    ] {
        let error = start(settings).await?;
        check(error.contains(words), error)?;
    }
    for path in ["no-slash", "/a/*/b/**/c*", ""] {
        let server = Tcp::<R>::server(server_descriptor()).webhook(path, || async {});
        let refused = server.start().await.err().ok_or("it was taken")?.to_string();
        check(refused.contains(&format!("`{path}`")), refused)?;
    }
    Ok(())
}
