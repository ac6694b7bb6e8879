//! Webhooks that are sent: what is tried again, and how often.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cndt_core::resilience::Outcome as Health;
use cndt_core::webhook::{Dead, Keys, MessageId, Scheme, Secret};
use serde_json::{Value, json};

use super::raw_http::{RawServer, Reaction};
use super::support::{check, eventually, listen, server_descriptor};
use super::{Outcome, Tcp};
use crate::net::Listener;
use crate::policy::{Classify, Fate};
use crate::router::extract::Data;
use crate::rt::Runtime;
use crate::server::{Server, ServerHandle};
use crate::webhook::{
    Proxy, Webhook, WebhookClient, WebhookClientDescriptor, WebhookFailure, Webhooks,
};

const SHORT: Duration = Duration::from_millis(5);
pub(super) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
const BUSY: &str = "HTTP/1.1 503 Busy\r\nretry-after: 7200\r\ncontent-length: 4\r\n\r\nbusy";

/// Whatever proxies there are around the test, it uses none of them.
pub(super) fn descriptor(url: impl Into<String>) -> WebhookClientDescriptor {
    let descriptor = WebhookClientDescriptor::new(url).proxy(Proxy::Never);
    descriptor.retry_delay(SHORT).retry_after_max(SHORT)
}

pub(super) fn client<R: Runtime>(
    descriptor: WebhookClientDescriptor,
) -> Result<WebhookClient<R>, Box<dyn std::error::Error>> {
    Ok(WebhookClient::new(descriptor)?)
}

pub(super) fn keys(scheme: Scheme, secret: &[u8]) -> Result<Keys, Box<dyn std::error::Error>> {
    Ok(Keys::new(scheme, [Secret::new(secret)?])?)
}

/// Where a server's second listener is.
pub(super) fn url(server: &ServerHandle, path: &str) -> String {
    server.local_addresses().get(1).map(|place| format!("{place}{path}")).unwrap_or_default()
}

/// A server of this project takes what is signed in any scheme, and nothing else.
pub async fn signs_in_every_scheme<R: Runtime>() -> Outcome {
    for scheme in Scheme::ALL {
        let secret = keys(scheme, &[7; 32])?;
        let listener = Listener::tcp("127.0.0.1", 0).webhooks(Webhooks::signed(secret.clone()));
        let server = Server::<R>::new(server_descriptor())
            .webhook("/a/*", |webhook: Webhook, Data(data): Data<Value>| async move {
                json!([webhook.is_verified(), webhook.path(), data])
            })
            .listen(listener)
            .start()
            .await?;
        let to = url(&server, "/a/b");
        let sender = client::<R>(descriptor(to.clone()).keys(secret))?;
        for payload in [json!({"ž": [1, null]}), json!("text")] {
            let answer: Value = sender.send(&payload).await?.json()?;
            check(answer["result"] == json!([true, "/a/b", payload]), &answer)?;
        }
        let raw: Value = sender.send_raw("[1,  2]").await?.json()?;
        check(raw["result"][2] == json!([1, 2]), &raw)?;
        let forger = client::<R>(descriptor(to).keys(keys(scheme, &[8; 32])?))?;
        let error = forger.send(&json!(1)).await.expect_err("the secret is wrong");
        check(error.status().is_some_and(|status| status == 401) && error.attempts == 1, &error)?;
        server.stop().await;
    }
    Ok(())
}

/// Each attempt has the same id, and what the caller asked for.
pub async fn repeats_until_it_is_delivered<R: Runtime>() -> Outcome {
    let server = RawServer::start::<R>(|number, _| match number {
        0 => Reaction::Say("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"),
        1 => Reaction::SayAndClose("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"),
        _ => Reaction::Say(OK),
    })?;
    let url = server.url().replace("http://", "http://user:pass%20word@") + "?q=1#fragment";
    let settings = descriptor(url).keys(keys(Scheme::Standard, &[7; 32])?).header("X-One", "1");
    let sender = client::<R>(settings)?;
    let sent = sender.send(&json!({"a": 1})).header("x-two", "2").header("User-Agent", "mine");
    let answer = sent.await?;
    check(answer.status() == 200 && answer.body() == "{}" && !answer.is_cut(), &answer)?;
    let requests = server.requests();
    check(requests.len() == 3, requests.len())?;
    let id = requests[0].header("webhook-id");
    check(id.starts_with("msg_"), id)?;
    for request in &requests {
        check(request.line() == "POST /hook?q=1 HTTP/1.1", request)?;
        check(request.header("webhook-id") == id && request.body == r#"{"a":1}"#, request)?;
        for (name, value) in [
            ("x-one", "1"),
            ("x-two", "2"),
            ("user-agent", "mine"),
            ("content-type", "application/json"),
            ("host", &server.address.to_string()),
            ("authorization", "Basic dXNlcjpwYXNzIHdvcmQ="),
        ] {
            check(request.header(name) == value, (name, request))?;
        }
    }
    let mine: MessageId = "order-7".parse()?;
    sender.send(&1).id(mine).to(server.url().replace("hook", "other")).await?;
    let last = server.requests().pop().ok_or("nothing came")?;
    check(last.line() == "POST /other HTTP/1.1" && last.header("webhook-id") == "order-7", &last)?;
    check(last.header("authorization").is_empty(), last)
}

/// What a receiver asks for makes pauses longer, up to the cap.
pub async fn waits_as_long_as_it_is_asked_to<R: Runtime>() -> Outcome {
    let server = RawServer::start::<R>(|number, _| match number {
        0 => Reaction::Say("HTTP/1.1 429 No\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n"),
        2 => Reaction::Say(BUSY),
        _ => Reaction::Say(OK),
    })?;
    let patient = descriptor(server.url()).retry_after_max(Duration::from_secs(20));
    let began = R::default().now();
    client::<R>(patient)?.send(&1).await?;
    let took = R::default().now().since(began);
    check(took >= Duration::from_secs(1), took)?;
    // Two hours, but for the cap.
    client::<R>(descriptor(server.url()))?.send(&1).await?;
    check(server.requests().len() == 4, server.requests().len())
}

/// Answers that are final cost one attempt, and redirects are not followed.
pub async fn takes_no_for_an_answer<R: Runtime>() -> Outcome {
    for (answer, why) in [
        ("HTTP/1.1 404 No\r\ncontent-length: 3\r\n\r\nwhy", Dead::Refused(404)),
        ("HTTP/1.1 410 Gone\r\ncontent-length: 3\r\n\r\nwhy", Dead::Gone),
        ("HTTP/1.1 501 No\r\ncontent-length: 3\r\n\r\nwhy", Dead::Refused(501)),
        (
            "HTTP/1.1 307 No\r\nlocation: /elsewhere\r\ncontent-length: 3\r\n\r\nwhy",
            Dead::Redirected(307),
        ),
    ] {
        let server = RawServer::start::<R>(move |_, _| Reaction::Say(answer))?;
        let error = client::<R>(descriptor(server.url()))?.send(&1).await.expect_err("refused");
        check(error.given_up == Some(why) && error.attempts == 1, &error)?;
        check(error.answer.as_ref().is_some_and(|answer| answer.body() == "why"), &error)?;
        check(error.verdict().fate == Fate::Answered && server.requests().len() == 1, &error)?;
    }
    Ok(())
}

/// After the last attempt the error tells all that is known.
pub async fn gives_up<R: Runtime>() -> Outcome {
    let server = RawServer::start::<R>(|_, _| Reaction::Say(BUSY))?;
    let error = client::<R>(descriptor(server.url()))?.send(&1).await.expect_err("busy");
    check(error.given_up == Some(Dead::Exhausted) && error.attempts == 3, &error)?;
    check(error.answer.as_ref().is_some_and(|answer| answer.body() == "busy"), &error)?;
    let verdict = error.verdict();
    check(verdict.fate == Fate::Refused && verdict.health == Health::Failure, verdict)?;
    check(verdict.retry_after == Some(Duration::from_secs(7200)), verdict)?;
    check(error.to_string().contains("in 3 attempts: status 503"), &error)?;
    // Nobody answers.
    let server = RawServer::start::<R>(|_, _| Reaction::Hang)?;
    let hasty = descriptor(server.url()).timeout(SHORT * 40).retry_count(2);
    let error = client::<R>(hasty)?.send(&1).await.expect_err("nobody answers");
    check(matches!(error.failure, WebhookFailure::TimedOut { .. }), &error)?;
    check(error.attempts == 2 && error.may_have_arrived, &error)?;
    check(error.verdict().fate == Fate::Unknown, &error)?;
    // Nobody listens.
    let (listener, nobody) = listen::<R>()?;
    drop(listener);
    let sender = client::<R>(descriptor(format!("http://{nobody}/")))?;
    let error = sender.send(&1).await.expect_err("nobody listens");
    check(matches!(error.failure, WebhookFailure::Connect(_)) && error.attempts == 3, &error)?;
    check(error.verdict().fate == Fate::Unsent && error.answer.is_none(), &error)
}

/// What is wrong with a webhook is said before anything is sent.
pub async fn tells_what_cannot_be_sent<R: Runtime>() -> Outcome {
    let server = RawServer::start::<R>(|_, _| Reaction::Say(OK))?;
    let sender = client::<R>(descriptor(server.url()))?;
    let of_tuples = std::collections::BTreeMap::from([((1, 2), 3)]);
    let config = |failure: &WebhookFailure| matches!(failure, WebhookFailure::Config(_));
    let error = sender.send(&of_tuples).await.expect_err("no key of JSON");
    check(matches!(error.failure, WebhookFailure::Encode(_)) && error.attempts == 0, &error)?;
    for sent in [
        sender.send(&1).to("ftp://h/"),
        sender.send(&1).header("Content-Length", "7"),
        sender.send(&1).header("X-A", "a\r\nX-B: b"),
        sender.send(&1).header("X A", ""),
        sender.send(&1).timeout(Duration::ZERO),
    ] {
        let error = sent.await.expect_err("it is wrong");
        check(config(&error.failure) && error.attempts == 0, &error)?;
        check(error.verdict().health == Health::Ignored, &error)?;
    }
    for wrong in [
        descriptor("nowhere"),
        descriptor(server.url()).timeout(Duration::ZERO),
        descriptor(server.url()).retry_count(0),
        descriptor(server.url()).idle_timeout(Duration::ZERO),
        descriptor(server.url()).header("Host", "h"),
        descriptor(server.url()).proxy(Proxy::Url("socks5://h".into())),
    ] {
        check(WebhookClient::<R>::new(wrong.clone()).is_err(), wrong)?;
    }
    check(server.requests().is_empty(), "something was sent")
}

/// Nobody need wait, and there is a bound to it.
pub async fn delivers_detached<R: Runtime>() -> Outcome {
    let server = RawServer::start::<R>(|_, seen| match seen.body.as_str() {
        "0" => Reaction::Hang,
        _ => Reaction::Say(OK),
    })?;
    let settings = descriptor(server.url()).detached_max(1).retry_count(1);
    let sender = client::<R>(settings.timeout(SHORT * 100))?;
    let hangs = sender.send_detached(&0)?;
    let error = sender.send_detached(&1).expect_err("one is under way");
    check(matches!(error.failure, WebhookFailure::Full { max: 1 }), &error)?;
    let error = hangs.await.expect_err("it hangs");
    check(matches!(error.failure, WebhookFailure::TimedOut { .. }), &error)?;
    drop(sender.send_detached(&2)?);
    drop(sender);
    let came = || server.requests().iter().any(|request| request.body == "2");
    eventually::<Tcp<R>>("it is delivered", came).await?;
    check(server.requests().len() == 2, server.requests())
}

/// Outcomes come in the order of the payloads, and so many webhooks are under way at once.
pub async fn sends_batches<R: Runtime>() -> Outcome {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let most_in_handler = Arc::clone(&most);
    let server = Server::<R>::new(server_descriptor())
        .webhook("/", move |Data(number): Data<u64>| {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most_in_handler));
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                // The first take longest.
                let span = SHORT * (20 - u32::try_from(number.min(19)).unwrap_or(0));
                R::default().sleep_until(R::default().now() + span).await;
                now.fetch_sub(1, Ordering::SeqCst);
                number
            }
        })
        .listen(Listener::tcp("127.0.0.1", 0).webhooks(Webhooks::unsigned()))
        .start()
        .await?;
    let sender = client::<R>(descriptor(url(&server, "/")))?;
    for (parallel, bound) in [(1, 1), (4, 4), (1000, 12)] {
        most.store(0, Ordering::SeqCst);
        // One of them is none of the handler's.
        let payloads =
            (0..12).map(|number| if number == 5 { json!("five") } else { json!(number) });
        let outcomes = sender.send_batch(payloads).parallel(parallel).await;
        check(outcomes.len() == 12, outcomes.len())?;
        for (number, outcome) in outcomes.iter().enumerate() {
            match (number, outcome) {
                (5, Err(error)) => check(error.status().is_some_and(|s| s == 422), error)?,
                (_, Ok(answer)) => check(answer.json::<Value>()?["result"] == number, answer)?,
                (_, Err(error)) => return Err(format!("{number}: {error}").into()),
            }
        }
        let most = most.load(Ordering::SeqCst);
        check(most <= bound && (bound == 1 || most > 1), (parallel, most))?;
    }
    let none = sender.send_batch(Vec::<u32>::new()).parallel(3).await;
    check(none.is_empty(), none.len())?;
    server.stop().await;
    Ok(())
}

/// Any answer will do.
pub async fn tests_the_connection<R: Runtime>() -> Outcome {
    let server = RawServer::start::<R>(|_, _| {
        Reaction::Say("HTTP/1.1 500 No\r\ncontent-length: 100\r\n\r\n")
    })?;
    let settings = descriptor(server.url()).header("x-secret", "1");
    let sender = client::<R>(settings.keys(keys(Scheme::Hex, b"secret")?))?;
    let status = sender.test_connection().await?;
    check(status == 500, status)?;
    let seen = server.requests().pop().ok_or("nothing came")?;
    check(seen.line() == "HEAD /hook HTTP/1.1", &seen)?;
    check(
        seen.header("x-webhook-signature").is_empty() && seen.header("x-secret").is_empty(),
        seen,
    )?;
    let (listener, nobody) = listen::<R>()?;
    drop(listener);
    let sender = client::<R>(descriptor(format!("http://{nobody}/")))?;
    let error = sender.test_connection().await.expect_err("nobody listens");
    check(error.attempts == 1 && !error.may_have_arrived, error)
}
