"""prices tokens that an upstream writes into its cache."""

from collections.abc import Sequence

from alembic import op

revision: str = "20261125_catalog_2"
down_revision: str | None = "20261122_catalog_1"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

# None: the same as input, which is what every price meant until now. It may be dearer than input: upstreams charge a
# surcharge for it.
ADD = """
ALTER TABLE catalog.prices ADD COLUMN cache_write_input_nanos_per_mtok bigint
    CONSTRAINT prices_cache_write_input_nanos_per_mtok_check CHECK (cache_write_input_nanos_per_mtok >= 0)
"""


def upgrade() -> None:
    op.execute(ADD)


def downgrade() -> None:
    op.execute("ALTER TABLE catalog.prices DROP COLUMN cache_write_input_nanos_per_mtok")
