"""A receiver of the scheme hex, as programs have it that know no other: on the standard library alone. Argument: the secret.

It takes the signature with `sha256=` before it and without. Routes are exact, or have one `*`. It speaks HTTP/1.0, as its
server class does unless told, so each connection has one request. It says its port, then what it handled or refused.
"""

from __future__ import annotations

import hashlib
import hmac
import http.server
import json
import sys
import threading
from collections.abc import Callable
from typing import Any

from webhook_lines import end_with_input, show

SECRET = sys.argv[1].encode()
CALLS: dict[str, int] = {}


def boom(_: Any) -> Any:
    """A handler with a bug."""
    raise RuntimeError("boom zoë")


def flaky(payload: Any) -> Any:
    """It fails twice, then it does not."""
    CALLS["flaky"] = CALLS.get("flaky", 0) + 1
    return boom(payload) if CALLS["flaky"] <= 2 else CALLS["flaky"]


ROUTES: dict[str, Callable[[Any], Any]] = {
    "/echo": lambda payload: payload,
    "/nothing": lambda _: None,
    "/boom": boom,
    "/flaky": flaky,
    "/alerts/*": lambda payload: {"alert": payload},
}


def handler_of(path: str) -> Callable[[Any], Any]:
    """An exact path goes first; an unknown one is answered with no result."""
    if path in ROUTES:
        return ROUTES[path]
    for route, handler in ROUTES.items():
        before, star, after = route.partition("*")
        if star and path.startswith(before) and path.endswith(after):
            return handler
    return lambda _: None


class Receiver(http.server.BaseHTTPRequestHandler):
    """One request."""

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing beside what is asked for."""

    def do_GET(self) -> None:
        """Whether it is well."""
        if self.path == "/health":
            return self.answer(200, {"status": "healthy", "service": "webhook-server"})
        self.answer(404, {"error": "Not found"})

    def do_POST(self) -> None:
        """The signature first, then the JSON, then the handler."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        signature = self.headers.get("X-Webhook-Signature", "").removeprefix("sha256=")
        expected = hmac.new(SECRET, body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(signature, expected):
            show(refused=self.path)
            return self.answer(401, {"error": "Invalid signature"})
        try:
            payload = json.loads(body)
        except ValueError:
            return self.answer(400, {"error": "Invalid JSON"})
        show(path=self.path, payload=payload, custom=self.headers.get("X-Custom"))
        try:
            result = handler_of(self.path)(payload)
        except Exception as error:
            return self.answer(500, {"status": "error", "message": str(error)})
        self.answer(200, {"status": "success", "message": "Webhook received", "result": result})

    def answer(self, status: int, said: Any) -> None:
        """As JSON, until the connection ends."""
        text = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(text)


def main() -> None:
    """Serves until the input ends."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    show(port=server.server_address[1])
    threading.Thread(target=server.serve_forever, daemon=True).start()
    end_with_input()


main()
