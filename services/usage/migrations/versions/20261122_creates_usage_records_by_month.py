"""creates usage records, partitioned by the month inside their id."""

from collections.abc import Sequence

from alembic import op

revision: str = "20261122_usage_1"
down_revision: str | None = None
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

# An id is a UUIDv7, whose first 48 bits are its time: ranges of ids are months, and the primary key needs
# no other column. So an id meets the same unique index whenever, and with whatever times, it is reported.
RECORDS = """
CREATE TABLE usage.usage_records (
    request_id uuid PRIMARY KEY,
    worker_id uuid NOT NULL,
    lease_id uuid,
    account_id uuid NOT NULL,
    api_key_id uuid NOT NULL,
    model_public_name text NOT NULL CHECK (model_public_name <> ''),
    upstream_name text NOT NULL,
    upstream_model text NOT NULL,
    endpoint text NOT NULL CHECK (endpoint <> ''),
    status text NOT NULL CHECK (status IN ('open', 'success', 'error', 'cancelled', 'interrupted')),
    input_tokens bigint NOT NULL,
    cached_input_tokens bigint NOT NULL CHECK (cached_input_tokens BETWEEN 0 AND input_tokens),
    output_tokens bigint NOT NULL,
    reasoning_tokens bigint NOT NULL CHECK (reasoning_tokens BETWEEN 0 AND output_tokens),
    price_version_id uuid,
    input_nanos_per_mtok bigint NOT NULL CHECK (input_nanos_per_mtok >= 0),
    cached_input_nanos_per_mtok bigint NOT NULL CHECK (cached_input_nanos_per_mtok >= 0),
    output_nanos_per_mtok bigint NOT NULL CHECK (output_nanos_per_mtok >= 0),
    cost_nanos bigint NOT NULL CHECK (cost_nanos BETWEEN 0 AND held_nanos),
    uncharged_nanos bigint NOT NULL CHECK (uncharged_nanos >= 0),
    held_nanos bigint NOT NULL,
    estimated boolean NOT NULL,
    streamed boolean NOT NULL,
    start_time timestamptz NOT NULL,
    latency_ms bigint NOT NULL CHECK (latency_ms >= 0),
    first_token_ms bigint CHECK (first_token_ms >= 0),
    http_status integer NOT NULL,
    error_code text NOT NULL,
    finish_reason text NOT NULL,
    record_time timestamptz CHECK ((record_time IS NULL) = (status = 'open')),
    revision smallint NOT NULL CHECK (CASE status WHEN 'open' THEN revision = 0 ELSE revision IN (1, 2) END),
    presumed boolean NOT NULL CHECK (NOT presumed OR (status = 'interrupted' AND revision = 1)),
    CHECK (status <> 'error' OR cost_nanos = 0),
    CHECK (price_version_id IS NOT NULL OR cost_nanos = 0)
) PARTITION BY RANGE (request_id);

CREATE INDEX usage_records_account_idx ON usage.usage_records (account_id, request_id) WHERE status <> 'open';
CREATE INDEX usage_records_api_key_idx ON usage.usage_records (api_key_id, request_id) WHERE status <> 'open';
CREATE INDEX usage_records_model_idx ON usage.usage_records (account_id, model_public_name, request_id)
    WHERE status <> 'open';
CREATE INDEX usage_records_start_time_idx ON usage.usage_records (account_id, start_time) WHERE status <> 'open';
CREATE INDEX usage_records_status_idx ON usage.usage_records (account_id, status, request_id)
    WHERE status <> 'open' AND status <> 'success';
CREATE INDEX usage_records_open_idx ON usage.usage_records (worker_id) WHERE status = 'open';

CREATE TABLE usage.usage_records_default PARTITION OF usage.usage_records DEFAULT;

GRANT SELECT, INSERT, UPDATE ON usage.usage_records TO privaterouter_usage;
"""

# The service creates the coming months itself, with this one right of the owner's. The table is attached
# when it is complete: creating it as a partition would lock all of usage_records. Room is left in the pages
# because an open record is rewritten every second.
CREATE_MONTH = """
CREATE FUNCTION usage.create_month_partition(month date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '500ms'
AS $$
DECLARE
    first_moment timestamp := make_date(extract(year FROM month)::int, extract(month FROM month)::int, 1);
    first_id uuid := (lpad(to_hex((extract(epoch FROM first_moment) * 1000)::bigint), 12, '0')
                      || repeat('0', 20))::uuid;
    end_id uuid := (lpad(to_hex((extract(epoch FROM first_moment + interval '1 month') * 1000)::bigint), 12, '0')
                    || repeat('0', 20))::uuid;
    name text := 'usage_records_' || to_char(first_moment, 'YYYY_MM');
BEGIN
    IF month NOT BETWEEN current_date - 400 AND current_date + 400 THEN
        RAISE 'no partition is made more than a year from now' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF to_regclass('usage.' || name) IS NOT NULL THEN
        RETURN false;
    END IF;
    -- Records of the month that came before their partition are moved; nobody may add one meanwhile.
    LOCK TABLE usage.usage_records_default IN ACCESS EXCLUSIVE MODE;
    IF to_regclass('usage.' || name) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE usage.%I (LIKE usage.usage_records INCLUDING ALL) WITH (fillfactor = 85)', name);
    EXECUTE format('WITH moved AS (DELETE FROM usage.usage_records_default WHERE request_id >= %L AND request_id < %L'
                   ' RETURNING *) INSERT INTO usage.%I SELECT * FROM moved', first_id, end_id, name);
    EXECUTE format('ALTER TABLE usage.usage_records ATTACH PARTITION usage.%I FOR VALUES FROM (%L) TO (%L)',
                   name, first_id, end_id);
    RETURN true;
END
$$
"""

RIGHTS = """
REVOKE ALL ON FUNCTION usage.create_month_partition(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION usage.create_month_partition(date) TO privaterouter_usage;
"""

FIRST_MONTHS = """
SELECT usage.create_month_partition(((now() AT TIME ZONE 'UTC') + make_interval(months => ahead))::date)
FROM generate_series(0, 2) AS ahead
"""


def upgrade() -> None:
    _run(RECORDS)
    op.execute(CREATE_MONTH)
    _run(RIGHTS)
    op.execute(FIRST_MONTHS)


def _run(statements: str) -> None:
    for statement in statements.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE usage.usage_records")
    op.execute("DROP FUNCTION usage.create_month_partition(date)")
