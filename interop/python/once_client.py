"""A client that makes a connection for each call. Arguments: the port, and `closes` if the server closes after its answer.

One JSON line for each step.
"""

from __future__ import annotations

import json
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

from once_common import PATIENCE, end_with_input, read_rest, read_text, show

TEXT = "zoë \u2028 日本語 🦀"
IDS = count(1)
PORT = int(sys.argv[1])
SERVER_CLOSES = sys.argv[2:] == ["closes"]


def connect() -> socket.socket:
    """A connection of its own."""
    return socket.create_connection(("127.0.0.1", PORT), PATIENCE)


def call(method: str, params: Any, in_pieces: int = 0) -> dict[str, Any]:
    """Result or error of a call, whose answer must have its id, and nothing after it."""
    number = next(IDS)
    request = {"jsonrpc": "2.0", "method": method, "params": params, "id": number}
    sent = json.dumps(request, ensure_ascii=not in_pieces).encode()
    with connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(sent), in_pieces or len(sent)):
            connection.sendall(sent[start : start + (in_pieces or len(sent))])
        answer = read_text(connection)
        rest = read_rest(connection) if SERVER_CLOSES else ""
    if answer["jsonrpc"] != "2.0" or type(answer["id"]) is not int or answer["id"] != number or rest.strip():
        raise AssertionError(f"{answer} and {rest!r} to number {number}")
    return {key: answer[key] for key in ("result", "error") if key in answer}


def broken(sent: bytes) -> Any:
    """What is answered to bytes that are no request."""
    with connect() as connection:
        connection.sendall(sent)
        answer = read_text(connection)
    return [answer["id"], answer["error"]["code"]]


def call_async(method: str, params: Any) -> None:
    """A notification, and gone."""
    with connect() as connection:
        connection.sendall(json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode())


def ping() -> None:
    """Whether somebody listens."""
    connect().close()


def main() -> None:
    """Goes through the steps."""
    ping()
    show(named=call("add", {"a": 10, "b": 20}))
    show(positional=call("add", [10, 20]))
    show(unknown=call("no.such", {}))
    show(invalid=call("add", {"a": "x", "b": 1}))
    show(raised=call("boom", {}))
    show(failed=call("fail", {"code": 4711, "message": "as asked: " + TEXT}))
    show(refused=call("refuse", {})["error"]["data"])
    show(broken=[broken(b'{"jsonrpc": "2.0", nonsense}'), broken(b'{"jsonrpc": "2.0", "id": null}')])
    show(text=call("echo", {"text": TEXT, TEXT: [1.5, None, True]}))
    show(pieces=call("echo", {"text": TEXT}, in_pieces=1))
    large = "ž" * 20_000
    show(large=call("echo", {"large": large}) == {"result": {"large": large}})
    call_async("heard", {"text": TEXT})
    show(notified=True)
    for _ in range(3):
        ping()
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda n: call("add", {"a": n, "b": n}), range(1000)))
    show(many=[n for n, answer in enumerate(answers) if answer != {"result": 2 * n}])
    show(done=True)
    end_with_input()


main()
