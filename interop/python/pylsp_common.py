"""What both pylsp_jsonrpc peers share: one connection with its reader, its writer and its endpoint."""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

from pylsp_jsonrpc.endpoint import Endpoint
from pylsp_jsonrpc.streams import JsonRpcStreamReader, JsonRpcStreamWriter

PATIENCE = 100
SHOWING = threading.Lock()

# The package logs every error that the tests ask for, with a traceback.
logging.getLogger("pylsp_jsonrpc").setLevel(logging.CRITICAL)


def show(**line: Any) -> None:
    """Prints a line of JSON."""
    with SHOWING:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def open_endpoint(connection: socket.socket, dispatcher: dict[str, Callable[[Any], Any]]) -> Endpoint:
    """An endpoint that reads in a thread of its own; what it writes is UTF-8, not escaped."""
    writer = JsonRpcStreamWriter(connection.makefile("wb"), ensure_ascii=False)
    endpoint = Endpoint(dispatcher, writer.write)
    reader = JsonRpcStreamReader(connection.makefile("rb"))
    threading.Thread(target=reader.listen, args=(endpoint.consume,), daemon=True).start()
    return endpoint


def end_with_input() -> None:
    """Waits until the test lets go of this program; threads may still wait for answers."""
    sys.stdin.read()
    os._exit(0)
