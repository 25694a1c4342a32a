"""Drives runs: how large they are, by which seed, what became of them; the figures are printed at the end."""

import asyncio
import os
import random
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from tests.faults.books import QUIET_WITHIN_S
from tests.faults.clients import Crowd, Seen, any_wish
from tests.faults.cluster import Cluster
from tests.faults.office import Customer, Office
from tests.faults.verdict import SLACK_S, WINDOW_S, Verdict, judge

RICH_NANOS = 100 * 10**9


@dataclass(frozen=True)
class Size:
    """How much of everything. The smallest takes a minute."""

    kills: int
    """At random, one after the other or several at once."""
    shift: int
    """So many of them before all comes to rest and is judged."""
    rounds: int
    """Through all crash points."""
    outage_s: float
    swizzles: int
    aborts: int
    cut_step: int
    """Bytes of a recorded stream between two cuts; 1 cuts at every byte."""
    races: int
    streams: int
    """Open during rolling restarts."""
    modes: tuple[str, ...]
    """Of failures that hit every crash point again and again."""
    target_kills: int
    """In all runs together, at least."""
    long: bool
    """Also what takes long by its nature."""


SIZES = {
    "small": Size(
        kills=5,
        shift=10,
        rounds=0,
        outage_s=1,
        swizzles=1,
        aborts=40,
        cut_step=97,
        races=1,
        streams=20,
        modes=(),
        target_kills=10,
        long=False,
    ),
    "medium": Size(
        kills=60,
        shift=20,
        rounds=1,
        outage_s=10,
        swizzles=5,
        aborts=200,
        cut_step=7,
        races=10,
        streams=50,
        modes=("raise",),
        target_kills=100,
        long=True,
    ),
    "full": Size(
        kills=900,
        shift=50,
        rounds=2,
        outage_s=60,
        swizzles=50,
        aborts=1_000,
        cut_step=1,
        races=200,
        streams=200,
        modes=("raise", "drop", "delay"),
        target_kills=1_000,
        long=True,
    ),
}
SIZE = SIZES[os.environ.get("FAULTS_SIZE") or "small"]
"""By FAULTS_SIZE: small, medium or full."""
LONG = pytest.mark.skipif(not SIZE.long, reason="runs with make faults")
SEED = int(os.environ.get("FAULTS_SEED") or secrets.randbelow(10**6))
"""By FAULTS_SEED, else any; printed with the figures. The same seed makes the same schedule."""


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    run: str
    verdict: Verdict
    kills: int
    seconds: float


FIGURES: list[Figure] = []


def randomness(of: str) -> random.Random:
    """The numbers of one run: they depend on the seed and the run's name only."""
    return random.Random(f"{SEED}/{of}")  # noqa: S311 (a schedule that can be repeated)


class Run:
    """A crowd of customers at work while a test does harm; `end` judges what they left behind.

    async with Run(cluster, office, "kills") as run:
        cluster.kill("billing")
    """

    def __init__(
        self, cluster: Cluster, office: Office, name: str, *, customers: int = 6, keys: int = 2, clients: int = 16
    ) -> None:
        self.cluster = cluster
        self.name = name
        self.seen: list[Seen] = []
        self.customers: list[Customer] = []
        self.rng = randomness(name)
        self.kills = 0
        self._sum = Verdict()
        self._gone: list[tuple[list[Customer], list[Seen]]] = []
        self._office = office
        self._sizes = (customers, keys, clients)
        self._crowd: Crowd | None = None
        self._begun_s = time.monotonic()
        self._shifts = 0
        OPEN.append(self)

    async def open(self) -> None:
        """Makes the customers."""
        customers, keys, _ = self._sizes
        self.customers = [await self._office.customer(RICH_NANOS, keys=keys) for _ in range(customers)]

    def begin(self) -> None:
        """Sends the crowd to work."""
        self._shifts += 1
        seed = f"{SEED}/{self.name}/{self._shifts}"
        self._crowd = Crowd(self.cluster, self.customers, seed=seed, size=self._sizes[2], wish=any_wish)

    async def rest(self) -> None:
        """Lets the crowd finish what it began."""
        if self._crowd:
            self.seen += await self._crowd.stop()
            self._crowd = None

    async def kill(self, name: str, *, down_s: float = 0.0) -> None:
        """SIGKILL, and a new start."""
        self.kills += 1
        self.cluster.kill(name)
        await asyncio.sleep(down_s)
        await self.cluster.start(name)

    async def verdict(self, *, swallowed: bool = False) -> Verdict:
        """Judges all of the present customers, and writes the figures down; `swallowed` as in `judge`."""
        await self.rest()
        found = await judge(self.cluster, self.customers, self.seen, swallowed=swallowed)
        sum_ = Verdict()
        sum_.add(self._sum)
        sum_.add(found)
        note(self.name, sum_, kills=self.kills, begun_s=self._begun_s)
        return found

    async def relieve(self, *, swallowed: bool = False) -> None:
        """Judges the present customers, who must be right, and sends others in their place."""
        found = await self.verdict(swallowed=swallowed)
        found.hold()
        self._sum.add(found)
        self._gone.append((self.customers, self.seen))
        self.seen = []
        await self.open()

    async def whole(self, *, swallowed: bool = False) -> Verdict:
        """As `verdict`, of all customers that there ever were: what was right must have stayed so."""
        await self.rest()
        self._gone.append((self.customers, self.seen))
        self.customers = [customer for customers, _ in self._gone for customer in customers]
        self.seen = [one for _, seen in self._gone for one in seen]
        self._gone, self._sum = [], Verdict(quiet_s=self._sum.quiet_s)
        return await self.verdict(swallowed=swallowed)


OPEN: list[Run] = []
"""The runs of the present test."""


async def send_home() -> None:
    """Ends the crowds of a test that has failed in the middle."""
    while OPEN:
        await OPEN.pop().rest()


def note(run: str, verdict: Verdict, *, kills: int = 0, begun_s: float) -> None:
    """Writes figures down, in the place of earlier ones of the same run."""
    FIGURES[:] = [figure for figure in FIGURES if figure.run != run]
    FIGURES.append(Figure(run, verdict, kills, time.monotonic() - begun_s))


def table(figures: Sequence[Figure]) -> list[str]:
    """The figures as lines of text; below them their sums, and what they must be."""
    head = f"{'run':38}{'kills':>6}{'requests':>9}{'answered':>9}{'records':>8}{'lost':>5}{'doubled':>8}"
    head += f"{'wrong':>6}{'absorbed':>9}{'short s':>8}{'quiet s':>8}{'took s':>7}  verdict"
    total = Verdict()
    for figure in figures:
        total.add(figure.verdict)
    whole = Figure("all", total, sum(figure.kills for figure in figures), sum(figure.seconds for figure in figures))
    target = f"{'target':38}{f'>={SIZE.target_kills}':>6}{'':26}{0:5}{0:8}{0:6}{0:9}"
    target += f"{f'<={WINDOW_S + SLACK_S:.1f}':>8}{f'<={QUIET_WITHIN_S:.0f}':>8}{'':7}  {_judgement(whole)}"
    return [head, *(_line(figure) for figure in figures), _line(whole), target]


def _line(figure: Figure) -> str:
    found = figure.verdict
    line = f"{figure.run:38}{figure.kills:6}{found.requests:9}{found.answered:9}{found.statuses.total():8}"
    line += f"{found.lost:5}{found.doubled:8}{found.misbilled:6}{found.absorbed_nanos:9}{found.short_s:8.2f}"
    line += f"{found.quiet_s:8.1f}{figure.seconds:7.0f}  "
    return line + ("ok" if not found.findings else f"{len(found.findings)} FINDINGS")


def _judgement(whole: Figure) -> str:
    """Whether the sums are what they must be. (Whatever is lost, doubled or wrong is a finding.)"""
    if whole.verdict.findings:
        return "MISSED"
    if whole.kills < SIZE.target_kills:
        return f"only {whole.kills} kills: a part of the runs"
    return "every target met"
