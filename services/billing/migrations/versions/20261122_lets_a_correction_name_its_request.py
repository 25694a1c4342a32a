"""lets a correction name its request."""

from collections.abc import Sequence

from alembic import op

revision: str = "20261122_billing_2"
down_revision: str | None = "20261122_billing_1"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

# An adjustment may bear the request that it corrects, without a revision: those are of charges alone, and unique.
# The unique index on (request_id, revision) finds it, so that no other index is needed.
RELAXED = """
ALTER TABLE billing.ledger_transactions
    DROP CONSTRAINT ledger_transactions_charge_check,
    ADD CONSTRAINT ledger_transactions_charge_check CHECK (
        CASE kind WHEN 'charge' THEN
            external_ref IS NULL AND request_id IS NOT NULL AND revision IS NOT NULL AND api_key_id IS NOT NULL
            AND record_time IS NOT NULL AND (revision = 2 OR amount_nanos < 0)
        WHEN 'adjustment' THEN external_ref IS NOT NULL AND revision IS NULL
        ELSE external_ref IS NOT NULL AND request_id IS NULL AND revision IS NULL END
    ) NOT VALID
"""
STRICT = """
ALTER TABLE billing.ledger_transactions
    DROP CONSTRAINT ledger_transactions_charge_check,
    ADD CONSTRAINT ledger_transactions_charge_check CHECK (
        CASE kind WHEN 'charge' THEN
            external_ref IS NULL AND request_id IS NOT NULL AND revision IS NOT NULL AND api_key_id IS NOT NULL
            AND record_time IS NOT NULL AND (revision = 2 OR amount_nanos < 0)
        ELSE external_ref IS NOT NULL AND request_id IS NULL AND revision IS NULL END
    ) NOT VALID
"""
# Each row met the stricter rule before; a check in a transaction of its own lets everybody go on meanwhile.
VALIDATE = "ALTER TABLE billing.ledger_transactions VALIDATE CONSTRAINT ledger_transactions_charge_check"


def upgrade() -> None:
    op.execute(RELAXED)
    with op.get_context().autocommit_block():
        op.execute(VALIDATE)


def downgrade() -> None:
    op.execute(STRICT)
