"""Whether the hot path has become dearer than the figure that is kept of it: `make bench-guard`.

What is compared is CPU time of the edge for a request, in units of what the same server takes for a bare answer
(`bench.bare`), measured in turns in the same run, so that the machine does not count. Other work only ever adds to a
round, so each side's best round is taken, and there are more rounds while the figure looks too high.

GUARD_KEEP=1 keeps what was measured as the new figure, for this Python, in bench/guard.json.
"""

import asyncio
import json
import os
import sys
from collections.abc import Iterable, Mapping
from itertools import repeat
from pathlib import Path
from typing import Final

from bench.processes import cpu_ns
from bench.stack import edges_of, stack_of_its_own, without_limits
from tests.support.customers import Customer, customer
from tests.support.processes import bare_server

KEPT: Final = Path(__file__).with_suffix(".json")
PYTHON: Final = f"{sys.version_info.major}.{sys.version_info.minor}"
MOST: Final = 1.15
"""Beyond this many times the figure it has become dearer."""
ROUNDS, MOST_ROUNDS = 5, 20
AT_ONCE: Final = 16
BARE: Final = "a bare answer"
WARM_UP: Final = 300
WORKS: Final[Mapping[str, tuple[int, dict[str, object]]]] = {
    "chat": (1_000, {"max_tokens": 8}),
    "stream of 32 chunks": (150, {"max_tokens": 32, "stream": True}),
}
"""Requests in a round, and what their bodies say."""
MESSAGES: Final = {"model": "privaterouter/fast", "messages": [{"role": "user", "content": "Hello"}]}


def request(host: str, port: int, key: str, **body: object) -> bytes:
    """A request to the chat endpoint."""
    text = json.dumps(MESSAGES | body).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}:{port}\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(text)}\r\n\r\n"
    )
    return head.encode() + text


async def ask(port: int, texts: Iterable[bytes]) -> None:
    """These requests, some at once, each connection kept. RuntimeError for any other answer than 200."""
    left = iter(texts)

    async def one_after_the_other() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for text in left:
            writer.write(text)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if not head.startswith(b"http/1.1 200"):
                raise RuntimeError(f"not 200, but {head!r}")
            if b"content-length: " in head:
                await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r\n")[0]))
            else:
                await reader.readuntil(b"\r\n0\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(one_after_the_other() for _ in range(AT_ONCE)))


class Guard:
    """The best rounds so far, in nanoseconds of CPU for a request."""

    def __init__(self, someone: Customer, *, bare_pid: int, bare_port: int) -> None:
        edge_port = int(someone.stack.places.api_url.rpartition(":")[2])
        (edge_pid,) = edges_of(someone.stack)
        self._sides = {BARE: (bare_pid, bare_port, 12_000, request("localhost", bare_port, "none"))}
        for name, (times, body) in WORKS.items():
            text = request("localhost", edge_port, someone.key, **body)
            self._sides[name] = (edge_pid, edge_port, times, text)
        self._best: dict[str, float] = {}

    async def warm_up(self) -> None:
        """Have everything done some times that is slower at first."""
        for _, port, _, text in self._sides.values():
            await ask(port, repeat(text, WARM_UP))

    async def go_round(self) -> None:
        """Measure each once."""
        for name, (pid, port, times, text) in self._sides.items():
            before = cpu_ns(pid)
            await ask(port, repeat(text, times))
            took = (cpu_ns(pid) - before) / times
            self._best[name] = min(took, self._best.get(name, took))

    def figures(self) -> dict[str, float]:
        """Of each work in units of a bare answer."""
        return {name: self._best[name] / self._best[BARE] for name in WORKS}

    def microseconds(self, name: str) -> float:
        """The best round."""
        return self._best[name] / 1000


async def measure(guard: Guard, kept: Mapping[str, float]) -> dict[str, float]:
    """The figures, after as many rounds as they need."""
    await guard.warm_up()
    for number in range(MOST_ROUNDS):
        await guard.go_round()
        if number + 1 >= ROUNDS and not dearer(guard.figures(), kept):
            break
    return guard.figures()


def dearer(figures: Mapping[str, float], kept: Mapping[str, float]) -> list[str]:
    """The works that cost too much more than was kept of them."""
    return [name for name, figure in figures.items() if name in kept and figure > MOST * kept[name]]


def main() -> int:
    """Print the figures; 1 where one has become dearer."""
    known: dict[str, dict[str, float]] = json.loads(KEPT.read_text())
    kept = {} if os.environ.get("GUARD_KEEP") else known.get(PYTHON, {})
    with stack_of_its_own() as stack, customer(stack) as someone, bare_server() as (bare_pid, bare_port):
        without_limits(stack, someone)
        guard = Guard(someone, bare_pid=bare_pid, bare_port=bare_port)
        figures = asyncio.run(measure(guard, kept))
    print(f"A bare answer takes {guard.microseconds(BARE):.0f} us of CPU. In units of it:")
    for name, figure in figures.items():
        print(f"  {name:<22}{figure:>7.2f}   kept: {kept.get(name, 'nothing')}   ({guard.microseconds(name):.0f} us)")
    if os.environ.get("GUARD_KEEP"):
        known[PYTHON] = {name: round(figure, 2) for name, figure in figures.items()}
        KEPT.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")
        return 0
    if not kept:
        print(f"Nothing is kept for Python {PYTHON}, so nothing was compared.")
    too_dear = dearer(figures, kept)
    for name in too_dear:
        print(
            f"{name} costs more than {MOST} times what it did. Find out why, or keep it: GUARD_KEEP=1 make bench-guard"
        )
    return 1 if too_dear else 0


if __name__ == "__main__":
    sys.exit(main())
