"""creates accounts, the ledger and leases."""

from collections.abc import Sequence

from alembic import op

revision: str = "20261122_billing_1"
down_revision: str | None = None
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

# Rows that are updated all the time leave room on their page, so that an update need not touch an index.
ACCOUNTS = """
CREATE TABLE billing.accounts (
    account_id uuid PRIMARY KEY,
    plan_id text NOT NULL CHECK (plan_id <> ''),
    posted_nanos bigint NOT NULL,
    leased_nanos bigint NOT NULL,
    recall_until timestamptz,
    create_time timestamptz NOT NULL,
    CONSTRAINT accounts_posted_check CHECK (posted_nanos >= 0),
    CONSTRAINT accounts_leased_check CHECK (leased_nanos >= 0),
    CONSTRAINT accounts_available_check CHECK (posted_nanos - leased_nanos >= 0)
) WITH (fillfactor = 70);

CREATE TABLE billing.account_changes (
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id uuid NOT NULL CONSTRAINT account_changes_account_id_fkey REFERENCES billing.accounts (account_id),
    create_time timestamptz NOT NULL
)
"""

# No CHECK holds a key's month below a limit: a lowered limit must not fail charges.
LEASES = """
CREATE TABLE billing.key_months (
    api_key_id uuid NOT NULL,
    month date NOT NULL CHECK (EXTRACT(day FROM month) = 1),
    charged_nanos bigint NOT NULL,
    leased_nanos bigint NOT NULL CONSTRAINT key_months_leased_check CHECK (leased_nanos >= 0),
    PRIMARY KEY (api_key_id, month)
) WITH (fillfactor = 70);

CREATE TABLE billing.leases (
    lease_id uuid PRIMARY KEY,
    worker_id uuid NOT NULL,
    account_id uuid CONSTRAINT leases_account_id_fkey REFERENCES billing.accounts (account_id),
    api_key_id uuid,
    month date,
    state text NOT NULL CHECK (state IN ('open', 'closed', 'released')),
    granted_nanos bigint NOT NULL CHECK (granted_nanos >= 0),
    returned_nanos bigint NOT NULL CHECK (returned_nanos >= 0),
    settled_nanos bigint NOT NULL CHECK (settled_nanos >= 0),
    spent_nanos bigint NOT NULL CHECK (spent_nanos >= 0),
    expire_uptime_ms bigint NOT NULL,
    CONSTRAINT leases_remainder_check CHECK (granted_nanos - returned_nanos - settled_nanos >= 0),
    CONSTRAINT leases_released_check CHECK (state <> 'released' OR granted_nanos - returned_nanos - settled_nanos = 0),
    CONSTRAINT leases_owner_check CHECK (
        CASE WHEN account_id IS NULL
        THEN state = 'released' AND granted_nanos = 0 AND api_key_id IS NULL AND month IS NULL
        ELSE api_key_id IS NOT NULL AND month IS NOT NULL END
    )
) WITH (fillfactor = 70);
CREATE INDEX leases_unreleased_idx ON billing.leases (expire_uptime_ms, worker_id) WHERE state <> 'released';

CREATE TABLE billing.uptime (
    singleton boolean PRIMARY KEY CHECK (singleton),
    uptime_ms bigint NOT NULL CHECK (uptime_ms >= 0),
    beat_time timestamptz NOT NULL
);
INSERT INTO billing.uptime VALUES (true, 0, now())
"""

LEDGER = """
CREATE TABLE billing.ledger_transactions (
    id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('charge', 'top_up', 'plan_credit', 'adjustment')),
    account_id uuid NOT NULL CONSTRAINT ledger_transactions_account_id_fkey REFERENCES billing.accounts (account_id),
    amount_nanos bigint NOT NULL CHECK (amount_nanos <> 0),
    description text NOT NULL,
    create_time timestamptz NOT NULL,
    external_ref text CHECK (external_ref <> ''),
    actor_id uuid,
    request_id uuid,
    revision smallint CHECK (revision IN (1, 2)),
    api_key_id uuid,
    lease_id uuid,
    price_version_id text,
    record_time timestamptz,
    CONSTRAINT ledger_transactions_request_key UNIQUE (request_id, revision),
    CONSTRAINT ledger_transactions_charge_check CHECK (
        CASE kind WHEN 'charge' THEN
            external_ref IS NULL AND request_id IS NOT NULL AND revision IS NOT NULL AND api_key_id IS NOT NULL
            AND record_time IS NOT NULL AND (revision = 2 OR amount_nanos < 0)
        ELSE external_ref IS NOT NULL AND request_id IS NULL AND revision IS NULL END
    )
);
CREATE INDEX ledger_transactions_account_idx ON billing.ledger_transactions (account_id, id);
CREATE UNIQUE INDEX ledger_transactions_ref_idx ON billing.ledger_transactions (account_id, kind, external_ref)
    WHERE external_ref IS NOT NULL;

CREATE TABLE billing.ledger_entries (
    transaction_id uuid NOT NULL
        CONSTRAINT ledger_entries_transaction_id_fkey REFERENCES billing.ledger_transactions (id),
    account_kind text NOT NULL
        CHECK (account_kind IN ('customer', 'revenue', 'promo', 'cash', 'adjustments', 'absorbed')),
    account_id uuid,
    amount_nanos bigint NOT NULL CHECK (amount_nanos <> 0),
    PRIMARY KEY (transaction_id, account_kind),
    CONSTRAINT ledger_entries_customer_check CHECK ((account_kind = 'customer') = (account_id IS NOT NULL))
)
"""

ZERO_SUM = """
CREATE FUNCTION billing.refuse_unbalanced_entries() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM inserted GROUP BY transaction_id HAVING sum(amount_nanos) <> 0) THEN
        RAISE EXCEPTION 'the entries of a transaction must sum to zero' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$
"""
ZERO_SUM_TRIGGER = """
CREATE TRIGGER refuse_unbalanced_entries AFTER INSERT ON billing.ledger_entries
    REFERENCING NEW TABLE AS inserted
    FOR EACH STATEMENT EXECUTE FUNCTION billing.refuse_unbalanced_entries()
"""

# The ledger is append-only; nothing of billing's is ever deleted.
GRANTS = """
GRANT SELECT, INSERT ON billing.ledger_transactions, billing.ledger_entries, billing.account_changes
    TO privaterouter_billing;
GRANT SELECT, INSERT, UPDATE ON billing.accounts, billing.key_months, billing.leases TO privaterouter_billing;
GRANT SELECT, UPDATE ON billing.uptime TO privaterouter_billing
"""


def upgrade() -> None:
    for statements in (ACCOUNTS, LEASES, LEDGER):
        for statement in statements.split(";\n"):
            op.execute(statement)
    op.execute(ZERO_SUM)
    op.execute(ZERO_SUM_TRIGGER)
    for statement in GRANTS.split(";\n"):
        op.execute(statement)


def downgrade() -> None:
    for table in ("ledger_entries", "ledger_transactions", "uptime", "leases", "key_months", "account_changes"):
        op.execute(f"DROP TABLE billing.{table}")
    op.execute("DROP TABLE billing.accounts")
    op.execute("DROP FUNCTION billing.refuse_unbalanced_entries()")
