"""creates idempotency keys of inference requests, with the answers that are kept for them."""

from collections.abc import Sequence

from alembic import op

revision: str = "20261125_usage_idempotency"
down_revision: str | None = "20261125_usage_attempts"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

# Of a key only its digest is kept. Answers are sealed, which no compression makes smaller.
TABLE = """
CREATE TABLE usage.idempotency_keys (
    api_key_id uuid,
    key_digest bytea CHECK (octet_length(key_digest) = 32),
    account_id uuid NOT NULL,
    body_digest bytea NOT NULL CHECK (octet_length(body_digest) = 32),
    request_id uuid NOT NULL,
    create_time timestamptz NOT NULL,
    sealed_answer bytea CHECK (octet_length(sealed_answer) BETWEEN 1 AND 1048576 + 64),
    PRIMARY KEY (api_key_id, key_digest)
);
ALTER TABLE usage.idempotency_keys ALTER COLUMN sealed_answer SET STORAGE EXTERNAL;
CREATE INDEX idempotency_keys_create_time_idx ON usage.idempotency_keys (create_time);
GRANT SELECT, INSERT, UPDATE, DELETE ON usage.idempotency_keys TO privaterouter_usage;
"""


def upgrade() -> None:
    for statement in TABLE.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE usage.idempotency_keys")
