"""indexes final records by record time, in which order they are compared with billing's charges."""

from collections.abc import Sequence

from alembic import op
from sqlalchemy import text

revision: str = "20261122_usage_3"
down_revision: str | None = "20261122_usage_2"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

# `cost_nanos` is not in the condition: open records are rewritten every second, which need not touch an index.
COLUMNS = "(record_time, request_id) WHERE status <> 'open'"
PARTITIONS = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'usage.usage_records'::regclass"


def upgrade() -> None:
    # Partition by partition, beside the traffic; a partition that is made meanwhile gets the index by itself.
    with op.get_context().autocommit_block():
        op.execute("SET statement_timeout = 0")
        op.execute("DROP INDEX IF EXISTS usage.usage_records_record_time_idx")
        op.execute(f"CREATE INDEX usage_records_record_time_idx ON ONLY usage.usage_records {COLUMNS}")
        for partition in op.get_bind().scalars(text(PARTITIONS)).all():
            index = f"{partition}_record_time_idx"
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {index}")
            op.execute(f"CREATE INDEX CONCURRENTLY {index.rpartition('.')[2]} ON {partition} {COLUMNS}")
            op.execute(f"ALTER INDEX usage.usage_records_record_time_idx ATTACH PARTITION {index}")
        op.execute("SET statement_timeout = '60s'")


def downgrade() -> None:
    op.execute("DROP INDEX usage.usage_records_record_time_idx")
