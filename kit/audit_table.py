"""The table of an audit log, for the `tables.py` of a service; apart from what serves, which loads no SQLAlchemy."""

from sqlalchemy import CheckConstraint, Column, DateTime, Index, MetaData, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB


def audit_events(metadata: MetaData) -> Table:
    """`audit_events` in the schema of `metadata`."""
    return Table(
        "audit_events",
        metadata,
        Column("id", Uuid, primary_key=True),
        Column("create_time", DateTime(timezone=True), nullable=False),
        Column("actor_id", Uuid),
        Column("action", Text, nullable=False),
        Column("subject_kind", Text, nullable=False),
        Column("subject_id", Text, nullable=False),
        Column("reason", Text, nullable=False),
        Column("details", JSONB, nullable=False),
        CheckConstraint("action LIKE '%_._%'", name="audit_events_action_check"),
        CheckConstraint("subject_kind <> '' AND subject_id <> ''", name="audit_events_subject_check"),
        CheckConstraint("char_length(reason) <= 500", name="audit_events_reason_check"),
        CheckConstraint("jsonb_typeof(details) = 'object'", name="audit_events_details_check"),
        Index("audit_events_actor_id_idx", "actor_id", "id"),
        Index("audit_events_subject_id_idx", "subject_id", "id"),
        Index("audit_events_action_idx", "action", "id"),
    )
