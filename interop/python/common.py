"""What the interop scripts share: JSON rendering, digests, type-exact comparison and log capture."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import struct
import sys
from collections.abc import Callable
from typing import Any

import msgpack

MAX_INLINE_BYTES = 64
MAX_INLINE_TEXT = 1000


def jsonable(value: Any) -> Any:
    """Renders a payload as JSON; what JSON cannot say becomes a map with one `$` key."""
    if isinstance(value, bytes):
        if len(value) <= MAX_INLINE_BYTES:
            return {"$bytes": value.hex()}
        return {"$bytes_sha256": hashlib.sha256(value).hexdigest(), "length": len(value)}
    if isinstance(value, str) and len(value) > MAX_INLINE_TEXT:
        return {"$str_sha256": hashlib.sha256(value.encode()).hexdigest(), "length": len(value)}
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": str(value)}
    if isinstance(value, dict):
        return {key if isinstance(key, str) else f"$bytes:{key.hex()}": jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return {"$repr": repr(value)}


def digest(value: Any) -> str:
    """SHA-256 (hex) of the value packed as the package packs it; map order counts."""
    return hashlib.sha256(msgpack.packb(value, use_bin_type=True)).hexdigest()


def difference(sent: Any, received: Any, at: str = "value") -> str | None:
    """Says where two values differ in value or Python type; None if they do not."""
    if type(sent) is not type(received):
        return f"{at}: sent {type(sent).__name__}, received {type(received).__name__}"
    if isinstance(sent, dict):
        if sent.keys() != received.keys():
            return f"{at}: other keys"
        return next((d for key in sent if (d := difference(sent[key], received[key], f"{at}[{key!r}]"))), None)
    if isinstance(sent, list):
        if len(sent) != len(received):
            return f"{at}: sent {len(sent)} items, received {len(received)}"
        pairs = enumerate(zip(sent, received, strict=True))
        return next((d for i, (a, b) in pairs if (d := difference(a, b, f"{at}[{i}]"))), None)
    if isinstance(sent, float):
        equal = struct.pack(">d", sent) == struct.pack(">d", received)  # tells -0.0 from 0.0, and NaN is itself
    else:
        equal = sent == received
    return None if equal else f"{at}: sent {str(sent)[:40]!r}, received {str(received)[:40]!r}"


def emit(record: dict[str, Any]) -> None:
    """Writes one JSON line to stdout."""
    sys.stdout.write(json.dumps(record, ensure_ascii=True, allow_nan=False) + "\n")
    sys.stdout.flush()


class LogTap(logging.Handler):
    """Hands every warning and error that the package logs to a callback."""

    def __init__(self, sink: Callable[[str, str], None]) -> None:
        super().__init__(logging.WARNING)
        self._sink = sink
        package = logging.getLogger("conduit")
        package.addHandler(self)
        package.propagate = False

    def emit(self, record: logging.LogRecord) -> None:
        self._sink(record.levelname.lower(), record.getMessage())
