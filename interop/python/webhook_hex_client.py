"""A client of the scheme hex, as programs have it that know no other: on the standard library alone. Arguments: the port,
and the secret.

It tries three times with a second between, whatever the answer is but success, and reads a receiver's envelope. One JSON
line for each step, and `{"done": true}` last.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from webhook_lines import TEXT, end_with_input, show

TRIES = 3
PAUSE = 1.0


class NotSent(Exception):
    """No try was answered with success."""


class Sender:
    """Sends to one receiver."""

    def __init__(self, url: str, secret: str | None, tries: int = TRIES) -> None:
        self._url, self._secret, self._tries = url, secret, tries

    def _once(self, path: str, body: bytes, headers: dict[str, str]) -> Any:
        request = urllib.request.Request(self._url + path, body, headers, method="POST")
        with urllib.request.urlopen(request, timeout=10) as response:
            said = json.loads(response.read().decode("utf-8"))
        if response.status != 200 or said["status"] != "success" or said["message"] != "Webhook received":
            raise NotSent(f"{response.status} {said}")
        return said["result"]

    def send(self, path: str, data: Any, headers: dict[str, str] | None = None) -> Any:
        """The handler's result."""
        body = json.dumps(data).encode("utf-8")
        whole = {"Content-Type": "application/json"} | (headers or {})
        if self._secret is not None:
            signature = hmac.new(self._secret.encode("utf-8"), body, hashlib.sha256).hexdigest()
            whole["X-Webhook-Signature"] = signature
        last = ""
        for n in range(self._tries):
            if n:
                time.sleep(PAUSE)
            try:
                return self._once(path, body, whole)
            except urllib.error.HTTPError as error:
                # What is no JSON object with words would be a bug of the receiver.
                said = json.loads(error.read())
                last = f"{error.code} {said['status']}: {said['message']}"
            except urllib.error.URLError as error:
                last = str(error.reason)
        raise NotSent(last)

    def send_batch(self, deliveries: list[tuple[str, Any]], parallel: bool) -> list[Any]:
        """Results in order; a failure is `{"error": …}`."""

        def one(delivery: tuple[str, Any]) -> Any:
            try:
                return self.send(*delivery)
            except NotSent as error:
                return {"error": str(error)}

        with ThreadPoolExecutor(20 if parallel else 1) as pool:
            return list(pool.map(one, deliveries))

    def test_connection(self) -> bool:
        """Whether the receiver says that it is well."""
        with urllib.request.urlopen(self._url + "/health", timeout=10) as response:
            said = json.loads(response.read())
        return response.status == 200 and said == {"status": "healthy", "service": "webhook-server"}


def outcome(sender: Sender, path: str, data: Any) -> Any:
    """The result, or why there is none."""
    try:
        return {"result": sender.send(path, data)}
    except NotSent as error:
        return {"error": str(error)}


def main() -> None:
    """Goes through the steps."""
    url, secret = f"http://127.0.0.1:{int(sys.argv[1])}", sys.argv[2]
    sender, once = Sender(url, secret), Sender(url, secret, tries=1)
    show(healthy=sender.test_connection())
    show(sent=sender.send("/echo", {"text": TEXT, TEXT: [1.5, None, True]}))
    show(custom=sender.send("/header", {}, {"X-Custom": "value"}))
    show(nothing=sender.send("/nothing", [1]))
    show(wildcard=[sender.send(path, {}) for path in ("/alerts/fire/7", "/alerts/exact")])
    show(flaky=outcome(sender, "/flaky", {}))
    begun = time.monotonic()
    show(stranger=outcome(Sender(url, "another secret"), "/echo", {}), waited=time.monotonic() - begun >= 2 * PAUSE)
    show(unsigned=outcome(Sender(url, None, tries=1), "/echo", {}))
    show(failed=outcome(once, "/fails", {}), unknown=outcome(once, "/no/such/path", {}))
    batch = [("/fails" if n % 10 == 3 else "/echo", {"n": n}) for n in range(100)]
    show(in_turn=once.send_batch(batch, parallel=False))
    show(at_once=once.send_batch(batch, parallel=True))
    show(done=True)
    end_with_input()


main()
