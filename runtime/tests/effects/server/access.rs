//! Who is let in, and what is told about the server.

use cndt_tokio::core::message::auth::RefusalCode;
use cndt_tokio::{Dialect, Peer, Server, Users};

use crate::support::{
    Hand, Outcome, PASSWORD, ROOMY, client, pipe_to, piped, refusal, server, start, verifier,
};

pub(super) async fn password() -> Outcome {
    for (password, expected) in [(PASSWORD, None), ("another", Some(RefusalCode::AuthFailed))] {
        let mut descriptor = server();
        descriptor.password = password.into();
        let server = start(descriptor).await?;
        let outcome = piped(&server, client()).await;
        assert_eq!(refusal(&outcome), expected);
    }
    Ok(())
}

pub(super) async fn name() -> Outcome {
    for name in ["one", "two"] {
        let server = start(server().name(name)).await?;
        let client = piped(&server, client()).await?;
        assert_eq!(client.server_info().ok_or("no server")?.peer_name, name);
    }
    Ok(())
}

pub(super) async fn version() -> Outcome {
    for version in ["2.5", "3"] {
        let server = start(server().version(version)).await?;
        let client = piped(&server, client()).await?;
        assert_eq!(client.server_info().ok_or("no server")?.peer_version, version);
    }
    Ok(())
}

/// For people: the program may show it to them, wherever it has the server at hand.
pub(super) async fn description() -> Outcome {
    for description in ["", "tells the time"] {
        let server = Server::new(server().description(description))
            .rpc("about", |peer: Peer| async move {
                peer.server().map(|server| server.descriptor().description.clone())
            })
            .start()
            .await?;
        let client = piped(&server, client()).await?;
        let told: Option<String> = client.call("about", &()).await?;
        assert_eq!(told.as_deref(), Some(description));
    }
    Ok(())
}

pub(super) async fn users() -> Outcome {
    let ann = Users::new().with("ann".parse()?, verifier("hers"));
    for (users, expected) in [(ann, None), (Users::new(), Some(RefusalCode::AuthFailed))] {
        let server = start(server().users(users)).await?;
        let mut client = client().user("ann");
        client.password = "hers".into();
        assert_eq!(refusal(&piped(&server, client).await), expected);
    }
    Ok(())
}

pub(super) async fn password_iterations() -> Outcome {
    for iterations in [4096, 5000] {
        let server = start(server().password_iterations(iterations)).await?;
        let hand = Hand::client(pipe_to(&server, ROOMY)?).await?;
        assert_eq!(hand.iterations, Some(iterations));
    }
    Ok(())
}

pub(super) async fn accept_cndt() -> Outcome {
    for (accept, expected) in [(true, None), (false, Some(RefusalCode::MechRequired))] {
        let server = start(server().accept_netconduit(true).accept_cndt(accept)).await?;
        assert_eq!(refusal(&piped(&server, client()).await), expected);
    }
    Ok(())
}

pub(super) async fn accept_netconduit() -> Outcome {
    for (accept, expected) in [(true, None), (false, Some(RefusalCode::MechRequired))] {
        let server = start(server().accept_netconduit(accept)).await?;
        let outcome = piped(&server, client().dialect(Dialect::Netconduit)).await;
        assert_eq!(refusal(&outcome), expected);
    }
    Ok(())
}

pub(super) async fn netconduit_password() -> Outcome {
    for (own, right, wrong) in [("", PASSWORD, "another"), ("another", "another", PASSWORD)] {
        let server = server().accept_netconduit(true).netconduit_password(own.into());
        let server = start(server).await?;
        for (password, expected) in [(right, None), (wrong, Some(RefusalCode::AuthFailed))] {
            let mut client = client().dialect(Dialect::Netconduit);
            client.password = password.into();
            assert_eq!(refusal(&piped(&server, client).await), expected, "{own:?}");
        }
        // Dialect `cndt` has its own password in either case.
        piped(&server, client()).await?;
    }
    Ok(())
}
