"""What benchmarks put into databases is what the product would have written: its books balance, its sums are right."""

from collections.abc import Sequence
from typing import TypeAlias
from uuid import UUID, uuid4

import asyncpg
import pytest

from bench.seeding import Amounts, Owner, fill_many, fill_one
from kit.database import Database
from kit.ids import time_of
from services.auth.api_keys import Digester
from services.billing.audit import FIRST, Part, audit
from tests.services.usage.conftest import RECOUNT, RECOUNT_MODELS
from tests.support.databases import Databases

Admin: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
AMOUNTS = Amounts(records=400, users=8, models=3)
DAILY = """
SELECT account_id, day, model_public_name, api_key_id, requests, errors, input_tokens, output_tokens, cost_nanos,
       cached_input_tokens, cache_write_input_tokens, reasoning_tokens
FROM usage.usage_daily
"""
MODELS_DAILY = """
SELECT day, model_public_name, chargeable, worker_id, requests, errors, input_tokens, cached_input_tokens,
       cache_write_input_tokens, output_tokens, reasoning_tokens, cost_nanos
FROM usage.model_daily
"""
SUMS = "SELECT account_id, kind, transactions, amount_nanos FROM billing.ledger_sums"
RESUMMED = """
SELECT account_id, kind, count(*), sum(amount_nanos)::bigint FROM billing.ledger_transactions GROUP BY 1, 2
"""
UNLIKE = """
SELECT u.request_id, t.request_id FROM usage.usage_records u FULL JOIN billing.ledger_transactions t
    ON (t.request_id, t.account_id, t.api_key_id, -t.amount_nanos, t.record_time)
        = (u.request_id, u.account_id, u.api_key_id, u.cost_nanos, u.record_time)
WHERE (t.id IS NULL AND u.cost_nanos > 0) OR (u.request_id IS NULL AND t.kind = 'charge')
"""
INDEXES = """
SELECT indrelid::regclass::text, regexp_replace(pg_get_indexdef(indexrelid), 'INDEX \\S+ ON', 'INDEX ON'), indisvalid
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
WHERE c.relnamespace::regnamespace::text IN ('auth', 'billing', 'usage') ORDER BY 1, 2
"""


@pytest.fixture
async def admin(databases: Databases) -> Admin:
    """Of a database with an account that somebody has opened."""
    connection = await databases.admin(await databases.fresh("auth", "billing", "usage"))
    await connection.execute("INSERT INTO billing.accounts VALUES ($1, 'free', 0, 0, NULL, now())", UUID(int=7))
    return connection


async def url_of(admin: Admin, databases: Databases) -> str:
    return databases._cluster.url_of(await admin.fetchval("SELECT current_database()"))


async def rows(admin: Admin, statement: str) -> Sequence[tuple[object, ...]]:
    return sorted((tuple(row) for row in await admin.fetch(statement)), key=str)


async def assert_right(admin: Admin, database: Database) -> None:
    """The books pass billing's own audit, charges are those of the records, and all sums are as counted anew."""
    async with database.transaction() as connection:
        for part in Part:
            audited = await audit(connection, part, since=None, token="", limit=10_000)
            assert audited.mismatches == []
    assert await rows(admin, UNLIKE) == []
    assert await rows(admin, SUMS) == await rows(admin, RESUMMED)
    assert await admin.fetchval("SELECT bool_and(indisvalid) FROM pg_index")


async def test_all_calls_of_one_account_are_in_its_books(admin: Admin, databases: Databases) -> None:
    keys = [str(uuid4()) for _ in range(3)]
    owner = Owner(account_id=str(UUID(int=7)), api_key_ids=keys)
    url = await url_of(admin, databases)
    await fill_one(url, owner, AMOUNTS)
    await assert_right(admin, await databases.connect("billing", url))
    assert await rows(admin, "SELECT count(*), count(DISTINCT api_key_id) FROM usage.usage_records") == [(400, 3)]
    assert await rows(admin, f"{DAILY} WHERE account_id = '{owner.account_id}'") == await rows(admin, RECOUNT)
    both = "SELECT sum(requests), sum(cost_nanos), sum(output_tokens) FROM"
    assert await rows(admin, f"{both} usage.usage_daily") == await rows(admin, f"{both} usage.model_daily")
    assert await admin.fetchval("SELECT count(*) FROM auth.users") == 8


async def test_calls_of_many_accounts_are_in_the_books_of_each(admin: Admin, databases: Databases) -> None:
    digester = Digester("a secret of the application")
    url = await url_of(admin, databases)
    await fill_many(url, AMOUNTS, plan="team", digests=[(3, digester.digest("sk-3"))])
    await assert_right(admin, await databases.connect("billing", url))
    assert await rows(admin, DAILY) == await rows(admin, RECOUNT)
    assert await rows(admin, MODELS_DAILY) == await rows(admin, RECOUNT_MODELS)
    assert await admin.fetchval("SELECT count(DISTINCT account_id) FROM usage.usage_records") == 8
    owner = await admin.fetchval(
        "SELECT email FROM auth.api_keys JOIN auth.users u ON u.id = user_id WHERE secret_digest = $1",
        digester.digest("sk-3"),
    )
    assert owner == "user-3@example.com"


async def test_tables_have_the_indexes_that_they_had(admin: Admin, databases: Databases) -> None:
    before = await rows(admin, INDEXES)
    await fill_many(await url_of(admin, databases), AMOUNTS, plan="team", digests=())
    after = [row for row in await rows(admin, INDEXES) if row[0] in {old[0] for old in before}]
    assert after == before


async def test_ids_are_of_the_time_of_the_call(admin: Admin, databases: Databases) -> None:
    await fill_many(await url_of(admin, databases), AMOUNTS, plan="team", digests=())
    found = await admin.fetch("SELECT request_id, start_time FROM usage.usage_records ORDER BY request_id")
    assert [row["start_time"] for row in found] == [time_of(row["request_id"]) for row in found]
    assert await admin.fetchval("SELECT count(*) FROM usage.usage_records WHERE request_id <= $1", FIRST) == 0
