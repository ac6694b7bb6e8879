//! Descriptors, routers and errors before anything is connected.

use std::time::Duration;

use cndt_tokio::{
    Client, ClientDescriptor, ConnectErrorKind, Dialect, Router, RouterError, ServeError, Server,
    ServerDescriptor, State, UserName, Users,
};

fn server() -> ServerDescriptor {
    ServerDescriptor::new("secret").host("127.0.0.1").port(0)
}

const RECORD: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
    WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

fn users() -> Users {
    Users::new().with(UserName::default(), RECORD.parse().expect("a record"))
}

#[test]
fn users_are_read_from_a_file_and_do_not_show_their_records() {
    let read = serde_json::from_str::<ServerDescriptor>;
    let file = format!(r#"{{"users": {{"ann": "{RECORD}"}}}}"#);
    let server = read(&file).expect("a good file");
    assert_eq!(server.validate(), Ok(()));
    assert_eq!(server.users.names().map(UserName::as_str).collect::<Vec<_>>(), ["ann"]);
    let shown = format!("{server:?}");
    assert!(shown.contains("ann") && !shown.contains("WG5d"), "{shown}");
    let broken = file.replace("4096:", "1:");
    let error = read(&broken).expect_err("too few iterations").to_string();
    assert!(error.contains("\"ann\": iterations are 4096 to 2000000, not 1"), "{error}");
}

#[test]
fn defaults_are_those_of_the_documents() {
    let server = ServerDescriptor::new("secret");
    assert_eq!(
        (&*server.name, &*server.version, &*server.host),
        ("conduit_server", "1.0.0", "0.0.0.0")
    );
    assert_eq!((server.port, server.ipv6, server.max_connections), (8080, false, 100));
    assert_eq!((server.buffer_size, server.max_message_size), (65_536, 10 * 1024 * 1024));
    assert_eq!(server.connection_timeout, Duration::from_secs(30));
    assert_eq!(server.auth_timeout, Duration::from_secs(10));
    assert_eq!(server.heartbeat_interval, Duration::from_secs(30));
    assert_eq!(server.heartbeat_timeout, Duration::from_secs(90));
    assert_eq!((server.send_queue_size, server.receive_queue_size), (1000, 1000));
    assert!(!server.enable_compression && server.enable_backpressure && !server.accept_netconduit);

    let client = ClientDescriptor::new("localhost", 8080, "secret");
    assert_eq!((&*client.name, client.dialect), ("conduit_client", Dialect::Cndt));
    assert!(client.reconnect_enabled && client.reconnect_attempts == 5);
    assert_eq!(client.reconnect_delay, Duration::from_secs(2));
    assert_eq!(client.reconnect_delay_max, Duration::from_secs(60));
    assert_eq!(client.rpc_timeout, Duration::from_secs(30));
    assert_eq!(
        (client.connect_timeout, client.send_timeout),
        (Duration::from_secs(10), Duration::from_secs(10))
    );
}

#[test]
fn wrong_settings_are_named() {
    let cases = [
        (ServerDescriptor::new(""), "password"),
        (server().password_iterations(1), "password_iterations"),
        (server().users(users()), "users"),
        (server().max_connections(0), "max_connections"),
        (server().max_message_size(10), "max_message_size"),
        (server().heartbeat_timeout(Duration::from_secs(30)), "heartbeat_timeout"),
        (server().name("n".repeat(513)), "name"),
        (server().accept_cndt(false), "accept_cndt"),
        (server().rate_limit_bytes(255), "rate_limit_bytes"),
        (server().half_open_max(0), "half_open_max"),
        (server().failed_logins_max(0), "failed_logins_max"),
        (server().failed_logins_per_second_max(0), "failed_logins_per_second_max"),
        (server().failed_login_interval(Duration::from_secs(200_001)), "failed_login_interval"),
    ];
    for (descriptor, field) in cases {
        let error = descriptor.validate().expect_err(field);
        assert_eq!(error.field, field, "{error}");
    }
    let client = || ClientDescriptor::new("h", 1, "p");
    let cases = [
        (ClientDescriptor::new("", 1, "p"), "server_host"),
        (ClientDescriptor::new("h", 0, "p"), "server_port"),
        (client().reconnect_delay_max(Duration::from_secs(1)), "reconnect_delay_max"),
        (client().reconnect_delay_multiplier(f64::NAN), "reconnect_delay_multiplier"),
        (client().user("zoë"), "user"),
        (client().password_iterations_min(3), "password_iterations_min"),
    ];
    for (descriptor, field) in cases {
        let error = descriptor.validate().expect_err(field);
        assert_eq!(error.field, field, "{error}");
    }
    assert_eq!(client().validate(), Ok(()));
}

#[test]
fn files_are_read_strictly() {
    let read = serde_json::from_str::<ClientDescriptor>;
    let client = read(
        r#"{"server_host": "h", "server_port": 1, "password": "p", "dialect": "netconduit",
            "rpc_timeout": 0.5, "reconnect_attempts": 0}"#,
    )
    .expect("a good file");
    assert_eq!(
        (client.dialect, client.rpc_timeout),
        (Dialect::Netconduit, Duration::from_millis(500))
    );
    for (file, words) in [
        (r#"{"rpc_time": 1}"#, "unknown field `rpc_time`"),
        (r#"{"rpc_timeout": -1}"#, "a duration is a number of seconds"),
        (r#"{"dialect": "latin"}"#, "`cndt` or `netconduit`"),
    ] {
        let error = read(file).expect_err(file).to_string();
        assert!(error.contains(words), "{error}");
    }
    // What is missing is found before anything is done with it.
    assert!(read("{}").expect("defaults").validate().is_err());
}

#[test]
fn secrets_stay_secret() {
    let shown = format!("{:?} {:?}", server(), ClientDescriptor::new("h", 1, "secret"));
    assert!(!shown.contains("secret"), "{shown}");
    assert!(shown.contains("Password(..)"));
}

#[tokio::test]
async fn routers_are_checked_before_anything_is_served() {
    async fn wants(State(_): State<u64>) {}
    let missing = Server::new(server()).rpc("wants", wants).start().await;
    match missing {
        Err(ServeError::Router(RouterError::MissingState { handler, type_name })) => {
            assert_eq!((&*handler, type_name), ("wants", "u64"));
        }
        other => panic!("{other:?}"),
    }
    let twice = Router::new().rpc("twice", || async {}).rpc("twice", || async {});
    let descriptor = ClientDescriptor::new("127.0.0.1", 1, "p");
    let error = Client::new(descriptor).router(twice).connect().await.expect_err("two handlers");
    assert!(
        matches!(error.kind, ConnectErrorKind::Router(RouterError::Duplicate { .. })),
        "{error}"
    );
    let provided = Server::new(server()).rpc("wants", wants).state(7_u64).start().await;
    provided.expect("a good router").stop().await;
}

#[tokio::test]
async fn an_address_in_use_is_told() {
    let first = Server::new(server()).start().await.expect("a free port");
    let port = first.address().port();
    let error = Server::new(server().port(port)).start().await.expect_err("the port is taken");
    let words = error.to_string();
    assert!(words.contains(&port.to_string()) && words.contains("another server"), "{words}");
    first.stop().await;
    Server::new(server().port(port)).start().await.expect("the port is free again").stop().await;
}
