"""Runs one scenario with a netconduit client and prints one JSON line; see README.md for the scenarios."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import random
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import conduit
from common import LogTap, difference, emit, jsonable
from conduit import Client, ClientDescriptor
from conduit.protocol import ProtocolDecoder, ProtocolEncoder
from conduit.rpc.rpc_class import RPCError, RPCTimeout
from samples import rare_samples, samples

Facts = dict[str, Any]
QUIET_SECONDS = 0.5  # how long a scenario listens for what must not come

DEFAULT_CALLS = [
    ["add", {"a": 10, "b": 20}],
    ["multiply", {"x": 3.5, "y": 2.0}],
    ["greet", {"name": "World"}],
    ["calculate", {"a": 6.0, "b": 7.0, "operation": "multiply"}],
]

DEFAULT_ERRORS = {
    "unknown": ["no_such_method", {}],
    "missing": ["add", {"a": 1}],
    "extra": ["add", {"a": 1, "b": 2, "c": 3}],
    "wrong_type": ["add", {"a": "one", "b": 2}],
    "model_missing": ["calculate", {"a": 1.0}],
    "model_wrong_type": ["calculate", {"a": "one", "b": 2.0, "operation": "add"}],
    "model_refused": ["calculate", {"a": 1.0, "b": 2.0, "operation": "power"}],
    "handler_failure": ["boom", {}],
    "fail": ["fail", {"code": 1234, "message": "asked for"}],
    "fail_known_code": ["fail", {"code": 6000, "message": "slow down"}],
}


class ScenarioFailed(Exception):
    """The peer did not do what the scenario expects; carries the facts seen so far."""

    def __init__(self, why: str, **facts: Any) -> None:
        super().__init__(why)
        self.facts = facts


class Peer:
    """One client of the package, its incoming messages kept in a queue per type."""

    def __init__(self, options: argparse.Namespace, types: tuple[str, ...] = (), **settings: Any) -> None:
        defaults: Facts = {"reconnect_enabled": False}
        self.client = Client(
            ClientDescriptor(
                server_host=options.host,
                server_port=options.port,
                password=options.password,
                name=options.name,
                version="1.2.3",
                enable_compression=options.compression,
                heartbeat_interval=options.heartbeat_interval,
                heartbeat_timeout=options.heartbeat_timeout,
                **(defaults | settings),
            )
        )
        self.inbox: dict[str, asyncio.Queue[Any]] = {}
        for message_type in types:
            self._listen(message_type)

    def _listen(self, message_type: str) -> None:
        queue = self.inbox[message_type] = asyncio.Queue()

        @self.client.on(message_type)
        async def received(data: Any) -> None:
            queue.put_nowait(data)

    async def __aenter__(self) -> Peer:
        if not await self.client.connect():
            raise ScenarioFailed("could not connect or authenticate")
        return self

    async def __aexit__(self, _: Any, reason: BaseException | None, *__: Any) -> None:
        try:
            await self.client.disconnect()
        except Exception:  # it raises on a connection that ended by heartbeat timeout
            if reason is None:
                raise

    async def call(self, method: str, params: Facts | None = None) -> Any:
        return await self.client.rpc.call(method, args=params)

    async def data(self, method: str, params: Facts | None = None) -> Any:
        """The `data` of a call that must succeed."""
        result = await self.call(method, params)
        if not isinstance(result, dict) or result.get("success") is not True:
            raise ScenarioFailed(f"{method} did not succeed", result=jsonable(result))
        return result.get("data")

    async def receive(self, message_type: str, timeout: float = 10.0) -> Any:
        try:
            return await asyncio.wait_for(self.inbox[message_type].get(), timeout)
        except asyncio.TimeoutError:
            raise ScenarioFailed(f"no message {message_type} within {timeout:g} s") from None

    async def ask(self, message_type: str, data: Any) -> Any:
        await self.client.send(message_type, data)
        return await self.receive(f"{message_type}_response")

    async def check_alive(self) -> None:
        total = await self.data("add", {"a": 20, "b": 22})
        if total != 42:
            raise ScenarioFailed("add(20, 22) gave another result", result=jsonable(total))

    @property
    def connection(self) -> Any:
        """The package offers no public way to a connection's statistics."""
        return self.client._connection


async def auth_ok(options: argparse.Namespace, args: Facts) -> Facts:
    async with Peer(options) as peer:
        token = peer.client.session_token or ""
        facts = {
            "server_info": jsonable(peer.client.server_info),
            "session_token_length": len(token),
            "session_token_is_hex": bool(token) and set(token) <= set("0123456789abcdef"),
            "state": peer.client.state.name,
        }
        await peer.check_alive()
    return facts


async def auth_wrong(options: argparse.Namespace, args: Facts) -> Facts:
    options.password = args.get("password", options.password + "-wrong")
    peer = Peer(options)
    started = time.monotonic()
    connected = await peer.client.connect()
    facts = {"connected": connected, "elapsed_ms": elapsed_ms(started), "state": peer.client.state.name}
    if connected:
        raise ScenarioFailed("the wrong password was accepted", **facts)
    return facts


async def calls(options: argparse.Namespace, args: Facts) -> Facts:
    results = []
    async with Peer(options) as peer:
        for method, params in args.get("calls", DEFAULT_CALLS):
            result = await peer.call(method, params)
            data = result.get("data") if isinstance(result, dict) else None
            results.append({"method": method, "result": jsonable(result), "data_type": type(data).__name__})
    return {"results": results}


async def types(options: argparse.Namespace, args: Facts) -> Facts:
    chosen = samples() | (rare_samples() if args.get("rare") else {})
    names = [name for name in args.get("only", chosen) if name not in args.get("skip", [])]
    failed: Facts = {}
    async with Peer(options, ("echo_message_response",)) as peer:
        for name in names:
            sent = chosen[name]
            received = await peer.data("echo", {"value": sent})
            by_rpc = difference(sent, received)
            if by_rpc and difference({"value": sent}, received) is None:
                by_rpc = None  # a peer whose echo returns all its parameters
            answer = await peer.ask("echo_message", sent)
            by_message = difference({"echo": sent}, answer)
            if by_rpc or by_message:
                failed[name] = {"rpc": by_rpc, "message": by_message}
    if failed:
        raise ScenarioFailed(f"{len(failed)} values came back changed", checked=len(names), failed=failed)
    return {"checked": len(names), "failed": {}}


async def one_error(peer: Peer, method: str, params: Facts) -> Facts:
    try:
        result = await peer.call(method, params)
    except RPCTimeout as failure:
        return {"how": "timeout", "message": str(failure), "code": None, "details": None}
    except RPCError as failure:
        details = jsonable(failure.details) if failure.details else None
        return {"how": "rpc_error", "message": failure.message, "code": failure.code, "details": details}
    if isinstance(result, dict) and result.get("success") is False:
        error, code, details = (jsonable(result.get(key)) for key in ("error", "code", "details"))
        return {"how": "result", "message": error, "code": code, "details": details}
    return {"how": "none", "message": None, "code": None, "details": None, "result": jsonable(result)}


async def errors(options: argparse.Namespace, args: Facts) -> Facts:
    async with Peer(options, rpc_timeout=10.0) as peer:
        cases = args.get("cases", DEFAULT_ERRORS).items()
        seen = {name: await one_error(peer, method, params) for name, (method, params) in cases}
        await peer.check_alive()
    missed = [name for name, error in seen.items() if error["how"] in ("none", "timeout")]
    if missed:
        raise ScenarioFailed(f"no error answer for {', '.join(missed)}", errors=seen)
    return {"errors": seen}


async def discover(options: argparse.Namespace, args: Facts) -> Facts:
    async with Peer(options) as peer:
        discovered = await peer.client.rpc.discover()
        listed = await peer.data("listall")
    return {
        "methods": {method["name"]: jsonable(method) for method in listed["methods"]},
        "count": listed["count"],
        "discover_equals_listall": discovered == {"success": True, "data": listed},
    }


async def concurrent(options: argparse.Namespace, args: Facts) -> Facts:
    n = args.get("n", 500)
    async with Peer(options) as peer:
        started = time.monotonic()
        requests = (peer.call("add", {"a": i, "b": i * i}) for i in range(n))
        results = await asyncio.gather(*requests, return_exceptions=True)
        elapsed = elapsed_ms(started)
        await peer.check_alive()
    expected = ({"success": True, "data": i + i * i} for i in range(n))
    wrong = [f"{i}: {got!r}" for i, (got, want) in enumerate(zip(results, expected, strict=True)) if got != want]
    if wrong:
        raise ScenarioFailed(f"{len(wrong)} of {n} calls failed", n=n, wrong=len(wrong), first_wrong=wrong[:5])
    return {"n": n, "wrong": 0, "elapsed_ms": elapsed}


async def messages(options: argparse.Namespace, args: Facts) -> Facts:
    unknown = args.get("unknown", "no_such_type")
    async with Peer(options, ("greeting_response", f"{unknown}_response")) as peer:
        answer = await peer.ask("greeting", {"name": "World"})
        await peer.client.send(unknown, {"x": 1})
        await asyncio.sleep(QUIET_SECONDS)
        unanswered = peer.inbox[f"{unknown}_response"].empty()
        again = await peer.ask("greeting", {"name": "Again"})
        await peer.check_alive()
    facts = {"answer": jsonable(answer), "unknown_unanswered": unanswered, "answer_after": jsonable(again)}
    if not unanswered:
        raise ScenarioFailed("an unknown message type was answered", **facts)
    return facts


async def broadcast_listen(options: argparse.Namespace, args: Facts) -> Facts:
    message_type, count = args.get("type", "news"), args.get("count", 1)
    async with Peer(options, (message_type,)) as peer:
        for sent_type, data in args.get("send", [["ready", {}]]):
            await peer.client.send(sent_type, data)
        received = [await peer.receive(message_type, args.get("timeout", 30.0)) for _ in range(count)]
        await asyncio.sleep(args.get("linger", 0.0))
        await peer.check_alive()
        extra = peer.inbox[message_type].qsize()
    return {"type": message_type, "count": count, "messages": jsonable(received), "extra": extra}


async def chat(options: argparse.Namespace, args: Facts) -> Facts:
    async with Peer(options, ("chat", "chat_response")) as peer:
        answer = await peer.ask("chat", {"message": args.get("message", "hello")})
        await asyncio.sleep(QUIET_SECONDS)
        heard = peer.inbox["chat"].qsize()
        await peer.check_alive()
    facts = {"answer": jsonable(answer), "own_broadcast_excluded": heard == 0}
    if heard:
        raise ScenarioFailed("the sender heard its own broadcast", **facts)
    return facts


async def heartbeat(options: argparse.Namespace, args: Facts) -> Facts:
    async with Peer(options) as peer:
        await asyncio.sleep(args.get("seconds", 4))
        stats = peer.connection._heartbeat.stats  # no public way to it
        names = ("pings_sent", "pongs_received", "pings_received", "pongs_sent", "timeouts")
        facts = {name: getattr(stats, name) for name in names}
        facts["connected"] = peer.client.is_connected
        if not facts["connected"]:
            raise ScenarioFailed("the connection ended", **facts)
        try:
            await peer.check_alive()
        except RPCError as failure:
            raise ScenarioFailed(f"the call after the wait failed: {failure}", **facts) from None
    return facts


async def compression(options: argparse.Namespace, args: Facts) -> Facts:
    size = args.get("size", 200_000)
    payloads = {"compressible": "netconduit " * (size // 11), "random": random.Random(1).randbytes(size), "small": "x"}
    facts: Facts = {"client_compresses": options.compression}
    async with Peer(options, ("echo_message_response",)) as peer:
        for name, sent in payloads.items():
            before = (peer.connection.stats.bytes_sent, peer.connection.stats.bytes_received)
            received = await peer.data("echo", {"value": sent})
            unequal = difference(sent, received) and difference({"value": sent}, received)
            unequal = unequal or difference({"echo": sent}, await peer.ask("echo_message", sent))
            facts[name] = {
                "payload_bytes": len(sent),
                "bytes_sent": peer.connection.stats.bytes_sent - before[0],
                "bytes_received": peer.connection.stats.bytes_received - before[1],
            }
            if unequal:
                raise ScenarioFailed(f"{name}: {unequal}", **facts)
        await peer.check_alive()
    return facts


async def join_storm(options: argparse.Namespace, args: Facts) -> Facts:
    """Each join must see the running number of a broadcast without a gap and have a call answered."""
    joins, count = args.get("joins", 30), args.get("messages", 5)
    message_type, field = args.get("type", "seq"), args.get("field", "n")
    bad: list[str] = []
    for join in range(joins):
        try:
            async with Peer(options, (message_type,), rpc_timeout=5.0, connect_timeout=5) as peer:
                await peer.check_alive()
                numbers = [(await peer.receive(message_type, 5.0))[field] for _ in range(count)]
                if numbers != list(range(numbers[0], numbers[0] + count)):
                    bad.append(f"join {join}: gap in {numbers}")
        except (ScenarioFailed, RPCError, ConnectionError) as failure:
            bad.append(f"join {join}: {failure}")
    facts = {"joins": joins, "bad": len(bad), "first_bad": bad[:5]}
    if bad:
        raise ScenarioFailed(f"{len(bad)} of {joins} joins went wrong", **facts)
    return facts


async def reconnect(options: argparse.Namespace, args: Facts) -> Facts:
    """The driver takes the server away after the message `ready` and brings it back on the same port."""
    started = time.monotonic()
    events: list[Facts] = []
    back = asyncio.Event()
    delay = args.get("delay", 0.2)
    peer = Peer(
        options,
        reconnect_enabled=True,
        reconnect_attempts=0,
        reconnect_delay=delay,
        reconnect_delay_max=1.0,
        rpc_timeout=10.0,
    )

    def note(event: str) -> None:
        events.append({"event": event, "at_ms": elapsed_ms(started)})

    @peer.client.on_connect
    async def connected(_: Client) -> None:
        note("connect")

    @peer.client.on_disconnect
    async def disconnected(_: Client) -> None:
        note("disconnect")

    @peer.client.on_reconnect
    async def reconnected(_: Client) -> None:
        note("reconnect")
        back.set()

    async with peer:
        await peer.check_alive()
        first_token = peer.client.session_token
        await peer.client.send("ready", {})
        try:
            await asyncio.wait_for(back.wait(), args.get("timeout", 40))
        except asyncio.TimeoutError:
            raise ScenarioFailed("did not reconnect", events=events) from None
        seen = list(events)
        await peer.check_alive()
        new_token = peer.client.session_token != first_token
    return {"events": seen, "call_after": True, "new_session_token": new_token}


async def idle_close(options: argparse.Namespace, args: Facts) -> Facts:
    peer = Peer(options)
    disconnects = 0

    @peer.client.on_disconnect
    async def disconnected(_: Client) -> None:
        nonlocal disconnects
        disconnects += 1

    async with peer:
        await peer.check_alive()
        await asyncio.sleep(args.get("seconds", 0.5))
        alive = peer.client.is_connected
        await peer.check_alive()
    return {"connected_while_idle": alive, "state": peer.client.state.name, "disconnect_hooks": disconnects}


async def two_calls_one_write(options: argparse.Namespace, args: Facts) -> Facts:
    """Two requests in one write, then one request byte by byte, by the package's encoder on a bare socket."""
    reader, writer = await asyncio.open_connection(options.host, options.port)
    encoder, decoder = ProtocolEncoder(enable_compression=options.compression), ProtocolDecoder()

    async def answers(count: int) -> dict[int, Any]:
        found: dict[int, Any] = {}
        while len(found) < count:
            data = await asyncio.wait_for(reader.read(65536), 10)
            if not data:
                raise ScenarioFailed("the server closed the connection", answers=jsonable(list(found.values())))
            decoder.feed(data)
            for frame in decoder.decode_all():
                if frame.message_type.name.startswith(("AUTH", "RPC")):
                    found[frame.correlation_id] = frame.payload
        return found

    password_hash = hashlib.sha256(options.password.encode()).hexdigest()
    writer.write(encoder.encode_auth_request(password_hash, {"name": options.name, "version": "1.2.3"}))
    if "session_token" not in (await answers(1))[0]:
        raise ScenarioFailed("authentication was refused")

    first, first_id = encoder.encode_rpc_request("add", {"a": 1, "b": 2})
    second, second_id = encoder.encode_rpc_request("add", {"a": 3, "b": 4})
    writer.write(first + second)
    together = await answers(2)

    third, third_id = encoder.encode_rpc_request("add", {"a": 5, "b": 6})
    for byte in third:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.001)
    dribbled = await answers(1)
    writer.close()

    facts = {"results": [together[first_id], together[second_id]], "byte_by_byte": dribbled[third_id]}
    want = [{"success": True, "result": {"success": True, "data": total}} for total in (3, 7, 11)]
    if [*facts["results"], facts["byte_by_byte"]] != want:
        raise ScenarioFailed("other answers than expected", **jsonable(facts))
    return facts


SCENARIOS: dict[str, Callable[[argparse.Namespace, Facts], Awaitable[Facts]]] = {
    scenario.__name__: scenario
    for scenario in (
        auth_ok, auth_wrong, calls, types, errors, discover, concurrent, messages, broadcast_listen, chat, heartbeat,
        compression, join_storm, reconnect, idle_close, two_calls_one_write,
    )
}  # fmt: skip


def elapsed_ms(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


async def run(options: argparse.Namespace) -> Facts:
    log: list[str] = []
    LogTap(lambda level, text: log.append(f"{level}: {text}"))
    base = {"scenario": options.scenario, "version": conduit.__version__}
    try:
        work = SCENARIOS[options.scenario](options, options.args)
        facts = {"ok": True, **base, **await asyncio.wait_for(work, options.timeout)}
    except asyncio.TimeoutError:
        facts = {"ok": False, **base, "error": f"no end within {options.timeout:g} s"}
    except ScenarioFailed as failure:
        facts = {"ok": False, **base, "error": str(failure), **failure.facts}
    except Exception as failure:  # whatever it is, the driver needs its one line
        facts = {"ok": False, **base, "error": f"{type(failure).__name__}: {failure}"}
    return facts | {"log": log[:20]}


def finish(facts: Facts) -> NoReturn:
    """Prints the line and ends at once: the package's left-over tasks must not keep the process."""
    emit(facts)
    os._exit(0 if facts["ok"] else 1)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--password", default="secret")
    parser.add_argument("--name", default="python_client")
    parser.add_argument("--compression", action="store_true")
    parser.add_argument("--heartbeat-interval", type=int, help="seconds; 30, in the scenario heartbeat 1")
    parser.add_argument("--heartbeat-timeout", type=int, help="seconds; three intervals unless told")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds for the whole scenario")
    parser.add_argument("scenario", choices=SCENARIOS)
    parser.add_argument("args", nargs="?", type=json.loads, default={}, help="JSON object")
    options = parser.parse_args()
    options.heartbeat_interval = options.heartbeat_interval or (1 if options.scenario == "heartbeat" else 30)
    options.heartbeat_timeout = options.heartbeat_timeout or 3 * options.heartbeat_interval
    return options


def main() -> None:
    options = parse()

    def give_up(*_: Any) -> None:  # for an event loop that no longer turns
        finish({"ok": False, "scenario": options.scenario, "version": conduit.__version__, "error": "hung", "log": []})

    if hasattr(signal, "SIGALRM"):
        signal.signal(signal.SIGALRM, give_up)
        signal.setitimer(signal.ITIMER_REAL, options.timeout + 5)

    async def body() -> None:
        finish(await run(options))

    asyncio.run(body())
    sys.exit(1)


if __name__ == "__main__":
    main()
