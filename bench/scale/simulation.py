"""A run of the simulated system: edges with the real lending code, simulated services and Postgres."""

import asyncio
import math
import random
from dataclasses import dataclass, field
from itertools import count
from uuid import UUID

from bench.scale.costs import Costs
from bench.scale.edges import Edge
from bench.scale.model import Workload
from bench.scale.servers import Postgres, Service
from bench.scale.virtual_time import simulate
from bench.scale.world import Billing, Relay, Request, Tally, Usage

SAMPLE_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """For how long, in simulated seconds."""

    warm_s: float
    measured_s: float
    outage_s: float = 0.0
    """Billing is away so long, from the beginning of what is measured on."""
    seed: int = 1


@dataclass(slots=True)
class Samples:
    """Looks at what goes up and down."""

    outbox: list[int] = field(default_factory=list)
    leases: list[int] = field(default_factory=list)

    def drained_s(self, from_s: float, *, usual: float) -> float:
        """How long after that moment the outbox was last far above what is usual."""
        behind = [number for number, rows in enumerate(self.outbox, 1) if rows > 3 * usual + 20]
        return max(behind[-1] * SAMPLE_S - from_s, 0.0) if behind else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """What happened: `rates` by the names of `model.Load`, and what only a simulation knows."""

    rates: dict[str, float]
    lag_p50_s: float
    lag_p99_s: float
    """From the end of a request to its debit."""
    wait_p99_s: float
    """Of those requests for which billing had to be asked."""
    asked: float
    """Share of the requests for which it had to be."""
    refused: int
    outbox_most: int
    outbox_end: int
    drained_s: float
    """How long after an outage the outbox was as before."""
    queue_most: int
    """Longest queue for one row."""
    postgres_busy: float
    billing_busy: float
    usage_busy: float


def run(workload: Workload, costs: Costs, how: Run) -> Simulated:
    """Runs it; the same for the same seed."""
    return simulate(lambda: _World(workload, costs, how).run())


class _World:
    """Everything in one run."""

    def __init__(self, workload: Workload, costs: Costs, how: Run) -> None:
        self._workload = w = workload
        self._how = how
        self._rng = random.Random(how.seed)  # noqa: S311 (no secret)
        self._tally = Tally()
        self._samples = Samples()
        self._usual = 0
        self._requests: dict[str, Request] = {}
        self._numbers = count(1)
        self._postgres = Postgres(costs, cores=w.cores, commit_s=w.commit_s)
        self._billing = Billing(Service(self._postgres, processes=w.billing_processes), self._tally, terms=w.terms)
        self._usage = Usage(Service(self._postgres, processes=w.usage_processes), self._tally, self._requests)
        self._keys = [(self._new_id(), self._new_id()) for _ in range(w.keys)]
        for account_id, api_key_id in self._keys:
            self._billing.open_account(account_id, api_key_id, posted_nanos=w.posted_nanos)

    async def run(self) -> Simulated:
        """Warms up, measures, and ends everything."""
        w, how = self._workload, self._how
        self._edges = [
            Edge(
                self._billing,
                self._usage,
                requests=self._requests,
                tally=self._tally,
                pace=w.pace,
                new_id=self._new_id,
            )
            for _ in range(w.edges)
        ]
        relay = Relay(self._usage, self._billing, self._tally)
        tasks = [asyncio.create_task(edge.run(self._rng)) for edge in self._edges]
        tasks.append(asyncio.create_task(relay.run()))
        self._arrive()
        await asyncio.sleep(how.warm_s)
        self._tally.clear()
        self._usual = len(self._usage.outbox)
        before = self._busy()
        sampling = asyncio.create_task(self._sample())
        if how.outage_s:
            self._billing.away = True
            await asyncio.sleep(how.outage_s)
            self._billing.away = False
        await asyncio.sleep(how.measured_s - how.outage_s)
        tasks.append(sampling)
        found = self._found(before)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return found

    def _new_id(self) -> UUID:
        return UUID(int=next(self._numbers))

    def _arrive(self) -> None:
        """One request, and the time of the next."""
        w, rng = self._workload, self._rng
        loop = asyncio.get_running_loop()
        loop.call_later(rng.expovariate(w.requests_s), self._arrive)
        number = int(rng.random() * w.keys)
        edge = self._edges[number % w.edges if w.sticky else int(rng.random() * w.edges)]
        account_id, api_key_id = self._keys[number]
        request = Request(account_id, api_key_id, begin_s=loop.time(), cost_nanos=w.cost_nanos)
        edge.serve(request, hold_nanos=w.hold_nanos, duration_s=rng.expovariate(1 / w.duration_s))
        self._tally.add("requests")

    async def _sample(self) -> None:
        while True:
            self._samples.outbox.append(len(self._usage.outbox))
            if len(self._samples.outbox) % 20 == 1:
                self._samples.leases.append(sum(len(edge.book.leases) - len(edge.book.ended) for edge in self._edges))
            await asyncio.sleep(SAMPLE_S)

    def _busy(self) -> tuple[float, float, float, float, float]:
        """Counters that only rise: processors of Postgres, billing and usage; commits; WAL."""
        postgres = self._postgres
        return (
            postgres.processors.busy_s,
            self._billing.service.busy_s,
            self._usage.service.busy_s,
            postgres.commits,
            postgres.wal_bytes,
        )

    def _found(self, before: tuple[float, ...]) -> Simulated:
        w, tally, samples = self._workload, self._tally, self._samples
        seconds = self._how.measured_s
        postgres, billing, usage, commits, wal = ((b - a) / seconds for a, b in zip(before, self._busy(), strict=True))
        rates = {name: number / seconds for name, number in tally.counts.items()}
        rates |= {"leases": _mean(samples.leases), "outbox": _mean(samples.outbox), "wal_bytes": wal}
        rates |= {"postgres_s": postgres, "billing_s": billing, "usage_s": usage, "commits": commits}
        return Simulated(
            rates=rates,
            lag_p50_s=percentile(tally.lags_s, 0.5),
            lag_p99_s=percentile(tally.lags_s, 0.99),
            wait_p99_s=percentile(tally.waits_s, 0.99),
            asked=len(tally.waits_s) / max(tally.counts.get("requests", 0), 1),
            refused=sum(number for name, number in tally.counts.items() if name.startswith("refused")),
            outbox_most=max(samples.outbox, default=0),
            outbox_end=len(self._usage.outbox),
            drained_s=samples.drained_s(self._how.outage_s, usual=self._usual),
            queue_most=self._postgres.rows.most_waiting,
            postgres_busy=postgres / w.cores,
            billing_busy=billing / w.billing_processes,
            usage_busy=usage / w.usage_processes,
        )


def percentile(values: list[float], share: float) -> float:
    """The value that this share of the values does not exceed; 0 where there are none."""
    return sorted(values)[max(0, math.ceil(len(values) * share) - 1)] if values else 0.0


def _mean(values: list[int]) -> float:
    return sum(values) / len(values) if values else 0.0
