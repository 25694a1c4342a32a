"""Partitions by the month inside the id: made ahead, by the service, with no more rights than that."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from kit import migrations
from kit.clock import utc_now
from kit.ids import uuid7
from services.usage import store
from services.usage.partitions import coming_months, keep_months
from tests.services.usage.conftest import Usage
from tests.support.waiting import eventually

# Within the year that partitions may be made for, beyond the months that the migration makes.
LATER = utc_now() + timedelta(days=200)


async def partitions(usage: Usage) -> dict[str, int]:
    """Rows in each partition."""
    names = await usage.admin.fetch(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'usage.usage_records'::regclass"
    )
    return {row[0]: await usage.admin.fetchval(f"SELECT count(*) FROM {row[0]}") for row in names}


def partition_of(month: datetime) -> str:
    return f"usage.usage_records_{month:%Y_%m}"


def id_at(moment: datetime, random: bytes = b"\0") -> str:
    return str(uuid7(round(moment.timestamp() * 1000) * 1_000_000, lambda n: random * n))


def test_the_coming_months_cross_the_year() -> None:
    assert coming_months(datetime(2026, 11, 30, tzinfo=UTC)) == [
        date(2026, 11, 1), date(2026, 12, 1), date(2027, 1, 1),
    ]  # fmt: skip
    assert coming_months(datetime(2027, 1, 31, 23, 59, tzinfo=UTC)) == [
        date(2027, 1, 1), date(2027, 2, 1), date(2027, 3, 1),
    ]  # fmt: skip


async def test_the_migration_makes_the_first_months(usage: Usage) -> None:
    assert set(await partitions(usage)) == {
        "usage.usage_records_default",
        *(f"usage.usage_records_{month:%Y_%m}" for month in coming_months(utc_now())),
    }


async def test_a_month_begins_and_ends_with_its_first_and_last_millisecond(usage: Usage) -> None:
    month = datetime.combine(coming_months(utc_now())[1], datetime.min.time(), UTC)
    end = datetime.combine(coming_months(utc_now())[2], datetime.min.time(), UTC)
    tick = timedelta(milliseconds=1)
    moments = [(month - tick, b"\xff"), (month, b"\0"), (end - tick, b"\xff"), (end, b"\0")]
    await usage.send(*[usage.record(request_id=id_at(moment, random)) for moment, random in moments])
    counts = await partitions(usage)
    assert counts[partition_of(month - tick)] == 1
    assert counts[partition_of(month)] == 2
    assert counts[partition_of(end)] == 1


async def test_the_service_makes_missing_months_in_the_background(usage: Usage) -> None:
    task = asyncio.create_task(keep_months(usage.database, now=lambda: LATER))
    usage.tasks.append(task)

    async def made() -> bool:
        return partition_of(LATER) in await partitions(usage)

    await eventually(made, what="the month's partition")
    assert {f"usage.usage_records_{month:%Y_%m}" for month in coming_months(LATER)} <= set(await partitions(usage))


async def test_records_that_came_before_their_month_move_into_it(usage: Usage) -> None:
    early = usage.record(request_id=id_at(LATER))
    other = usage.record(request_id=id_at(LATER + timedelta(days=3_650)))
    await usage.send(early, other)
    assert (await partitions(usage))["usage.usage_records_default"] == 2
    async with usage.database.transaction() as connection:
        assert await store.create_months(connection, [LATER.date(), LATER.date()]) == 1
        assert await store.create_months(connection, [LATER.date()]) == 0
    counts = await partitions(usage)
    assert (counts[partition_of(LATER)], counts["usage.usage_records_default"]) == (1, 1)
    assert await usage.outcomes(early, other) == ["KNOWN", "KNOWN"]
    assert (await usage.get(early.request_id)).cost_nanos == 16_000


async def test_a_made_partition_is_as_complete_as_those_of_the_migration(usage: Usage) -> None:
    async with usage.database.transaction() as connection:
        await store.create_months(connection, [LATER.date()])
    assert await migrations.check("usage", usage.url) == []
    definitions: list[set[Any]] = []
    for month in (utc_now(), LATER):
        name = partition_of(month)
        rows = await usage.admin.fetch(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = $1::text::regclass AND contype <> 'n'"
            " UNION ALL SELECT regexp_replace(pg_get_indexdef(indexrelid), '^.* USING', '') FROM pg_index"
            " WHERE indrelid = $1::text::regclass",
            name,
        )
        definitions.append({row[0] for row in rows})
    assert definitions[0] == definitions[1]
    assert len(definitions[0]) > 15


@pytest.mark.parametrize("days", [-500, 500])
async def test_the_service_cannot_make_months_far_away(usage: Usage, days: int) -> None:
    with pytest.raises(asyncpg.InvalidParameterValueError):
        async with usage.database.transaction() as connection:
            await store.create_months(connection, [(utc_now() + timedelta(days=days)).date()])


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM usage.usage_records",
        "TRUNCATE usage.usage_records",
        "DELETE FROM usage.usage_daily",
        "CREATE TABLE usage.mine ()",
        "DROP TABLE usage.outbox",
        "SELECT * FROM usage.usage_records_default",
    ],
)
async def test_the_service_has_no_other_rights(usage: Usage, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with usage.database.transaction() as connection:
            await connection.execute(statement)


@pytest.mark.parametrize(
    "change",
    [
        "cost_nanos = held_nanos + 1",
        "cost_nanos = -1",
        "cached_input_tokens = input_tokens + 1",
        "status = 'paid'",
        "status = 'open'",
        "status = 'error'",
        "revision = 3",
        "presumed = true",
        "record_time = NULL",
        "price_version_id = NULL",
    ],
)
async def test_the_table_itself_refuses_what_no_record_may_be(usage: Usage, change: str) -> None:
    await usage.send(usage.record())
    with pytest.raises(asyncpg.CheckViolationError):
        await usage.admin.execute(f"UPDATE usage.usage_records SET {change}")
