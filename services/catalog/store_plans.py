"""SQL of plans, with the models that they allow."""

from asyncpg import Record

from kit.database import Connection
from services.catalog.rows import Plan

_PLANS = """
SELECT p.id, p.name, p.monthly_nanos, p.included_nanos, p.rpm, p.all_models, p.monthly_quota_tokens, p.position,
       p.tpm, p.max_in_flight,
       ARRAY(SELECT m.public_name FROM catalog.plan_models pm JOIN catalog.models m ON m.id = pm.model_id
             WHERE pm.plan_id = p.id ORDER BY m.public_name) AS allowed_models
FROM catalog.plans p
"""


async def plans(connection: Connection) -> tuple[Plan, ...]:
    """All plans, by position."""
    return tuple(_plan(row) for row in await connection.fetch(f"{_PLANS} ORDER BY p.position, p.id"))


async def plan(connection: Connection, plan_id: str) -> Plan | None:
    """The plan with that id."""
    row = await connection.fetchrow(f"{_PLANS} WHERE p.id = $1", plan_id)
    return None if row is None else _plan(row)


async def insert_plan(connection: Connection, new: Plan) -> None:
    """Store a plan, without its models."""
    await connection.execute(
        """
        INSERT INTO catalog.plans (id, name, monthly_nanos, included_nanos, rpm, all_models, monthly_quota_tokens,
            position, tpm, max_in_flight)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        """,
        *_plan_values(new),
    )


async def update_plan(connection: Connection, new: Plan) -> None:
    """Store a plan's new values, without its models."""
    await connection.execute(
        """
        UPDATE catalog.plans SET name = $2, monthly_nanos = $3, included_nanos = $4, rpm = $5, all_models = $6,
            monthly_quota_tokens = $7, position = $8, tpm = $9, max_in_flight = $10
        WHERE id = $1
        """,
        *_plan_values(new),
    )


async def insert_plan_models(connection: Connection, of: Plan) -> set[str]:
    """Store which models a plan allows; answers the names that exist."""
    rows = await connection.fetch(
        """
        WITH named AS (SELECT id, public_name FROM catalog.models WHERE public_name = ANY($2::text[])),
             stored AS (INSERT INTO catalog.plan_models (plan_id, model_id) SELECT $1, id FROM named)
        SELECT public_name FROM named
        """,
        of.id,
        of.allowed_models,
    )
    return {row["public_name"] for row in rows}


async def delete_plan_models(connection: Connection, plan_id: str) -> None:
    """Delete the list of models that a plan allows."""
    await connection.execute("DELETE FROM catalog.plan_models WHERE plan_id = $1", plan_id)


def _plan(row: Record) -> Plan:
    return Plan(
        id=row["id"],
        name=row["name"],
        monthly_nanos=row["monthly_nanos"],
        included_nanos=row["included_nanos"],
        rpm=row["rpm"],
        all_models=row["all_models"],
        allowed_models=tuple(row["allowed_models"]),
        monthly_quota_tokens=row["monthly_quota_tokens"],
        position=row["position"],
        tpm=row["tpm"],
        max_in_flight=row["max_in_flight"],
    )


def _plan_values(of: Plan) -> tuple[object, ...]:
    return (
        of.id,
        of.name,
        of.monthly_nanos,
        of.included_nanos,
        of.rpm,
        of.all_models,
        of.monthly_quota_tokens,
        of.position,
        of.tpm,
        of.max_in_flight,
    )
