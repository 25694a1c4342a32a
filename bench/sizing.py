"""What each process of a stack takes, idle and at work: `make bench-sizing`.

Starts a stack of its own on an upstream that answers at once, lets it rest, then keeps some requests running, and reads
from /proc (Linux) what each process had in memory and how much time of a core it used. The upstream and the clients run
on the same machine and are no part of the figures.
"""

import asyncio
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from bench.stack import stack_of_its_own
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
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Sample:
    """Of one part of the stack: proportional memory in bytes, time of a core in seconds."""

    memory: int
    cpu_s: float


def look(stack: RunningStack) -> dict[str, Sample]:
    """All parts now; those with several processes summed up."""
    found = {part: Sample(0, 0.0) for part in PARTS}
    for directory in Path("/proc").iterdir():
        if not directory.name.isdigit() or not descends(int(directory.name), stack.process.pid):
            continue
        try:
            command = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            fields = (directory / "stat").read_text().rpartition(")")[2].split()
            memory = (directory / "smaps_rollup").read_text()
        except OSError:
            continue
        part = next((name for name, mark in PARTS.items() if mark in command), None)
        if part:
            found[part].cpu_s += (int(fields[11]) + int(fields[12])) / _TICKS
            found[part].memory += 1024 * int(memory.partition("\nPss:")[2].split()[0])
    return found


def descends(pid: int, ancestor: int) -> bool:
    """Whether a process is a child of another one, or of its children."""
    while pid > 1:
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return False
        if pid == ancestor:
            return True
    return False


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
        unlimited = ("--plan", "team", "--rpm", "1000000", "--tpm", "0", "--max-in-flight", "0")
        stack.command("admin", "set-plan-limits", *unlimited).check_returncode()
        someone.move_to("team")
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
