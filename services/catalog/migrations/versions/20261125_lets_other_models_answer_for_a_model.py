"""lets other models answer for a model, and lets requests stick to a route."""

from collections.abc import Sequence

from alembic import op

revision: str = "20261125_catalog_4"
down_revision: str | None = "20261125_catalog_3"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

STATEMENTS = (
    """
    ALTER TABLE catalog.models ADD COLUMN sticky text NOT NULL DEFAULT ''
        CONSTRAINT models_sticky_check CHECK (sticky IN ('', 'prompt_prefix', 'user'))
    """,
    """
    CREATE TABLE catalog.fallback_models (
        model_id uuid NOT NULL CONSTRAINT fallback_models_model_id_fkey REFERENCES catalog.models (id),
        position integer NOT NULL CHECK (position BETWEEN 1 AND 5),
        fallback_id uuid NOT NULL CONSTRAINT fallback_models_fallback_id_fkey REFERENCES catalog.models (id),
        PRIMARY KEY (model_id, position),
        CONSTRAINT fallback_models_fallback_id_key UNIQUE (model_id, fallback_id),
        CHECK (fallback_id <> model_id)
    )
    """,
    # As on the other tables: a change without a new version would stay invisible to every cache.
    """
    CREATE TRIGGER bump_version AFTER INSERT OR UPDATE OR DELETE ON catalog.fallback_models
    FOR EACH STATEMENT EXECUTE FUNCTION catalog.bump_version()
    """,
    "GRANT SELECT, INSERT, DELETE ON catalog.fallback_models TO privaterouter_catalog",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE catalog.fallback_models")
    op.execute("ALTER TABLE catalog.models DROP COLUMN sticky")
