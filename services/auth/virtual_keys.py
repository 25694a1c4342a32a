"""Virtual keys of a LiteLLM proxy: one with each API key, with a budget that follows its limit, and none left over.

Before the proxy is asked for one, an outbox notes that it must not live on; storing it takes the note back. So whatever
stops in between (a refused insert, a lost answer, a crash), the outbox deletes what may be there.
"""

from datetime import datetime, timedelta
from uuid import UUID

from kit.clock import Clock
from kit.database import Connection, Database
from kit.logs import get_logger
from kit.secrets import BrokenSeal, Sealer
from services.auth import store_api_keys, store_outboxes, store_virtual_keys
from services.auth.errors import VirtualKeyRefused
from services.auth.proxy import Proxy
from services.auth.relay import Relay
from services.auth.rows import ApiKey
from services.auth.store_outboxes import VIRTUAL_KEY_DELETIONS, VIRTUAL_KEY_UPDATES

# Much longer than it takes to make a virtual key and store it.
CREATION_TAKES_AT_MOST = timedelta(seconds=60)
RENEWED_AT_ONCE = 500

log = get_logger()


class Seals:
    """Virtual keys as they are stored: sealed, each bound to its API key."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def seal(self, virtual_key: str, api_key_id: UUID) -> bytes:
        """What to store."""
        return self._sealer.seal(virtual_key.encode(), api_key_id.bytes)

    def open(self, sealed: bytes | None, api_key_id: UUID) -> str:
        """The virtual key; empty where there is none, or none that can be opened."""
        if sealed is None:
            return ""
        try:
            return self._sealer.open(sealed, api_key_id.bytes).decode()
        except BrokenSeal:
            log.error("virtual_key_seal_broken", api_key_id=str(api_key_id))
            return ""

    def renewed(self, sealed: bytes, api_key_id: UUID) -> bytes | None:
        """The same under the present secret; None where it is, or where it cannot be opened."""
        try:
            return self._sealer.renewed(sealed, api_key_id.bytes)
        except BrokenSeal:
            return None


async def renew_seals(database: Database, seals: Seals) -> None:
    """Seals anew what is still under the application secret before this one, once, a batch at a time."""
    after, renewed = UUID(int=0), 0
    while True:
        async with database.transaction() as c:
            batch = await store_virtual_keys.sealed_after(c, after, limit=RENEWED_AT_ONCE)
            fresh = [(api_key_id, seals.renewed(sealed, api_key_id), sealed) for api_key_id, sealed in batch]
            renewed += await store_virtual_keys.replace_seals(c, [(one, new, old) for one, new, old in fresh if new])
        if len(batch) < RENEWED_AT_ONCE:
            log.info("seals_renewed", count=renewed)
            return
        after = batch[-1][0]


def deletions(database: Database, proxy: Proxy, *, clock: Clock) -> Relay:
    """The outbox of virtual keys to delete."""
    return Relay(database, VIRTUAL_KEY_DELETIONS, proxy.delete, clock=clock)


def updates(database: Database, proxy: Proxy, seals: Seals, *, clock: Clock) -> Relay:
    """The outbox of virtual keys whose budget has to follow a changed limit. What is told is what is stored by then."""

    async def tell(api_key_id: UUID) -> bool:
        async with database.reader() as c:
            stored = await store_virtual_keys.virtual_key(c, api_key_id)
        virtual_key = seals.open(stored.sealed, api_key_id) if stored else ""
        if stored is None or not virtual_key:
            return True
        return await proxy.update(api_key_id, virtual_key, monthly_limit_nanos=stored.monthly_limit_nanos)

    return Relay(database, VIRTUAL_KEY_UPDATES, tell, clock=clock)


async def expect(c: Connection, api_key_id: UUID, *, now: datetime) -> bool:
    """Notes that a virtual key may come to be; it is deleted unless it is kept in time.

    False where there is such a note already: somebody else is at work on it, or was until a minute ago.
    """
    due_time = now + CREATION_TAKES_AT_MOST
    return await store_outboxes.put_in_first(c, VIRTUAL_KEY_DELETIONS, api_key_id, now=now, due_time=due_time)


async def keep(c: Connection, api_key_id: UUID) -> None:
    """Takes the note back. VirtualKeyRefused where deleting has begun."""
    if not await store_outboxes.took_out_untouched(c, VIRTUAL_KEY_DELETIONS, api_key_id):
        raise VirtualKeyRefused("creating the virtual key took too long; nothing was stored: try again")


async def give(c: Connection, api_key: ApiKey, sealed: bytes, *, now: datetime) -> bool:
    """Stores a virtual key that was made with the limits of `api_key` for an API key that had none.

    False where that is gone, or has one: then what was made is deleted. VirtualKeyRefused where deleting has begun.
    """
    await keep(c, api_key.id)
    stored = await store_virtual_keys.give_virtual_key(c, api_key.id, sealed)
    if stored is None:
        await discard(c, api_key.id, now=now)
        return False
    if stored.monthly_limit_nanos != api_key.settings.monthly_limit_nanos:
        await follow(c, api_key.id, now=now)
    await store_api_keys.add_revocation(c, user_id=api_key.user_id, api_key_id=api_key.id, now=now)
    return True


async def discard(c: Connection, api_key_id: UUID, *, now: datetime) -> None:
    """Has the virtual key deleted, if there is one."""
    await store_outboxes.put_in(c, VIRTUAL_KEY_DELETIONS, api_key_id, now=now, due_time=now)


async def follow(c: Connection, api_key_id: UUID, *, now: datetime) -> None:
    """Has the virtual key's budget follow the API key's limit, if it has one."""
    if await store_virtual_keys.virtual_key(c, api_key_id):
        await store_outboxes.put_in(c, VIRTUAL_KEY_UPDATES, api_key_id, now=now, due_time=now)
