"""indexes charges by API key, whose months are compared with them."""

from collections.abc import Sequence

from alembic import op

revision: str = "20261125_billing_key_charges"
down_revision: str | None = "20261122_billing_3"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    # Built beside the traffic, however long it takes; what an interrupted attempt left behind is of no use.
    with op.get_context().autocommit_block():
        op.execute("SET statement_timeout = 0")
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS billing.ledger_transactions_api_key_idx")
        op.execute(
            "CREATE INDEX CONCURRENTLY ledger_transactions_api_key_idx"
            " ON billing.ledger_transactions (api_key_id, id) WHERE kind = 'charge'"
        )
        op.execute("SET statement_timeout = '60s'")


def downgrade() -> None:
    op.execute("DROP INDEX billing.ledger_transactions_api_key_idx")
