"""Verifies with a library what it reads: `{"library", "secret", "headers", "body"}` on each line of its input.

It says `{"payload": …}`, or the name of the exception.
"""

from __future__ import annotations

import json
import sys

from webhook_common import verify
from webhook_lines import show


def main() -> None:
    """Reads until its input ends."""
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        try:
            payload = verify(asked["library"], asked["secret"], asked["headers"], asked["body"].encode())
        except Exception as error:
            show(refused=type(error).__name__)
        else:
            show(payload=payload)


main()
