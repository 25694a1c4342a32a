"""lets the service see which revision its schema is at, since it starts on no other."""

from collections.abc import Sequence

from alembic import op

revision: str = "20261128_billing_revision"
down_revision: str | None = "20261128_billing_sums"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.execute("GRANT SELECT ON billing.alembic_version TO privaterouter_billing")


def downgrade() -> None:
    op.execute("REVOKE SELECT ON billing.alembic_version FROM privaterouter_billing")
