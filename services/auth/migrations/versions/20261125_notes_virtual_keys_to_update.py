"""Notes virtual keys whose budget has to follow their API key's limit."""

from collections.abc import Sequence

from alembic import op

revision: str = "20261125_auth_3"
down_revision: str | None = "20261125_auth_2"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

STATEMENTS = (
    """
    CREATE TABLE auth.virtual_key_updates (
        api_key_id uuid PRIMARY KEY,
        create_time timestamptz NOT NULL,
        attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
        next_attempt_time timestamptz NOT NULL
    )
    """,
    "CREATE INDEX virtual_key_updates_next_attempt_time_idx ON auth.virtual_key_updates (next_attempt_time)",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON auth.virtual_key_updates TO privaterouter_auth",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE auth.virtual_key_updates")
