"""lets the service delete leases that were released long ago, and changes that nobody asks for any more.

A lease that was charged after the end of its month has to stay, since its row says to which month of its key those
charges belong. The ledger's trigger notes such leases, so that no release can forget to.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "20261128_billing_retention"
down_revision: str | None = "20261128_billing_revision"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

TABLE = "CREATE TABLE IF NOT EXISTS billing.late_leases (lease_id uuid PRIMARY KEY)"

# The month in a UUIDv7, whose first 48 bits are milliseconds since 1970 (RFC 9562, section 5.7).
MONTH_OF_ID = """
CREATE OR REPLACE FUNCTION billing.month_of_id(id uuid) RETURNS date LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN date_trunc('month', timestamp '1970-01-01'
    + ('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint * interval '1 millisecond')::date
"""

SUM_UP = """
    INSERT INTO billing.ledger_sums AS known (account_id, kind, transactions, amount_nanos)
    SELECT account_id, kind, count(*), sum(amount_nanos) FROM inserted
    GROUP BY account_id, kind ORDER BY account_id, kind
    ON CONFLICT (account_id, kind) DO UPDATE
    SET transactions = known.transactions + EXCLUDED.transactions,
        amount_nanos = known.amount_nanos + EXCLUDED.amount_nanos;
"""
_BOOKED = "date_trunc('month', t.create_time AT TIME ZONE 'UTC')::date"
_LATE = f"""
    t.kind = 'charge' AND (l.lease_id, l.account_id, l.api_key_id) = (t.lease_id, t.account_id, t.api_key_id)
        AND l.month <> {_BOOKED}
"""
# Nearly always all are in time, as the id alone tells: then nothing is looked up.
NOTE = f"""
    IF EXISTS (SELECT FROM inserted t WHERE t.kind = 'charge' AND billing.month_of_id(t.lease_id) <> {_BOOKED}) THEN
        INSERT INTO billing.late_leases
        SELECT DISTINCT l.lease_id FROM inserted t, billing.leases l WHERE {_LATE} ON CONFLICT DO NOTHING;
    END IF;
"""


def function(*statements: str) -> str:
    """The function of the ledger's trigger, which keeps its name: to change it locks nobody out."""
    body = "\n".join(statements)
    return f"""
        CREATE OR REPLACE FUNCTION billing.sum_up_transactions() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            {body}
            RETURN NULL;
        END
        $$
    """


# A moment in which all that the function of before has seen is committed.
FENCE = "DO $$ BEGIN LOCK TABLE billing.ledger_transactions IN SHARE MODE; END $$"
EARLIER = f"""
INSERT INTO billing.late_leases
SELECT DISTINCT l.lease_id FROM billing.ledger_transactions t, billing.leases l WHERE {_LATE} ON CONFLICT DO NOTHING
"""
GRANTS = (
    "GRANT SELECT, INSERT ON billing.late_leases TO privaterouter_billing",
    "GRANT DELETE ON billing.leases, billing.account_changes TO privaterouter_billing",
)


def upgrade() -> None:
    # Beside the traffic, however long it takes; an interrupted attempt begins anew.
    with op.get_context().autocommit_block():
        op.execute(TABLE)
        op.execute(GRANTS[0])
        op.execute(MONTH_OF_ID)
        op.execute(function(SUM_UP, NOTE))
        op.execute(FENCE)
        op.execute("SET statement_timeout = 0")
        op.execute(EARLIER)
        op.execute("SET statement_timeout = '60s'")
    op.execute(GRANTS[1])


def downgrade() -> None:
    op.execute("REVOKE DELETE ON billing.leases, billing.account_changes FROM privaterouter_billing")
    op.execute(function(SUM_UP))
    op.execute("DROP TABLE billing.late_leases")
    op.execute("DROP FUNCTION billing.month_of_id(uuid)")
