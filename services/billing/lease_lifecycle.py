"""What happens to leases after they were granted: renewal, closing, and release once their worker is lost."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from kit.database import Connection
from services.billing import store
from services.billing.books import Lease, LeaseState
from services.billing.terms import Terms, month_of


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """How a lease stands after a renewal; `gone` of one that billing does not know, or not as this worker's."""

    lease_id: UUID
    gone: bool = True
    granted_nanos: int = 0
    returned_nanos: int = 0
    recall: bool = False
    month_over: bool = False


async def renew(
    connection: Connection, worker_id: UUID, *, returned_nanos: Mapping[UUID, int], now: datetime, terms: Terms
) -> dict[UUID, State]:
    """Renews leases and takes back what their worker has returned of them in all; how each stands, by id.

    A lease that expired comes back to life, unless it was released. Most renewals return nothing, and lock no account.
    """
    known = await store.lease_facts(connection, returned_nanos)
    facts = {lease_id: lease for lease_id, lease in known.items() if lease.worker_id == worker_id}
    moving = {key: lease for key, lease in facts.items() if returned_nanos[key] > lease.returned_nanos}
    books = await store.lock(
        connection,
        accounts=store.accounts_of(moving.values()),
        key_months=store.key_months_of(moving.values()),
        leases=facts.keys(),
    )
    expire_uptime_ms = await store.uptime_ms(connection) + terms.lease_ms
    for lease in books.leases.values():
        if lease.state is LeaseState.RELEASED:
            continue
        lease.expire_uptime_ms = expire_uptime_ms
        if lease.lease_id in moving:
            # The total never shrinks, and never takes what was settled or is kept.
            free = lease.remainder_nanos - lease.kept_nanos
            books.take_back(lease, max(0, min(free, returned_nanos[lease.lease_id] - lease.returned_nanos)))
    await store.save(connection, books)
    states = {lease_id: State(lease_id=lease_id) for lease_id in returned_nanos}
    for lease in books.leases.values():
        recall_until = facts[lease.lease_id].recall_until
        states[lease.lease_id] = State(
            lease_id=lease.lease_id,
            gone=lease.state is LeaseState.RELEASED,
            granted_nanos=lease.granted_nanos,
            returned_nanos=lease.returned_nanos,
            recall=recall_until is not None and recall_until > now,
            month_over=lease.month is not None and lease.month != month_of(now),
        )
    return states


async def close(connection: Connection, worker_id: UUID, *, spent_nanos: Mapping[UUID, int]) -> None:
    """Closes leases, keeping of each what was spent and is not settled.

    An unknown lease is noted as released, so that a late AcquireLeases cannot begin it; one of another worker is left
    as it is. Unavailable where a lease begins at this very moment.
    """
    known = await store.lease_facts(connection, spent_nanos)
    mine = {lease_id: lease for lease_id, lease in known.items() if lease.worker_id == worker_id}
    books = await store.lock(
        connection,
        accounts=store.accounts_of(mine.values()),
        key_months=store.key_months_of(mine.values()),
        leases=mine.keys(),
    )
    for lease in books.leases.values():
        if lease.state is not LeaseState.RELEASED:
            books.close(lease, spent_nanos=spent_nanos[lease.lease_id])
    await store.save(connection, books)
    unknown = [
        Lease(
            lease_id=lease_id,
            worker_id=worker_id,
            account_id=None,
            api_key_id=None,
            month=None,
            state=LeaseState.RELEASED,
            spent_nanos=spent,
            expire_uptime_ms=0,
        )
        for lease_id, spent in spent_nanos.items()
        if lease_id not in known
    ]
    if unknown:
        await store.add_leases(connection, unknown)
