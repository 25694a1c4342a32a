"""Limits tokens a minute and requests in flight of a key, and notes whether its answers are kept."""

from collections.abc import Sequence

from alembic import op

revision: str = "20261125_auth_2"
down_revision: str | None = "6f1c0a5b9d21"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

# As keys have been until now: no limit of their own, and no answer is kept.
ADD = """
ALTER TABLE auth.api_keys
    ADD COLUMN tpm_limit bigint CONSTRAINT api_keys_tpm_limit_check CHECK (tpm_limit >= 1),
    ADD COLUMN max_in_flight integer CONSTRAINT api_keys_max_in_flight_check CHECK (max_in_flight >= 1),
    ADD COLUMN keeps_answers boolean NOT NULL DEFAULT false
"""


def upgrade() -> None:
    op.execute(ADD)


def downgrade() -> None:
    for column in ("keeps_answers", "max_in_flight", "tpm_limit"):
        op.execute(f"ALTER TABLE auth.api_keys DROP COLUMN {column}")
