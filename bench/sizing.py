"""What each process of a stack takes, idle and at work: `make bench-sizing`.

Starts a stack of its own on an upstream that answers at once, lets it rest, then keeps some requests running, and reads
from /proc (Linux) what each process had in memory and how much time of a core it used. The upstream and the clients run
on the same machine and are no part of the figures.
"""

import asyncio
import sys
import time
from dataclasses import dataclass

import aiohttp

from bench import processes
from bench.stack import stack_of_its_own, without_limits
from tests.support.customers import Customer, customer
from tests.support.stack import RunningStack

IDLE_S = 20.0
LOAD_S = 20.0
AT_ONCE = 16
PARTS = {
    "edge": "-m edge",
    "auth": "-m services.auth",
    "catalog": "-m services.catalog",
    "billing": "-m services.billing",
    "usage": "-m services.usage",
    "PostgreSQL": "postgres",
    "Valkey": "valkey",
}
REQUEST = {
    "model": "privaterouter/fast",
    "max_tokens": 32,
    "stream": True,
    "messages": [{"role": "user", "content": "Hello"}],
}


@dataclass
class Sample:
    """Of one part of the stack: proportional memory in bytes, time of a core in seconds."""

    memory: int
    cpu_s: float


def look(stack: RunningStack) -> dict[str, Sample]:
    """All parts now; those with several processes summed up."""
    found = {part: Sample(0, 0.0) for part in PARTS}
    for pid in processes.tree(stack.process.pid):
        command = processes.command_of(pid)
        part = next((name for name, mark in PARTS.items() if mark in command), None)
        if part:
            used = processes.use([pid])
            found[part].cpu_s += used.cpu_s
            found[part].memory += used.pss
    return found


async def load(someone: Customer, *, until_s: float) -> int:
    """Some requests at the same time, each followed by the next; how many there were."""
    done = 0
    headers = {"authorization": f"Bearer {someone.key}"}

    async def one_after_the_other(session: aiohttp.ClientSession) -> None:
        nonlocal done
        while time.monotonic() < until_s:
            async with session.post("/v1/chat/completions", json=REQUEST, headers=headers) as answer:
                await answer.read()
                answer.raise_for_status()
            done += 1

    async with aiohttp.ClientSession(base_url=someone.stack.places.api_url) as session:
        await asyncio.gather(*(one_after_the_other(session) for _ in range(AT_ONCE)))
    return done


def table(*, before: dict[str, Sample], idle: dict[str, Sample], busy: dict[str, Sample], requests: int) -> str:
    """The figures as a table of Markdown."""
    lines = [
        "| Process | Memory, idle | Memory, busy | A core, idle | CPU for 1,000 requests |",
        "|---|---|---|---|---|",
    ]
    for part in PARTS:
        at_rest = (idle[part].cpu_s - before[part].cpu_s) / IDLE_S
        each = (busy[part].cpu_s - idle[part].cpu_s - at_rest * LOAD_S) / requests * 1000
        lines.append(
            f"| {part} | {idle[part].memory / 1e6:.0f} MB | {busy[part].memory / 1e6:.0f} MB | {at_rest:.1%} |"
            f" {max(0.0, each):.2f} s |"
        )
    return "\n".join(lines)


def main() -> int:
    """Print the table."""
    with stack_of_its_own() as stack, customer(stack) as someone:
        without_limits(stack, someone)
        print(f"Letting it rest for {IDLE_S:.0f} s ...", file=sys.stderr)
        time.sleep(5)
        before = look(stack)
        time.sleep(IDLE_S)
        idle = look(stack)
        print(f"Keeping {AT_ONCE} requests running for {LOAD_S:.0f} s ...", file=sys.stderr)
        requests = asyncio.run(load(someone, until_s=time.monotonic() + LOAD_S))
        busy = look(stack)
    print(table(before=before, idle=idle, busy=busy, requests=requests))
    print(f"\n{requests} streamed answers of {REQUEST['max_tokens']} tokens in {LOAD_S:.0f} s, {AT_ONCE} at a time.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
