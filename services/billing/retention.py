"""How long rows are kept that only grow old: leases that are released, and changes that every cache has heard of."""

from datetime import datetime, timedelta

from kit.database import Connection
from kit.sweep import BATCH
from services.billing import store, store_accounts

LEASES_KEPT = timedelta(days=90)
"""A released lease. It can still be named by a charge that comes late, which is then taken from what is available."""

CHANGES_KEPT = timedelta(days=35)
"""A change of an account: caches forget what they know of one within minutes."""


async def delete_leases(connection: Connection, now: datetime) -> int:
    """Deletes a batch of leases that were released long ago and that the books do not need; how many."""
    return await store.delete_leases(connection, now - LEASES_KEPT, kept=LEASES_KEPT, limit=BATCH)


async def delete_changes(connection: Connection, now: datetime) -> int:
    """Deletes a batch of old changes, never the last one; how many."""
    return await store_accounts.delete_changes(connection, now - CHANGES_KEPT, limit=BATCH)
