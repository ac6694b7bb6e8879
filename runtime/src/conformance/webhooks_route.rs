//! Webhooks that are sent: over which connections, and through what.

use std::time::Duration;

use cndt_core::webhook::Scheme;
use serde_json::{Value, json};

use super::net::Authority;
use super::raw_http::{RawServer, Reaction};
use super::support::{check, pause, server_descriptor};
use super::webhooks_client::{OK, client, descriptor, keys, url};
use super::{Outcome, Tcp};
use crate::error::ConnectErrorKind;
use crate::net::dial::{NotAdmitted, Target, dial};
use crate::net::{Address, Listener};
use crate::router::extract::Data;
use crate::rt::Runtime;
use crate::server::{Server, ServerHandle};
use crate::webhook::{AnswerError, DeliveryPolicy, Proxy, WebhookClient, WebhookFailure, Webhooks};

/// One connection serves many webhooks, unless none is to be kept.
pub async fn keeps_connections<R: Runtime>() -> Outcome {
    for (kept, expected) in [(8, 1), (0, 5)] {
        let server = RawServer::start::<R>(|_, _| Reaction::Say(OK))?;
        let sender = client::<R>(descriptor(server.url()).idle_per_host_max(kept))?;
        for number in 0..5 {
            sender.send(&number).await?;
        }
        check(server.connections() == expected, server.connections())?;
    }
    // More at once than are kept.
    let server = RawServer::start::<R>(|_, _| Reaction::Say(OK))?;
    let sender = client::<R>(descriptor(server.url()).idle_per_host_max(2))?;
    for outcome in sender.send_batch(0..20).parallel(10).await {
        outcome?;
    }
    let before = server.connections();
    for outcome in sender.send_batch(0..2).parallel(2).await {
        outcome?;
    }
    check(server.connections() == before, (before, server.connections()))?;
    // They wait for a while only.
    let server = RawServer::start::<R>(|_, _| Reaction::Say(OK))?;
    let settings = descriptor(server.url()).idle_timeout(Duration::from_millis(20));
    let sender = client::<R>(settings)?;
    sender.send(&1).await?;
    pause::<Tcp<R>>(Duration::from_millis(100)).await;
    sender.send(&2).await?;
    check(server.connections() == 2, server.connections())
}

/// A connection that was closed while it waited costs no attempt, whenever that is noticed.
pub async fn survives_stale_connections<R: Runtime>() -> Outcome {
    // Silently after each answer: now and then it is used before anybody knows.
    let server = RawServer::start::<R>(|_, _| Reaction::SayAndClose(OK))?;
    let sender = client::<R>(descriptor(server.url()).retry_count(1))?;
    for number in 0..50 {
        sender.send(&number).await?;
    }
    pause::<Tcp<R>>(Duration::from_millis(50)).await;
    sender.send(&50).await?;
    check(server.requests().len() == 51, server.requests().len())?;
    // Exactly when the second request comes.
    let server = RawServer::start::<R>(|number, _| match number {
        1 => Reaction::SayAndClose(""),
        _ => Reaction::Say(OK),
    })?;
    let sender = client::<R>(descriptor(server.url()).retry_count(1))?;
    sender.send(&0).await?;
    sender.send(&1).await?;
    let requests = server.requests();
    let connections: Vec<usize> = requests.iter().map(|request| request.connection).collect();
    check(connections == [0, 0, 1], &connections)?;
    check(requests[1].header("webhook-id") == requests[2].header("webhook-id"), &requests)?;
    // On a connection that is new it is what it looks like.
    let server = RawServer::start::<R>(|_, _| Reaction::SayAndClose(""))?;
    let sender = client::<R>(descriptor(server.url()).retry_count(1))?;
    let error = sender.send(&0).await.expect_err("there is no answer");
    check(matches!(error.failure, WebhookFailure::Lost(_)) && error.may_have_arrived, &error)?;
    check(server.requests().len() == 1, server.requests().len())
}

/// The status counts, and no more of the body is read than was agreed to.
pub async fn reads_no_more_than_it_wants<R: Runtime>() -> Outcome {
    let server = RawServer::start::<R>(|_, seen| match seen.body.as_str() {
        "0" => Reaction::SayForEver,
        "1" => Reaction::Say(OK),
        _ => Reaction::Say("HTTP/1.1 404 No\r\ncontent-length: 4\r\n\r\nlong"),
    })?;
    let sender = client::<R>(descriptor(server.url()).response_max(2))?;
    let answer = sender.send(&0).await?;
    check(answer.is_cut() && answer.body() == "01", &answer)?;
    check(matches!(answer.json::<Value>(), Err(AnswerError::Cut(2))), &answer)?;
    let answer = sender.send(&1).await?;
    check(!answer.is_cut() && answer.body() == "{}", &answer)?;
    let error = sender.send(&2).await.expect_err("not found");
    let answer = error.answer.as_ref().ok_or("no answer")?;
    check(answer.is_cut() && answer.body() == "lo", answer)?;
    // An endless head is no answer.
    let server = RawServer::start::<R>(|_, _| Reaction::Say("HTTP/1.1 200 OK\r\nx: "))?;
    let settings = descriptor(server.url()).retry_count(1).timeout(Duration::from_millis(200));
    let error = client::<R>(settings)?.send(&0).await.expect_err("it never ends");
    check(matches!(error.failure, WebhookFailure::TimedOut { .. }), error)
}

async fn secure_server<R: Runtime>() -> Result<ServerHandle, Box<dyn std::error::Error>> {
    let secret = keys(Scheme::GitHub, b"secret")?;
    let server = Server::<R>::new(server_descriptor())
        .tls(Authority::shared().server_config())
        .webhook("/", |Data(data): Data<Value>| async move { data })
        .listen(Listener::tcp("127.0.0.1", 0).webhooks(Webhooks::signed(secret)));
    Ok(server.start().await?)
}

/// TLS, by certificates that are trusted.
pub async fn speaks_tls<R: Runtime>() -> Outcome {
    let server = secure_server::<R>().await?;
    let to = url(&server, "/");
    check(to.starts_with("https://127.0.0.1:"), &to)?;
    let settings = descriptor(to).keys(keys(Scheme::GitHub, b"secret")?).retry_count(1);
    let trusting = Authority::shared().client_config();
    let sender = WebhookClient::<R>::with_tls(settings.clone(), trusting)?;
    for number in 0..3 {
        let answer: Value = sender.send(&number).await?.json()?;
        check(answer["result"] == number, answer)?;
    }
    let strange = WebhookClient::<R>::with_tls(settings, Authority::new().client_config())?;
    let error = strange.send(&1).await.expect_err("another authority");
    let is_tls = matches!(error.failure, WebhookFailure::Connect(ConnectErrorKind::Tls { .. }));
    check(is_tls && !error.may_have_arrived, &error)?;
    server.stop().await;
    Ok(())
}

/// Through a proxy: URLs of `http` as they are, those of `https` in a tunnel.
pub async fn goes_through_proxies<R: Runtime>() -> Outcome {
    let proxy = RawServer::start::<R>(|_, seen| match seen.line().split(' ').next() {
        Some("CONNECT") if seen.header("proxy-authorization").is_empty() => {
            Reaction::SayAndClose("HTTP/1.1 407 Who?\r\ncontent-length: 0\r\n\r\n")
        }
        Some("CONNECT") => Reaction::Tunnel,
        _ => Reaction::Say(OK),
    })?;
    let through = |user: &str| Proxy::Url(format!("http://{user}{}", proxy.address).into());
    let plain = descriptor("http://receiver.example/a?b=c").proxy(through("user:pass@"));
    let sender = client::<R>(plain)?;
    sender.send(&1).await?;
    sender.send(&2).await?;
    check(proxy.connections() == 1, proxy.connections())?;
    let seen = proxy.requests().pop().ok_or("nothing came")?;
    check(seen.line() == "POST http://receiver.example/a?b=c HTTP/1.1", &seen)?;
    check(seen.header("host") == "receiver.example", &seen)?;
    check(seen.header("proxy-authorization") == "Basic dXNlcjpwYXNz", &seen)?;

    let server = secure_server::<R>().await?;
    let settings = descriptor(url(&server, "/")).keys(keys(Scheme::GitHub, b"secret")?);
    let settings = settings.retry_count(1);
    let trusting = Authority::shared().client_config();
    let tunnelled = settings.clone().proxy(through("user:pass@"));
    let sender = WebhookClient::<R>::with_tls(tunnelled, trusting.clone())?;
    for number in 0..3 {
        let answer: Value = sender.send(&json!(number)).await?.json()?;
        check(answer["result"] == number, answer)?;
    }
    let place = url(&server, "").replace("https://", "");
    let seen = proxy.requests().pop().ok_or("nothing came")?;
    check(seen.line() == format!("CONNECT {place} HTTP/1.1"), &seen)?;
    check(seen.header("proxy-authorization") == "Basic dXNlcjpwYXNz", &seen)?;
    check(seen.header("x-hub-signature-256").is_empty() && proxy.connections() == 2, &seen)?;

    let nobody = WebhookClient::<R>::with_tls(settings.proxy(through("")), trusting)?;
    let error = nobody.send(&1).await.expect_err("the proxy wants to know who");
    let says = matches!(&error.failure, WebhookFailure::Proxy(why) if why.contains("407"));
    check(says && !error.may_have_arrived, &error)?;
    server.stop().await;
    Ok(())
}

/// Nothing private is connected to, by whatever name, and by no proxy either.
pub async fn keeps_off_private_addresses<R: Runtime>() -> Outcome {
    let server = RawServer::start::<R>(|_, _| Reaction::Say(OK))?;
    let port = server.address.port();
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433"] {
        let settings = descriptor(format!("http://{host}:{port}/")).block_private_addresses();
        let through = Proxy::Url(format!("http://{}", server.address).into());
        let sender = client::<R>(settings.proxy(through))?;
        let error = sender.send(&1).await.expect_err("it is private");
        let is_blocked = matches!(error.failure, WebhookFailure::Blocked { .. });
        // Not each system takes a plain number for an address.
        check(is_blocked && error.attempts == 1 || host == "2130706433", &error)?;
        let error = sender.send(&1).to(server.url()).await.expect_err("that as well");
        check(matches!(error.failure, WebhookFailure::Blocked { .. }), &error)?;
        check(sender.test_connection().await.is_err(), host)?;
    }
    check(server.connections() == 0, server.connections())
}

/// Of a host's addresses those are left that may be connected to, and one of them is.
pub async fn connects_to_what_was_judged<R: Runtime>() -> Outcome {
    let server = RawServer::start::<R>(|_, _| Reaction::Say(OK))?;
    let target = |admits| Target {
        address: Address::new("localhost", server.address.port()),
        ipv6_only: false,
        admits,
        tls: None,
        timeout: Duration::from_secs(10),
    };
    let (_, remote) = dial::<R>(&target(|address| address.is_ipv4())).await?;
    check(remote == Some(server.address), remote)?;
    let error = dial::<R>(&target(|_| false)).await.err().ok_or("it was connected to")?;
    let is_why = matches!(&error, ConnectErrorKind::Io { error } if NotAdmitted::is_why(error));
    check(is_why, error)
}

/// A schedule of one's own, for the client or for one webhook.
pub async fn keeps_to_a_schedule<R: Runtime>() -> Outcome {
    let server = RawServer::start::<R>(|_, _| {
        Reaction::Say("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n")
    })?;
    let listed = |count| DeliveryPolicy::listed(&vec![Duration::from_millis(1); count], 10);
    let sender = client::<R>(descriptor(server.url()).policy(listed(5)?))?;
    let error = sender.send(&1).await.expect_err("it never works");
    check(error.attempts == 5, &error)?;
    let error = sender.send(&1).policy(listed(2)?).await.expect_err("it never works");
    check(error.attempts == 2 && server.requests().len() == 7, error)
}
