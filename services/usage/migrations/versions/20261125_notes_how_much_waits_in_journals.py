"""notes how many records wait in the journal of each worker, as it last said."""

from collections.abc import Sequence

from alembic import op

revision: str = "20261125_usage_journals"
down_revision: str | None = "20261122_usage_3"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    # The previous release writes workers without it; there is a row for each running worker only.
    op.execute("ALTER TABLE usage.workers ADD COLUMN journal_rows bigint NOT NULL DEFAULT 0 CHECK (journal_rows >= 0)")


def downgrade() -> None:
    op.execute("ALTER TABLE usage.workers DROP COLUMN journal_rows")
