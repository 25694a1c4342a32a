"""creates the catalogue."""

from collections.abc import Sequence

from alembic import op

revision: str = "20261122_catalog_1"
down_revision: str | None = None
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

TABLES = """
CREATE TABLE catalog.state (
    singleton boolean PRIMARY KEY CHECK (singleton),
    version bigint NOT NULL CHECK (version >= 1)
);
INSERT INTO catalog.state VALUES (true, 1);

CREATE TABLE catalog.upstreams (
    name text PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 63),
    kind text NOT NULL CHECK (kind IN ('openai', 'ollama', 'litellm')),
    base_url text NOT NULL CHECK (base_url ~ '^https?://[^/]' AND base_url !~ '/$'),
    sealed_credential bytea,
    virtual_keys boolean NOT NULL CHECK (kind = 'litellm' OR NOT virtual_keys)
);

CREATE TABLE catalog.models (
    id uuid PRIMARY KEY,
    public_name text NOT NULL CONSTRAINT models_public_name_key UNIQUE CHECK (length(public_name) BETWEEN 1 AND 100),
    family text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('chat', 'embedding')),
    status text NOT NULL CHECK (status IN ('active', 'disabled')),
    context_tokens integer NOT NULL CHECK (context_tokens >= 1),
    max_output_tokens integer NOT NULL,
    dimensions integer NOT NULL CHECK (dimensions >= 0),
    template_tokens integer NOT NULL CHECK (template_tokens >= 0),
    tools_tokens integer NOT NULL CHECK (tools_tokens >= 0),
    image_tokens integer NOT NULL CHECK (image_tokens >= 0),
    upstream_model text NOT NULL,
    price_id uuid NOT NULL,
    create_time timestamptz NOT NULL,
    CHECK (CASE kind WHEN 'chat' THEN max_output_tokens BETWEEN 1 AND context_tokens ELSE max_output_tokens = 0 END)
);

CREATE TABLE catalog.prices (
    id uuid PRIMARY KEY,
    model_id uuid NOT NULL CONSTRAINT prices_model_id_fkey REFERENCES catalog.models (id),
    input_nanos_per_mtok bigint NOT NULL CHECK (input_nanos_per_mtok >= 0),
    cached_input_nanos_per_mtok bigint CHECK (cached_input_nanos_per_mtok BETWEEN 0 AND input_nanos_per_mtok),
    output_nanos_per_mtok bigint NOT NULL CHECK (output_nanos_per_mtok >= 0),
    effective_time timestamptz NOT NULL
);
CREATE INDEX prices_by_model ON catalog.prices (model_id, effective_time);
ALTER TABLE catalog.models ADD CONSTRAINT models_price_id_fkey
    FOREIGN KEY (price_id) REFERENCES catalog.prices (id) DEFERRABLE INITIALLY DEFERRED;

CREATE TABLE catalog.routes (
    model_id uuid NOT NULL CONSTRAINT routes_model_id_fkey REFERENCES catalog.models (id),
    upstream_name text NOT NULL CONSTRAINT routes_upstream_name_fkey REFERENCES catalog.upstreams (name),
    upstream_model text NOT NULL CHECK (upstream_model <> ''),
    weight integer NOT NULL CHECK (weight >= 1),
    position integer NOT NULL CHECK (position >= 0),
    PRIMARY KEY (model_id, upstream_name, upstream_model)
);

CREATE TABLE catalog.plans (
    id text PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 63),
    name text NOT NULL,
    monthly_nanos bigint NOT NULL CHECK (monthly_nanos >= 0),
    included_nanos bigint NOT NULL CHECK (included_nanos >= 0),
    rpm integer NOT NULL CHECK (rpm >= 1),
    all_models boolean NOT NULL,
    monthly_quota_tokens bigint CHECK (monthly_quota_tokens >= 1),
    position integer NOT NULL
);

CREATE TABLE catalog.plan_models (
    plan_id text NOT NULL CONSTRAINT plan_models_plan_id_fkey REFERENCES catalog.plans (id),
    model_id uuid NOT NULL CONSTRAINT plan_models_model_id_fkey REFERENCES catalog.models (id),
    PRIMARY KEY (plan_id, model_id)
);

CREATE TABLE catalog.seeded (
    item text NOT NULL,
    field text NOT NULL,
    value text NOT NULL,
    PRIMARY KEY (item, field)
);
"""

# A change without a new version would stay invisible to every cache, so the tables see to it themselves.
VERSION = """
CREATE FUNCTION catalog.bump_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE catalog.state SET version = version + 1;
    RETURN NULL;
END
$$;
"""
VERSIONED = ("upstreams", "models", "prices", "routes", "plans", "plan_models")

# Prices are never changed nor deleted: usage records and leases name their versions.
GRANTS = """
GRANT SELECT, UPDATE ON catalog.state TO privaterouter_catalog;
GRANT SELECT, INSERT ON catalog.prices TO privaterouter_catalog;
GRANT SELECT, INSERT, UPDATE ON catalog.models, catalog.plans, catalog.seeded TO privaterouter_catalog;
GRANT SELECT, INSERT, UPDATE, DELETE ON catalog.upstreams, catalog.routes, catalog.plan_models
    TO privaterouter_catalog;
"""


def upgrade() -> None:
    for statement in TABLES.split(";\n"):
        if statement.strip():
            op.execute(statement)
    op.execute(VERSION)
    for table in VERSIONED:
        op.execute(
            f"CREATE TRIGGER bump_version AFTER INSERT OR UPDATE OR DELETE ON catalog.{table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION catalog.bump_version()"
        )
    for statement in GRANTS.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    for table in ("plan_models", "routes", "seeded", "plans", "state"):
        op.execute(f"DROP TABLE catalog.{table}")
    op.execute("ALTER TABLE catalog.models DROP CONSTRAINT models_price_id_fkey")
    for table in ("prices", "models", "upstreams"):
        op.execute(f"DROP TABLE catalog.{table}")
    op.execute("DROP FUNCTION catalog.bump_version()")
