"""One page of the records that match, and how many match, at a cost that does not grow with what is skipped.

What is skipped is counted in the roll-ups, by the UTC day in which requests began, the rest of it read from an index
alone. The list is in the order of ids, though, and an id is made a moment beside the time that is noted, or far from it
where a clock was set back: such requests about midnight, and the few of another time than their id, are counted.
"""

from dataclasses import replace
from datetime import UTC, date, datetime, time
from uuid import UUID

from kit.database import Connection
from kit.ids import lowest_id
from services.usage import store, store_daily
from services.usage.listing import Filter, conditions, range_of, total
from services.usage.records import Record

NEAR = 2_000
"""So many are skipped in an index sooner than in the roll-ups."""


async def records(connection: Connection, wanted: Filter, *, limit: int, offset: int) -> tuple[list[Record], int]:
    """One page of the records that match, newest first, and how many match."""
    await store.plan_each_time(connection)
    count = await total(connection, wanted)
    # No more than there are, so that nobody looks through all others for one that is not there.
    length = min(limit, count - offset)
    if length <= 0:
        return [], count
    before, left = await _skip(connection, wanted, offset)
    where = await _where(connection, wanted, before)
    if before is None and offset > count // 2:
        # From the nearer end.
        left = count - offset - length
        return await store.final_records(connection, where, limit=length, offset=left, from_oldest=True), count
    return await store.final_records(connection, where, limit=length, offset=left), count


async def records_before(connection: Connection, wanted: Filter, *, before: UUID, limit: int) -> list[Record]:
    """The records that match with ids below this one, newest first."""
    await store.plan_each_time(connection)
    where = await _where(connection, wanted, before)
    return await store.final_records(connection, where, limit=limit, offset=0)


async def _where(connection: Connection, wanted: Filter, before: UUID | None) -> dict[str, object]:
    """The filter as conditions; the ids of a time span end close to it where no clock was set back."""
    if (wanted.from_time or wanted.to_time) and not await store.has_astray(connection, wanted.account_id):
        return conditions(wanted, before, beside=store.BESIDE)
    return conditions(wanted, before)


async def _skip(connection: Connection, wanted: Filter, offset: int) -> tuple[UUID | None, int]:
    """The lowest id of a day from which on records are skipped, and how many are still to be skipped below it."""
    if offset < NEAR or wanted.status not in (None, "success"):
        return None, offset
    day = _begin(await store_daily.counts_by_day(connection, range_of(wanted), status=wanted.status), offset)
    if day is None:
        return None, offset
    midnight = datetime.combine(day, time(), UTC)
    if wanted.from_time and midnight <= wanted.from_time:
        return None, offset
    boundary = lowest_id(midnight)
    skipped = await total(connection, replace(wanted, from_time=midnight))
    skipped -= await store.count_of_moved(connection, conditions(wanted), from_time=midnight)
    # More where an id of an earlier time stands before what was looked for.
    return (boundary, offset - skipped) if skipped <= offset else (None, offset)


def _begin(counts: list[tuple[date, int]], offset: int) -> date | None:
    """The earliest day, of those with requests, from which on no more than `offset` came; None where there is none."""
    found = None
    for day, count in sorted(counts, reverse=True):
        offset -= count
        if offset < 0:
            break
        found = day
    return found
