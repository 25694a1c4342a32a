"""notes the dialects that upstreams speak by themselves."""

from collections.abc import Sequence

from alembic import op

revision: str = "20261125_catalog_6"
down_revision: str | None = "20261125_catalog_5"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

ADD = """
ALTER TABLE catalog.upstreams ADD COLUMN dialects text[] NOT NULL DEFAULT '{}'
    CONSTRAINT upstreams_dialects_check CHECK (dialects <@ ARRAY['responses', 'messages'])
"""


def upgrade() -> None:
    op.execute(ADD)


def downgrade() -> None:
    op.execute("ALTER TABLE catalog.upstreams DROP COLUMN dialects")
