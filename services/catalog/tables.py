"""The catalogue's tables, for Alembic to compare with the database; never imported when serving."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from kit.audit_table import audit_events

metadata = MetaData(schema="catalog")

state = Table(
    "state",
    metadata,
    Column("singleton", Boolean, primary_key=True),
    Column("version", BigInteger, nullable=False),
)

upstreams = Table(
    "upstreams",
    metadata,
    Column("name", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("base_url", Text, nullable=False),
    Column("sealed_credential", LargeBinary),
    Column("virtual_keys", Boolean, nullable=False),
    Column("max_in_flight", Integer, nullable=False, server_default=text("0")),
    Column("max_queued", Integer, nullable=False, server_default=text("0")),
    Column("dialects", ARRAY(Text), nullable=False, server_default=text("'{}'")),
)

models = Table(
    "models",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("public_name", Text, nullable=False),
    Column("family", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("context_tokens", Integer, nullable=False),
    Column("max_output_tokens", Integer, nullable=False),
    Column("dimensions", Integer, nullable=False),
    Column("template_tokens", Integer, nullable=False),
    Column("tools_tokens", Integer, nullable=False),
    Column("image_tokens", Integer, nullable=False),
    Column("upstream_model", Text, nullable=False),
    Column(
        "price_id",
        Uuid,
        ForeignKey(
            "catalog.prices.id", name="models_price_id_fkey", deferrable=True, initially="DEFERRED", use_alter=True
        ),
        nullable=False,
    ),
    Column("create_time", DateTime(timezone=True), nullable=False),
    Column("sticky", Text, nullable=False, server_default=text("''")),
    UniqueConstraint("public_name", name="models_public_name_key"),
)

fallback_models = Table(
    "fallback_models",
    metadata,
    Column("model_id", Uuid, ForeignKey("catalog.models.id", name="fallback_models_model_id_fkey"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column(
        "fallback_id", Uuid, ForeignKey("catalog.models.id", name="fallback_models_fallback_id_fkey"), nullable=False
    ),
    UniqueConstraint("model_id", "fallback_id", name="fallback_models_fallback_id_key"),
)

prices = Table(
    "prices",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("model_id", Uuid, ForeignKey("catalog.models.id", name="prices_model_id_fkey"), nullable=False),
    Column("input_nanos_per_mtok", BigInteger, nullable=False),
    Column("cached_input_nanos_per_mtok", BigInteger),
    Column("output_nanos_per_mtok", BigInteger, nullable=False),
    Column("effective_time", DateTime(timezone=True), nullable=False),
    Column("cache_write_input_nanos_per_mtok", BigInteger),
    Index("prices_by_model", "model_id", "effective_time"),
)

routes = Table(
    "routes",
    metadata,
    Column("model_id", Uuid, ForeignKey("catalog.models.id", name="routes_model_id_fkey"), primary_key=True),
    Column(
        "upstream_name",
        Text,
        ForeignKey("catalog.upstreams.name", name="routes_upstream_name_fkey"),
        primary_key=True,
    ),
    Column("upstream_model", Text, primary_key=True),
    Column("weight", Integer, nullable=False),
    Column("position", Integer, nullable=False),
    Column("connect_timeout_ms", Integer, nullable=False, server_default=text("0")),
    Column("first_byte_timeout_ms", Integer, nullable=False, server_default=text("0")),
    Column("idle_timeout_ms", Integer, nullable=False, server_default=text("0")),
    Column("total_timeout_ms", Integer, nullable=False, server_default=text("0")),
)

plans = Table(
    "plans",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("monthly_nanos", BigInteger, nullable=False),
    Column("included_nanos", BigInteger, nullable=False),
    Column("rpm", Integer, nullable=False),
    Column("all_models", Boolean, nullable=False),
    Column("monthly_quota_tokens", BigInteger),
    Column("position", Integer, nullable=False),
    Column("tpm", BigInteger),
    Column("max_in_flight", Integer),
)

plan_models = Table(
    "plan_models",
    metadata,
    Column("plan_id", Text, ForeignKey("catalog.plans.id", name="plan_models_plan_id_fkey"), primary_key=True),
    Column("model_id", Uuid, ForeignKey("catalog.models.id", name="plan_models_model_id_fkey"), primary_key=True),
)

seeded = Table(
    "seeded",
    metadata,
    Column("item", Text, primary_key=True),
    Column("field", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

audit_events(metadata)
