"""Runs the scenario of the "Complete Example" against a server and prints one JSON line; see README.md."""

from __future__ import annotations

import argparse
import asyncio

import client
from client import QUIET_SECONDS, Facts, Peer, one_error
from common import jsonable

REFUSED = {
    "unknown_operation": {"a": 2.0, "b": 3.0, "operation": "power"},
    "division_by_zero": {"a": 1.0, "b": 0.0, "operation": "divide"},
    "missing_field": {"a": 1.0, "b": 2.0},
}
BROADCASTS = ("user_join", "user_leave", "chat")


async def complete(options: argparse.Namespace, args: Facts) -> Facts:
    """A second client, the witness, is there all the time and tells what it hears of the first."""
    facts: Facts = {}
    async with Peer(options, BROADCASTS) as witness:
        async with Peer(options, (*BROADCASTS, "ping_response", "chat_response")) as peer:
            facts["join"] = await witness.receive("user_join")
            facts["ping"] = await peer.ask("ping", {})
            facts["chat_answer"] = await peer.ask("chat", {"message": "hello"})
            facts["chat_heard"] = await witness.receive("chat")
            facts["results"] = {
                operation: await peer.call("calculate", {"a": 6.0, "b": 1.5, "operation": operation})
                for operation in ("add", "subtract", "multiply", "divide")
            }
            facts["errors"] = {name: await one_error(peer, "calculate", wrong) for name, wrong in REFUSED.items()}
            facts["stats"] = await peer.data("get_stats")
            discovered = await peer.client.rpc.discover()
            facts["methods"] = {method["name"]: method for method in discovered["data"]["methods"]}
            await asyncio.sleep(QUIET_SECONDS)
            facts["heard_of_itself"] = [name for name in BROADCASTS if not peer.inbox[name].empty()]
        facts["leave"] = await witness.receive("user_leave")
        facts["stats_after"] = await witness.data("get_stats")
        facts["witness_heard_more"] = [name for name in BROADCASTS if not witness.inbox[name].empty()]
    return {name: jsonable(fact) for name, fact in facts.items()}


client.SCENARIOS["complete"] = complete

if __name__ == "__main__":
    client.main()
