"""Bytes of the real package, for tests that compare them one by one; see README.md.

    raw.py login_bytes [--version V] [--password P] [--name N]
    raw.py frames      [--version V]
    raw.py decode HEX  [--version V]      ("-" reads the hex digits from stdin)

With --version, the script runs itself again in that version's virtual environment.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

VENVS = Path(__file__).resolve().parent.parent / ".venvs"


async def login_bytes(options: argparse.Namespace) -> dict[str, Any]:
    """Everything that the client writes on its own to a listener that only reads."""
    from conduit import Client, ClientDescriptor

    received = bytearray()
    reads = 0

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal reads
        try:
            while data := await asyncio.wait_for(reader.read(65536), 0.5):
                received.extend(data)
                reads += 1
        except asyncio.TimeoutError:
            pass
        writer.close()

    listener = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    client = Client(
        ClientDescriptor(
            server_host="127.0.0.1",
            server_port=port,
            password=options.password,
            name=options.name,
            version="1.2.3",
            reconnect_enabled=False,
        )
    )
    connected = await asyncio.wait_for(client.connect(), 10)
    listener.close()
    return {"hex": received.hex(), "reads": reads, "connected": connected, "frames": decoded(bytes(received))}


async def frames(options: argparse.Namespace) -> dict[str, Any]:
    """One frame of every kind, with the arguments that made it."""
    from conduit.protocol import ProtocolEncoder

    plain, packing = ProtocolEncoder(), ProtocolEncoder(enable_compression=True)
    made = {
        "message": plain.encode_message("greeting", {"name": "W"}),
        "message_compressed": packing.encode_message("text", "a" * 2000),
        "rpc_request": plain.encode_rpc_request("add", {"a": 10, "b": 20})[0],
        "rpc_response": plain.encode_rpc_response({"success": True, "data": 30}, 1),
        "rpc_error": plain.encode_rpc_error("no", 2, 4000),
        "ping": plain.encode_heartbeat_ping(),
        "pong": plain.encode_heartbeat_pong(),
        "auth_request": plain.encode_auth_request("00" * 32, {"name": "c", "version": "1.2.3"}),
        "auth_success": plain.encode_auth_success("ab" * 64, {"name": "s", "version": "1.0.0"}),
        "auth_failure": plain.encode_auth_failure("Invalid password"),
        "pause": plain.encode_pause(),
        "resume": plain.encode_resume(),
        "ack": plain.encode_ack(7),
        "nack": plain.encode_nack(8, "why"),
        "close": plain.encode_close("bye"),
        "close_ack": plain.encode_close_ack(),
        "rpc_list": plain.encode_rpc_list([{"name": "add"}]),
    }
    return {"hex": {name: frame.hex() for name, frame in made.items()}}


async def decode(options: argparse.Namespace) -> dict[str, Any]:
    """How the package's decoder reads the bytes given."""
    text = sys.stdin.read() if options.hex == "-" else options.hex
    return {"frames": decoded(bytes.fromhex(text))}


def decoded(data: bytes) -> list[dict[str, Any]]:
    from common import jsonable
    from conduit.protocol import ProtocolDecoder

    decoder = ProtocolDecoder()
    decoder.feed(data)
    found = []
    while frame := decoder.decode_one():
        header = frame.header
        found.append(
            {
                "type": frame.message_type.name,
                "flags": int(header.flags),
                "length": header.content_length,
                "correlation_id": frame.correlation_id,
                "timestamp": header.timestamp,
                "payload": jsonable(frame.payload),
            }
        )
    if decoder.buffer_size():
        raise ValueError(f"{decoder.buffer_size()} bytes left over")
    return found


COMMANDS = {command.__name__: command for command in (login_bytes, frames, decode)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--version")
    commands = parser.add_subparsers(dest="command", required=True)
    login = commands.add_parser("login_bytes", parents=[common])
    login.add_argument("--password", default="secret")
    login.add_argument("--name", default="py")
    commands.add_parser("frames", parents=[common])
    commands.add_parser("decode", parents=[common]).add_argument("hex")
    options = parser.parse_args()

    python = VENVS / str(options.version) / "bin" / "python"
    if options.version and Path(sys.prefix) != python.parent.parent:
        if not python.exists():
            parser.error(f"netconduit {options.version} is not installed; run interop/setup.sh")
        return subprocess.run([python, __file__, *sys.argv[1:]], check=False).returncode

    import conduit
    from common import LogTap, emit

    LogTap(lambda level, text: None)
    try:
        facts = asyncio.run(COMMANDS[options.command](options))
    except Exception as failure:  # the caller reads one JSON line, whatever happened
        emit({"ok": False, "version": conduit.__version__, "error": str(failure)})
        return 1
    emit({"ok": True, "version": conduit.__version__, **facts})
    return 0


if __name__ == "__main__":
    sys.exit(main())
