"""Virtual keys of a LiteLLM proxy: made with an API key, deleted with it, never left over.

Before the proxy is asked for one, the outbox notes that it must not live on; storing the API key
takes the note back. So whatever stops in between (a refused insert, a lost answer, a crash), the
outbox deletes what may be there. The virtual key's alias is the API key's id.
https://docs.litellm.ai/docs/proxy/virtual_keys
"""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

import httpx

from kit.clock import Clock
from kit.database import Connection, Database
from kit.logs import get_logger
from kit.secrets import BrokenSeal, Sealer
from services.auth import store_outboxes
from services.auth.errors import VirtualKeyRefused
from services.auth.relay import Relay
from services.auth.store_outboxes import VIRTUAL_KEY_DELETIONS

# Under the 5 s that callers of auth wait by default.
DEADLINE_S = 4.0
# Much longer than it takes to make a virtual key and store it.
CREATION_TAKES_AT_MOST = timedelta(seconds=60)

log = get_logger()


class Proxy:
    """The admin API of the LiteLLM proxy."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        """`client` knows the proxy's address and sends its master key."""
        self._client = client

    async def generate(self, api_key_id: UUID, *, user_id: UUID) -> str:
        """A new virtual key. VirtualKeyRefused where the proxy does not give one."""
        request = {
            "key_alias": str(api_key_id),
            "metadata": {"privaterouter_api_key_id": str(api_key_id), "privaterouter_user_id": str(user_id)},
        }
        refusal = "no virtual key"
        try:
            async with asyncio.timeout(DEADLINE_S):
                answer = await self._client.post("/key/generate", json=request)
            if answer.is_success and isinstance(key := _field(answer, "key"), str) and key:
                return key
            refusal = f"status {answer.status_code}"
        except (httpx.HTTPError, TimeoutError) as error:
            refusal = repr(error)
        log.warning("virtual_key_refused", api_key_id=str(api_key_id), error=refusal)
        raise VirtualKeyRefused("the upstream proxy did not create a virtual key; nothing was stored: try again later")

    async def delete(self, api_key_id: UUID) -> bool:
        """Deletes the API key's virtual key; answers whether there is none now."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                answer = await self._client.post("/key/delete", json={"key_aliases": [str(api_key_id)]})
        except (httpx.HTTPError, TimeoutError) as error:
            log.warning("virtual_key_not_deleted_yet", api_key_id=str(api_key_id), error=repr(error))
            return False
        # Where no key has the alias LiteLLM answers 404 with an `error`; a 404 without one is another server's.
        if answer.is_success or (answer.status_code == httpx.codes.NOT_FOUND and _field(answer, "error")):
            return True
        log.warning("virtual_key_not_deleted_yet", api_key_id=str(api_key_id), error=f"status {answer.status_code}")
        return False


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


def deletions(database: Database, proxy: Proxy, *, clock: Clock) -> Relay:
    """The outbox of virtual keys to delete."""
    return Relay(database, VIRTUAL_KEY_DELETIONS, proxy.delete, clock=clock)


async def expect(c: Connection, api_key_id: UUID, *, now: datetime) -> None:
    """Notes that a virtual key may come to be; it is deleted unless `keep` takes the note back in time."""
    due_time = now + CREATION_TAKES_AT_MOST
    await store_outboxes.put_in(c, VIRTUAL_KEY_DELETIONS, api_key_id, now=now, due_time=due_time)


async def keep(c: Connection, api_key_id: UUID) -> None:
    """Takes the note back. VirtualKeyRefused where deleting has begun."""
    if not await store_outboxes.took_out_untouched(c, VIRTUAL_KEY_DELETIONS, api_key_id):
        raise VirtualKeyRefused("creating the virtual key took too long; nothing was stored: try again")


async def discard(c: Connection, api_key_id: UUID, *, now: datetime) -> None:
    """Has the virtual key deleted, if there is one."""
    await store_outboxes.put_in(c, VIRTUAL_KEY_DELETIONS, api_key_id, now=now, due_time=now)


def _field(answer: httpx.Response, name: str) -> object:
    """A field of a JSON object; None where the answer has none, or is none."""
    try:
        body: object = answer.json()
    except ValueError:
        return None
    return body.get(name) if isinstance(body, dict) else None
