//! How long a client waits for what.

use cndt_tokio::core::wire::Kind;
use cndt_tokio::{
    CallError, CallFailure, Client, CloseReason, ConnectErrorKind, DeliveryError, Stream,
};
use tokio::net::TcpListener;

use crate::certificates::Authority;
use crate::support::{
    Outcome, ROOMY, client, client_of, connect, hosted, piped, seconds_of, secs, server, settle,
    start,
};

pub(super) async fn connect_timeout() -> Outcome {
    let authority = Authority::new()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    for seconds in [3, 30] {
        // The connection: nobody answers in TLS.
        let descriptor = client_of(listener.local_addr()?).connect_timeout(secs(seconds));
        let silent = connect(descriptor.tls(true).tls_ca(&*authority.path));
        let (outcome, passed) = seconds_of(silent).await;
        let kind = outcome.err().ok_or("somebody answered")?.kind;
        let expected = secs(seconds);
        assert!(
            matches!(kind, ConnectErrorKind::TimedOut { after } if after == expected),
            "{kind}"
        );
        assert_eq!(passed, seconds);

        // The login: nobody answers it.
        let (near, _silent) = tokio::io::duplex(ROOMY);
        let login = Client::over(Stream(near), client().connect_timeout(expected));
        let (outcome, passed) = seconds_of(login).await;
        let kind = outcome.err().ok_or("somebody answered")?.kind;
        let ConnectErrorKind::Closed { reason, .. } = kind else { return Err(kind.into()) };
        assert_eq!(reason, CloseReason::AuthTimeout { after: expected });
        assert_eq!(passed, seconds);
    }
    Ok(())
}

pub(super) async fn rpc_timeout() -> Outcome {
    for seconds in [3, 50] {
        let server = start(server()).await?;
        let client = piped(&server, client().rpc_timeout(secs(seconds))).await?;
        let (outcome, passed) = seconds_of(client.call::<_, ()>("never", &())).await;
        let expected = CallError::Failed(CallFailure::TimedOut { after: secs(seconds) });
        assert_eq!(outcome.as_ref(), Err(&expected));
        assert_eq!(passed, seconds);
        // Wherever a call is made.
        let peer = client.peer().ok_or("not connected")?;
        assert_eq!(client.call_raw("never", &[0x80]).await.err().as_ref(), Some(&expected));
        assert_eq!(peer.call::<_, ()>("never", &()).await.as_ref(), Err(&expected));
        assert_eq!(peer.call_raw("never", &[0x80]).await.err(), Some(expected));
    }
    Ok(())
}

pub(super) async fn send_timeout() -> Outcome {
    for seconds in [3, 30] {
        let descriptor = client().send_timeout(secs(seconds)).send_queue_size(1);
        let (client, _deaf) = hosted(descriptor, 1024).await?;
        client.try_send("large", &"x".repeat(ROOMY))?;
        let (outcome, passed) = seconds_of(client.send("number", &1)).await;
        let expected = Err(DeliveryError::TimedOut { after: secs(seconds) });
        assert_eq!(outcome, expected);
        assert_eq!(passed, seconds);
        // Wherever a message is sent.
        let peer = client.peer().ok_or("not connected")?;
        assert_eq!(peer.send("number", &1).await, expected);
    }
    Ok(())
}

pub(super) async fn heartbeat_interval() -> Outcome {
    for seconds in [2, 20] {
        let (_client, mut hand) = hosted(client().heartbeat_interval(secs(seconds)), ROOMY).await?;
        let (pinged, passed) = seconds_of(hand.await_kind(Kind::HeartbeatPing)).await;
        pinged?;
        assert_eq!(passed, seconds);
    }
    Ok(())
}

pub(super) async fn heartbeat_timeout() -> Outcome {
    for seconds in [3, 60] {
        let timeout = secs(seconds);
        let descriptor = || client().heartbeat_interval(secs(1)).heartbeat_timeout(timeout);
        let (client, _silent) = hosted(descriptor(), ROOMY).await?;
        let (reason, passed) = seconds_of(async {
            let reason = client.closed().await;
            settle().await;
            reason
        })
        .await;
        assert_eq!(reason, CloseReason::HeartbeatTimeout { after: timeout });
        assert_eq!(passed, seconds);

        // A server that gives signs of life has as long to read something.
        let (client, mut deaf) = hosted(descriptor(), 1024).await?;
        client.try_send("large", &"x".repeat(ROOMY))?;
        for _ in 0..seconds - 1 {
            tokio::time::sleep(secs(1)).await;
            deaf.send_many(1).await?;
        }
        assert!(client.is_connected());
        assert_eq!(client.closed().await, CloseReason::Stalled { after: timeout });
    }
    Ok(())
}

pub(super) async fn shutdown_timeout() -> Outcome {
    for seconds in [3, 50] {
        let (client, _hand) = hosted(client().shutdown_timeout(secs(seconds)), ROOMY).await?;
        let caller = client.clone();
        let call = tokio::spawn(async move {
            caller.call::<_, ()>("never", &()).timeout(secs(1_000_000)).await
        });
        settle().await;
        let ((), passed) = seconds_of(client.disconnect()).await;
        // One second more is for the server to close its end, which this one does not do.
        assert_eq!(passed, seconds + 1);
        assert!(call.await?.is_err());
    }
    Ok(())
}
