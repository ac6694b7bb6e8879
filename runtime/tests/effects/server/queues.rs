//! How much a server takes, keeps and sends.

use std::sync::atomic::Ordering;

use cndt_tokio::core::connection::SendError;
use cndt_tokio::core::message::auth::RefusalCode;
use cndt_tokio::core::wire::Kind;
use cndt_tokio::{
    CallError, CallFailure, ClientHandle, CloseReason, ErrorCode, Peer, ServeError, Server,
    ServerDescriptor, ServerHandle, SlowClient, Stream,
};

use crate::support::{
    Hand, Outcome, ROOMY, Tap, client, only_client, pipe_to, piped, refusal, server, settle, start,
};

pub(super) async fn max_connections() -> Outcome {
    for max in [1, 2] {
        let server = start(server().max_connections(max)).await?;
        let mut clients = Vec::new();
        for _ in 0..max {
            clients.push(piped(&server, client()).await?);
        }
        let one_more = piped(&server, client()).await;
        assert_eq!(refusal(&one_more), Some(RefusalCode::Busy));
        assert_eq!(server.connection_count(), max);
    }
    Ok(())
}

pub(super) async fn max_message_size() -> Outcome {
    for (max, fits) in [(2048, false), (20_000, true)] {
        let server = start(server().max_message_size(max)).await?;
        let client = piped(&server, client()).await?;
        let outcome = client.call::<_, usize>("length", &("x".repeat(10_000),)).await;
        match outcome {
            Ok(length) => assert!(fits && length == 10_000),
            Err(CallError::Send(SendError::TooLarge { max: told, .. })) => {
                assert!(!fits && told == max, "the client knows the server's limit");
            }
            Err(error) => panic!("{error}"),
        }
        client.disconnect().await;
        settle().await;
        // Whoever does not care for the limit is cut off. (The frame means nothing: that alone is
        // forgiven.)
        let mut hand = Hand::client(pipe_to(&server, ROOMY)?).await?;
        let peer = only_client(&server).await?;
        hand.send_unasked(10_000).await?;
        settle().await;
        assert_eq!(peer.is_closed(), !fits, "{:?}", peer.close_reason());
    }
    Ok(())
}

pub(super) async fn buffer_size() -> Outcome {
    for size in [1024, 10_000, 64 * 1024] {
        let server = start(server().buffer_size(size)).await?;
        let (near, far) = tokio::io::duplex(1 << 20);
        let (far, largest) = Tap::new(far);
        server.serve_stream(Stream(far), None)?;
        let mut hand = Hand::client(near).await?;
        hand.send_large(1_000_000).await?;
        settle().await;
        assert_eq!(only_client(&server).await?.stats().messages_received, 1);
        // For a payload as large as this it may be more, where that is not less than usual.
        let most = if size < 64 * 1024 { size } else { 8 * size };
        assert_eq!(largest.load(Ordering::Relaxed), most);
    }
    Ok(())
}

pub(super) async fn send_queue_size() -> Outcome {
    for size in [3, 30] {
        let server = start(server().send_queue_size(size)).await?;
        let _client = piped(&server, client()).await?;
        let peer = only_client(&server).await?;
        // Nothing is awaited, so nothing is sent meanwhile.
        let queued = (0..100).take_while(|number| peer.try_send("number", number).is_ok()).count();
        assert_eq!(queued, size);
        assert_eq!(peer.try_send("number", &1), Err(SendError::Blocked));
    }
    Ok(())
}

/// A server that greets its clients for ever, so that their messages wait.
async fn greeting(descriptor: ServerDescriptor) -> Result<ServerHandle, ServeError> {
    Server::new(descriptor).on_client_connect(|_: Peer| std::future::pending::<()>()).start().await
}

pub(super) async fn receive_queue_size() -> Outcome {
    for size in [10, 20] {
        let server = greeting(server().receive_queue_size(size)).await?;
        let mut hand = Hand::client(pipe_to(&server, ROOMY)?).await?;
        hand.send_many(50).await?;
        let peer = only_client(&server).await?;
        assert_eq!(peer.stats().messages_received, size as u64);
    }
    Ok(())
}

pub(super) async fn slow_client() -> Outcome {
    for policy in [SlowClient::DropNewest, SlowClient::DropOldest, SlowClient::Disconnect] {
        let server = start(server().send_queue_size(4).slow_client(policy)).await?;
        let _deaf = Hand::client(pipe_to(&server, 1024)?).await?;
        let peer = only_client(&server).await?;
        let large = "x".repeat(100_000);
        let mut refused = 0;
        for _ in 0..20 {
            refused += server.broadcast("large", &large).send()?.refused;
            settle().await;
        }
        let seen = (refused, peer.stats().messages_dropped, peer.close_reason());
        let expected = match policy {
            SlowClient::DropNewest => (16, 16, None),
            SlowClient::DropOldest => (0, 16, None),
            SlowClient::Disconnect => (1, 1, Some(CloseReason::TooSlow)),
        };
        assert_eq!(seen, expected, "{policy:?}");
    }
    Ok(())
}

pub(super) async fn enable_compression() -> Outcome {
    for enabled in [true, false] {
        let server = start(server().enable_compression(enabled)).await?;
        // In dialect `cndt` it takes two.
        let client = piped(&server, client().enable_compression(true)).await?;
        let text: String = client.call("repeat", &(100_000,)).await?;
        assert_eq!(text.len(), 100_000);
        let received = client.health().traffic.bytes_received;
        assert_eq!(received < 10_000, enabled, "{received} bytes");
    }
    Ok(())
}

pub(super) async fn enable_backpressure() -> Outcome {
    for enabled in [true, false] {
        let descriptor = server().receive_queue_size(10).enable_backpressure(enabled);
        let server = greeting(descriptor).await?;
        let mut hand = Hand::client(pipe_to(&server, ROOMY)?).await?;
        // Enough to ask for a pause, not enough to stop reading.
        hand.send_many(9).await?;
        hand.ping().await?;
        assert_eq!(hand.has_seen(Kind::Pause), enabled);
    }
    Ok(())
}

/// How many of five calls are answered before one is told to come back later.
async fn answered(client: &ClientHandle) -> Result<usize, Box<dyn std::error::Error>> {
    for count in 0..5 {
        match client.call::<_, usize>("length", &("x".repeat(400),)).await {
            Ok(length) => assert_eq!(length, 400),
            Err(CallError::Failed(CallFailure::Remote(error))) => {
                assert_eq!(error.code, ErrorCode::RateLimited);
                return Ok(count);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(5)
}

pub(super) async fn rate_limit() -> Outcome {
    for (limit, expected) in [(2, 2), (3, 3), (0, 5)] {
        let server = start(server().rate_limit(limit)).await?;
        let client = piped(&server, client()).await?;
        assert_eq!(answered(&client).await?, expected);
        tokio::time::sleep(crate::support::secs(1)).await;
        assert_eq!(answered(&client).await?, expected, "the next second");
    }
    Ok(())
}

pub(super) async fn rate_limit_bytes() -> Outcome {
    for (limit, expected) in [(1000, 2), (2000, 4), (0, 5)] {
        let server = start(server().rate_limit_bytes(limit)).await?;
        let client = piped(&server, client()).await?;
        assert_eq!(answered(&client).await?, expected);
        tokio::time::sleep(crate::support::secs(1)).await;
        assert_eq!(answered(&client).await?, expected, "the next second");
    }
    Ok(())
}

pub(super) async fn memory_budget() -> Outcome {
    for (budget, shed) in [(1 << 20, 1), (16 << 20, 0), (0, 0)] {
        let server = start(server().memory_budget(budget)).await?;
        let _deaf = Hand::client(pipe_to(&server, 1024)?).await?;
        let peer = only_client(&server).await?;
        let large = "x".repeat(256 * 1024);
        for _ in 0..8 {
            let sent = peer.try_send("large", &large);
            assert!(sent.is_ok() || shed > 0, "{sent:?}");
            settle().await;
        }
        assert_eq!(server.stats().shed, shed, "{budget}");
        assert_eq!(peer.is_closed(), shed > 0);
    }
    Ok(())
}
