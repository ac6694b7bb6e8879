mod access;
mod again;
mod comeback;
mod patience;
mod place;
mod queues;

use cndt_tokio::ClientDescriptor;

crate::effects! { ClientDescriptor:
    paused access { password name version description user dialect password_iterations_min }
    live place {
        protocol server_host server_port use_ipv6 tls tls_ca tls_certificate tls_key tls_server_name
        tls_channel_binding
    }
    paused patience {
        connect_timeout rpc_timeout send_timeout heartbeat_interval heartbeat_timeout
        shutdown_timeout
    }
    paused again { retry_count retry_delay retry_delay_max idempotent_methods }
    paused comeback {
        reconnect_enabled reconnect_attempts reconnect_delay reconnect_delay_max
        reconnect_delay_multiplier
    }
    paused queues {
        max_message_size buffer_size send_queue_size receive_queue_size enable_compression
        enable_backpressure
    }
}
