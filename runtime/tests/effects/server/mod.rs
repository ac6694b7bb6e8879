mod access;
mod patience;
mod place;
mod queues;
mod strangers;

use cndt_tokio::ServerDescriptor;

crate::effects! { ServerDescriptor:
    paused access {
        password name version description users password_iterations accept_cndt accept_netconduit
        netconduit_password
    }
    live place { host port ipv6 ipv6_only tls_certificate tls_key tls_client_ca }
    paused patience {
        connection_timeout auth_timeout heartbeat_interval heartbeat_timeout shutdown_timeout
        idle_timeout
    }
    paused queues {
        max_connections max_message_size buffer_size send_queue_size receive_queue_size slow_client
        enable_compression enable_backpressure rate_limit rate_limit_bytes memory_budget
    }
    paused strangers {
        half_open_max half_open_per_address_max failed_logins_max failed_login_interval
        failed_logins_per_second_max limit_loopback
    }
}
