"""Notes which program began a session, so that its user can tell sessions apart."""

from collections.abc import Sequence

from alembic import op

revision: str = "20261128_auth_5"
down_revision: str | None = "20261128_auth_4"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

# Of the sessions there are nobody knows it.
ADD = """
ALTER TABLE auth.sessions
    ADD COLUMN user_agent text NOT NULL DEFAULT ''
        CONSTRAINT sessions_user_agent_check CHECK (char_length(user_agent) <= 300)
"""


def upgrade() -> None:
    op.execute(ADD)


def downgrade() -> None:
    op.execute("ALTER TABLE auth.sessions DROP COLUMN user_agent")
