"""limits tokens a minute and requests in flight of plans, and requests in flight and waiting of upstreams."""

from collections.abc import Sequence

from alembic import op

revision: str = "20261125_catalog_5"
down_revision: str | None = "20261125_catalog_4"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

# No limit, as before: null for plans, 0 for upstreams.
STATEMENTS = (
    """
    ALTER TABLE catalog.plans
        ADD COLUMN tpm bigint CONSTRAINT plans_tpm_check CHECK (tpm >= 1),
        ADD COLUMN max_in_flight integer CONSTRAINT plans_max_in_flight_check CHECK (max_in_flight >= 1)
    """,
    """
    ALTER TABLE catalog.upstreams
        ADD COLUMN max_in_flight integer NOT NULL DEFAULT 0
            CONSTRAINT upstreams_max_in_flight_check CHECK (max_in_flight >= 0),
        ADD COLUMN max_queued integer NOT NULL DEFAULT 0
            CONSTRAINT upstreams_max_queued_check CHECK (max_queued >= 0)
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for table, column in (("upstreams", "max_queued"), ("upstreams", "max_in_flight"), ("plans", "max_in_flight")):
        op.execute(f"ALTER TABLE catalog.{table} DROP COLUMN {column}")
    op.execute("ALTER TABLE catalog.plans DROP COLUMN tpm")
