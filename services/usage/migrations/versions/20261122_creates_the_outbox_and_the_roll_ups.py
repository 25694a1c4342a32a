"""creates the outbox, the roll-ups and the workers."""

from collections.abc import Sequence

from alembic import op

revision: str = "20261122_usage_2"
down_revision: str | None = "20261122_usage_1"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

# Rows of the outbox live for milliseconds, so it is vacuumed by their number and not by a share of the table.
TABLES = """
CREATE TABLE usage.outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    request_id uuid NOT NULL,
    revision smallint NOT NULL CHECK (revision IN (1, 2)),
    worker_id uuid NOT NULL,
    account_id uuid NOT NULL,
    api_key_id uuid NOT NULL,
    lease_id uuid,
    amount_nanos bigint NOT NULL CHECK (CASE revision WHEN 1 THEN amount_nanos > 0 ELSE amount_nanos <> 0 END),
    model_public_name text NOT NULL,
    price_version_id uuid,
    record_time timestamptz NOT NULL,
    create_time timestamptz NOT NULL,
    parked_reason text,
    CONSTRAINT outbox_request_id_revision_key UNIQUE (request_id, revision)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
CREATE INDEX outbox_waiting_idx ON usage.outbox (id) WHERE parked_reason IS NULL;
CREATE INDEX outbox_parked_idx ON usage.outbox (create_time) WHERE parked_reason IS NOT NULL;
CREATE INDEX outbox_worker_idx ON usage.outbox (worker_id) WHERE parked_reason IS NULL;
GRANT SELECT, INSERT, UPDATE, DELETE ON usage.outbox TO privaterouter_usage;

CREATE TABLE usage.usage_daily (
    account_id uuid,
    day date,
    model_public_name text,
    api_key_id uuid,
    requests bigint NOT NULL CHECK (requests >= 0),
    errors bigint NOT NULL CHECK (errors BETWEEN 0 AND requests),
    input_tokens bigint NOT NULL CHECK (input_tokens >= 0),
    output_tokens bigint NOT NULL CHECK (output_tokens >= 0),
    cost_nanos bigint NOT NULL CHECK (cost_nanos >= 0),
    PRIMARY KEY (account_id, day, model_public_name, api_key_id)
);
GRANT SELECT, INSERT, UPDATE ON usage.usage_daily TO privaterouter_usage;

CREATE TABLE usage.workers (
    worker_id uuid PRIMARY KEY,
    last_seen timestamptz NOT NULL
);
GRANT SELECT, INSERT, UPDATE, DELETE ON usage.workers TO privaterouter_usage;
"""


def upgrade() -> None:
    for statement in TABLES.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    for table in ("workers", "usage_daily", "outbox"):
        op.execute(f"DROP TABLE usage.{table}")
