"""Indexes users by parts of their e-mail and name, in any case, so that a search does not read all of them."""

from collections.abc import Sequence

from alembic import op

revision: str = "20261128_auth_6"
down_revision: str | None = "20261128_auth_5"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    # The owner of a database may create it; where somebody has, it stays in the schema they chose.
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA auth")
    schema = (
        op.get_bind()
        .exec_driver_sql(
            "SELECT quote_ident(nspname) FROM pg_extension e JOIN pg_namespace n"
            " ON n.oid = e.extnamespace WHERE extname = 'pg_trgm'"
        )
        .scalar_one()
    )
    # Built beside the traffic; what an interrupted attempt left behind is of no use.
    with op.get_context().autocommit_block():
        op.execute("SET statement_timeout = 0")
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS auth.users_search_idx")
        op.execute(
            "CREATE INDEX CONCURRENTLY users_search_idx ON auth.users"
            f" USING gin (lower(email || chr(10) || name) {schema}.gin_trgm_ops)"
        )
        op.execute("SET statement_timeout = '60s'")


def downgrade() -> None:
    # The extension stays: it may have been there before.
    op.execute("DROP INDEX auth.users_search_idx")
