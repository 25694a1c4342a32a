"""Fills the databases of a stack with users, keys, calls and charges by the million, as the product would have.

What is summed up beside them (roll-ups, balances, months of keys) is added up from them by one statement each.
"""

import asyncio
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from uuid import UUID

import asyncpg

from bench.bulk import Connection, filling

DAYS = 90
KEYS = 10
"""Of the one account whose calls they are."""
CHARGE = 76_000
"""Nano-dollars of a call that did not fail; each 40th does."""

# Ids are as edges make them: UUIDv7 of the moment, the number of the row where the random part is. All of it is
# arithmetic that is made part of the statements, since ids are most of what a row costs.
FUNCTIONS = """
CREATE FUNCTION pg_temp.id_at(ms bigint, number bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT ('0' || to_hex(ms * 65536 + 28672 + number % 4096) || to_hex(-9223372036854775808 + number))::uuid
$$;
CREATE FUNCTION pg_temp.ms_of(number bigint, numbers bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT {end_ms} - {days}::bigint * 86400000 * (numbers - number) / numbers
$$;
CREATE FUNCTION pg_temp.user_of(number bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT pg_temp.id_at(pg_temp.ms_of(number, {users}), number)
$$;
CREATE FUNCTION pg_temp.key_of(number bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT pg_temp.id_at(pg_temp.ms_of(number, {users}), number + 1000000000000)
$$
"""
CALLS = """
FROM (
    SELECT number, to_timestamp(ms / 1000::float8) AS moment, pg_temp.id_at(ms, number) AS id,
           CASE number % 40 WHEN 0 THEN 'error' WHEN 20 THEN 'cancelled' ELSE 'success' END AS status
    FROM (
        SELECT number, pg_temp.ms_of(number, {records}) AS ms FROM generate_series(1, {records}::bigint) AS number
    ) AS numbered
    OFFSET 0
) AS call
"""
PEOPLE = """
FROM (
    SELECT number, to_timestamp(pg_temp.ms_of(number, {users}) / 1000::float8) AS moment, pg_temp.user_of(number) AS id
    FROM generate_series(1, {users}::bigint) AS number OFFSET 0
) AS person
"""
MONTHS = """
SELECT usage.create_month_partition((to_timestamp({end_ms} / 1000) - make_interval(months => back))::date)
FROM generate_series(1, 3) AS back
"""
# 19 of 20 end well; every ninth is cheaper by its cache.
RECORDS = """
INSERT INTO usage.usage_records (request_id, worker_id, account_id, api_key_id, model_public_name, upstream_name,
    upstream_model, endpoint, status, input_tokens, cached_input_tokens, output_tokens, reasoning_tokens,
    price_version_id, input_nanos_per_mtok, cached_input_nanos_per_mtok, output_nanos_per_mtok, cost_nanos,
    uncharged_nanos, held_nanos, estimated, streamed, start_time, latency_ms, first_token_ms, http_status, error_code,
    finish_reason, record_time, revision, presumed)
SELECT id, '{worker}', {account}, {key}, 'bench/model-' || {turn} % {models}, 'default', 'bench',
       'chat.completions', status, 400, CASE number % 9 WHEN 0 THEN 300 ELSE 0 END, 120, 20, '{worker}', 100000000,
       50000000, 300000000, CASE status WHEN 'error' THEN 0 ELSE {charge} END, 0, 100000, false, true, moment, 900, 80,
       CASE status WHEN 'error' THEN 502 ELSE 200 END, '', 'stop', moment, 1, false
{calls}
"""
SUMS = """count(*), count(*) FILTER (WHERE status <> 'success'), sum(input_tokens), sum(cached_input_tokens),
       sum(cache_write_input_tokens), sum(output_tokens), sum(reasoning_tokens), sum(cost_nanos)"""
SUMMED = """requests, errors, input_tokens, cached_input_tokens,
    cache_write_input_tokens, output_tokens, reasoning_tokens, cost_nanos"""
DAILY = """
INSERT INTO usage.usage_daily (account_id, day, model_public_name, api_key_id, {summed})
SELECT account_id, (start_time AT TIME ZONE 'UTC')::date, model_public_name, api_key_id, {sums}
FROM usage.usage_records WHERE status <> 'open' GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
"""
MODELS_DAILY = """
INSERT INTO usage.model_daily (day, model_public_name, chargeable, worker_id, {summed})
SELECT (start_time AT TIME ZONE 'UTC')::date, coalesce(nullif(served_model_public_name, ''), model_public_name),
       status <> 'error', worker_id, {sums}
FROM usage.usage_records WHERE status <> 'open' GROUP BY 1, 2, 3, 4
"""
# Each of the others has called three times on ten days, which were long ago: the records are gone, the sums are not.
OTHERS_DAILY = """
INSERT INTO usage.usage_daily (account_id, day, model_public_name, api_key_id, {summed})
SELECT pg_temp.user_of(number), (to_timestamp({end_ms} / 1000))::date - ((number + back * 9) % {days})::int,
       'bench/model-' || number % {models}, pg_temp.key_of(number), 3, 0, 1200, 0, 0, 360, 0, 228000 + number
FROM generate_series(0, 9) AS back, generate_series(1, {users}::bigint) AS number ORDER BY 1
"""
OTHERS_MODELS_DAILY = """
INSERT INTO usage.model_daily AS known (day, model_public_name, chargeable, worker_id, {summed})
SELECT day, model_public_name, true, '{other_worker}', sum(requests), 0, sum(input_tokens), 0, 0, sum(output_tokens),
       0, sum(cost_nanos)
FROM usage.usage_daily WHERE account_id <> '{account_id}' GROUP BY 1, 2
"""
CHARGES = """
INSERT INTO billing.ledger_transactions (id, kind, account_id, amount_nanos, description, create_time, request_id,
    revision, api_key_id, record_time)
SELECT id, 'charge', {account}, -{charge}, 'bench/model-' || {turn} % {models}, moment, id, 1, {key}, moment
{calls} WHERE status <> 'error'
"""
# Before their first call.
GRANTS = """
INSERT INTO billing.ledger_transactions (id, kind, account_id, amount_nanos, description, create_time, external_ref)
SELECT pg_temp.id_at(pg_temp.ms_of(number, {users}) - {days}::bigint * 86400000, number), 'plan_credit', id, {credit},
       'bench', moment - interval '{days} days', '{plan}'
{people}
"""
# The one account pays for all of its calls.
TOP_UP = """
INSERT INTO billing.ledger_transactions (id, kind, account_id, amount_nanos, description, create_time, external_ref)
SELECT pg_temp.id_at(ms, 0), 'top_up', '{account_id}', {charge} * ({records}::bigint - {records} / 40), 'bench',
       to_timestamp(ms / 1000::float8), 'bench'
FROM (SELECT pg_temp.ms_of(0, 1) AS ms) AS before
"""
ENTRIES = """
INSERT INTO billing.ledger_entries (transaction_id, account_kind, account_id, amount_nanos)
SELECT added.id, side.kind, side.account_id, side.amount_nanos
FROM (SELECT * FROM billing.ledger_transactions WHERE description LIKE 'bench%' ORDER BY id) AS added,
     LATERAL (VALUES
        ('customer', added.account_id, added.amount_nanos),
        (CASE added.kind WHEN 'charge' THEN 'revenue' WHEN 'top_up' THEN 'cash' ELSE 'promo' END, NULL,
         -added.amount_nanos)
     ) AS side (kind, account_id, amount_nanos)
"""
# As the trigger would have, which is off here.
LEDGER_SUMS = """
INSERT INTO billing.ledger_sums (account_id, kind, transactions, amount_nanos)
SELECT account_id, kind, count(*), sum(amount_nanos) FROM billing.ledger_transactions GROUP BY account_id, kind
ON CONFLICT (account_id, kind) DO UPDATE
SET transactions = EXCLUDED.transactions, amount_nanos = EXCLUDED.amount_nanos
"""
ACCOUNTS = """
INSERT INTO billing.accounts (account_id, plan_id, posted_nanos, leased_nanos, create_time)
SELECT id, '{plan}', posted_nanos, 0, moment
{people}
JOIN (
    SELECT account_id, sum(amount_nanos) AS posted_nanos FROM billing.ledger_sums GROUP BY account_id
) AS known ON known.account_id = person.id
"""
KEY_MONTHS = """
INSERT INTO billing.key_months (api_key_id, month, charged_nanos, leased_nanos)
SELECT api_key_id, date_trunc('month', create_time AT TIME ZONE 'UTC')::date, -sum(amount_nanos), 0
FROM billing.ledger_transactions WHERE kind = 'charge' GROUP BY 1, 2
"""
USERS = """
INSERT INTO auth.users (id, email, name, role, status, password_hash, create_time)
SELECT id, 'user-' || number || '@example.com', 'User ' || number, 'user', 'active', '$argon2id$' || number, moment
{people}
"""
# A key that somebody will call with has a digest of its own, all others one that belongs to no secret.
API_KEYS = """
INSERT INTO auth.api_keys (id, user_id, secret_digest, key_prefix, name, status, allowed_models, create_time)
SELECT pg_temp.key_of(number), id, coalesce(digest, sha256(number::text::bytea)),
       'sk-pr-live-' || lpad(to_hex(number % 65536), 4, '0'), 'bench', 'active', '{}', moment
{people}
LEFT JOIN pg_temp.digests USING (number)
"""
# Each as the model `privaterouter/fast` is.
CATALOGUE = """
WITH given AS (
    SELECT m.*, p.input_nanos_per_mtok, p.cached_input_nanos_per_mtok, p.output_nanos_per_mtok, p.effective_time,
           p.cache_write_input_nanos_per_mtok
    FROM catalog.models m JOIN catalog.prices p ON p.id = m.price_id WHERE m.public_name = 'privaterouter/fast'
), new AS (
    SELECT gen_random_uuid() AS id, gen_random_uuid() AS price_id, 'bench/model-' || number AS public_name
    FROM generate_series(0, {models} - 1) AS number
), models AS (
    INSERT INTO catalog.models (id, public_name, family, kind, status, context_tokens, max_output_tokens, dimensions,
        template_tokens, tools_tokens, image_tokens, upstream_model, price_id, create_time, sticky)
    SELECT new.id, new.public_name, family, kind, status, context_tokens, max_output_tokens, dimensions,
        template_tokens, tools_tokens, image_tokens, upstream_model, new.price_id, create_time, sticky FROM given, new
), prices AS (
    INSERT INTO catalog.prices (id, model_id, input_nanos_per_mtok, cached_input_nanos_per_mtok, output_nanos_per_mtok,
        effective_time, cache_write_input_nanos_per_mtok)
    SELECT new.price_id, new.id, input_nanos_per_mtok, cached_input_nanos_per_mtok, output_nanos_per_mtok,
        effective_time, cache_write_input_nanos_per_mtok FROM given, new
)
INSERT INTO catalog.routes (model_id, upstream_name, upstream_model, weight, position, connect_timeout_ms,
    first_byte_timeout_ms, idle_timeout_ms, total_timeout_ms)
SELECT new.id, r.upstream_name, r.upstream_model, weight, position, connect_timeout_ms, first_byte_timeout_ms,
    idle_timeout_ms, total_timeout_ms
FROM given JOIN catalog.routes r ON r.model_id = given.id, new
"""
AUTH = ("auth.users", "auth.api_keys")
USAGE = ("usage.usage_records", "usage.usage_daily", "usage.model_daily")
BILLING = ("billing.ledger_transactions", "billing.ledger_entries", "billing.ledger_sums")


@dataclass(frozen=True, kw_only=True)
class Amounts:
    """How much of everything."""

    records: int
    users: int
    models: int = 10


@dataclass(frozen=True, kw_only=True)
class Owner:
    """The one account that all calls and charges are of."""

    account_id: str
    api_key_ids: Sequence[str]


async def fill_one(url: str, owner: Owner, amounts: Amounts) -> None:
    """Calls and charges of one account, beside many users on the plan `free` who called before."""
    values = {
        "account_id": owner.account_id,
        "account": f"'{owner.account_id}'::uuid",
        "key": f"('{{{','.join(owner.api_key_ids)}}}'::uuid[])[1 + number % {len(owner.api_key_ids)}]",
        "turn": "number",
        "plan": "free",
        "credit": 10**9,
    }
    usage = (RECORDS, DAILY, MODELS_DAILY, OTHERS_DAILY, OTHERS_MODELS_DAILY)
    billing = (CHARGES, TOP_UP, GRANTS, ENTRIES, LEDGER_SUMS, ACCOUNTS, KEY_MONTHS)
    await _fill(url, amounts, values, usage=usage, billing=billing, auth=(USERS,), digests=())


async def fill_many(url: str, amounts: Amounts, *, plan: str, digests: Sequence[tuple[int, bytes]]) -> None:
    """Users on a plan, with a key each, who made all the calls together, ten at a time.

    `digests` has that of the secret of some users' keys, by the number of the user from 1 on.
    """
    values = {
        "account": "pg_temp.user_of(1 + number / 10 * 7919 % {users})",
        "key": "pg_temp.key_of(1 + number / 10 * 7919 % {users})",
        "turn": "(number / 10)",
        "plan": plan,
        "credit": 10**12,
    }
    usage = (RECORDS, DAILY, MODELS_DAILY)
    billing = (CHARGES, GRANTS, ENTRIES, LEDGER_SUMS, ACCOUNTS, KEY_MONTHS)
    await _fill(url, amounts, values, usage=usage, billing=billing, auth=(USERS, API_KEYS), digests=digests)


async def add_models(url: str, models: int) -> None:
    """So many models beside those of the catalogue, with the names that calls have."""
    connection = await asyncpg.connect(url)
    await connection.execute(_told({"models": models}, CATALOGUE))
    await connection.close()


async def _fill(
    url: str,
    amounts: Amounts,
    values: Mapping[str, object],
    *,
    usage: Sequence[str],
    billing: Sequence[str],
    auth: Sequence[str],
    digests: Sequence[tuple[int, bytes]],
) -> None:
    """Usage beside billing and auth: two cores have something to do."""
    everything = {
        "calls": CALLS,
        "people": PEOPLE,
        "sums": SUMS,
        "summed": SUMMED,
        **values,
        **asdict(amounts),
        "end_ms": int(time.time()) * 1000,
        "days": DAYS,
        "charge": CHARGE,
        "worker": UUID(int=1),
        "other_worker": UUID(int=2),
    }
    told = partial(_told, everything)

    async def fill_usage() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute(told(MONTHS))
        await connection.close()
        async with filling(url, USAGE, emptied=True) as connection:
            await _run(connection, map(told, (FUNCTIONS, *usage)))

    async def fill_others() -> None:
        async with filling(url, AUTH) as connection:
            await connection.execute("CREATE TEMPORARY TABLE digests (number bigint PRIMARY KEY, digest bytea)")
            await connection.copy_records_to_table("digests", records=digests)
            await _run(connection, map(told, (FUNCTIONS, *auth)))
        async with filling(url, BILLING, emptied=True) as connection:
            await _run(connection, map(told, (FUNCTIONS, *billing)))

    async with asyncio.TaskGroup() as both:
        both.create_task(fill_usage())
        both.create_task(fill_others())
    # An index alone answers only where a row is visible to everybody, which none is while the other half goes on.
    connection = await asyncpg.connect(url, command_timeout=3600)
    await connection.execute("VACUUM (ANALYZE)")
    await connection.close()


async def _run(connection: Connection, statements: Iterable[str]) -> None:
    for statement in statements:
        begun_s = time.monotonic()
        await connection.execute(statement)
        if (took_s := time.monotonic() - begun_s) > 1:
            print(f"  {took_s:.0f} s: {' '.join(statement.split()[:3])}", file=sys.stderr)


def _told(values: Mapping[str, object], statement: str) -> str:
    """With the values in their places; some of them have places for others."""
    for name, value in values.items():
        statement = statement.replace(f"{{{name}}}", str(value))
    return statement
