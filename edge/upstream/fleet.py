"""All upstreams as one edge sees them: where a request goes, and what is learned from how it went."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry

from edge.errors import EdgeError
from edge.lookup.catalogue import Model, Snapshot, Upstream
from edge.tasks import Tasks
from edge.upstream import candidates as listing
from edge.upstream.budget import RetryBudget
from edge.upstream.candidates import Candidate
from edge.upstream.choosing import Rank, choose
from edge.upstream.members import Member, Standing
from edge.upstream.meters import Meters
from edge.upstream.probes import Ask, ProbePace, Probes
from edge.upstream.slots import WAIT_S, Slots
from edge.upstream.visits import Outcome, Retry, Visit
from kit.logs import get_logger

RETRY_WAIT_S: Final = 1.0
"""When an upstream dies, many fail in the same moment; a retry ends when its answer begins, so most get theirs."""
RETRY_POLL_S: Final = 0.02

log = get_logger()


@dataclass(frozen=True, slots=True)
class Figures:
    """How an upstream stands with this edge."""

    upstream: Upstream
    standing: Standing
    in_flight: int
    queued: int
    failures: int
    """In a row."""
    failed_probes: int
    """In a row."""
    ejections: int
    """Those that are not forgotten; the next one lasts so much longer."""
    ejected_for_s: float | None
    """How long it will yet be ejected."""
    latency_s: float | None
    """From the last request to its first byte."""


class Fleet:
    """The upstreams of the newest catalogue. `newest` may raise EdgeError while there is none.

    `ask` probes one upstream, `rank` says which of equally good candidates come first (the lowest), `forget_others` is
    told the names of all upstreams when they change, `registry` is where figures are shown. `now_s` is any clock that
    is never set back, `random` gives numbers in [0, 1).
    """

    def __init__(
        self,
        newest: Callable[[], Snapshot],
        ask: Ask,
        *,
        random: Callable[[], float],
        rank: Rank | None = None,
        forget_others: Callable[[Collection[str]], None] | None = None,
        now_s: Callable[[], float] = time.monotonic,
        wait_s: float = WAIT_S,
        probe_pace: ProbePace | None = None,
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        self._newest = newest
        self._random = random
        self._rank = rank
        self._forget_others = forget_others
        self._now_s = now_s
        self._wait_s = wait_s
        self._in_flight = 0
        self._budget = RetryBudget(now_s())
        self._members: dict[str, Member] = {}
        self._snapshot: Snapshot | None = None
        """The one that members and lists are made from."""
        self._lists: dict[str, tuple[Candidate, ...]] = {}
        self._probes = Probes(ask, self._present, pace=probe_pace or ProbePace(), now_s=now_s, random=random)
        self._tasks = Tasks()
        self._meters = Meters(self._known, registry)

    async def start(self) -> None:
        """Begins to probe, and to show figures."""
        self._meters.show()
        self._tasks.start("upstream probes", self._probes.run)

    async def close(self) -> None:
        """Ends that."""
        await self._tasks.close()
        self._meters.hide()

    def candidates(self, model: Model, snapshot: Snapshot) -> tuple[Candidate, ...]:
        """As candidates.py says; made once for each version of the catalogue."""
        if snapshot is not self._snapshot:
            self._refresh()
            if snapshot is not self._snapshot:  # An older one, which a request has kept.
                return listing.candidates(model, snapshot)
        found = self._lists.get(model.public_name)
        if found is None:
            found = self._lists[model.public_name] = listing.candidates(model, snapshot)
        return found

    def choose(
        self, candidates: Sequence[Candidate], tried: Collection[Candidate] = (), sticky_key: str = ""
    ) -> Candidate | None:
        """Where the next attempt goes, None where all were tried. `tried` has members of `candidates`."""
        if len(candidates) == 1 and not tried:
            return candidates[0]
        return choose(
            candidates,
            self._members_of(candidates),
            tried=tried,
            sticky_key=sticky_key,
            rank=self._rank,
            now_s=self._now_s(),
            random=self._random,
        )

    async def enter(
        self, candidate: Candidate, candidates: Sequence[Candidate] = (), tried: Collection[Candidate] = ()
    ) -> Visit:
        """Takes a slot, which the visit gives back. EdgeError upstream_unavailable where all stay taken.

        MovedOn where the upstream is ejected meanwhile, and one of `candidates` that was not tried is better.
        """
        member = self._member(candidate.upstream)
        if not member.slots.try_take():
            await member.slots.take(self._wait_s, lambda: self._has_better(member, candidates, tried))
        self._in_flight += 1
        self._budget.note_request()
        return Visit(member, self._now_s(), self._judge)

    async def retry(self) -> Retry | None:
        """The leave to send a request once more; it ends when the answer begins.

        Where too many are sent once more just now it waits for a moment until fewer are: None where that is in vain.
        """
        give_up_s = self._now_s() + RETRY_WAIT_S
        while not self._budget.try_begin(self._in_flight, self._now_s()):
            if self._now_s() >= give_up_s:
                self._meters.count_retry(granted=False)
                return None
            await asyncio.sleep(RETRY_POLL_S)
        self._meters.count_retry(granted=True)
        return Retry(self._budget)

    def look(self, upstream_name: str) -> Figures | None:
        """How an upstream stands, None where there is none of this name."""
        self._refresh()
        member = self._members.get(upstream_name)
        if member is None:
            return None
        now_s = self._now_s()
        standing = member.standing(now_s)
        until_s = member.ejected_until_s
        return Figures(
            upstream=member.upstream,
            standing=standing,
            in_flight=member.slots.in_flight,
            queued=member.slots.queued,
            failures=member.failures,
            failed_probes=member.failed_probes,
            ejections=member.ejections(now_s),
            ejected_for_s=until_s - now_s if until_s is not None and standing is Standing.EJECTED else None,
            latency_s=member.latency_s,
        )

    def _judge(self, visit: Visit, outcome: Outcome, pause_s: float) -> None:
        """A visit has ended."""
        member, now_s = visit.member, self._now_s()
        self._in_flight -= 1
        member.outcomes[outcome.value] = member.outcomes.get(outcome.value, 0) + 1
        if outcome is Outcome.SUCCESS:
            visit.answered(now_s)
            was_ejected = member.ejected_until_s is not None
            member.succeeded(visit.era, now_s)
            if was_ejected and member.ejected_until_s is None:
                log.info("upstream_readmitted", upstream=member.upstream.name)
        elif outcome is Outcome.FAILURE:
            ejected_total = member.ejected_total
            member.failed(visit.era, now_s, was_answered=visit.was_answered)
            if member.ejected_total > ejected_total:
                ejections = member.ejections(now_s)
                log.warning("upstream_ejected", upstream=member.upstream.name, ejections=ejections)
                # Before its slot is free, or one of them would get it.
                member.slots.move_on()
        elif outcome is Outcome.BUSY and not member.upstream.virtual_keys:
            # With virtual keys it may be the caller's own limit, which is nothing to the others.
            member.cool_down(pause_s, now_s)
        visit.end_trial()
        member.slots.free(now_s - visit.began_s)

    def _has_better(self, member: Member, candidates: Sequence[Candidate], tried: Collection[Candidate]) -> bool:
        """Whether one of the candidates that were not tried is at a better upstream than this one."""
        members, now_s = self._members_of(candidates), self._now_s()
        level = member.level(now_s)
        return any(members[one.upstream.name].level(now_s) < level for one in candidates if one not in tried)

    def _known(self) -> Collection[Member]:
        return self._members.values()

    def _present(self) -> Collection[Member]:
        self._refresh()
        return self._known()

    def _members_of(self, candidates: Sequence[Candidate]) -> Mapping[str, Member]:
        for one in candidates:
            if one.upstream.name not in self._members:
                return {one.upstream.name: self._member(one.upstream) for one in candidates}
        return self._members

    def _member(self, upstream: Upstream) -> Member:
        member = self._members.get(upstream.name)
        if member is None:
            self._refresh()
            # An older catalogue had it: it is used for the last requests of that, and forgotten.
            member = self._members.get(upstream.name) or self._made(upstream)
        return member

    def _refresh(self) -> None:
        """Follows the catalogue."""
        try:
            snapshot = self._newest()
        except EdgeError:
            return
        if snapshot is not self._snapshot:
            self._snapshot = snapshot
            self._lists = {}
            self._members = {upstream.name: self._kept(upstream) for upstream in snapshot.upstreams.values()}
            if self._forget_others is not None:
                self._forget_others(self._members.keys())

    def _kept(self, upstream: Upstream) -> Member:
        """The member of this upstream with what is known of it; at another address it is another server."""
        known = self._members.get(upstream.name)
        if known is None or known.upstream.base_url != upstream.base_url:
            return self._made(upstream)
        known.upstream = upstream
        known.slots.resize(upstream.max_in_flight, upstream.max_queued)
        return known

    def _made(self, upstream: Upstream) -> Member:
        slots = Slots(upstream.max_in_flight, upstream.max_queued, self._now_s)
        return Member(upstream, slots, self._now_s())
