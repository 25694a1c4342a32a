"""Hints to the other processes that an account was changed or is wanted elsewhere, sent after the commit.

They go out beside the answer, so that a slow Valkey holds up no RPC. A lost hint costs time only: edges poll
ListAccountChanges, and RenewLeases tells of recalls.
"""

import asyncio
from uuid import UUID

from kit.bus import Bus
from kit.logs import get_logger

TOPIC = "accounts"
"""Bus topic: `{"account_id": ..., "kind": "changed" | "recall"}`."""

MOST_WAITING = 10_000

log = get_logger()


class Announcer:
    """A bounded queue of hints in front of the bus."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._waiting: asyncio.Queue[tuple[UUID, str]] = asyncio.Queue(MOST_WAITING)

    def changed(self, account_id: UUID) -> None:
        """The plan or the credit of an account was changed by someone."""
        self._put(account_id, "changed")

    def recall(self, account_id: UUID) -> None:
        """Free credit of an account should be given back."""
        self._put(account_id, "recall")

    async def run(self) -> None:
        """Sends hints until cancelled."""
        while True:
            account_id, kind = await self._waiting.get()
            await self._bus.publish(TOPIC, {"account_id": str(account_id), "kind": kind})

    def _put(self, account_id: UUID, kind: str) -> None:
        try:
            self._waiting.put_nowait((account_id, kind))
        except asyncio.QueueFull:
            log.warning("announcement_dropped", account_id=str(account_id), kind=kind)
