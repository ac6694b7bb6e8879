"""A pylsp_jsonrpc client of our server. One argument, the port; one JSON line for each step."""

from __future__ import annotations

import queue
import socket
import sys
from typing import Any

from pylsp_common import PATIENCE, end_with_input, open_endpoint, show
from pylsp_jsonrpc.exceptions import JsonRpcException

TEXT = "zoë \u2028 日本語 🦀"


def main() -> None:
    """Goes through the steps."""
    noted: queue.Queue[Any] = queue.Queue()
    dispatcher = {"noted": noted.put, "answer": lambda params: {"heard": params}}
    endpoint = open_endpoint(socket.create_connection(("127.0.0.1", int(sys.argv[1]))), dispatcher)

    def call(method: str, params: Any = None) -> Any:
        return endpoint.request(method, params).result(PATIENCE)

    def error(method: str, params: Any = None) -> dict[str, Any]:
        try:
            return {"result": call(method, params)}
        except JsonRpcException as failure:
            return failure.to_dict()

    show(positional=call("add", [10, 20]))
    show(named=call("add", {"a": 10, "b": 20}))
    show(unknown=error("no.such"))
    show(invalid=error("add", {"a": "x", "b": 1}))
    show(missing=error("add", [1]))
    show(raised=error("boom"))
    show(failed=error("fail", {"code": 4711, "message": "as asked: " + TEXT}))
    show(text=call("echo", {"text": TEXT, TEXT: [1.5, None, True]}))
    large = "ž" * 150_000
    show(large=call("echo", [large]) == [large])
    endpoint.notify("no.such.message", {"nobody": "listens"})
    endpoint.notify("note", {"text": TEXT})
    show(noted=noted.get(timeout=PATIENCE))
    show(asked=call("ask", {"text": TEXT}))
    show(asked=call("ask", [1, 2]))
    waiting = [endpoint.request("add", [n, n]) for n in range(1000)]
    show(pipelined=[n for n, future in enumerate(waiting) if future.result(PATIENCE) != 2 * n])
    cancelled = endpoint.request("sleep", {"ms": 1})
    endpoint.notify("$/cancelRequest", {"id": "nobody knows it"})
    show(cancelled=cancelled.result(PATIENCE), after=call("add", [1, 1]))
    show(done=True)
    end_with_input()


main()
