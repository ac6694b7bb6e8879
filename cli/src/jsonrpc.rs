//! `cndt jsonrpc`.

use std::io::{self, IsTerminal};
use std::time::Duration;

use cndt_tokio::core::jsonrpc::{error_number, to_msgpack};
use cndt_tokio::{
    CallError, CallFailure, Client, ClientDescriptor, ClientProtocol, ErrorCode, Framing, RpcError,
};
use serde_json::Value;

use crate::address::Address;
use crate::advice::{self, Wanted};
use crate::args::{FramingName, JsonRpcCallArgs, TlsArgs};
use crate::exit::Failure;
use crate::json::{self, Style};
use crate::{out, params};

pub(crate) async fn call(arguments: JsonRpcCallArgs) -> Result<(), Failure> {
    let params = params::payload(&arguments.body)?;
    let JsonRpcCallArgs { address, framing, timeout, tls, .. } = &arguments;
    let client = Client::new(descriptor(address, *framing, *timeout, tls));
    let client = advice::connect(client, address, Wanted::JsonRpc).await?;
    if arguments.notify {
        client.send(&arguments.method, &params).await?;
        client.disconnect().await;
        return Ok(());
    }
    let reply = match client.call::<_, Value>(&arguments.method, &params).raw().await {
        Ok(reply) => reply,
        Err(error @ CallError::Failed(CallFailure::ConnectionLost { .. })) => {
            let reason = client.closed().await;
            return Err(advice::lost(&format!("{error}: {reason}"), address, Wanted::JsonRpc).await);
        }
        Err(error) => return Err(numbered(error).into()),
    };
    let style = if io::stdout().is_terminal() { Style::Pretty } else { Style::Compact };
    let unreadable = |error: &dyn std::fmt::Display| {
        Failure::Connection(format!("the result cannot be read: {error}"))
    };
    let result = to_msgpack(&reply.data).map_err(|error| unreadable(&error))?;
    out::line(&json::from_msgpack(&result, style).map_err(|error| unreadable(&error))?)?;
    client.disconnect().await;
    Ok(())
}

/// Whom to talk to.
pub(crate) fn descriptor(
    address: &Address,
    framing: FramingName,
    timeout: Duration,
    tls: &TlsArgs,
) -> ClientDescriptor {
    let framing = match framing {
        FramingName::Newline => Framing::Newline,
        FramingName::Bare => Framing::Bare,
        FramingName::ContentLength => Framing::ContentLength,
    };
    let (host, port) = address.host_and_port();
    let descriptor = ClientDescriptor::jsonrpc(host, port)
        .protocol(ClientProtocol::JsonRpc(framing))
        .connect_timeout(timeout.min(Duration::from_secs(10)))
        .rpc_timeout(timeout)
        .send_timeout(timeout)
        .reconnect_enabled(false);
    tls.apply(address.tls, descriptor)
}

/// Errors are shown by the numbers that stand on the wire.
pub(crate) fn numbered(error: CallError) -> CallError {
    match error {
        CallError::Failed(CallFailure::Remote(error)) => {
            let code = ErrorCode::Other(error_number(error.code));
            CallError::Failed(CallFailure::Remote(RpcError { code, ..error }))
        }
        other => other,
    }
}
