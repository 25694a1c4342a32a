"""What the RPCs of auth work with, built in `__main__`."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from kit import audit_log
from kit.audit_log import Act
from kit.bus import Bus
from kit.clock import Clock
from kit.database import Database
from kit.ids import IdFactory
from services.auth.api_keys import Digester
from services.auth.passwords import Passwords
from services.auth.proxy import Proxy
from services.auth.relay import Relay
from services.auth.virtual_keys import Seals

TOPIC = "api_keys"
"""Bus topic of revocations: `{"api_key_id", "user_id"}`; an empty key id stands for all keys of the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyParts:
    """The proxy that makes virtual keys, and the outboxes of what it is to be told."""

    proxy: Proxy
    deletions: Relay
    updates: Relay


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """`virtual` is None where virtual keys are off."""

    database: Database
    bus: Bus
    passwords: Passwords
    digester: Digester
    seals: Seals
    openings: Relay
    virtual: ProxyParts | None
    clock: Clock
    ids: IdFactory
    random_bytes: Callable[[int], bytes]

    @property
    def relays(self) -> list[Relay]:
        """All outboxes that have somebody to tell."""
        return [self.openings, *((self.virtual.deletions, self.virtual.updates) if self.virtual else ())]

    def act(self, actor_id: str, reason: str = "") -> Act:
        """What a request does now, for the audit log. InvalidArgument as `audit_log.act`."""
        return audit_log.act(actor_id, reason, event_id=self.ids(), now=self.clock())

    async def announce(self, user_id: UUID, api_key_id: UUID | None = None) -> None:
        """Tells caches of a revocation that is committed."""
        await self.bus.publish(TOPIC, {"api_key_id": str(api_key_id or ""), "user_id": str(user_id)})
