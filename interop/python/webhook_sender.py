"""A sender that signs with a library. Arguments: the port, the library, and its secret.

It knows nothing of the receiver but its address: HTTP by the standard library. One JSON line for each step, with what was
answered as [status, body], and `{"done": true}` last.
"""

from __future__ import annotations

import http.client
import json
import socket
import sys
import time
from collections.abc import Iterator
from itertools import count
from typing import Any

from webhook_common import signed
from webhook_lines import TEXT, end_with_input, show

PORT, LIBRARY, SECRET = int(sys.argv[1]), sys.argv[2], sys.argv[3]
OTHER_SECRET = "whsec_" + "b3RoZXIg" * 4
NUMBERS = count(1)
LIMIT = 1024 * 1024
PATIENCE = 100
Answer = tuple[int, Any]


def connect() -> http.client.HTTPConnection:
    """A connection that stays as long as the receiver lets it."""
    return http.client.HTTPConnection("127.0.0.1", PORT, timeout=PATIENCE)


def headers_for(body: bytes, secret: str = SECRET, age: int = 0) -> dict[str, str]:
    """Those of a new delivery."""
    number = f"evt_{next(NUMBERS)}"
    return {"Content-Type": "application/json"} | signed(LIBRARY, secret, number, int(time.time()) - age, body)


def answer_on(connection: http.client.HTTPConnection) -> Answer:
    """The answer, which must be the JSON that it says it is."""
    response = connection.getresponse()
    body = response.read()
    if response.getheader("Content-Type") != "application/json":
        raise AssertionError(f"{response.getheader('Content-Type')}: {body!r}")
    return response.status, json.loads(body)


def post(body: bytes, headers: dict[str, str] | None = None, path: str = "/echo") -> Answer:
    """One delivery on a connection of its own."""
    connection = connect()
    try:
        connection.request("POST", path, body, headers if headers is not None else headers_for(body))
        return answer_on(connection)
    finally:
        connection.close()


def bytes_of(value: Any) -> bytes:
    """JSON that is not escaped."""
    return json.dumps(value, ensure_ascii=False).encode()


def payload_of(size: int) -> bytes:
    """A payload of so many bytes, of characters that have two; each is another one."""
    body = bytes_of({"number": next(NUMBERS), "text": "ž" * ((size - 40) // 2)})
    return body + b" " * (size - len(body))


def in_chunks(body: bytes) -> Iterator[bytes]:
    """Pieces of 1, 2, 3, … bytes: characters are cut in two."""
    start = 0
    for size in count(1):
        if start >= len(body):
            return
        yield body[start : start + size]
        start += size


def after_continue(body: bytes, headers: dict[str, str]) -> tuple[str, Answer]:
    """What is said before the body is sent, which is only if it is asked for, and after."""
    connection = connect()
    connection.putrequest("POST", "/size")
    for name, value in (headers | {"Content-Length": str(len(body)), "Expect": "100-continue"}).items():
        connection.putheader(name, value)
    connection.endheaders()
    # Only looked at: the connection reads past a "100 Continue" by itself.
    said = b""
    while b"\r\n" not in said:
        said = connection.sock.recv(64, socket.MSG_PEEK)
    line = said.split(b"\r\n")[0].decode()
    if line.split()[1] == "100":
        connection.send(body)
    return line, answer_on(connection)


def refusals() -> None:
    """What must not get in."""
    body = bytes_of({"text": TEXT})
    changed = bytes_of({"text": TEXT + "!"})
    show(changed=post(changed, headers_for(body)))
    show(wrong_secret=post(body, headers_for(body, OTHER_SECRET)))
    show(unsigned=post(body, {"Content-Type": "application/json"}))
    show(old=post(body, headers_for(body, age=310)), ahead=post(body, headers_for(body, age=-320)))
    show(invalid=[post(broken)[0] for broken in (b"", b"{", b"{} {}", b'"\x00"')])
    show(unknown=post(body, path="/no/such/path")[0])


def large_bodies() -> None:
    """Bodies near the limit and above it."""
    show(large=[post(payload_of(size), path="/size") for size in (LIMIT - 1, LIMIT)])
    for size in (LIMIT, LIMIT + 1):
        body = payload_of(size)
        show(expects=size, said=after_continue(body, headers_for(body)))
    body = payload_of(LIMIT)
    stranger = headers_for(body, OTHER_SECRET)
    show(stranger=after_continue(body, stranger))


def main() -> None:
    """Goes through the steps."""
    body = bytes_of({"text": TEXT, TEXT: [1.5, None, True]})
    delivery = headers_for(body)
    show(accepted=post(body, delivery))
    show(again=post(body, delivery))
    show(escaped=post(json.dumps({"text": TEXT}).encode()))
    show(spaced=post(b' \t{"text":\r\n1}\n'))
    refusals()
    large_bodies()
    chunked = payload_of(50_000)
    connection = connect()
    connection.request("POST", "/size", in_chunks(chunked), headers_for(chunked), encode_chunked=True)
    show(chunked=answer_on(connection))
    opened = connection.sock
    kept = []
    for n in range(50):
        body = bytes_of({"n": n})
        connection.request("POST", "/echo", body, headers_for(body))
        status, said = answer_on(connection)
        if status != 200 or said["result"]["payload"] != {"n": n}:
            kept.append((status, said))
    show(kept=kept, same=opened is not None and connection.sock is opened)
    show(failed=post(b"{}", path="/fails"), refused=post(b"{}", path="/busy"))
    show(done=True)
    end_with_input()


main()
