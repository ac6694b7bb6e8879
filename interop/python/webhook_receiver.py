"""A receiver that verifies with a library. Arguments: the library, its secret, and answers to give first.

An answer to give first is a status, which is answered to a delivery that is right, or `close`: the connection ends with
no answer. It says its port, then a line for each request: `path`, `id`, `payload`, `bytes` of its body, `was` answered; or
`refused`, with the name of the library's exception, which is answered by 401. A payload of more than 10,000 bytes is null
there: who waits for the answer does not read what is printed meanwhile. The answer has it whole.
"""

from __future__ import annotations

import http.server
import json
import sys
import threading
from typing import Any

from webhook_common import verify
from webhook_lines import end_with_input, show

LIBRARY, SECRET = sys.argv[1], sys.argv[2]
FIRST = sys.argv[3:]
SHOWN_MAX = 10_000
ANSWERING = threading.Lock()


class Receiver(http.server.BaseHTTPRequestHandler):
    """Takes a delivery on any path."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing beside what is asked for."""

    def do_POST(self) -> None:
        """Reads, verifies, says and answers."""
        body = self.body()
        number = self.headers["webhook-id"] or self.headers["X-GitHub-Delivery"]
        what: dict[str, Any] = {"path": self.path, "id": number, "bytes": len(body)}
        try:
            payload = verify(LIBRARY, SECRET, dict(self.headers), body)
        except Exception as error:
            show(**what, refused=type(error).__name__)
            return self.answer(401, {"error": "Invalid signature"})
        with ANSWERING:
            first = FIRST.pop(0) if FIRST else "200"
        show(**what, payload=payload if len(body) <= SHOWN_MAX else None, was=first)
        if first == "close":
            self.close_connection = True
        else:
            self.answer(int(first), {"status": "success", "message": "Webhook received", "result": payload})

    def body(self) -> bytes:
        """The body, however long it says it is."""
        if self.headers["Transfer-Encoding"] != "chunked":
            return self.rfile.read(int(self.headers["Content-Length"]))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def answer(self, status: int, said: Any) -> None:
        """As JSON."""
        text = json.dumps(said, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


def main() -> None:
    """Serves until the input ends."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    show(port=server.server_address[1])
    threading.Thread(target=server.serve_forever, daemon=True).start()
    end_with_input()


main()
