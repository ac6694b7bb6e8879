"""What both peers share that answer once: JSON-RPC without any delimiter, on the standard library alone.

A text ends where the bytes read so far are JSON. Every piece is decoded by itself, so a character of several bytes
that falls into two pieces is an error, and so is whatever follows the first text. That is how the programs are that
these stand for, and what they say about a peer is whether it spares them.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from typing import Any

PIECE = 7
PATIENCE = 100
SHOWING = threading.Lock()


class NotReadable(Exception):
    """What came is no JSON text, and never will be."""


def show(**line: Any) -> None:
    """Prints a line of JSON."""
    with SHOWING:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def read_text(connection: socket.socket) -> Any:
    """Reads until the pieces make a text; None if the peer ends before that."""
    text = ""
    while True:
        piece = connection.recv(PIECE)
        if not piece:
            if text:
                raise NotReadable(f"ended within {text[-60:]!r}")
            return None
        try:
            text += piece.decode()
        except UnicodeDecodeError as error:
            raise NotReadable("a character in two pieces") from error
        if text.rstrip()[-1:] not in ("}", "]"):
            continue
        try:
            return json.loads(text)
        except ValueError as error:
            if "Extra data" in str(error):
                raise NotReadable("something behind the text") from error


def read_rest(connection: socket.socket) -> str:
    """What else the peer writes before it ends."""
    rest = b""
    while piece := connection.recv(4096):
        rest += piece
    return rest.decode(errors="replace")


def end_with_input() -> None:
    """Waits until the test lets go of this program; threads may still wait for answers."""
    sys.stdin.read()
    os._exit(0)
