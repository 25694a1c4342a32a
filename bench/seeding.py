"""Fills the databases of a stack with users, calls and charges by the hundred thousand, for benchmarks of reads."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

DAYS = 90
MODELS = 10
KEYS = 10

# Ids as edges make them: UUIDv7 of the moment, the number of the row where the random part is.
FUNCTIONS = """
CREATE FUNCTION pg_temp.id_at(moment timestamptz, number bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0') || '7'
            || lpad(to_hex(number % 4096), 3, '0') || '8' || lpad(to_hex(number), 15, '0'))::uuid
$$;
CREATE FUNCTION pg_temp.moment_of(number bigint, numbers bigint) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT date_trunc('milliseconds', now() - make_interval(days => {days}) * (1 - number::float8 / numbers))
$$;
SET synchronous_commit = off;
SET session_replication_role = replica
"""
MONTHS = (
    "SELECT usage.create_month_partition((now() - make_interval(months => back))::date) FROM generate_series(1, 3) back"
)
# 19 of 20 end well; every ninth is cheaper by its cache.
RECORDS = """
INSERT INTO usage.usage_records (request_id, worker_id, account_id, api_key_id, model_public_name, upstream_name,
    upstream_model, endpoint, status, input_tokens, cached_input_tokens, output_tokens, reasoning_tokens,
    price_version_id, input_nanos_per_mtok, cached_input_nanos_per_mtok, output_nanos_per_mtok, cost_nanos,
    uncharged_nanos, held_nanos, estimated, streamed, start_time, latency_ms, first_token_ms, http_status, error_code,
    finish_reason, record_time, revision, presumed)
SELECT pg_temp.id_at(moment, number), $4, $1, ($2::uuid[])[1 + number % {keys}], 'bench/model-' || number % {models},
       'default', 'bench', 'chat.completions', status, 400, CASE number % 9 WHEN 0 THEN 300 ELSE 0 END, 120, 20, $4,
       100000000, 50000000, 300000000, CASE status WHEN 'error' THEN 0 ELSE 76000 END, 0, 100000, false, true, moment,
       900, 80, CASE status WHEN 'error' THEN 502 ELSE 200 END, '', 'stop', moment, 1, false
FROM generate_series(1, $3::bigint) AS number,
     LATERAL (
        SELECT pg_temp.moment_of(number, $3) AS moment,
               CASE number % 40 WHEN 0 THEN 'error' WHEN 20 THEN 'cancelled' ELSE 'success' END AS status
     ) AS chosen
"""
DAILY = """
INSERT INTO usage.usage_daily (account_id, day, model_public_name, api_key_id, requests, errors, input_tokens,
    output_tokens, cost_nanos)
SELECT account_id, (start_time AT TIME ZONE 'UTC')::date, model_public_name, api_key_id, count(*),
       count(*) FILTER (WHERE status <> 'success'), sum(input_tokens), sum(output_tokens), sum(cost_nanos)
FROM usage.usage_records WHERE account_id = $1 GROUP BY 1, 2, 3, 4
"""
SUM_UP = "SELECT usage.sum_up_day(now()::date - back) FROM generate_series(0, {days}) AS back"
CHARGES = """
INSERT INTO billing.ledger_transactions (id, kind, account_id, amount_nanos, description, create_time, request_id,
    revision, api_key_id, record_time)
SELECT pg_temp.id_at(moment, number), 'charge', $1, -76000, 'bench', moment, pg_temp.id_at(moment, number), 1,
       ($2::uuid[])[1 + number % {keys}], moment
FROM generate_series(1, $3::bigint) AS number, pg_temp.moment_of(number, $3) AS moment
"""
CHARGE_ENTRIES = """
INSERT INTO billing.ledger_entries (transaction_id, account_kind, account_id, amount_nanos)
SELECT id, kind, CASE kind WHEN 'customer' THEN account_id END, CASE kind WHEN 'customer' THEN -76000 ELSE 76000 END
FROM (SELECT id, account_id FROM billing.ledger_transactions WHERE kind = 'charge' AND account_id = $1) AS charge,
     (VALUES ('customer'), ('revenue')) AS side (kind)
"""
USERS = """
INSERT INTO auth.users (id, email, name, role, status, password_hash, create_time)
SELECT pg_temp.id_at(moment, number), 'user-' || number || '@example.com', 'User ' || number, 'user', 'active',
       '$argon2id$' || number, moment
FROM generate_series(1, $1::bigint) AS number, pg_temp.moment_of(number, $1) AS moment
"""
ACCOUNTS = """
INSERT INTO billing.accounts (account_id, plan_id, posted_nanos, leased_nanos, create_time)
SELECT pg_temp.id_at(moment, number), 'free', 1000000000, 0, moment
FROM generate_series(1, $1::bigint) AS number, pg_temp.moment_of(number, $1) AS moment
"""
GRANTS = """
INSERT INTO billing.ledger_transactions (id, kind, account_id, amount_nanos, description, create_time, external_ref)
SELECT account_id, 'plan_credit', account_id, 1000000000, 'bench', create_time, 'free'
FROM billing.accounts WHERE plan_id = 'free' AND posted_nanos = 1000000000 AND NOT EXISTS (
    SELECT FROM billing.ledger_transactions AS known WHERE known.account_id = accounts.account_id)
"""
GRANT_ENTRIES = """
INSERT INTO billing.ledger_entries (transaction_id, account_kind, account_id, amount_nanos)
SELECT id, kind, CASE kind WHEN 'customer' THEN account_id END,
       1000000000 * CASE kind WHEN 'customer' THEN 1 ELSE -1 END
FROM (SELECT id, account_id FROM billing.ledger_transactions WHERE description = 'bench' AND kind = 'plan_credit') AS g,
     (VALUES ('customer'), ('promo')) AS side (kind)
"""
# As the trigger would have, which is off here.
LEDGER_SUMS = """
INSERT INTO billing.ledger_sums (account_id, kind, transactions, amount_nanos)
SELECT account_id, kind, count(*), sum(amount_nanos) FROM billing.ledger_transactions GROUP BY account_id, kind
ON CONFLICT (account_id, kind) DO UPDATE
SET transactions = EXCLUDED.transactions, amount_nanos = EXCLUDED.amount_nanos
"""
# Each of the others has called on ten days.
OTHERS = """
INSERT INTO usage.usage_daily (account_id, day, model_public_name, api_key_id, requests, errors, input_tokens,
    output_tokens, cost_nanos)
SELECT pg_temp.id_at(pg_temp.moment_of(number, $1), number), now()::date - ((number + back * 9) % {days})::int,
       'bench/model-' || number % {models}, pg_temp.id_at(pg_temp.moment_of(number, $1), number), 3, 0, 1200, 360,
       228000 + number
FROM generate_series(0, 9) AS back, generate_series(1, $1::bigint) AS number ORDER BY 2
"""


async def fill(url: str, account_id: str, api_key_ids: Sequence[str], *, records: int, users: int) -> None:
    """Calls and charges of one account over DAYS, and other users; in the end the tables are vacuumed."""
    keys = [UUID(key) for key in api_key_ids]
    connection = await asyncpg.connect(url, command_timeout=3600)
    account = UUID(account_id)
    worker_id = keys[0]
    try:
        for statement in _with_numbers(FUNCTIONS).split(";\n"):
            await connection.execute(statement)
        await connection.execute(MONTHS)
        await connection.execute(_with_numbers(RECORDS), account, keys, records, worker_id)
        await connection.execute(DAILY, account)
        await connection.execute(_with_numbers(SUM_UP))
        await connection.execute(_with_numbers(CHARGES), account, keys, records)
        await connection.execute(CHARGE_ENTRIES, account)
        for statement in (USERS, ACCOUNTS):
            await connection.execute(statement, users)
        await connection.execute(GRANTS)
        await connection.execute(GRANT_ENTRIES)
        await connection.execute(LEDGER_SUMS)
        await connection.execute(_with_numbers(OTHERS), users)
        await connection.execute("VACUUM (ANALYZE)")
    finally:
        await connection.close()


def _with_numbers(statement: str) -> str:
    return statement.replace("{days}", str(DAYS)).replace("{models}", str(MODELS)).replace("{keys}", str(KEYS))
