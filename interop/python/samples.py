"""The payload values that the `types` scenario sends there and back."""

from __future__ import annotations

from typing import Any

import msgpack

BIG = 5_000_000

INTEGERS = [
    0, 1, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53 + 1, 2**63 - 1, 2**63,
    2**64 - 1, -1, -32, -33, -128, -129, -(2**15), -(2**15) - 1, -(2**31), -(2**31) - 1, -(2**53) - 1, -(2**63),
]  # fmt: skip


def deep(levels: int) -> Any:
    value: Any = "bottom"
    for level in range(levels):
        value = [value] if level % 2 else {"next": value}
    return value


def samples() -> dict[str, Any]:
    """Values that every peer must carry unchanged."""
    return {
        "nil": None,
        "true": True,
        "false": False,
        **{f"int_{n}": n for n in INTEGERS},
        "float_zero": 0.0,
        "float_minus_zero": -0.0,
        "float_one": 1.0,
        "float_third": 1 / 3,
        "float_max": 1.7976931348623157e308,
        "float_tiny": 5e-324,
        "float_inf": float("inf"),
        "float_minus_inf": float("-inf"),
        "float_nan": float("nan"),
        "str_empty": "",
        "str_31": "x" * 31,
        "str_32": "x" * 32,
        "str_256": "x" * 256,
        "str_65536": "x" * 65536,
        "str_unicode": "h\u00e9llo \u4e16\u754c \u05e9\u05dc\u05d5\u05dd \U0001f980\U0001f469\u200d\U0001f680",
        "str_nul": "a\0b\0",
        "str_controls": "".join(map(chr, range(32))) + '"\\\x7f',
        "bytes_empty": b"",
        "bytes_all": bytes(range(256)),
        "bytes_65536": bytes(65536),
        "bytes_like_text": b"text",
        "list_empty": [],
        "list_mixed": [1, 1.0, True, None, "1", b"1", [], {}],
        "list_16": list(range(16)),
        "list_65536": list(range(65536)),
        "map_empty": {},
        "map_mixed": {"int": 1, "float": 1.0, "bool": True, "nil": None, "str": "1", "bytes": b"1", "": "empty key"},
        "map_16": {f"k{i}": i for i in range(16)},
        "map_65536": {f"k{i}": i for i in range(65536)},
        "nested": {"list": [1, [2, [3, {"deep": True}]]], "map": {"a": {"b": {"c": None}}}},
        "deep_100": deep(100),
        "bytes_5mb": bytes(i * 7 % 256 for i in range(256)) * (BIG // 256),
        "str_5mb": "0123456789\u00e9\U0001f980" * (BIG // 16),
    }


def rare_samples() -> dict[str, Any]:
    """MessagePack that the package carries but a peer may refuse."""
    return {
        "map_bytes_keys": {b"\x00\xff": 1, b"key": 2},
        "ext": msgpack.ExtType(5, b"\x01\x02\x03"),
        "timestamp": msgpack.Timestamp(1_700_000_000, 123_456_789),
    }
