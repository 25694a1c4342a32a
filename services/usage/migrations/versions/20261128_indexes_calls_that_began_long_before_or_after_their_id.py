"""indexes calls that began long before or after their id, so that lists can skip and count by ids alone."""

from collections.abc import Sequence

from alembic import op
from sqlalchemy import text

revision: str = "20261128_usage_astray"
down_revision: str | None = "20261128_usage_revision"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

NAME = "usage_records_astray_idx"
# By more than a minute: those of clocks that were set back.
COLUMNS = (
    "(account_id, request_id) INCLUDE (start_time, status, model_public_name, api_key_id) WHERE status <> 'open'"
    " AND abs(EXTRACT(epoch FROM start_time AT TIME ZONE 'UTC') * 1000"
    " - ('x' || encode(substring(uuid_send(request_id) FOR 6), 'hex'))::bit(48)::bigint) > 60000"
)
PARTITIONS = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'usage.usage_records'::regclass"


def upgrade() -> None:
    # Partition by partition, beside the traffic; a partition that is made meanwhile gets the index by itself.
    with op.get_context().autocommit_block():
        op.execute("SET statement_timeout = 0")
        op.execute(f"DROP INDEX IF EXISTS usage.{NAME}")
        op.execute(f"CREATE INDEX {NAME} ON ONLY usage.usage_records {COLUMNS}")
        for partition in op.get_bind().scalars(text(PARTITIONS)).all():
            index = f"{partition}_astray_idx"
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {index}")
            op.execute(f"CREATE INDEX CONCURRENTLY {index.rpartition('.')[2]} ON {partition} {COLUMNS}")
            op.execute(f"ALTER INDEX usage.{NAME} ATTACH PARTITION {index}")
        op.execute("SET statement_timeout = '60s'")


def downgrade() -> None:
    op.execute(f"DROP INDEX usage.{NAME}")
