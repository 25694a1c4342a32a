"""lets the service see which revision its schema is at, since it starts on no other."""

from collections.abc import Sequence

from alembic import op

revision: str = "20261128_catalog_revision"
down_revision: str | None = "20261128_catalog_7"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.execute("GRANT SELECT ON catalog.alembic_version TO privaterouter_catalog")


def downgrade() -> None:
    op.execute("REVOKE SELECT ON catalog.alembic_version FROM privaterouter_catalog")
