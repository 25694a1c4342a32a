"""Whether a request costs more where much is stored: `make bench-size`.

Two stacks side by side: a large one with a million users with a key each, ten million calls with their charges, and
1,000 models; and a small one that has only the keys that are asked with, and the models of a new installation. The same
requests go to both in turns, one of them held still (SIGSTOP) while the other is measured, and what is compared is CPU
time of the edge for a request, and of all processes of the stack, as the median of the pairs of rounds.

Three ways to choose the key: always the same; one after the other of 200 that the edge has seen a moment ago; and
at random out of 20,000 that are spread over all, of which an edge knows few: keys are remembered for 30 s and credit is
lent for 5 s after a request. What the last costs more than the first is what a cold key costs. In the large stack each
request is for a model drawn from the 1,000.

BENCH_RECORDS and BENCH_USERS make it smaller; BENCH_HOME keeps what was put there in that directory, for the next run.
"""

import asyncio
import hashlib
import os
import random
import signal
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dotenv import dotenv_values

from bench import processes
from bench.guard import AT_ONCE, ask, request
from bench.seeded import fill, place
from bench.seeding import Amounts, add_models, fill_many
from bench.stack import edges_of, without_limits
from deploy.local.home import Home
from kit.tokens import make_token
from services.auth.api_keys import SECRET_PREFIX, Digester
from tests.support.processes import fake_upstream
from tests.support.stack import RunningStack, running_stack

RECORDS: Final = int(os.environ.get("BENCH_RECORDS", "10000000"))
USERS: Final = int(os.environ.get("BENCH_USERS", "1000000"))
MODELS: Final = 1_000
KEYS: Final = min(20_000, USERS)
KNOWN: Final = min(200, KEYS)
ROUNDS: Final = 5
SETTLE_S: Final = 0.3
"""For what was due while it was held still."""
GOAL: Final = 0.95
LARGE, SMALL = "large", "small"
ONE_KEY, KNOWN_KEYS, ANY_KEY = "one key", f"{KNOWN:,} known keys", f"any of {KEYS:,} keys"
WORKS: Final[Mapping[str, tuple[int, dict[str, object]]]] = {
    "chat": (400, {"max_tokens": 8}),
    "stream of 32 chunks": (80, {"max_tokens": 32, "stream": True}),
}
"""Requests in a round, and what their bodies say."""


@dataclass(frozen=True)
class Cost:
    """Of one request in a round: microseconds of CPU, of the edge and of all else, and of time."""

    edge_us: float
    beside_us: float
    wall_us: float

    @property
    def all_us(self) -> float:
        """Of the whole stack."""
        return self.edge_us + self.beside_us


@dataclass
class Side:
    """One of the two stacks, and what its rounds took by work and choice of key."""

    stack: RunningStack
    secrets: Sequence[str]
    models: Sequence[str]
    costs: dict[tuple[str, str], list[Cost]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.edges = edges_of(self.stack)
        self.port = int(self.stack.places.api_url.rpartition(":")[2])

    def pids(self) -> list[int]:
        """All processes of the stack now."""
        return processes.tree(self.stack.process.pid)

    @contextmanager
    def going(self) -> Iterator[None]:
        """Held still before and after."""
        self.resume()
        time.sleep(SETTLE_S)
        try:
            yield
        finally:
            self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def measure(self, work: str, draw: str, chance: random.Random) -> None:
        """One round."""
        times, body = WORKS[work]
        draws = {
            ONE_KEY: [self.secrets[0]] * times,
            KNOWN_KEYS: [self.secrets[number % KNOWN] for number in range(times)],
            ANY_KEY: chance.choices(self.secrets, k=times),
        }
        drawn = self._requests(draws[draw], body, chance)
        warm = self.secrets[:KNOWN] if draw == KNOWN_KEYS else [self.secrets[0]] * 4 * AT_ONCE
        asyncio.run(ask(self.port, self._requests(warm, {"max_tokens": 1}, chance)))
        begun_s, edge_ns, all_ns = time.monotonic(), self._cpu_ns(self.edges), self._cpu_ns(self.pids())
        asyncio.run(ask(self.port, drawn))
        took_s, edge_ns = time.monotonic() - begun_s, self._cpu_ns(self.edges) - edge_ns
        beside_ns = self._cpu_ns(self.pids()) - all_ns - edge_ns
        cost = Cost(edge_ns / times / 1e3, beside_ns / times / 1e3, 1e6 * took_s / times)
        self.costs.setdefault((work, draw), []).append(cost)

    def _requests(self, secrets: Sequence[str], body: dict[str, object], chance: random.Random) -> list[bytes]:
        return [
            request("localhost", self.port, secret, **body | {"model": chance.choice(self.models)})
            for secret in secrets
        ]

    def _cpu_ns(self, pids: Sequence[int]) -> int:
        return sum(processes.cpu_ns(pid) for pid in pids)

    def _signal(self, number: signal.Signals) -> None:
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, number)


def secret_of(number: int) -> str:
    """The secret of a user's key; the same in each run, for stacks that nobody else can reach."""
    return make_token(SECRET_PREFIX, lambda _: hashlib.sha256(f"bench {number}".encode()).digest())


def owners(users: int) -> list[int]:
    """Whose keys are asked with: spread evenly over all."""
    return [1 + number * users // KEYS for number in range(KEYS)]


def prepare(directory: Path, upstream: str, amounts: Amounts) -> None:
    """A new stack that has all this; it is stopped again."""
    with started(directory, upstream) as stack:
        without_limits(stack)
    digester = Digester(str(dotenv_values(Home(directory / "home").secrets)["APP_SECRET_KEY"]))
    digests = [(number, digester.digest(secret_of(number))) for number in owners(amounts.users)]

    async def filled(url: str) -> None:
        await add_models(url, amounts.models)
        await fill_many(url, amounts, plan="team", digests=digests)

    fill(directory, filled)


def started(directory: Path, upstream: str) -> AbstractContextManager[RunningStack]:
    """The stack of this place."""
    return running_stack(directory / "home", UPSTREAM_KIND="openai", UPSTREAM_BASE_URL=upstream)


@contextmanager
def sides() -> Iterator[dict[str, Side]]:
    """Both stacks with all that they should have, each on its cores, both held still."""
    both = {
        LARGE: Amounts(records=RECORDS, users=USERS, models=MODELS),
        SMALL: Amounts(records=0, users=KEYS, models=0),
    }
    found: dict[str, Side] = {}
    with ExitStack() as entered:
        upstream = entered.enter_context(fake_upstream())
        directories: dict[str, Path] = {}
        for name, amounts in both.items():
            directories[name], filled = entered.enter_context(place(f"size-{name}"))
            if not filled:
                prepare(directories[name], upstream, amounts)
        for name, amounts in both.items():
            stack = entered.enter_context(started(directories[name], upstream))
            models = [f"bench/model-{number}" for number in range(amounts.models)] or ["privaterouter/fast"]
            side = Side(stack, [secret_of(number) for number in owners(amounts.users)], models)
            entered.callback(side.resume)
            found[name] = side
        for side in found.values():
            with side.going():
                pass
        yield found


def ratio(found: dict[str, Side], key: tuple[str, str], cost: str) -> list[float]:
    """What the small stack took in units of the large one, of each pair of rounds: 1 where size costs nothing."""
    pairs = zip(found[SMALL].costs[key], found[LARGE].costs[key], strict=True)
    return [getattr(small, cost) / getattr(large, cost) for small, large in pairs]


def table(found: dict[str, Side]) -> str:
    """The figures as a table of Markdown."""
    lines = [
        "| Work | Key | Edge, µs of CPU: small | large | Small / large | By all processes | By requests/s |",
        "|---|---|---|---|---|---|---|",
    ]
    for work, draw in found[LARGE].costs:
        middle = [statistics.median(cost.edge_us for cost in found[name].costs[work, draw]) for name in (SMALL, LARGE)]
        ratios = [_spread(ratio(found, (work, draw), cost)) for cost in ("edge_us", "all_us", "wall_us")]
        lines.append(f"| {work} | {draw} | {middle[0]:,.0f} | {middle[1]:,.0f} | {' | '.join(ratios)} |")
    return "\n".join(lines)


def cold(found: dict[str, Side], name: str) -> str:
    """What a key costs that the edge does not know."""
    known, unknown = (found[name].costs["chat", draw] for draw in (ONE_KEY, ANY_KEY))
    more = [
        statistics.median(getattr(cost, of) for cost in unknown)
        - statistics.median(getattr(cost, of) for cost in known)
        for of in ("edge_us", "beside_us")
    ]
    return f"{more[0]:,.0f} µs of CPU more in the edge, {more[1]:,.0f} µs beside it"


def _spread(ratios: Sequence[float]) -> str:
    return f"{statistics.median(ratios):.3f} ({min(ratios):.2f} to {max(ratios):.2f})"


def main() -> int:
    """Print the figures; 1 where the goal was missed."""
    chance = random.Random(7)  # noqa: S311 - nothing is to be kept from anyone
    before = os.getloadavg()[0]
    with sides() as found:
        for number in range(ROUNDS):
            print(f"Round {number + 1} of {ROUNDS}", file=sys.stderr)
            for work in WORKS:
                for draw in (ONE_KEY, KNOWN_KEYS, ANY_KEY):
                    for name in chance.sample([LARGE, SMALL], 2):
                        with found[name].going():
                            found[name].measure(work, draw, chance)
    print(
        f"The large stack has {USERS:,} users and keys, {RECORDS:,} calls and {MODELS:,} models, the small one {KEYS:,}"
    )
    print(f"users and keys. {AT_ONCE} requests at a time; medians of {ROUNDS} rounds, least and most in brackets.\n")
    print(table(found))
    for name in (SMALL, LARGE):
        print(f"\nA cold key, {name}: {cold(found, name)}.")
    missed = [key for key in found[LARGE].costs if statistics.median(ratio(found, key, "edge_us")) < GOAL]
    print(f"\nThe load average was {before:.1f} before and {os.getloadavg()[0]:.1f} after.")
    print(f"At least {GOAL} by the edge's CPU time: {'everywhere' if not missed else f'NOT {missed}'}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
