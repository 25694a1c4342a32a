"""lets the service delete sessions that are long over, and revocations that nobody asks for any more."""

from collections.abc import Sequence

from alembic import op

revision: str = "20261128_auth_retention"
down_revision: str | None = "20261128_auth_revision"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.execute("GRANT DELETE ON auth.sessions, auth.revocations TO privaterouter_auth")


def downgrade() -> None:
    op.execute("REVOKE DELETE ON auth.sessions, auth.revocations FROM privaterouter_auth")
