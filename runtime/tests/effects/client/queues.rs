//! How much a client takes, keeps and sends.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use cndt_tokio::core::connection::SendError;
use cndt_tokio::core::wire::Kind;
use cndt_tokio::{Client, ClientDescriptor, ClientHandle, Stream};
use tokio::io::DuplexStream;

use crate::support::{
    Hand, Outcome, ROOMY, Tap, client, hosted, only_client, piped, server, settle, start,
};

pub(super) async fn max_message_size() -> Outcome {
    for (max, fits) in [(2048, false), (20_000, true)] {
        let server = start(server()).await?;
        let _client = piped(&server, client().max_message_size(max)).await?;
        let sent = only_client(&server).await?.try_send("large", &"x".repeat(10_000));
        match sent {
            Ok(()) => assert!(fits),
            Err(SendError::TooLarge { max: told, .. }) => {
                assert!(!fits && told == max, "the server knows the client's limit");
            }
            Err(error) => panic!("{error}"),
        }
        // A server that does not care for the limit is left. (The frame means nothing: that alone
        // is forgiven.)
        let (client, mut hand) = hosted(client().max_message_size(max), ROOMY).await?;
        hand.send_unasked(10_000).await?;
        settle().await;
        assert_eq!(client.is_connected(), fits);
    }
    Ok(())
}

pub(super) async fn buffer_size() -> Outcome {
    for size in [1024, 10_000, 64 * 1024] {
        let (near, far) = tokio::io::duplex(1 << 20);
        let (near, largest) = Tap::new(near);
        let client = tokio::spawn(Client::over(Stream(near), client().buffer_size(size)));
        let mut hand = Hand::server(far).await?;
        let client = client.await??;
        for _ in 0..3 {
            hand.send_many(900).await?;
            settle().await;
        }
        assert_eq!(client.health().traffic.messages_received, 2700);
        // Reads of many frames do not grow.
        assert_eq!(largest.load(Ordering::Relaxed), size.min(16 * 1024));
        hand.send_large(1_000_000).await?;
        settle().await;
        assert_eq!(client.health().traffic.messages_received, 2701);
        // For a payload as large as this it may be more, where that is not less than usual.
        let most = if size < 64 * 1024 { size } else { 8 * size };
        assert_eq!(largest.load(Ordering::Relaxed), most);
    }
    Ok(())
}

pub(super) async fn send_queue_size() -> Outcome {
    for size in [3, 30] {
        let (client, _hand) = hosted(client().send_queue_size(size), ROOMY).await?;
        // Nothing is awaited, so nothing is sent meanwhile.
        let queued =
            (0..100).take_while(|number| client.try_send("number", number).is_ok()).count();
        assert_eq!(queued, size);
    }
    Ok(())
}

/// A client that greets its server for ever, so that what the server sends waits.
async fn greeting(
    descriptor: ClientDescriptor,
) -> Result<(ClientHandle, Hand<DuplexStream>), Box<dyn std::error::Error>> {
    let (near, far) = tokio::io::duplex(ROOMY);
    let found = Arc::new(OnceLock::new());
    let finder = Arc::clone(&found);
    let client = Client::new(descriptor).on_connect(move |client: ClientHandle| {
        let _ = finder.set(client);
        std::future::pending::<()>()
    });
    tokio::spawn(client.connect_over(Stream(near)));
    let hand = Hand::server(far).await?;
    settle().await;
    Ok((found.get().ok_or("no client")?.clone(), hand))
}

pub(super) async fn receive_queue_size() -> Outcome {
    for size in [10, 20] {
        let (client, mut hand) = greeting(client().receive_queue_size(size)).await?;
        hand.send_many(50).await?;
        settle().await;
        assert_eq!(client.health().traffic.messages_received, size as u64);
    }
    Ok(())
}

pub(super) async fn enable_compression() -> Outcome {
    // In dialect `cndt` it takes two.
    let server = start(server().enable_compression(true)).await?;
    for enabled in [true, false] {
        let client = piped(&server, client().enable_compression(enabled)).await?;
        let length: usize = client.call("length", &("x".repeat(100_000),)).await?;
        assert_eq!(length, 100_000);
        let sent = client.health().traffic.bytes_sent;
        assert_eq!(sent < 10_000, enabled, "{sent} bytes");
    }
    Ok(())
}

pub(super) async fn enable_backpressure() -> Outcome {
    for enabled in [true, false] {
        let descriptor = client().receive_queue_size(10).enable_backpressure(enabled);
        let (_client, mut hand) = greeting(descriptor).await?;
        // Enough to ask for a pause, not enough to stop reading.
        hand.send_many(9).await?;
        hand.ping().await?;
        assert_eq!(hand.has_seen(Kind::Pause), enabled);
    }
    Ok(())
}
