"""A netconduit server for the Rust tests; see README.md for its methods, messages and output."""

import argparse
import asyncio
import errno
import functools
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from common import LogTap, digest, emit, jsonable
from conduit import Error, Response, Server, ServerDescriptor
from pydantic import BaseModel

response = Response()
error = Error()

# The package reports a wrong call with Python's own words, which hold the handler's qualified name.
# Handlers stand at module level so that it is the bare method name.


class UserCreateRequest(BaseModel):
    username: str
    email: str
    age: int


class UserResponse(BaseModel):
    id: int
    username: str
    email: str


class CalculateRequest(BaseModel):
    a: float
    b: float
    operation: str


async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def multiply(x: float, y: float) -> float:
    """Multiply two numbers."""
    return x * y


async def greet(name: str) -> str:
    """Return a greeting."""
    return f"Hello, {name}!"


async def calculate(request: CalculateRequest) -> dict:
    """Perform a calculation."""
    operations: dict[str, Callable[[float, float], float]] = {
        "add": lambda a, b: a + b,
        "subtract": lambda a, b: a - b,
        "multiply": lambda a, b: a * b,
        "divide": lambda a, b: a / b,
    }
    operation = operations.get(request.operation)
    if operation is None:
        return error.validation(f"Unknown operation: {request.operation}", field="operation")
    if request.operation == "divide" and request.b == 0:
        return error("Division by zero", code=400)
    return response({"result": operation(request.a, request.b)})


async def create_user(request: UserCreateRequest) -> UserResponse:
    """Create a user from a validated model."""
    return UserResponse(id=1, username=request.username, email=request.email)


async def echo(value: Any) -> Any:
    """Return the value as it came."""
    return value


async def echo_args(**arguments: Any) -> dict:
    """Return all arguments as one map."""
    return arguments


async def sleep(ms: int) -> int:
    """Answer after that many milliseconds."""
    await asyncio.sleep(ms / 1000)
    return ms


async def fail(code: int, message: str) -> dict:
    """Answer with the given error."""
    return error(message, code=code, details={"asked": True})


async def not_found() -> dict:
    """Answer with the package's own not-found error."""
    return error.not_found("User", identifier=7)


async def validation() -> dict:
    """Answer with the package's own validation error."""
    return error.validation("Age must be positive", field="age", expected="positive number", received=-1)


async def boom() -> None:
    """Raise."""
    raise RuntimeError("boom")


async def success_map() -> dict:
    """Return a map with a `success` key, which the package passes on unwrapped."""
    return {"success": True, "data": {"x": 1}, "extra": 2}


async def list_users(limit: int = 10, offset: int = 0) -> dict:
    """List users under a method name with a dot."""
    users = [{"id": i} for i in range(offset, min(offset + limit, 25))]
    return response.with_pagination(data=users, total=25, page=offset // limit + 1, page_size=limit)


async def paginated() -> dict:
    """Return a page of a list."""
    return response.with_pagination(data=[1, 2, 3], total=10, page=2, page_size=3)


async def with_message() -> dict:
    """Return data with a message beside it."""
    return response.ok({"done": True}, message="All good")


async def with_metadata() -> dict:
    """Return data with metadata beside it."""
    return response({"done": True}, metadata={"source": "python"})


async def blob(size: int) -> bytes:
    """Return bytes; the one at index i is i modulo 251."""
    return (bytes(range(251)) * (size // 251 + 1))[:size]


async def types() -> dict:
    """Return one value of every payload type."""
    integers = [0, 1, 127, 128, 255, 256, 2**16 - 1, 2**16, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1]
    negatives = [-1, -32, -33, -128, -129, -(2**15), -(2**15) - 1, -(2**31), -(2**31) - 1, -(2**63)]
    return {
        "nil": None,
        "true": True,
        "false": False,
        "integers": integers,
        "negatives": negatives,
        "floats": [0.0, -0.0, 1.5, -2.25, 1e300, 5e-324],
        "text": "h\u00e9llo \u4e16\u754c \U0001f980 \0 end",
        "empty_text": "",
        "binary": bytes(range(256)),
        "empty_binary": b"",
        "empty_list": [],
        "empty_map": {},
        "nested": {"list": [1, [2, [3, {"deep": True}]]], "map": {"a": {"b": {"c": None}}}},
    }


RPC_METHODS: list[Callable[..., Any]] = [
    add, multiply, greet, calculate, create_user, echo, echo_args, sleep, fail, not_found, validation, boom,
    success_map, paginated, with_message, with_metadata, blob, types,
]  # fmt: skip


def logged_rpc(handler: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Logs each call that passed the package's own checks of the arguments' model."""

    @functools.wraps(handler)
    async def wrapper(*args: Any, **params: Any) -> Any:
        seen = args[0].model_dump() if args else params
        emit({"event": "rpc", "method": name, "params": jsonable(seen), "digest": digest(seen)})
        return await handler(*args, **params)

    return wrapper


async def on_greeting(server: Server, client: Any, data: Any) -> Any:
    return {"reply": f"Hello, {data.get('name', 'stranger')}!"}


async def on_echo_message(server: Server, client: Any, data: Any) -> Any:
    return {"echo": data}


async def on_silent(server: Server, client: Any, data: Any) -> None:
    return None


async def on_broadcast_me(server: Server, client: Any, data: Any) -> None:
    exclude = {client.id} if isinstance(data, dict) and data.get("exclude") else None
    await server.broadcast("news", data, exclude=exclude)


async def on_flood(server: Server, client: Any, data: Any) -> None:
    for i in range(data["n"]):
        await client.send_message("tick", {"i": i})


async def on_chat(server: Server, client: Any, data: Any) -> Any:
    message = {"from": client.id, "message": data.get("message", ""), "timestamp": time.time()}
    await server.broadcast("chat", message, exclude={client.id})
    return {"sent": True}


MESSAGE_HANDLERS: dict[str, Callable[..., Any]] = {
    "greeting": on_greeting,
    "echo_message": on_echo_message,
    "silent": on_silent,
    "broadcast_me": on_broadcast_me,
    "flood": on_flood,
    "chat": on_chat,
}


def build(options: argparse.Namespace, port: int) -> Server:
    server = Server(
        ServerDescriptor(
            name=options.name,
            host="127.0.0.1",
            port=port,
            password=options.password,
            max_connections=options.max_connections,
            heartbeat_interval=options.heartbeat_interval,
            heartbeat_timeout=options.heartbeat_timeout,
            enable_compression=options.compression,
        )
    )
    for handler in RPC_METHODS:
        server.rpc(logged_rpc(handler, handler.__name__))
    server.rpc(name="users.list")(logged_rpc(list_users, "users.list"))

    def register(message_type: str, handler: Callable[..., Any]) -> None:
        @server.on(message_type)
        async def wrapper(client: Any, data: Any) -> Any:
            record = {"type": message_type, "client": client.id, "data": jsonable(data), "digest": digest(data)}
            emit({"event": "message", **record})
            return await handler(server, client, data)

    for message_type, handler in MESSAGE_HANDLERS.items():
        register(message_type, handler)

    @server.on_client_connect
    async def connected(client: Any) -> None:
        emit({"event": "connect", "client": client.id, "address": list(client.remote_address[:2])})

    @server.on_client_disconnect
    async def disconnected(client: Any) -> None:
        emit({"event": "disconnect", "client": client.id})

    return server


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def start(options: argparse.Namespace) -> tuple[Server, int]:
    """Starts the server; the package cannot bind port 0, so a free port is looked for here."""
    for attempts_left in reversed(range(20)):
        port = options.port or free_port()
        server = build(options, port)
        try:
            await server.start()
            return server, port
        except OSError as failure:
            if failure.errno != errno.EADDRINUSE or options.port or attempts_left == 0:
                raise
    raise AssertionError("unreachable")


async def tick(server: Server, interval_ms: int) -> None:
    n = 0
    while True:
        await server.broadcast("seq", {"n": n})
        n += 1
        await asyncio.sleep(interval_ms / 1000)


async def main(options: argparse.Namespace) -> None:
    LogTap(lambda level, text: emit({"event": "log", "level": level, "text": text}))
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stopped.set)

    server, port = await start(options)
    print(f"READY {port}", flush=True)

    def wait_for_stdin_end() -> None:
        while sys.stdin.buffer.read(4096):
            pass
        loop.call_soon_threadsafe(stopped.set)

    threading.Thread(target=wait_for_stdin_end, daemon=True).start()
    ticker = asyncio.create_task(tick(server, options.tick_ms)) if options.tick_ms is not None else None
    await stopped.wait()
    if ticker:
        ticker.cancel()
    # With clients connected, stop() of every version waits for itself for ever and goes on accepting meanwhile;
    # the end of the process closes their sockets instead.
    if server.connection_count == 0:
        await server.stop()
    sys.stdout.flush()
    os._exit(0)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 looks for a free port")
    parser.add_argument("--password", default="secret")
    parser.add_argument("--name", default="python_server")
    parser.add_argument("--compression", action="store_true")
    parser.add_argument("--heartbeat-interval", type=int, default=30)
    parser.add_argument("--heartbeat-timeout", type=int, default=90)
    parser.add_argument("--max-connections", type=int, default=100)
    parser.add_argument("--tick-ms", type=int, help='broadcast "seq" {"n": 0, 1, ...} at this interval')
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(parse()))
