"""Asks every upstream now and then whether it is alive, so that clients need not find out."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Final

from edge.lookup.catalogue import Upstream
from edge.upstream.client import UpstreamError
from edge.upstream.members import Member
from kit.logs import get_logger

_LOOKS_AN_INTERVAL: Final = 4
"""How often it is looked who is to be asked: an ejection makes one due at once."""

Ask = Callable[[Upstream], Awaitable[bool]]
"""Whether an upstream is alive. May raise UpstreamError, and take as long as it likes."""

log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbePace:
    """How often upstreams are asked, in seconds from one answer to the next question, and how long they may take."""

    healthy_s: float = 5.0
    unhealthy_s: float = 1.0
    deadline_s: float = 2.0
    jitter: float = 0.2
    """Up to this part of a pause is left out, so that many edges do not ask together."""


class Probes:
    """Probes of all members, one at a time for each."""

    def __init__(
        self,
        ask: Ask,
        members: Callable[[], Collection[Member]],
        *,
        pace: ProbePace,
        now_s: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        self._ask = ask
        self._members = members
        self._pace = pace
        self._now_s = now_s
        self._random = random
        self.step_s = min(pace.healthy_s, pace.unhealthy_s) / _LOOKS_AN_INTERVAL
        self._asking: set[Member] = set()
        self._asked: dict[Member, tuple[float, float]] = {}
        """When each was last asked, and the part of the pause that is kept."""

    async def run(self) -> None:
        """Goes on until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                members = self._members()
                for gone in self._asked.keys() - set(members):
                    del self._asked[gone]
                for member in members:
                    if member not in self._asking and self._is_due(member, self._now_s()):
                        self._asking.add(member)
                        group.create_task(self._probe(member))
                await asyncio.sleep(self.step_s)

    def _is_due(self, member: Member, now_s: float) -> bool:
        if member not in self._asked:
            return True
        asked_s, kept = self._asked[member]
        is_well = member.ejected_until_s is None and not member.failed_probes
        return now_s - asked_s >= kept * (self._pace.healthy_s if is_well else self._pace.unhealthy_s)

    async def _probe(self, member: Member) -> None:
        try:
            async with asyncio.timeout(self._pace.deadline_s):
                is_healthy = await self._ask(member.upstream)
        except (UpstreamError, TimeoutError):
            is_healthy = False
        except Exception:
            log.exception("probe_failed", upstream=member.upstream.name)
            is_healthy = False
        finally:
            self._asking.discard(member)
            self._asked[member] = (self._now_s(), 1 - self._pace.jitter * self._random())
        was_suspect = member.is_suspect
        member.probed(self._now_s(), is_healthy=is_healthy)
        if member.is_suspect != was_suspect:
            log.warning("upstream_suspect" if member.is_suspect else "upstream_answers", upstream=member.upstream.name)
