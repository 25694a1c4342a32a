"""indexes calls that did not end well with all that lists filter by, so that those skipped and counted are not read."""

from collections.abc import Sequence

from alembic import op
from sqlalchemy import text

revision: str = "20261128_usage_statuses"
down_revision: str | None = "20261128_usage_lists"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

NAME = "usage_records_unsuccessful_idx"
COLUMNS = (
    "(account_id, status, request_id) INCLUDE (start_time, model_public_name, api_key_id)"
    " WHERE status <> 'open' AND status <> 'success'"
)
PARTITIONS = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'usage.usage_records'::regclass"


def upgrade() -> None:
    # Partition by partition, beside the traffic; a partition that is made meanwhile gets the index by itself.
    with op.get_context().autocommit_block():
        op.execute("SET statement_timeout = 0")
        op.execute(f"DROP INDEX IF EXISTS usage.{NAME}")
        op.execute(f"CREATE INDEX {NAME} ON ONLY usage.usage_records {COLUMNS}")
        for partition in op.get_bind().scalars(text(PARTITIONS)).all():
            index = f"{partition}_unsuccessful_idx"
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {index}")
            op.execute(f"CREATE INDEX CONCURRENTLY {index.rpartition('.')[2]} ON {partition} {COLUMNS}")
            op.execute(f"ALTER INDEX usage.{NAME} ATTACH PARTITION {index}")
        # It does all that this one did.
        op.execute("DROP INDEX IF EXISTS usage.usage_records_status_idx")
        op.execute("SET statement_timeout = '60s'")


def downgrade() -> None:
    op.execute(
        "CREATE INDEX usage_records_status_idx ON usage.usage_records (account_id, status, request_id)"
        " WHERE status <> 'open' AND status <> 'success'"
    )
    op.execute(f"DROP INDEX usage.{NAME}")
