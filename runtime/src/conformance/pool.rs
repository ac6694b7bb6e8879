//! Pools: who is chosen, and how they end.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cndt_core::connection::CloseReason;

use super::support::{check, client, eventually, pause, server, server_descriptor};
use super::{Net, Outcome};
use crate::client::{ClientHandle, ConnectionState};
use crate::descriptor::ServerDescriptor;
use crate::error::{CallError, NotConnected};
use crate::peer::Peer;
use crate::pool::{Balance, PoolHandle, PoolOptions};
use crate::race::{First, race};
use crate::rt::Runtime;
use crate::server::{Server, ServerHandle};

/// How often a server was called.
pub(super) type Calls = Arc<AtomicUsize>;

/// A server that counts its calls and tells its name.
pub(super) fn counting<N: Net>(
    descriptor: ServerDescriptor,
    name: &'static str,
) -> (Server<N::Runtime>, Calls) {
    let calls = Calls::default();
    let count = Arc::clone(&calls);
    let server = N::server(descriptor).rpc("name", move || {
        count.fetch_add(1, Ordering::Relaxed);
        async move { name }
    });
    (server, calls)
}

pub(super) fn count(calls: &Calls) -> usize {
    calls.load(Ordering::Relaxed)
}

/// One member each.
pub(super) fn with_other<N: Net>(other: &ServerHandle) -> PoolOptions {
    let (host, port) = N::reach(other);
    PoolOptions::new().size(1).server(host, port)
}

pub(super) async fn all_connected<N: Net>(pool: &PoolHandle) -> Outcome {
    let is_there = |member: &ClientHandle| member.state() == ConnectionState::Active;
    eventually::<N>("all members are there", || pool.members().iter().all(is_there)).await
}

pub(super) async fn call_times(pool: &PoolHandle, times: usize) -> Outcome {
    for _ in 0..times {
        let _: String = pool.call("name", &()).await?;
    }
    Ok(())
}

/// Every member gets its share, whatever its server; handlers and subscriptions are shared.
pub async fn takes_turns<N: Net>() -> Outcome {
    let (one, ones) = counting::<N>(server_descriptor(), "one");
    let (other, others) = counting::<N>(server_descriptor(), "other");
    let (one, other) = (one.start().await?, other.start().await?);
    let greeted = Calls::default();
    let greetings = Arc::clone(&greeted);
    let (host, port) = N::reach(&other);
    let (template, mut messages) = client::<N>(&one)
        .on("greet", move || {
            greetings.fetch_add(1, Ordering::Relaxed);
            async {}
        })
        .with_messages();
    let options = PoolOptions::new().size(2).server(host, port);
    let pool = template.pool(options).connect().await?;
    all_connected::<N>(&pool).await?;
    call_times(&pool, 40).await?;
    check((count(&ones), count(&others)) == (20, 20), (&ones, &others))?;
    for member in pool.members() {
        let sent = member.health().traffic.messages_sent;
        check(sent == 10, sent)?;
    }
    let methods = pool.discover().await?;
    check(methods == one.methods(), methods)?;
    eventually::<N>("both know the members", || {
        (one.connection_count(), other.connection_count()) == (2, 2)
    })
    .await?;
    for server in [&one, &other] {
        server.broadcast("greet", &()).send()?;
        server.broadcast("news", &()).send()?;
    }
    for _ in 0..4 {
        check(messages.next().await.is_some(), "the subscription has ended")?;
    }
    eventually::<N>("each member has handled its own", || count(&greeted) == 4).await?;
    let pings = pool.ping_all().await;
    check(pings.len() == 4 && pings.iter().all(Result::is_ok), &pings)?;
    pool.disconnect().await;
    check(messages.next().await.is_none(), "a message after the end")?;
    let outcome = pool.call::<_, String>("name", &()).await;
    check(outcome == Err(CallError::NotConnected(NotConnected)), outcome)?;
    one.stop().await;
    other.stop().await;
    Ok(())
}

/// Chance leaves nobody out.
pub async fn draws_lots<N: Net>() -> Outcome {
    let (one, ones) = counting::<N>(server_descriptor(), "one");
    let (other, others) = counting::<N>(server_descriptor(), "other");
    let (one, other) = (one.start().await?, other.start().await?);
    let options = with_other::<N>(&other).balance(Balance::Random);
    let pool = client::<N>(&one).pool(options).connect().await?;
    all_connected::<N>(&pool).await?;
    let mut names: Vec<String> = Vec::new();
    for _ in 0..200 {
        names.push(pool.call("name", &()).await?);
    }
    // One in 10^20 honest draws of 200 is more uneven.
    check(count(&ones).min(count(&others)) > 35, (&ones, &others))?;
    check(names.windows(2).any(|pair| pair[0] == pair[1]), "they take turns")?;
    one.stop().await;
    other.stop().await;
    Ok(())
}

/// A server that is busy with calls is left alone, according to what was measured.
pub async fn prefers_who_answers_soonest<N: Net>() -> Outcome {
    let (one, ones) = counting::<N>(server_descriptor(), "one");
    let (other, others) = counting::<N>(server_descriptor(), "other");
    let one = one.rpc("forever", std::future::pending::<()>).start().await?;
    let other = other.start().await?;
    let options = with_other::<N>(&other).balance(Balance::LeastLatency);
    let pool = client::<N>(&one).pool(options).connect().await?;
    all_connected::<N>(&pool).await?;
    let measured = |member: &ClientHandle| member.health().traffic.round_trips.mean();
    eventually::<N>("all members are measured at login", || {
        pool.members().iter().all(|member| !measured(member).is_zero())
    })
    .await?;
    let members = pool.members();
    let [busy, idle] = &members[..] else { return Err("not two members".into()) };
    for _ in 0..100 {
        let busy = busy.clone();
        N::Runtime::default().spawn(async move {
            let _ = busy.call::<_, ()>("forever", &()).await;
        });
    }
    let peer = busy.peer().ok_or("not connected")?;
    eventually::<N>("the calls are under way", || peer.link.lock().connection.calls_open() == 100)
        .await?;
    // A machine that stood still during a ping has measured nonsense: until that is outweighed.
    while measured(idle) > measured(busy) * 50 {
        pool.ping_all().await;
    }
    call_times(&pool, 30).await?;
    check((count(&ones), count(&others)) == (0, 30), (&ones, &others))?;
    // The handlers that never end would be waited for.
    one.connections().iter().for_each(|peer| peer.link.abort());
    one.stop().await;
    other.stop().await;
    Ok(())
}

/// A member whose server has asked for a pause is used only if there is no other.
pub async fn avoids_who_is_paused<N: Net>() -> Outcome {
    let descriptor = server_descriptor().receive_queue_size(10);
    let (one, ones) = counting::<N>(descriptor, "one");
    let (other, others) = counting::<N>(server_descriptor(), "other");
    let one = one.rpc("forever", std::future::pending::<()>).start().await?;
    let other = other.start().await?;
    let pool = client::<N>(&one).pool(with_other::<N>(&other)).connect().await?;
    all_connected::<N>(&pool).await?;
    let members = pool.members();
    let [paused, free] = &members[..] else { return Err("not two members".into()) };
    // More than the server begins to handle.
    for _ in 0..300 {
        let paused = paused.clone();
        N::Runtime::default().spawn(async move {
            let _ = paused.call::<_, ()>("forever", &()).await;
        });
    }
    eventually::<N>("the server asks for a pause", || paused.state() == ConnectionState::Paused)
        .await?;
    call_times(&pool, 20).await?;
    check((count(&ones), count(&others)) == (0, 20), (&ones, &others))?;
    check(pool.member()?.descriptor().address() == free.descriptor().address(), "not the other")?;
    free.disconnect().await;
    check(pool.member()?.state() == ConnectionState::Paused, "not the paused one")?;
    // The handlers that never end would be waited for.
    one.connections().iter().for_each(|peer| peer.link.abort());
    one.stop().await;
    other.stop().await;
    Ok(())
}

/// No handle, no members; a member's handle alone does not keep it.
pub async fn closes_when_the_last_handle_is_gone<N: Net>() -> Outcome {
    let (server, _) = counting::<N>(server_descriptor(), "name");
    let server = server.rpc("slow", || async {
        pause::<N>(Duration::from_millis(300)).await;
        "finished"
    });
    let server = server.start().await?;
    let pool = client::<N>(&server).pool(PoolOptions::new()).connect().await?;
    let clone = pool.clone();
    eventually::<N>("all four are there", || server.connection_count() == 4).await?;
    drop(pool);
    call_times(&clone, 4).await?;
    check(server.connection_count() == 4, &server)?;
    let member = clone.member()?;
    let mut slow = pin!(clone.call::<_, String>("slow", &()));
    let First::Right(()) = race(slow.as_mut(), pause::<N>(Duration::from_millis(20))).await else {
        return Err("the slow call did not wait".into());
    };
    drop(clone);
    // What is under way is finished.
    let outcome = slow.await;
    check(outcome.as_deref() == Ok("finished"), &outcome)?;
    eventually::<N>("all connections end", || server.connection_count() == 0).await?;
    check(member.closed().await == CloseReason::Local, "not closed by the pool")?;
    server.stop().await;
    Ok(())
}

/// A message by every member that is connected.
pub async fn tells_every_server<N: Net>() -> Outcome {
    let told = Calls::default();
    let start = || {
        let told = Arc::clone(&told);
        server::<N>()
            .on("news", move |_: Peer| {
                told.fetch_add(1, Ordering::Relaxed);
                async {}
            })
            .start()
    };
    let (one, other) = (start().await?, start().await?);
    let pool = client::<N>(&one).pool(with_other::<N>(&other).size(2)).connect().await?;
    all_connected::<N>(&pool).await?;
    let sent = pool.broadcast("news", &1)?;
    check((sent.queued, sent.refused) == (4, 0), sent)?;
    eventually::<N>("all have it", || count(&told) == 4).await?;
    pool.send("news", &2).await?;
    pool.try_send("news", &3)?;
    eventually::<N>("one server each has more", || count(&told) == 6).await?;
    other.stop().await;
    eventually::<N>("two are gone", || {
        pool.members().iter().filter(|member| member.is_connected()).count() == 2
    })
    .await?;
    let sent = pool.broadcast("news", &1)?;
    check((sent.queued, sent.refused) == (2, 2), sent)?;
    one.stop().await;
    Ok(())
}
