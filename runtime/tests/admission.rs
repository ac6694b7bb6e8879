//! Strangers, over real sockets: the silent, the many, the wrong and the greedy.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use cndt_tokio::{
    Client, ClientDescriptor, ClientHandle, ConnectError, Server, ServerDescriptor, ServerHandle,
    Stream,
};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

type Outcome = Result<(), Box<dyn std::error::Error>>;

const PATIENCE: Duration = Duration::from_secs(20);

fn descriptor() -> ServerDescriptor {
    ServerDescriptor::new("secret")
        .host("127.0.0.1")
        .port(0)
        .password_iterations(4096)
        .limit_loopback(true)
}

/// An address of this machine that is not the usual one.
fn local(number: u16) -> IpAddr {
    let [high, low] = number.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, 1, high, low))
}

async fn connect_from(from: IpAddr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(from, 0))?;
    socket.connect(to).await
}

async fn log_in(
    from: IpAddr,
    server: &ServerHandle,
    password: &str,
) -> Result<ClientHandle, Box<dyn std::error::Error>> {
    let stream = connect_from(from, server.address()).await?;
    let descriptor = ClientDescriptor::new("127.0.0.1", 1, password).password_iterations_min(4096);
    let client: Result<ClientHandle, ConnectError> = Client::over(Stream(stream), descriptor).await;
    Ok(client?)
}

/// Whether the server has closed this.
async fn is_closed(stream: &mut TcpStream) -> bool {
    matches!(timeout(PATIENCE, stream.read(&mut [0; 64])).await, Ok(Ok(0) | Err(_)))
}

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) -> Outcome {
    for _ in 0..400 {
        if holds() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err(format!("never: {what}").into())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_silent_sockets_keep_nobody_out() -> Outcome {
    // Both ends are in this process, and evicted ones are closed at one end only.
    rlimit::increase_nofile_limit(8192)?;
    let server = Server::new(descriptor()).rpc("one", || async { 1 }).start().await?;
    let mut silent = Vec::new();
    for number in 0..2000 {
        silent.push(connect_from(local(number % 200), server.address()).await?);
    }
    eventually("all are taken", || {
        let stats = server.stats();
        stats.accepted + stats.refused == 2000
    })
    .await?;
    let client = timeout(PATIENCE, log_in(local(4000), &server, "secret")).await??;
    let one: i32 = client.call("one", &()).await?;
    assert_eq!(one, 1);
    let stats = server.stats();
    assert!(stats.evicted >= 2000 - 128, "{stats:?}");
    assert_eq!(stats.connections, 1);
    // The oldest had to go, the newest may still begin.
    assert!(is_closed(&mut silent[0]).await);
    server.stop().await;
    Ok(())
}

#[tokio::test]
async fn who_has_begun_to_log_in_is_not_evicted() -> Outcome {
    let server = Server::new(descriptor().half_open_max(3)).start().await?;
    let request = {
        use cndt_tokio::core::auth::{Credentials, Entropy, UserName};
        use cndt_tokio::core::connection::{Config, Connection};
        let mine = Credentials::new(UserName::default(), "secret")?;
        let config = Config::default();
        let client = Connection::client(cndt_tokio::Instant::ZERO, config, mine, Entropy([9; 64]))?;
        client.transmit().flatten().copied().collect::<Vec<u8>>()
    };
    let mut begun = Vec::new();
    for number in 0..3 {
        let mut stream = connect_from(local(number), server.address()).await?;
        tokio::io::AsyncWriteExt::write_all(&mut stream, &request).await?;
        // The challenge shows that the server has heard it.
        assert!(timeout(PATIENCE, stream.read(&mut [0; 512])).await?? > 32);
        begun.push(stream);
    }
    let mut late = connect_from(local(9), server.address()).await?;
    assert!(is_closed(&mut late).await, "there is nobody to evict");
    assert_eq!((server.stats().refused, server.stats().evicted), (1, 0));
    server.stop().await;
    Ok(())
}

#[tokio::test]
async fn one_address_has_its_share_of_strangers() -> Outcome {
    let server = Server::new(descriptor().half_open_per_address_max(4)).start().await?;
    let mut kept = Vec::new();
    for _ in 0..4 {
        kept.push(connect_from(local(1), server.address()).await?);
    }
    let mut fifth = connect_from(local(1), server.address()).await?;
    assert!(is_closed(&mut fifth).await);
    log_in(local(2), &server, "secret").await?;
    drop(kept);
    let mut back = Err("not yet".into());
    for _ in 0..100 {
        back = log_in(local(1), &server, "secret").await;
        if back.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    back?;
    server.stop().await;
    Ok(())
}

#[tokio::test]
async fn who_is_wrong_too_often_waits_and_nobody_else() -> Outcome {
    let descriptor = descriptor().failed_logins_max(2);
    let server =
        Server::new(descriptor.failed_login_interval(Duration::from_secs(600))).start().await?;
    for _ in 0..2 {
        assert!(log_in(local(1), &server, "guess").await.is_err());
    }
    eventually("both are counted", || server.stats().accepted == 2).await?;
    let mut refused = connect_from(local(1), server.address()).await?;
    assert!(is_closed(&mut refused).await, "before a byte is read");
    assert!(log_in(local(1), &server, "secret").await.is_err(), "not even the right one");
    log_in(local(2), &server, "secret").await?;
    assert!(server.stats().refused >= 2);
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_that_holds_most_memory_goes_first() -> Outcome {
    // Its own queue would take 8 MiB; all together have less.
    let server = Server::new(descriptor().memory_budget(4 << 20)).start().await?;
    let reader = log_in(local(1), &server, "secret").await?;
    let mut news = reader.messages();
    let deaf = log_in_and_stop_reading(&server).await?;
    eventually("both are there", || server.connection_count() == 2).await?;

    let large = "x".repeat(64 * 1024);
    for _ in 0..400 {
        server.broadcast("news", &large).send()?;
        timeout(PATIENCE, news.next()).await?.ok_or("the one that reads was cut off")?;
        if server.stats().shed > 0 {
            break;
        }
    }
    assert_eq!(server.stats().shed, 1);
    eventually("only the reader is left", || server.connection_count() == 1).await?;
    eventually("its memory is back", || server.stats().held_bytes < 1 << 20).await?;
    reader.ping().await?;
    drop(deaf);
    server.stop().await;
    Ok(())
}

/// Logs in by hand, and never reads again.
async fn log_in_and_stop_reading(
    server: &ServerHandle,
) -> Result<TcpStream, Box<dyn std::error::Error>> {
    use cndt_tokio::core::auth::{Credentials, Entropy, UserName};
    use cndt_tokio::core::connection::{Config, Connection, Event, PhaseName};
    use tokio::io::AsyncWriteExt;

    let mut stream = connect_from(local(2), server.address()).await?;
    let now = cndt_tokio::Instant::ZERO;
    let mut config = Config::default();
    config.limits.iterations_min = 4096;
    let mine = Credentials::new(UserName::default(), "secret")?;
    let mut client = Connection::client(now, config, mine, Entropy([9; 64]))?;
    let mut buffer = [0; 4096];
    while client.phase() == PhaseName::Handshake {
        let bytes: Vec<u8> = client.transmit().flatten().copied().collect();
        stream.write_all(&bytes).await?;
        client.advance_transmit(now, bytes.len());
        let read = timeout(PATIENCE, stream.read(&mut buffer)).await??;
        client.receive(now, &buffer[..read]);
        if let Some(Event::Derive(work)) = client.poll_event() {
            client.derived(now, work.run());
            let bytes: Vec<u8> = client.transmit().flatten().copied().collect();
            stream.write_all(&bytes).await?;
            client.advance_transmit(now, bytes.len());
            let read = timeout(PATIENCE, stream.read(&mut buffer)).await??;
            client.receive(now, &buffer[..read]);
        }
    }
    Ok(stream)
}

#[tokio::test]
async fn silence_ends_in_time() -> Outcome {
    let server = Server::new(descriptor().auth_timeout(Duration::from_secs(1))).start().await?;
    let mut silent = connect_from(local(1), server.address()).await?;
    assert!(is_closed(&mut silent).await);
    server.stop().await;
    Ok(())
}
