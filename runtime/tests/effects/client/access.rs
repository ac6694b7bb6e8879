//! How a client logs in, and what it tells about itself.

use cndt_tokio::core::connection::{LoginFault, Violation};
use cndt_tokio::core::message::auth::RefusalCode;
use cndt_tokio::{
    Client, ClientHandle, CloseReason, ConnectErrorKind, Dialect, Stream, UserName, Users,
};

use crate::support::{
    Outcome, PASSWORD, ROOMY, client, only_client, pipe_to, piped, refusal, server, start, verifier,
};

pub(super) async fn password() -> Outcome {
    let server = start(server()).await?;
    for (password, expected) in [(PASSWORD, None), ("another", Some(RefusalCode::AuthFailed))] {
        let mut client = client();
        client.password = password.into();
        assert_eq!(refusal(&piped(&server, client).await), expected);
    }
    Ok(())
}

pub(super) async fn name() -> Outcome {
    for name in ["one", "two"] {
        let server = start(server()).await?;
        let _client = piped(&server, client().name(name)).await?;
        assert_eq!(only_client(&server).await?.name(), name);
    }
    Ok(())
}

pub(super) async fn version() -> Outcome {
    for version in ["2.5", "3"] {
        let server = start(server()).await?;
        let _client = piped(&server, client().version(version)).await?;
        assert_eq!(only_client(&server).await?.version(), version);
    }
    Ok(())
}

/// For people: the program may show it to them, wherever it has the client at hand.
pub(super) async fn description() -> Outcome {
    for description in ["", "asks for the time"] {
        let server = start(server()).await?;
        let client = Client::new(client().description(description))
            .rpc(
                "about",
                |client: ClientHandle| async move { client.descriptor().description.clone() },
            )
            .connect_over(Stream(pipe_to(&server, ROOMY)?))
            .await?;
        let told: String = only_client(&server).await?.call("about", &()).await?;
        assert_eq!(told, description);
        drop(client);
    }
    Ok(())
}

pub(super) async fn user() -> Outcome {
    let users = Users::new().with("ann".parse()?, verifier(PASSWORD));
    for user in ["ann", "default"] {
        let server = start(server().users(users.clone())).await?;
        let _client = piped(&server, client().user(user)).await?;
        let seen = only_client(&server).await?.user();
        assert_eq!(seen.as_ref().map(UserName::as_str), Some(user));
    }
    Ok(())
}

pub(super) async fn dialect() -> Outcome {
    for dialect in [Dialect::Cndt, Dialect::Netconduit] {
        let server = start(server().accept_netconduit(true)).await?;
        let _client = piped(&server, client().dialect(dialect)).await?;
        assert_eq!(only_client(&server).await?.dialect(), Some(dialect));
    }
    Ok(())
}

pub(super) async fn password_iterations_min() -> Outcome {
    let server = start(server().password_iterations(5000)).await?;
    piped(&server, client().password_iterations_min(5000)).await?;
    let outcome = piped(&server, client().password_iterations_min(5001)).await;
    let kind = outcome.err().ok_or("too few iterations were enough")?.kind;
    let ConnectErrorKind::Closed {
        reason: CloseReason::Violation(Violation::Login { fault, .. }),
        ..
    } = kind
    else {
        return Err(kind.into());
    };
    let expected = matches!(fault, LoginFault::Iterations { iterations: 5000, min: 5001, .. });
    assert!(expected, "{fault}");
    Ok(())
}
