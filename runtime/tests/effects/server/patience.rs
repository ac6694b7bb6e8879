//! How long a server waits for what.

use std::time::Duration;

use cndt_tokio::CloseReason;
use cndt_tokio::core::wire::Kind;
use tokio::io::AsyncReadExt;

use crate::support::{
    Hand, Outcome, ROOMY, client, only_client, pipe_to, piped, seconds_of, secs, server, settle,
    start,
};

pub(super) async fn connection_timeout() -> Outcome {
    for seconds in [5, 50] {
        let server = start(server().connection_timeout(secs(seconds))).await?;
        let _deaf = Hand::client(pipe_to(&server, 1024)?).await?;
        let peer = only_client(&server).await?;
        peer.try_send("large", &"x".repeat(ROOMY))?;
        let (reason, passed) = seconds_of(peer.closed()).await;
        assert_eq!(reason, CloseReason::Stalled { after: secs(seconds) });
        assert_eq!(passed, seconds);
    }
    Ok(())
}

pub(super) async fn auth_timeout() -> Outcome {
    for seconds in [3, 30] {
        let server = start(server().auth_timeout(secs(seconds))).await?;
        let mut silent = pipe_to(&server, 1024)?;
        let (read, passed) = seconds_of(silent.read_u8()).await;
        assert!(read.is_err(), "it is closed without a word");
        assert_eq!(passed, seconds);
    }
    Ok(())
}

pub(super) async fn heartbeat_interval() -> Outcome {
    for seconds in [2, 20] {
        let server = start(server().heartbeat_interval(secs(seconds))).await?;
        let mut hand = Hand::client(pipe_to(&server, ROOMY)?).await?;
        let (pinged, passed) = seconds_of(hand.await_kind(Kind::HeartbeatPing)).await;
        pinged?;
        assert_eq!(passed, seconds);
    }
    Ok(())
}

pub(super) async fn heartbeat_timeout() -> Outcome {
    for seconds in [3, 60] {
        let descriptor = server().heartbeat_interval(secs(1)).heartbeat_timeout(secs(seconds));
        let server = start(descriptor).await?;
        // It has room for all pings, so that they are not what ends the connection.
        let _silent = Hand::client(pipe_to(&server, ROOMY)?).await?;
        let peer = only_client(&server).await?;
        let (reason, passed) = seconds_of(async {
            let reason = peer.closed().await;
            settle().await;
            reason
        })
        .await;
        assert_eq!(reason, CloseReason::HeartbeatTimeout { after: secs(seconds) });
        assert_eq!(passed, seconds);
    }
    Ok(())
}

pub(super) async fn shutdown_timeout() -> Outcome {
    for seconds in [3, 50] {
        let server = start(server().shutdown_timeout(secs(seconds))).await?;
        let mut hand = Hand::client(pipe_to(&server, ROOMY)?).await?;
        hand.call("never").await?;
        let peer = only_client(&server).await?;
        assert_eq!(peer.stats().messages_received, 1);
        let ((), passed) = seconds_of(server.stop()).await;
        // One second more is for the client to close its end, which this one does not do.
        assert_eq!(passed, seconds + 1);
    }
    let patient = start(server().shutdown_timeout(Duration::MAX)).await?;
    let _client = piped(&patient, client()).await?;
    let ((), passed) = seconds_of(patient.stop()).await;
    assert_eq!(passed, 0, "nothing is under way");
    Ok(())
}

pub(super) async fn idle_timeout() -> Outcome {
    for seconds in [5, 100] {
        let server = start(server().idle_timeout(secs(seconds))).await?;
        let _client = piped(&server, client()).await?;
        let peer = only_client(&server).await?;
        let (reason, passed) = seconds_of(async {
            let reason = peer.closed().await;
            settle().await;
            reason
        })
        .await;
        assert_eq!(reason, CloseReason::Idle { after: secs(seconds) });
        assert_eq!(passed, seconds);
    }
    let server = start(server().idle_timeout(secs(0))).await?;
    let client = piped(&server, client()).await?;
    tokio::time::sleep(secs(3600)).await;
    assert!(client.is_connected(), "0 is for ever");
    Ok(())
}
