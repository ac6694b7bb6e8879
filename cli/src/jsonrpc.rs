//! `cndt jsonrpc`.

use std::io::{self, IsTerminal};
use std::time::Duration;

use cndt_tokio::core::jsonrpc::{error_number, to_msgpack};
use cndt_tokio::{
    CallError, CallFailure, Client, ClientDescriptor, ClientProtocol, ErrorCode, Framing, RpcError,
};
use serde_json::Value;

use crate::args::{FramingName, JsonRpcCallArgs};
use crate::exit::Failure;
use crate::json::{self, Style};
use crate::{out, params};

pub(crate) async fn call(arguments: JsonRpcCallArgs) -> Result<(), Failure> {
    let params = params::payload(&arguments.body)?;
    let framing = match arguments.framing {
        FramingName::Newline => Framing::Newline,
        FramingName::Bare => Framing::Bare,
        FramingName::ContentLength => Framing::ContentLength,
    };
    let (host, port) = arguments.address.host_and_port();
    let descriptor = ClientDescriptor::jsonrpc(host, port)
        .protocol(ClientProtocol::JsonRpc(framing))
        .connect_timeout(arguments.timeout.min(Duration::from_secs(10)))
        .rpc_timeout(arguments.timeout)
        .send_timeout(arguments.timeout)
        .reconnect_enabled(false);
    let client = Client::new(arguments.tls.apply(arguments.address.tls, descriptor));
    if arguments.notify {
        let client = client.connect().await?;
        client.send(&arguments.method, &params).await?;
        client.disconnect().await;
        return Ok(());
    }
    let client = client.connect().await?;
    let reply =
        client.call::<_, Value>(&arguments.method, &params).raw().await.map_err(numbered)?;
    let style = if io::stdout().is_terminal() { Style::Pretty } else { Style::Compact };
    let unreadable = |error: &dyn std::fmt::Display| {
        Failure::Connection(format!("the result cannot be read: {error}"))
    };
    let result = to_msgpack(&reply.data).map_err(|error| unreadable(&error))?;
    out::line(&json::from_msgpack(&result, style).map_err(|error| unreadable(&error))?)?;
    client.disconnect().await;
    Ok(())
}

/// Errors are shown by the numbers that stand on the wire.
fn numbered(error: CallError) -> CallError {
    match error {
        CallError::Failed(CallFailure::Remote(error)) => {
            let code = ErrorCode::Other(error_number(error.code));
            CallError::Failed(CallFailure::Remote(RpcError { code, ..error }))
        }
        other => other,
    }
}
