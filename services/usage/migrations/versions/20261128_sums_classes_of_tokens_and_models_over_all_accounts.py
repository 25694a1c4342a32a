"""sums classes of tokens, and models over all accounts."""

from collections.abc import Sequence

from alembic import op
from sqlalchemy import text

revision: str = "20261128_usage_sums"
down_revision: str | None = "20261125_usage_idempotency"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

# The previous release adds to usage_daily without the new columns, and to model_daily not at all. What it wrote may
# later be subtracted by this release, so that no sum here may be held to be above 0: records would be refused for it.
TABLES = """
ALTER TABLE usage.usage_daily
    ADD COLUMN IF NOT EXISTS cached_input_tokens bigint NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS cache_write_input_tokens bigint NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS reasoning_tokens bigint NOT NULL DEFAULT 0;
CREATE TABLE IF NOT EXISTS usage.model_daily (
    day date,
    model_public_name text,
    chargeable boolean,
    worker_id uuid,
    requests bigint NOT NULL,
    errors bigint NOT NULL,
    input_tokens bigint NOT NULL,
    cached_input_tokens bigint NOT NULL,
    cache_write_input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    reasoning_tokens bigint NOT NULL,
    cost_nanos bigint NOT NULL,
    PRIMARY KEY (day, model_public_name, chargeable, worker_id)
);
GRANT SELECT, INSERT, UPDATE ON usage.model_daily TO privaterouter_usage;
"""

# An id is made with the start time, so that its bounds spare reading other days; a day more on both sides is for clocks
# that were set back. Whoever calls it while this release runs locks both tables first (docs/books.md).
SUM_UP = """
CREATE OR REPLACE FUNCTION usage.sum_up_day(wanted date) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    first_id uuid := (lpad(to_hex((extract(epoch FROM wanted - 1) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid;
    end_id uuid := (lpad(to_hex((extract(epoch FROM wanted + 2) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid;
BEGIN
    UPDATE usage.usage_daily AS known SET
        cached_input_tokens = found.cached,
        cache_write_input_tokens = found.cache_write,
        reasoning_tokens = found.reasoning
    FROM (
        SELECT account_id, model_public_name, api_key_id, sum(cached_input_tokens) AS cached,
               sum(cache_write_input_tokens) AS cache_write, sum(reasoning_tokens) AS reasoning
        FROM usage.usage_records
        WHERE status <> 'open' AND request_id >= first_id AND request_id < end_id
            AND (start_time AT TIME ZONE 'UTC')::date = wanted
        GROUP BY account_id, model_public_name, api_key_id
    ) AS found
    WHERE known.day = wanted
        AND (known.account_id, known.model_public_name, known.api_key_id)
            = (found.account_id, found.model_public_name, found.api_key_id)
        AND (known.cached_input_tokens, known.cache_write_input_tokens, known.reasoning_tokens)
            <> (found.cached, found.cache_write, found.reasoning);
    DELETE FROM usage.model_daily WHERE day = wanted;
    INSERT INTO usage.model_daily (day, model_public_name, chargeable, worker_id, requests, errors, input_tokens,
        cached_input_tokens, cache_write_input_tokens, output_tokens, reasoning_tokens, cost_nanos)
    SELECT wanted, coalesce(nullif(served_model_public_name, ''), model_public_name), status <> 'error', worker_id,
           count(*), count(*) FILTER (WHERE status <> 'success'), sum(input_tokens), sum(cached_input_tokens),
           sum(cache_write_input_tokens), sum(output_tokens), sum(reasoning_tokens), sum(cost_nanos)
    FROM usage.usage_records
    WHERE status <> 'open' AND request_id >= first_id AND request_id < end_id
        AND (start_time AT TIME ZONE 'UTC')::date = wanted
    GROUP BY 2, 3, 4;
END
$$
"""


def upgrade() -> None:
    for statement in TABLES.split(";\n"):
        if statement.strip():
            op.execute(statement)
    op.execute(SUM_UP)
    op.execute("REVOKE ALL ON FUNCTION usage.sum_up_day(date) FROM PUBLIC")
    # Beside the traffic, day by day, however long it takes; an interrupted attempt begins anew.
    with op.get_context().autocommit_block():
        op.execute("SET statement_timeout = 0")
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS usage.usage_daily_day_idx")
        op.execute("CREATE INDEX CONCURRENTLY usage_daily_day_idx ON usage.usage_daily (day)")
        for day in op.get_bind().scalars(text("SELECT DISTINCT day FROM usage.usage_daily ORDER BY day")).all():
            op.execute(text("SELECT usage.sum_up_day(:day)").bindparams(day=day))
        op.execute("SET statement_timeout = '60s'")


def downgrade() -> None:
    op.execute("DROP FUNCTION usage.sum_up_day(date)")
    op.execute("DROP TABLE usage.model_daily")
    op.execute("DROP INDEX usage.usage_daily_day_idx")
    op.execute(
        "ALTER TABLE usage.usage_daily DROP COLUMN cached_input_tokens, DROP COLUMN cache_write_input_tokens,"
        " DROP COLUMN reasoning_tokens"
    )
