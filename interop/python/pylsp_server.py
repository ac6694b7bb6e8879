"""A pylsp_jsonrpc server for our client. It says its port, then what it was notified of."""

from __future__ import annotations

import socket
import threading
from typing import Any

from pylsp_common import PATIENCE, end_with_input, open_endpoint, show
from pylsp_jsonrpc.exceptions import JsonRpcException, JsonRpcInvalidParams


def add(params: Any) -> Any:
    """The sum of two numbers, by place or by name."""
    try:
        a, b = params if isinstance(params, list) else (params["a"], params["b"])
    except (KeyError, TypeError, ValueError) as error:
        raise JsonRpcInvalidParams("add takes a and b") from error
    return a + b


def boom(_: Any) -> Any:
    """A handler with a bug."""
    raise RuntimeError("boom")


def fail(params: Any) -> Any:
    """The error that was asked for."""
    raise JsonRpcException(params["message"], params["code"], {"asked": True})


def serve(connection: socket.socket) -> None:
    """One connection."""

    def note(params: Any) -> None:
        show(note=params)
        endpoint.notify("noted", params)

    def ask(params: Any) -> Any:
        return lambda: {"said": endpoint.request("answer", params).result(PATIENCE)}

    def ask_unknown(_: Any) -> Any:
        def ask_it() -> Any:
            try:
                return endpoint.request("no.such", [1]).result(PATIENCE)
            except JsonRpcException as error:
                return error.to_dict()

        return ask_it

    def cancel(params: Any) -> Any:
        endpoint.notify("$/cancelRequest", params)
        return True

    endpoint = open_endpoint(
        connection,
        {
            "add": add,
            "boom": boom,
            "fail": fail,
            "echo": lambda params: params,
            "note": note,
            "ask": ask,
            "ask_unknown": ask_unknown,
            "cancel": cancel,
        },
    )


def accept(listener: socket.socket) -> None:
    """All connections that come."""
    while True:
        serve(listener.accept()[0])


def main() -> None:
    """Serves until the input ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    show(port=listener.getsockname()[1])
    threading.Thread(target=accept, args=(listener,), daemon=True).start()
    end_with_input()


main()
