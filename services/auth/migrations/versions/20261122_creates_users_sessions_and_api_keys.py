"""Creates users, sessions, API keys, their revocations and the two outboxes."""

from collections.abc import Sequence

from alembic import op

revision: str = "6f1c0a5b9d21"
down_revision: str | None = None
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

STATEMENTS = (
    """
    CREATE TABLE auth.users (
        id uuid PRIMARY KEY,
        email text NOT NULL CHECK (char_length(email) BETWEEN 3 AND 254 AND email LIKE '%_@_%'),
        name text NOT NULL CHECK (char_length(name) <= 100),
        role text NOT NULL CHECK (role IN ('user', 'admin')),
        status text NOT NULL CHECK (status IN ('active', 'disabled')),
        password_hash text NOT NULL CHECK (password_hash LIKE '$argon2id$%'),
        create_time timestamptz NOT NULL
    )
    """,
    "CREATE UNIQUE INDEX users_email_key ON auth.users (lower(email))",
    """
    CREATE TABLE auth.sessions (
        id uuid PRIMARY KEY,
        user_id uuid NOT NULL REFERENCES auth.users,
        create_time timestamptz NOT NULL,
        expire_time timestamptz NOT NULL,
        end_time timestamptz,
        CONSTRAINT sessions_expire_time_check CHECK (expire_time > create_time)
    )
    """,
    "CREATE INDEX sessions_user_id_idx ON auth.sessions (user_id) WHERE end_time IS NULL",
    """
    CREATE TABLE auth.api_keys (
        id uuid PRIMARY KEY,
        user_id uuid NOT NULL REFERENCES auth.users,
        secret_digest bytea NOT NULL CHECK (octet_length(secret_digest) = 32),
        key_prefix text NOT NULL CHECK (char_length(key_prefix) = 15),
        name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
        status text NOT NULL CHECK (status IN ('active', 'disabled')),
        monthly_limit_nanos bigint CHECK (monthly_limit_nanos >= 0),
        allowed_models text[] NOT NULL CHECK (cardinality(allowed_models) <= 100),
        rpm_limit integer CHECK (rpm_limit >= 1),
        expire_time timestamptz,
        last_use_time timestamptz,
        create_time timestamptz NOT NULL,
        virtual_key_sealed bytea
    )
    """,
    "CREATE UNIQUE INDEX api_keys_secret_digest_key ON auth.api_keys (secret_digest)",
    "CREATE INDEX api_keys_user_id_idx ON auth.api_keys (user_id, id)",
    """
    CREATE TABLE auth.revocations (
        sequence bigint PRIMARY KEY CHECK (sequence >= 1),
        api_key_id uuid,
        user_id uuid NOT NULL,
        create_time timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE auth.account_openings (
        account_id uuid PRIMARY KEY REFERENCES auth.users,
        create_time timestamptz NOT NULL,
        attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
        next_attempt_time timestamptz NOT NULL
    )
    """,
    "CREATE INDEX account_openings_next_attempt_time_idx ON auth.account_openings (next_attempt_time)",
    """
    CREATE TABLE auth.virtual_key_deletions (
        api_key_id uuid PRIMARY KEY,
        create_time timestamptz NOT NULL,
        attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
        next_attempt_time timestamptz NOT NULL
    )
    """,
    "CREATE INDEX virtual_key_deletions_next_attempt_time_idx ON auth.virtual_key_deletions (next_attempt_time)",
    # Users are disabled, sessions end and revocations stay: only what the service deletes may be deleted.
    "GRANT SELECT, INSERT, UPDATE ON auth.users, auth.sessions TO privaterouter_auth",
    "GRANT SELECT, INSERT ON auth.revocations TO privaterouter_auth",
    """
    GRANT SELECT, INSERT, UPDATE, DELETE ON auth.api_keys, auth.account_openings, auth.virtual_key_deletions
    TO privaterouter_auth
    """,
)

TABLES = "virtual_key_deletions account_openings revocations api_keys sessions users"


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for table in TABLES.split():
        op.execute(f"DROP TABLE auth.{table}")
