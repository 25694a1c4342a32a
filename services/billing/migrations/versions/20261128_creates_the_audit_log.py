"""Creates the audit log, which is only ever added to."""

from collections.abc import Sequence

from alembic import op

revision: str = "20261128_billing_audit"
down_revision: str | None = "20261125_billing_key_charges"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

STATEMENTS = (
    """
    CREATE TABLE billing.audit_events (
        id uuid PRIMARY KEY,
        create_time timestamptz NOT NULL,
        actor_id uuid,
        action text NOT NULL CONSTRAINT audit_events_action_check CHECK (action LIKE '%_._%'),
        subject_kind text NOT NULL,
        subject_id text NOT NULL,
        reason text NOT NULL CONSTRAINT audit_events_reason_check CHECK (char_length(reason) <= 500),
        details jsonb NOT NULL CONSTRAINT audit_events_details_check CHECK (jsonb_typeof(details) = 'object'),
        CONSTRAINT audit_events_subject_check CHECK (subject_kind <> '' AND subject_id <> '')
    )
    """,
    "CREATE INDEX audit_events_actor_id_idx ON billing.audit_events (actor_id, id)",
    "CREATE INDEX audit_events_subject_id_idx ON billing.audit_events (subject_id, id)",
    "CREATE INDEX audit_events_action_idx ON billing.audit_events (action, id)",
    # Neither changed nor deleted: what is not granted cannot be done.
    "GRANT SELECT, INSERT ON billing.audit_events TO privaterouter_billing",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE billing.audit_events")
