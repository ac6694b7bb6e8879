"""A server that answers one request on each connection, notifications too, and closes.

It says its port, then for each connection what came: `request` and whether the bytes were all ASCII, or `unreadable`.
With an argument it writes its answers so many bytes at a time.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from typing import Any

from once_common import NotReadable, end_with_input, read_rest, read_text, show

AT_ONCE = int(sys.argv[1]) if sys.argv[1:] else 1 << 20


class Recorder:
    """A connection that keeps what was read."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.heard = b""

    def recv(self, size: int) -> bytes:
        """As the socket's."""
        piece = self._connection.recv(size)
        self.heard += piece
        return piece


def add(params: Any) -> Any:
    """The sum of two numbers, by place or by name."""
    return sum(params) if isinstance(params, list) else params["a"] + params["b"]


def boom(_: Any) -> Any:
    """A handler with a bug."""
    raise RuntimeError("boom zoë")


METHODS = {"add": add, "boom": boom, "echo": lambda params: params, "note": lambda _: None}


def answer_to(request: Any) -> dict[str, Any]:
    """The answer, whatever was asked."""
    number = request.get("id") if isinstance(request, dict) else None

    def error(code: int, message: str, **more: Any) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": message, **more}}

    if not isinstance(request, dict) or request.get("jsonrpc") != "2.0" or "method" not in request:
        return error(-32600, "Invalid Request")
    if request["method"] not in METHODS:
        return error(-32601, "Method not found")
    try:
        return {"jsonrpc": "2.0", "id": number, "result": METHODS[request["method"]](request.get("params", {}))}
    except Exception as failure:
        return error(-32603, "Internal error", data=str(failure))


def serve(connection: socket.socket) -> None:
    """One connection, one answer."""
    recorder = Recorder(connection)
    with connection:
        try:
            request = read_text(recorder)
            if request is None:
                return show(looked=True)
            answer = answer_to(request)
            show(request={key: request[key] for key in ("method", "params") if key in request}, ascii=recorder.heard.isascii())
        except NotReadable as error:
            answer = {"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "Parse error"}}
            show(unreadable=str(error))
        text = json.dumps(answer, ensure_ascii=False).encode()
        try:
            for start in range(0, len(text), AT_ONCE):
                connection.sendall(text[start : start + AT_ONCE])
            connection.shutdown(socket.SHUT_WR)
            if rest := read_rest(connection):
                show(rest=rest)
        except OSError:
            pass  # A peer that only notifies has left by now.


def accept(listener: socket.socket) -> None:
    """All connections that come."""
    while True:
        connection = listener.accept()[0]
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


def main() -> None:
    """Serves until the input ends."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    show(port=listener.getsockname()[1])
    threading.Thread(target=accept, args=(listener,), daemon=True).start()
    end_with_input()


main()
