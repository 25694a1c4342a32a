"""lets routes have timeouts."""

from collections.abc import Sequence

from alembic import op

revision: str = "20261125_catalog_3"
down_revision: str | None = "20261125_catalog_2"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

COLUMNS = ("connect_timeout_ms", "first_byte_timeout_ms", "idle_timeout_ms", "total_timeout_ms")


def upgrade() -> None:
    # 0 stands for the contract's default, which a release that does not know of it writes as well.
    for column in COLUMNS:
        op.execute(
            f"ALTER TABLE catalog.routes ADD COLUMN {column} integer NOT NULL DEFAULT 0"
            f" CONSTRAINT routes_{column}_check CHECK ({column} BETWEEN 0 AND 86400000)"
        )


def downgrade() -> None:
    for column in COLUMNS:
        op.execute(f"ALTER TABLE catalog.routes DROP COLUMN {column}")
