//! Who may begin to log in, and how often strangers may be wrong.

use std::net::{Ipv4Addr, SocketAddr};

use cndt_tokio::server::Refusal;
use cndt_tokio::{Client, ServeError, ServerHandle, Stream};
use tokio::io::DuplexStream;

use crate::support::{Outcome, ROOMY, client, pipe_to, secs, server, settle, start};

/// An address far away: no socket is needed to come from there.
fn far(last: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, last], 9))
}

/// Comes from there and says nothing yet.
fn arrive(server: &ServerHandle, from: SocketAddr) -> Result<DuplexStream, Refusal> {
    let (near, far) = tokio::io::duplex(ROOMY);
    match server.serve_stream(Stream(far), from) {
        Ok(()) => Ok(near),
        Err(ServeError::Refused(refusal)) => Err(refusal),
        Err(other) => panic!("{other}"),
    }
}

/// Comes from there with a wrong password.
async fn guess(server: &ServerHandle, from: SocketAddr) -> Result<(), Refusal> {
    let stream = arrive(server, from)?;
    let mut client = client();
    client.password = "a guess".into();
    assert!(Client::over(Stream(stream), client).await.is_err());
    settle().await;
    Ok(())
}

pub(super) async fn half_open_max() -> Outcome {
    for (max, evicted) in [(2, 2), (4, 0)] {
        let server = start(server().half_open_max(max)).await?;
        let mut silent = Vec::new();
        for _ in 0..4 {
            silent.push(pipe_to(&server, ROOMY)?);
        }
        assert_eq!(server.stats().evicted, evicted);
    }
    Ok(())
}

pub(super) async fn half_open_per_address_max() -> Outcome {
    for max in [1, 3] {
        let server = start(server().half_open_per_address_max(max)).await?;
        let mut silent = Vec::new();
        for _ in 0..max {
            silent.push(arrive(&server, far(1))?);
        }
        assert_eq!(arrive(&server, far(1)).err(), Some(Refusal::Address(max)));
        arrive(&server, far(2))?;
    }
    Ok(())
}

pub(super) async fn failed_logins_max() -> Outcome {
    for max in [1, 3] {
        let descriptor = server().failed_logins_max(max).failed_login_interval(secs(100_000));
        let server = start(descriptor).await?;
        for _ in 0..max {
            guess(&server, far(1)).await?;
        }
        let refused = arrive(&server, far(1)).err();
        assert!(matches!(refused, Some(Refusal::FailedLogins(_))), "{refused:?}");
        arrive(&server, far(2))?;
    }
    Ok(())
}

pub(super) async fn failed_login_interval() -> Outcome {
    for seconds in [10, 1000] {
        let descriptor = server().failed_logins_max(1).failed_login_interval(secs(seconds));
        let server = start(descriptor).await?;
        guess(&server, far(1)).await?;
        let Err(Refusal::FailedLogins(wait)) = arrive(&server, far(1)) else {
            return Err("it may go on at once".into());
        };
        assert!(wait <= secs(seconds) && wait > secs(seconds - 1), "{wait:?}");
        tokio::time::sleep(wait).await;
        arrive(&server, far(1))?;
    }
    Ok(())
}

pub(super) async fn failed_logins_per_second_max() -> Outcome {
    for (max, expected) in [(2, Some(Refusal::Overload)), (100, None)] {
        let server = start(server().failed_logins_per_second_max(max)).await?;
        let (one, two) = tokio::join!(guess(&server, far(1)), guess(&server, far(2)));
        one?;
        two?;
        assert_eq!(arrive(&server, far(1)).err(), expected);
        // Who was not wrong lately is let in even now.
        arrive(&server, far(3))?;
    }
    Ok(())
}

pub(super) async fn limit_loopback() -> Outcome {
    for limited in [false, true] {
        let descriptor = server().half_open_per_address_max(1).limit_loopback(limited);
        let server = start(descriptor).await?;
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
        let _first = arrive(&server, loopback)?;
        assert_eq!(arrive(&server, loopback).is_err(), limited);
    }
    Ok(())
}
