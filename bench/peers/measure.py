"""Runs the workloads: rounds of all contestants in changing order, every answer checked and every bill compared."""

import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench import processes
from bench.peers import load
from bench.peers.contestants import Contestant
from bench.peers.load import Order, Told, WrongAnswer
from bench.peers.ours import NAME as OURS
from bench.peers.ours import Ours
from bench.peers.results import Memory, Results, Round
from bench.peers.upstream import Upstream
from bench.peers.workloads import Workload

FIRST_WARMUP_S = 2.0
"""Before the first round of a workload, for those that compile as they go."""
WARMUP_S = 0.5
SETTLE_S = 0.1
"""After the last one was stopped, before the next begins."""


@dataclass
class Bench:
    """What takes part, and what has been found so far."""

    program: Path
    upstream: Upstream
    contestants: dict[str, Contestant]
    ours: Ours
    load_core: int
    results: Results
    warm: set[tuple[str, bool]] = field(default_factory=set)

    def run(self, workload: Workload) -> None:
        """All rounds of one workload."""
        names = [name for name in workload.who if name in self.contestants]
        rate = self._half(workload.half_of) if workload.half_of else 0.0
        for number in range(workload.rounds):
            for name in in_order(names, number):
                if name in self.results.failures.get(workload.name, {}):
                    continue
                print(f"{workload.title}: round {number + 1} of {workload.rounds}, {name}", file=sys.stderr)
                try:
                    self.results.add(workload.name, name, self._round(workload, name, rate))
                except WrongAnswer as error:
                    # Ours have to be right; another's are reported, and it goes on without.
                    if name == OURS:
                        raise
                    print(f"  {name} failed: {error}", file=sys.stderr)
                    self.results.fail(workload.name, name, str(error))

    def memory(self, *, streams: int) -> None:
        """The edge at rest, and with so many streams open. Before anything else, so that the edge is new."""
        contestant = self.contestants[OURS]
        idle = processes.use(contestant.pids())
        few = Workload(
            name="memory", title="", who=(), rounds=1, seconds=1, connections=10, stream=True, tokens=12, pace_ms=300
        )
        # What is loaded and cached with the first requests is no part of what a stream takes.
        self._open(few, contestant)
        before = processes.use(contestant.pids())
        busy = self._open(replace(few, connections=streams), contestant)
        self.results.memory = Memory(
            idle_pss=idle.pss, idle_rss=idle.rss, streams=streams, before_pss=before.pss, open_pss=busy
        )

    def _open(self, workload: Workload, contestant: Contestant) -> int:
        """Memory of the gateway while these streams are all open."""
        seen: list[int] = []
        with self._billed(contestant):
            self.upstream.set(tokens=workload.tokens, pace_us=workload.pace_ms * 1000)
            order = self._order(workload, contestant, seconds=workload.seconds, warmup_s=2.0, once=True)
            load.run(
                order,
                program=self.program,
                core=self.load_core,
                now=lambda _: seen.append(processes.use(contestant.pids()).pss),
            )
        return seen[0]

    def _round(self, workload: Workload, name: str, rate: float) -> Round:
        contestant = self._asked(workload, name)
        self.upstream.set(tokens=workload.tokens, pace_us=workload.pace_ms * 1000)
        with self._alone(contestant), self._billed(contestant) as settled:
            time.sleep(SETTLE_S)
            first = (name, workload.stream) not in self.warm
            self.warm.add((name, workload.stream))
            warmup_s = workload.spread_s + (FIRST_WARMUP_S if first else WARMUP_S)
            order = self._order(workload, contestant, rate=rate, seconds=workload.seconds, warmup_s=warmup_s)
            spent: list[tuple[float, float]] = []

            def look(_: str) -> None:
                spent.append((processes.cpu_s(contestant.pids()), processes.cpu_s(contestant.helpers())))

            told = load.run(order, program=self.program, core=self.load_core, now=look)
            tally = self.upstream.tally()
            expected = told.ok if workload.status == 200 else 0
            if tally.requests != expected or tally.unknown:
                raise WrongAnswer(f"{expected} were answered, {tally.requests} reached the upstream ({tally})")
        (gateway_from, helpers_from), (gateway_to, helpers_to) = spent
        return reading(
            told,
            gateway_s=gateway_to - gateway_from,
            helpers_s=helpers_to - helpers_from,
            settled_s=settled(),
            rss=processes.use(contestant.pids()).rss,
            rate=rate,
        )

    def _order(
        self,
        workload: Workload,
        contestant: Contestant,
        *,
        seconds: float,
        warmup_s: float,
        rate: float = 0,
        once: bool = False,
    ) -> Order:
        return Order(
            port=contestant.port,
            body=workload.body(contestant.model),
            connections=workload.connections,
            seconds=seconds,
            warmup_s=warmup_s,
            path=contestant.path,
            headers=contestant.headers,
            stream=workload.stream,
            tokens=workload.tokens,
            status=workload.status,
            contains=workload.contains,
            rate=rate,
            spread_us=500_000 if once else round(workload.spread_s * 1e6),
            once=once,
        )

    def _asked(self, workload: Workload, name: str) -> Contestant:
        refused = {401: self.ours.refused_by_key, 402: self.ours.refused_by_balance, 429: self.ours.refused_by_limit}
        return refused[workload.status]() if workload.status in refused else self.contestants[name]

    def _half(self, name: str) -> float:
        """Half of the requests a second that we reached there."""
        found = self.results.median(name, OURS, "requests_per_s")
        return found / 2

    @contextmanager
    def _alone(self, contestant: Contestant) -> Iterator[None]:
        contestant.resume()
        try:
            yield
        finally:
            contestant.pause()

    @contextmanager
    def _billed(self, contestant: Contestant) -> Iterator[Callable[[], float | None]]:
        """What happens inside must be in our books in the end, if it is us; how long that took is told afterwards."""
        took: list[float] = []
        self.upstream.reset()
        before = self.ours.books() if contestant.name == OURS else None
        yield lambda: took[0] if took else None
        if before:
            took.append(self.ours.settle(before=before, tally=self.upstream.tally()))


def in_order(names: Sequence[str], number: int) -> list[str]:
    """Another order in each round, and the same ones in each run."""
    return random.Random(number).sample(list(names), len(names))  # noqa: S311 - nothing is to be kept from anyone


def reading(told: Told, *, gateway_s: float, helpers_s: float, settled_s: float | None, rss: int, rate: float) -> Round:
    """One round's figures out of what the generator told and what the processes used meanwhile."""
    return Round(
        requests_per_s=told.requests / told.seconds,
        chunks_per_s=told.chunks / told.seconds,
        rate=rate,
        cpu_us_per_request=1e6 * gateway_s / told.requests if told.requests else None,
        cpu_us_per_chunk=1e6 * gateway_s / told.chunks if told.chunks else None,
        helpers_us_per_request=1e6 * helpers_s / told.requests if told.requests else None,
        core_share=gateway_s / told.seconds,
        latency_us=told.latency_us,
        first_us=told.first_us,
        gap_us=told.gap_us,
        settled_s=settled_s,
        rss=rss,
        reconnects=told.reconnects,
    )
