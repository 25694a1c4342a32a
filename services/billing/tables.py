"""Billing's tables, for Alembic to compare with the database; never imported when serving."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from kit.audit_table import audit_events

metadata = MetaData(schema="billing")

accounts = Table(
    "accounts",
    metadata,
    Column("account_id", Uuid, primary_key=True),
    Column("plan_id", Text, nullable=False),
    Column("posted_nanos", BigInteger, nullable=False),
    Column("leased_nanos", BigInteger, nullable=False),
    Column("recall_until", DateTime(timezone=True)),
    Column("create_time", DateTime(timezone=True), nullable=False),
)

account_changes = Table(
    "account_changes",
    metadata,
    Column("sequence", BigInteger, Identity(always=True), primary_key=True),
    Column(
        "account_id",
        Uuid,
        ForeignKey("billing.accounts.account_id", name="account_changes_account_id_fkey"),
        nullable=False,
    ),
    Column("create_time", DateTime(timezone=True), nullable=False),
)

key_months = Table(
    "key_months",
    metadata,
    Column("api_key_id", Uuid, primary_key=True),
    Column("month", Date, primary_key=True),
    Column("charged_nanos", BigInteger, nullable=False),
    Column("leased_nanos", BigInteger, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("lease_id", Uuid, primary_key=True),
    Column("worker_id", Uuid, nullable=False),
    Column("account_id", Uuid, ForeignKey("billing.accounts.account_id", name="leases_account_id_fkey")),
    Column("api_key_id", Uuid),
    Column("month", Date),
    Column("state", Text, nullable=False),
    Column("granted_nanos", BigInteger, nullable=False),
    Column("returned_nanos", BigInteger, nullable=False),
    Column("settled_nanos", BigInteger, nullable=False),
    Column("spent_nanos", BigInteger, nullable=False),
    Column("expire_uptime_ms", BigInteger, nullable=False),
    Index("leases_unreleased_idx", "expire_uptime_ms", "worker_id", postgresql_where=text("state <> 'released'")),
)

# Leases that were charged after the end of their month, as a trigger of the ledger notes; these are never deleted.
late_leases = Table("late_leases", metadata, Column("lease_id", Uuid, primary_key=True))

uptime = Table(
    "uptime",
    metadata,
    Column("singleton", Boolean, primary_key=True),
    Column("uptime_ms", BigInteger, nullable=False),
    Column("beat_time", DateTime(timezone=True), nullable=False),
)

ledger_transactions = Table(
    "ledger_transactions",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),
    Column(
        "account_id",
        Uuid,
        ForeignKey("billing.accounts.account_id", name="ledger_transactions_account_id_fkey"),
        nullable=False,
    ),
    Column("amount_nanos", BigInteger, nullable=False),
    Column("description", Text, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
    Column("external_ref", Text),
    Column("actor_id", Uuid),
    Column("request_id", Uuid),
    Column("revision", SmallInteger),
    Column("api_key_id", Uuid),
    Column("lease_id", Uuid),
    Column("price_version_id", Text),
    Column("record_time", DateTime(timezone=True)),
    UniqueConstraint("request_id", "revision", name="ledger_transactions_request_key"),
    Index("ledger_transactions_account_kind_idx", "account_id", "id", postgresql_include=["kind", "create_time"]),
    Index(
        "ledger_transactions_credit_idx",
        "account_id",
        "kind",
        "id",
        postgresql_include=["create_time"],
        postgresql_where=text("kind <> 'charge'"),
    ),
    Index("ledger_transactions_kind_idx", "kind", "id", postgresql_include=["amount_nanos"]),
    Index("ledger_transactions_api_key_idx", "api_key_id", "id", postgresql_where=text("kind = 'charge'")),
    Index("ledger_transactions_record_time_idx", "record_time", "request_id", postgresql_where=text("kind = 'charge'")),
    Index(
        "ledger_transactions_ref_idx",
        "account_id",
        "kind",
        "external_ref",
        unique=True,
        postgresql_where=text("external_ref IS NOT NULL"),
    ),
)

ledger_sums = Table(
    "ledger_sums",
    metadata,
    Column("account_id", Uuid, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("transactions", BigInteger, nullable=False),
    Column("amount_nanos", BigInteger, nullable=False),
)

ledger_entries = Table(
    "ledger_entries",
    metadata,
    Column(
        "transaction_id",
        Uuid,
        ForeignKey("billing.ledger_transactions.id", name="ledger_entries_transaction_id_fkey"),
        primary_key=True,
    ),
    Column("account_kind", Text, primary_key=True),
    Column("account_id", Uuid),
    Column("amount_nanos", BigInteger, nullable=False),
    Index(
        "ledger_entries_absorbed_idx",
        "transaction_id",
        postgresql_include=["amount_nanos"],
        postgresql_where=text("account_kind = 'absorbed'"),
    ),
)

audit_events(metadata)
