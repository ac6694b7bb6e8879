//! `cndt serve`.

use cndt_tokio::{JsonRpc, Listener, ServeError, Server, ServerDescriptor, SlowClient, Users};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::address::Address;
use crate::args::{DialectName, ServeArgs, SlowClientName};
use crate::exit::Failure;
use crate::handlers::Taken;
use crate::{builtin, handlers, out, password, secret, webhook};

pub(crate) async fn run(arguments: ServeArgs) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let [first, others @ ..] = arguments.bind.as_slice() else {
        return Err(Failure::Usage("--bind wants an address".into()));
    };
    let places = arguments.bind.iter().chain(&arguments.jsonrpc).chain(&arguments.webhook);
    places.clone().try_for_each(without_tls_scheme)?;
    let taken = Taken::new(&arguments.rpc, &arguments.on)?;
    let (host, port) = first.host_and_port();
    let accepts = |dialect| arguments.accept.contains(&dialect);
    let users = match &arguments.users {
        Some(path) => password::users(path)?,
        None => Users::new(),
    };
    // Users have passwords of their own; the other dialect knows one password and no users.
    let password = if users.is_empty() || accepts(DialectName::Netconduit) {
        secret::password(arguments.password_file.as_deref())?
    } else {
        String::new()
    };
    let (password, netconduit_password) =
        if users.is_empty() { (password.clone(), password) } else { (String::new(), password) };
    let descriptor = ServerDescriptor::new(password)
        .name(&*arguments.name)
        .version(arguments.server_version)
        .description(arguments.description)
        .shutdown_timeout(arguments.shutdown_timeout)
        .slow_client(match arguments.slow_client {
            SlowClientName::DropNewest => SlowClient::DropNewest,
            SlowClientName::DropOldest => SlowClient::DropOldest,
            SlowClientName::Disconnect => SlowClient::Disconnect,
        })
        .failed_logins_per_second_max(arguments.failed_logins_per_second_max)
        .host(host)
        .port(port)
        .ipv6_only(arguments.ipv6_only)
        .tls_certificate(arguments.tls_cert.unwrap_or_default())
        .tls_key(arguments.tls_key.unwrap_or_default())
        .tls_client_ca(arguments.tls_client_ca.unwrap_or_default())
        .accept_cndt(accepts(DialectName::Cndt))
        .accept_netconduit(accepts(DialectName::Netconduit))
        .netconduit_password(netconduit_password.into())
        .users(users)
        .password_iterations(arguments.password_iterations)
        .max_connections(arguments.max_connections)
        .auth_timeout(arguments.auth_timeout)
        .connection_timeout(arguments.connection_timeout)
        .heartbeat_interval(arguments.heartbeat_interval)
        .heartbeat_timeout(arguments.heartbeat_timeout)
        .max_message_size(arguments.max_message_size)
        .buffer_size(arguments.buffer_size)
        .send_queue_size(arguments.send_queue_size)
        .receive_queue_size(arguments.receive_queue_size)
        .rate_limit(arguments.rate_limit.unwrap_or_default())
        .rate_limit_bytes(arguments.rate_limit_bytes.unwrap_or_default())
        .idle_timeout(arguments.idle_timeout.unwrap_or_default())
        .half_open_max(arguments.half_open_max)
        .half_open_per_address_max(arguments.half_open_per_address_max)
        .failed_logins_max(arguments.failed_logins_max)
        .failed_login_interval(arguments.failed_login_interval)
        .limit_loopback(arguments.limit_loopback)
        .memory_budget(arguments.memory_budget)
        .enable_compression(arguments.compress)
        .enable_backpressure(!arguments.no_backpressure);
    let mut server = Server::new(descriptor);
    for address in others {
        server = server.listen(address.place.clone());
    }
    let mut settings = JsonRpc::new().trusted();
    if arguments.jsonrpc_one_answer {
        settings = settings.one_answer();
    }
    for address in &arguments.jsonrpc {
        server = server.listen(Listener::from(address.place.clone()).jsonrpc(settings.clone()));
    }
    if !arguments.webhook.is_empty() {
        let settings = webhook::settings(&arguments.webhook_keys)?;
        for address in &arguments.webhook {
            let listener = Listener::from(address.place.clone());
            server = server.listen(listener.webhooks(settings.clone()));
        }
    }
    if !arguments.no_demo {
        server = builtin::install(server, &taken);
    }
    let shell = arguments.commands.shell();
    server = handlers::install(server, &shell, arguments.rpc, arguments.on);
    let server = server.start().await.map_err(failure)?;
    for address in server.local_addresses() {
        out::line(&address.to_string())?;
    }
    signals.or(server.stopped()).await;
    server.stop().await;
    Ok(())
}

/// What asks a server to stop.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// To be called before anything is served, so that no signal falls between.
    pub(crate) fn new() -> Result<Self, Failure> {
        let cannot = |error| Failure::Failed(format!("cannot listen for signals: {error}"));
        let interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
        let terminate = signal(SignalKind::terminate()).map_err(cannot)?;
        Ok(Self { interrupt, terminate })
    }

    /// Waits for one of them, or for `other`.
    pub(crate) async fn or(&mut self, other: impl Future<Output = ()>) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = other => {}
        }
    }
}

/// TLS is a matter of certificates here, not of schemes.
pub(crate) fn without_tls_scheme(address: &Address) -> Result<(), Failure> {
    if address.tls {
        let words = format!("{address}: name --tls-cert and --tls-key instead of the scheme");
        return Err(Failure::Usage(words));
    }
    Ok(())
}

pub(crate) fn failure(error: ServeError) -> Failure {
    match error {
        ServeError::Config(wrong) => Failure::Usage(wrong.to_string()),
        // The command's own handlers fit together; what does not, its user has asked for.
        ServeError::Router(wrong) => Failure::Usage(wrong.to_string()),
        other => Failure::Connection(other.to_string()),
    }
}
