"""indexes the ledger for lists and sums that never read what they skip or add up."""

from collections.abc import Sequence

from alembic import op

revision: str = "20261128_billing_lists"
down_revision: str | None = "20261128_billing_audit"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

INDEXES = {
    "ledger_transactions_account_kind_idx": "ledger_transactions (account_id, id) INCLUDE (kind, create_time)",
    "ledger_transactions_kind_idx": "ledger_transactions (kind, id) INCLUDE (amount_nanos)",
    "ledger_entries_absorbed_idx": (
        "ledger_entries (transaction_id) INCLUDE (amount_nanos) WHERE account_kind = 'absorbed'"
    ),
}


def upgrade() -> None:
    # Built beside the traffic, however long it takes; what an interrupted attempt left behind is of no use.
    with op.get_context().autocommit_block():
        op.execute("SET statement_timeout = 0")
        for name, columns in INDEXES.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS billing.{name}")
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON billing.{columns}")
        # The first of them does all that this one did.
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS billing.ledger_transactions_account_idx")
        op.execute("SET statement_timeout = '60s'")


def downgrade() -> None:
    op.execute("CREATE INDEX ledger_transactions_account_idx ON billing.ledger_transactions (account_id, id)")
    for name in INDEXES:
        op.execute(f"DROP INDEX billing.{name}")
