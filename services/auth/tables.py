"""The tables of the schema `auth`, for Alembic; at run time only the SQL of the store files is used."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
    func,
    text,
)

from kit.audit_table import audit_events

metadata = MetaData(schema="auth")


def _time(name: str, *, nullable: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


users = Table(
    "users",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("email", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    _time("create_time"),
    CheckConstraint("char_length(email) BETWEEN 3 AND 254 AND email LIKE '%_@_%'", name="users_email_check"),
    CheckConstraint("char_length(name) <= 100", name="users_name_check"),
    CheckConstraint("role IN ('user', 'admin')", name="users_role_check"),
    CheckConstraint("status IN ('active', 'disabled')", name="users_status_check"),
    CheckConstraint("password_hash LIKE '$argon2id$%'", name="users_password_hash_check"),
    # With the parentheses that PostgreSQL gives it.
    Index(
        "users_search_idx",
        func.lower(text("(email || chr(10)) || name")).label("searched"),
        postgresql_using="gin",
        postgresql_ops={"searched": "gin_trgm_ops"},
    ),
)
Index("users_email_key", func.lower(users.c.email), unique=True)

sessions = Table(
    "sessions",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, ForeignKey("auth.users.id", name="sessions_user_id_fkey"), nullable=False),
    _time("create_time"),
    _time("expire_time"),
    _time("end_time", nullable=True),
    Column("user_agent", Text, nullable=False, server_default=text("''")),
    CheckConstraint("expire_time > create_time", name="sessions_expire_time_check"),
    CheckConstraint("char_length(user_agent) <= 300", name="sessions_user_agent_check"),
    Index("sessions_user_id_idx", "user_id", postgresql_where=text("end_time IS NULL")),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, ForeignKey("auth.users.id", name="api_keys_user_id_fkey"), nullable=False),
    Column("secret_digest", LargeBinary, nullable=False),
    Column("key_prefix", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("monthly_limit_nanos", BigInteger),
    Column("allowed_models", ARRAY(Text), nullable=False),
    Column("rpm_limit", Integer),
    _time("expire_time", nullable=True),
    _time("last_use_time", nullable=True),
    _time("create_time"),
    Column("virtual_key_sealed", LargeBinary),
    Column("tpm_limit", BigInteger),
    Column("max_in_flight", Integer),
    Column("keeps_answers", Boolean, nullable=False, server_default=text("false")),
    CheckConstraint("octet_length(secret_digest) = 32", name="api_keys_secret_digest_check"),
    CheckConstraint("char_length(key_prefix) = 15", name="api_keys_key_prefix_check"),
    CheckConstraint("char_length(name) BETWEEN 1 AND 100", name="api_keys_name_check"),
    CheckConstraint("status IN ('active', 'disabled')", name="api_keys_status_check"),
    CheckConstraint("monthly_limit_nanos >= 0", name="api_keys_monthly_limit_nanos_check"),
    CheckConstraint("cardinality(allowed_models) <= 100", name="api_keys_allowed_models_check"),
    CheckConstraint("rpm_limit >= 1", name="api_keys_rpm_limit_check"),
    CheckConstraint("tpm_limit >= 1", name="api_keys_tpm_limit_check"),
    CheckConstraint("max_in_flight >= 1", name="api_keys_max_in_flight_check"),
    Index("api_keys_secret_digest_key", "secret_digest", unique=True),
    Index("api_keys_user_id_idx", "user_id", "id"),
)

# `sequence` has no gaps and rises in the order of commits: it is given out under an advisory lock.
revocations = Table(
    "revocations",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("api_key_id", Uuid),
    Column("user_id", Uuid, nullable=False),
    _time("create_time"),
    CheckConstraint("sequence >= 1", name="revocations_sequence_check"),
)


def _outbox(name: str, key: Column[object]) -> Table:
    return Table(
        name,
        metadata,
        key,
        _time("create_time"),
        Column("attempts", Integer, nullable=False, server_default=text("0")),
        _time("next_attempt_time"),
        CheckConstraint("attempts >= 0", name=f"{name}_attempts_check"),
        Index(f"{name}_next_attempt_time_idx", "next_attempt_time"),
    )


# Users whose billing account may not have been opened yet.
account_openings = _outbox(
    "account_openings",
    Column("account_id", Uuid, ForeignKey("auth.users.id", name="account_openings_account_id_fkey"), primary_key=True),
)

# API keys, stored or not, whose virtual key must not live on at the proxy.
virtual_key_deletions = _outbox("virtual_key_deletions", Column("api_key_id", Uuid, primary_key=True))

# API keys whose limit has changed, so that their virtual key's budget has to follow.
virtual_key_updates = _outbox("virtual_key_updates", Column("api_key_id", Uuid, primary_key=True))

audit_events(metadata)
