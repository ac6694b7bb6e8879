"""What the webhook peers say, and when they end: on the standard library alone."""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Any

TEXT = "zoë \u2028 日本語 🦀"
SHOWING = threading.Lock()


def show(**line: Any) -> None:
    """Prints a line of JSON."""
    with SHOWING:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def end_with_input() -> None:
    """Waits until the test lets go of this program; threads may still wait for answers."""
    sys.stdin.read()
    os._exit(0)
