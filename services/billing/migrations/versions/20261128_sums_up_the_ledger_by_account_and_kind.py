"""sums up the ledger by account and kind, so that lists know how long they are, and totals are not added up anew."""

from collections.abc import Sequence

from alembic import op
from sqlalchemy import Connection, text

revision: str = "20261128_billing_sums"
down_revision: str | None = "20261128_billing_lists"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

SUMS = """
CREATE TABLE billing.ledger_sums (
    account_id uuid,
    kind text,
    transactions bigint NOT NULL,
    amount_nanos bigint NOT NULL,
    PRIMARY KEY (account_id, kind)
) WITH (fillfactor = 70)
"""
GRANT = "GRANT SELECT, INSERT, UPDATE ON billing.ledger_sums TO privaterouter_billing"

# Whoever adds transactions has locked their accounts, so that nobody waits here for a row. As a trigger it also sums
# up what the previous release adds.
FUNCTION = """
CREATE FUNCTION billing.sum_up_transactions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO billing.ledger_sums AS known (account_id, kind, transactions, amount_nanos)
    SELECT account_id, kind, count(*), sum(amount_nanos) FROM inserted
    GROUP BY account_id, kind ORDER BY account_id, kind
    ON CONFLICT (account_id, kind) DO UPDATE
    SET transactions = known.transactions + EXCLUDED.transactions,
        amount_nanos = known.amount_nanos + EXCLUDED.amount_nanos;
    RETURN NULL;
END
$$
"""
TRIGGER = """
CREATE TRIGGER sum_up_transactions AFTER INSERT ON billing.ledger_transactions
    REFERENCING NEW TABLE AS inserted
    FOR EACH STATEMENT EXECUTE FUNCTION billing.sum_up_transactions()
"""
EARLIER = """
CREATE TEMPORARY TABLE earlier AS
SELECT account_id, kind, count(*) AS transactions, sum(amount_nanos)::bigint AS amount_nanos,
       get_byte(uuid_send(account_id), 15) AS part
FROM billing.ledger_transactions GROUP BY account_id, kind
"""
ADD_EARLIER = """
INSERT INTO billing.ledger_sums AS known (account_id, kind, transactions, amount_nanos)
SELECT account_id, kind, transactions, amount_nanos FROM earlier WHERE part = :part ORDER BY account_id, kind
ON CONFLICT (account_id, kind) DO UPDATE
SET transactions = known.transactions + EXCLUDED.transactions,
    amount_nanos = known.amount_nanos + EXCLUDED.amount_nanos
"""
INDEX = "ledger_transactions_credit_idx"


def upgrade() -> None:
    # Beside the traffic, however long it takes; an interrupted attempt begins anew.
    with op.get_context().autocommit_block():
        op.execute("SET statement_timeout = 0")
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS billing.{INDEX}")
        op.execute(
            f"CREATE INDEX CONCURRENTLY {INDEX} ON billing.ledger_transactions (account_id, kind, id)"
            " INCLUDE (create_time) WHERE kind <> 'charge'"
        )
        # With its trigger; where there is none, the ledger is not locked for it.
        op.execute("DROP FUNCTION IF EXISTS billing.sum_up_transactions() CASCADE")
        op.execute("DROP TABLE IF EXISTS billing.ledger_sums")
        for statement in (SUMS, GRANT, FUNCTION):
            op.execute(statement)
        with op.get_bind().engine.connect() as other:
            sum_up_from_now_on(other)
        op.execute("SET statement_timeout = '60s'")


def sum_up_from_now_on(other: Connection) -> None:
    """Makes the trigger, and adds what came before it: each transaction is in exactly one of the two."""
    other.execution_options(isolation_level="REPEATABLE READ")
    with other.engine.begin() as fence:
        fence.execute(text("SET LOCAL lock_timeout = '4s'"))
        # It waits for those who are adding and holds up who would: a moment in which all is committed or still to come.
        fence.execute(text(TRIGGER))
        other.execute(text("SELECT 1"))
    other.execute(text(EARLIER))
    other.commit()
    other.execution_options(isolation_level="READ COMMITTED")
    # Part by part, since those who settle wait for these rows.
    for part in range(256):
        other.execute(text(ADD_EARLIER), {"part": part})
        other.commit()


def downgrade() -> None:
    op.execute(f"DROP INDEX billing.{INDEX}")
    op.execute("DROP TRIGGER sum_up_transactions ON billing.ledger_transactions")
    op.execute("DROP FUNCTION billing.sum_up_transactions()")
    op.execute("DROP TABLE billing.ledger_sums")
