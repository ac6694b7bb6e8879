//! Pools whose members fail: who is left out, what is repeated, who comes back.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cndt_core::connection::{CallFailure, CloseReason};

use super::pool::{all_connected, call_times, count, counting, with_other};
use super::support::{
    check, client, client_descriptor, eventually, listen, login_as_server, pause, server,
    server_descriptor, to,
};
use super::{Net, Outcome, Tcp};
use crate::client::{Client, ClientHandle};
use crate::descriptor::ClientDescriptor;
use crate::error::{CallError, ConnectErrorKind};
use crate::pool::PoolOptions;
use crate::race::{First, race};
use crate::rt::Runtime;
use crate::server::ServerHandle;

/// Never gives up, and tries often.
fn insistent<N: Net>(server: &ServerHandle) -> ClientDescriptor {
    client_descriptor::<N>(server)
        .reconnect_enabled(true)
        .reconnect_attempts(0)
        .reconnect_delay(Duration::from_millis(20))
        .reconnect_delay_max(Duration::from_millis(100))
}

/// A dead server gets no calls; one that comes back gets its share again.
pub async fn comes_back_to_who_comes_back<N: Net>() -> Outcome {
    let (one, ones) = counting::<N>(server_descriptor(), "one");
    let (other, others) = counting::<N>(server_descriptor(), "other");
    let (one, other) = (one.start().await?, other.start().await?);
    let pool = N::client(insistent::<N>(&one)).pool(with_other::<N>(&other)).connect().await?;
    all_connected::<N>(&pool).await?;
    one.stop().await;
    call_times(&pool, 10).await?;
    check((count(&ones), count(&others)) == (0, 10), (&ones, &others))?;
    let (again, agains) = counting::<N>(N::same_place(server_descriptor(), &one), "again");
    let again = again.start().await?;
    all_connected::<N>(&pool).await?;
    eventually::<N>("nobody is left out any more", || {
        pool.health().iter().all(|member| member.ejected_for.is_none())
    })
    .await?;
    call_times(&pool, 10).await?;
    check((count(&agains), count(&others)) == (5, 15), (&agains, &others))?;
    again.stop().await;
    other.stop().await;
    Ok(())
}

/// A server that does not answer is left out, though its connection lives; later it gets a chance.
pub async fn leaves_out_who_does_not_answer<N: Net>() -> Outcome {
    let is_stuck = Arc::new(AtomicBool::new(true));
    let stuck = Arc::clone(&is_stuck);
    let one = server::<N>()
        .rpc("name", move || {
            let is_stuck = stuck.load(Ordering::Relaxed);
            async move {
                if is_stuck {
                    std::future::pending::<()>().await;
                }
                "one"
            }
        })
        .start()
        .await?;
    let (other, others) = counting::<N>(server_descriptor(), "other");
    let other = other.start().await?;
    let pool = client::<N>(&one).pool(with_other::<N>(&other)).connect().await?;
    all_connected::<N>(&pool).await?;
    let mut failed = 0;
    for _ in 0..40 {
        let outcome = pool.call::<_, String>("name", &()).timeout(Duration::from_millis(400)).await;
        match outcome {
            Ok(_) => {}
            Err(CallError::Failed(CallFailure::TimedOut { .. })) => failed += 1,
            Err(error) => return Err(error.into()),
        }
    }
    // Taking turns it would have been 20; three are enough, unless the machine stood still.
    check((3..10).contains(&failed) && count(&others) == 40 - failed, failed)?;
    is_stuck.store(false, Ordering::Relaxed);
    eventually::<N>("its time is over", || {
        pool.health().iter().all(|member| member.ejected_for.is_none())
    })
    .await?;
    let before = count(&others);
    call_times(&pool, 10).await?;
    check(count(&others) - before == 5, &others)?;
    one.stop().await;
    other.stop().await;
    Ok(())
}

/// It begins with whoever is there, and takes the others in when they come.
pub async fn begins_with_one_server_down<N: Net>() -> Outcome {
    let down = server::<N>().start().await?;
    down.stop().await;
    let (up, ups) = counting::<N>(server_descriptor(), "up");
    let up = up.start().await?;
    let pool = N::client(insistent::<N>(&down)).pool(with_other::<N>(&up)).connect().await?;
    call_times(&pool, 5).await?;
    check(count(&ups) == 5, &ups)?;
    let (down, downs) = counting::<N>(N::same_place(server_descriptor(), &down), "down");
    let down = down.start().await?;
    all_connected::<N>(&pool).await?;
    call_times(&pool, 10).await?;
    check((count(&ups), count(&downs)) == (10, 5), (&ups, &downs))?;
    down.stop().await;
    up.stop().await;
    Ok(())
}

/// When nobody lets it in it says why.
pub async fn tells_why_no_member_connects<N: Net>() -> Outcome {
    let server = server::<N>().start().await?;
    let mut descriptor = insistent::<N>(&server);
    descriptor.password = "wrong".into();
    let error = N::client(descriptor).pool(PoolOptions::new().size(2)).connect().await.err();
    let refused = |reason: &CloseReason| matches!(reason, CloseReason::LoginRefused(_));
    match error.as_ref().map(|error| &error.kind) {
        Some(ConnectErrorKind::Closed { reason, .. }) if refused(reason) => {}
        _ => return Err(format!("{error:?}").into()),
    }
    let none = client::<N>(&server).pool(PoolOptions::new().size(0)).connect().await.err();
    let is_config = none.as_ref().is_some_and(|e| matches!(e.kind, ConnectErrorKind::Config(_)));
    check(is_config, none)?;
    server.stop().await;
    Ok(())
}

/// A call that has not left moves over; one that may have been executed is not repeated.
pub async fn repeats_only_what_has_not_left<R: Runtime>() -> Outcome {
    for has_left in [false, true] {
        let (listener, address) = listen::<R>()?;
        let (other, others) = counting::<Tcp<R>>(server_descriptor(), "other");
        let other = other.start().await?;
        let template = Client::<R>::new(to(address));
        let connecting = template.pool(with_other::<Tcp<R>>(&other)).connect();
        let (mut connecting, mut accepting) =
            (pin!(connecting), pin!(login_as_server::<R>(&listener)));
        let (pool, stream) = match race(connecting.as_mut(), accepting.as_mut()).await {
            First::Left(pool) => (pool?, accepting.await?),
            First::Right(stream) => (connecting.await?, stream?),
        };
        all_connected::<Tcp<R>>(&pool).await?;
        let members = pool.members();
        let [deaf, _] = &members[..] else { return Err("not two members".into()) };
        if !has_left {
            fill::<R>(deaf).await;
        }
        let before = count(&others);
        // In turn: one of two goes to the member that will be lost.
        let call = || pool.call::<_, String>("name", &()).timeout(Duration::from_secs(50));
        let (mut one, mut two) = (pin!(call()), pin!(call()));
        let both = async {
            let (one, two) = match race(one.as_mut(), two.as_mut()).await {
                First::Left(one) => (one, two.await),
                First::Right(two) => (one.await, two),
            };
            [one, two]
        };
        let cut = async {
            pause::<Tcp<R>>(Duration::from_millis(100)).await;
            drop(stream);
            std::future::pending::<()>().await;
        };
        let First::Left(outcomes) = race(both, cut).await else { return Err("no end".into()) };
        let lost = Err(CallError::Failed(CallFailure::ConnectionLost { sent: true }));
        let answers = outcomes.iter().filter(|outcome| outcome.as_deref() == Ok("other")).count();
        let losses = outcomes.iter().filter(|outcome| **outcome == lost).count();
        let expected = if has_left { (1, 1) } else { (2, 0) };
        check((answers, losses) == expected, &outcomes)?;
        check(count(&others) - before == answers, &others)?;
        other.stop().await;
    }
    Ok(())
}

/// Sends until the peer, which does not read, takes nothing more.
async fn fill<R: Runtime>(client: &ClientHandle) {
    let large = "x".repeat(1024 * 1024);
    let send = || async { while client.send("bulk", &large).await.is_ok() {} };
    let traffic = || client.health().traffic.bytes_sent;
    loop {
        let before = traffic();
        if let First::Left(()) = race(send(), pause::<Tcp<R>>(Duration::from_millis(300))).await {
            return;
        }
        if traffic() == before {
            return;
        }
    }
}
