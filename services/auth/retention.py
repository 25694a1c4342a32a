"""How long rows are kept that only grow old: sessions that are over, and revocations that every cache has heard of."""

from datetime import datetime, timedelta

from kit.database import Connection
from kit.sweep import BATCH
from services.auth import store_api_keys, store_sessions
from services.auth.sessions import LIFETIME

KEPT = timedelta(days=35)
"""A session after its time is over. A revocation: caches forget what they know of a key after 30 s."""


async def delete_sessions(c: Connection, now: datetime) -> int:
    """Deletes a batch of sessions whose time has been over for long; how many."""
    return await store_sessions.delete_expired(c, now - KEPT, lasted=LIFETIME, limit=BATCH)


async def delete_revocations(c: Connection, now: datetime) -> int:
    """Deletes a batch of old revocations, never the last one; how many."""
    return await store_api_keys.delete_revocations(c, now - KEPT, limit=BATCH)
