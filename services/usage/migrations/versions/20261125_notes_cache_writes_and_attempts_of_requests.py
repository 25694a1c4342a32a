"""notes cache writes, the model that answered in another's place, and the attempts of requests."""

from collections.abc import Sequence

from alembic import op

revision: str = "20261125_usage_attempts"
down_revision: str | None = "20261125_usage_journals"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

# Constant defaults, so that no row is rewritten; what the previous release writes goes on to make sense.
COLUMNS = {
    "cache_write_input_tokens": "bigint NOT NULL DEFAULT 0",
    "cache_write_input_nanos_per_mtok": "bigint NOT NULL DEFAULT 0",
    "served_model_public_name": "text NOT NULL DEFAULT ''",
    "attempts": "jsonb NOT NULL DEFAULT '[]'",
}
CHECKS = {
    "usage_records_cache_write_input_tokens_check": (
        "cache_write_input_tokens >= 0 AND cached_input_tokens + cache_write_input_tokens <= input_tokens"
    ),
    "usage_records_cache_write_input_nanos_per_mtok_check": "cache_write_input_nanos_per_mtok >= 0",
    "usage_records_attempts_check": (
        "CASE jsonb_typeof(attempts) WHEN 'array' THEN jsonb_array_length(attempts) <= 20 ELSE false END"
    ),
}


def upgrade() -> None:
    columns = [f"ADD COLUMN {name} {definition}" for name, definition in COLUMNS.items()]
    checks = [f"ADD CONSTRAINT {name} CHECK ({rule}) NOT VALID" for name, rule in CHECKS.items()]
    op.execute(f"ALTER TABLE usage.usage_records {', '.join(columns + checks)}")
    # Every row is looked at in transactions of their own, which let everybody go on meanwhile, however long it takes.
    with op.get_context().autocommit_block():
        op.execute("SET statement_timeout = 0")
        for name in CHECKS:
            op.execute(f"ALTER TABLE usage.usage_records VALIDATE CONSTRAINT {name}")
        op.execute("SET statement_timeout = '60s'")


def downgrade() -> None:
    for name in CHECKS:
        op.execute(f"ALTER TABLE usage.usage_records DROP CONSTRAINT {name}")
    for name in COLUMNS:
        op.execute(f"ALTER TABLE usage.usage_records DROP COLUMN {name}")
