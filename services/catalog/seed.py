"""Brings the catalogue's initial data up to date: `python -m services.catalog.seed`, at every start.

A field that nobody has changed since it was seeded follows the seed; one that an operator has changed stays. To tell
them apart, the table `seeded` keeps what each field was given last.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from kit import logs, starting
from kit.bus import Bus
from kit.clock import utc_now
from kit.database import Connection, Database
from kit.errors import AppError
from kit.ids import IdFactory
from kit.server import run
from kit.settings import load, text_of
from services.catalog import (
    models,
    plans,
    prices,
    seed_data,
    store,
    store_models,
    store_plans,
    store_upstreams,
    upstreams,
)
from services.catalog.rows import Model, ModelStatus, Plan, Price, Route
from services.catalog.seed_data import SeedModel
from services.catalog.servicer import changing
from services.catalog.settings import SeedSettings
from services.catalog.upstreams import Credentials, OpenUpstream

MODEL_FIELDS = (
    "family",
    "context_tokens",
    "max_output_tokens",
    "dimensions",
    "template_tokens",
    "tools_tokens",
    "image_tokens",
    "upstream_model",
)
"""Fields of a model that follow the seed, beside its price and its routes; its status never does."""

PLAN_FIELDS = ("name", "monthly_nanos", "included_nanos", "rpm", "monthly_quota_tokens", "position")
"""Fields of a plan that follow the seed, beside its models."""


class Report(NamedTuple):
    """What a run did: the catalogue's version before and after it."""

    before: int
    after: int


async def seed(
    database: Database, *, bus: Bus, settings: SeedSettings, credentials: Credentials, ids: IdFactory, now: datetime
) -> Report:
    """Upsert upstreams, models and plans in one transaction. Raises the errors of the rules for bad settings."""
    async with changing(database, bus) as connection:
        before = await store.version(connection)
        wanted = seed_data.upstreams(settings)
        for upstream in wanted:
            await _seed_upstream(connection, upstream, credentials=credentials)
        for model in seed_data.MODELS:
            await _seed_model(connection, model, settings=settings, ids=ids, now=now)
        for plan in seed_data.PLANS:
            await _seed_plan(connection, plan)
        stale = set(seed_data.ENV_UPSTREAMS) - {upstream.name for upstream in wanted}
        await store_upstreams.delete_unrouted_upstreams(connection, sorted(stale))
        return Report(before, await store.version(connection))


async def _seed_upstream(connection: Connection, wanted: OpenUpstream, *, credentials: Credentials) -> None:
    """Follow the settings in what they describe; limits and dialects are an operator's, as long as the kind stays."""
    old = await upstreams.find(connection, wanted.name, credentials=credentials)
    if old is not None and old.kind is wanted.kind:
        wanted = replace(wanted, max_in_flight=old.max_in_flight, max_queued=old.max_queued, dialects=old.dialects)
    await upstreams.put(connection, wanted, old=old, credentials=credentials)


async def _seed_model(
    connection: Connection, wanted: SeedModel, *, settings: SeedSettings, ids: IdFactory, now: datetime
) -> None:
    item = f"model:{wanted.public_name}"
    fresh = Model(
        id=ids(),
        public_name=wanted.public_name,
        family=wanted.family,
        kind=wanted.kind,
        status=ModelStatus.ACTIVE,
        context_tokens=wanted.context_tokens,
        max_output_tokens=seed_data.max_output_tokens(wanted, settings),
        dimensions=seed_data.dimensions(wanted, settings),
        template_tokens=wanted.template_tokens,
        tools_tokens=wanted.tools_tokens,
        image_tokens=wanted.image_tokens,
        upstream_model=wanted.upstream_model,
        create_time=now,
        price=wanted.rates.version(ids(), now),
        routes=(seed_data.route(wanted, settings),),
    )
    old = await store_models.model(connection, wanted.public_name)
    if old is None:
        await models.create(connection, fresh)
        await store.note_seeded_values(connection, item, values=_model_values(fresh))
        return
    seeded = await store.seeded_values(connection, item)
    follow = _fields_to_follow(stored=_model_values(old), seeded=seeded, fresh=_model_values(fresh))
    changed = {field: getattr(fresh, field) for field in follow if field != "price"}
    new = await models.change(connection, old, new=replace(old, **changed))
    if "price" in follow:
        await prices.set_price(connection, new, rates=wanted.rates, version_id=ids(), now=now)
    await store.note_seeded_values(connection, item, values=follow)


async def _seed_plan(connection: Connection, fresh: Plan) -> None:
    item = f"plan:{fresh.id}"
    old = await store_plans.plan(connection, fresh.id)
    if old is None:
        await plans.create(connection, fresh)
        await store.note_seeded_values(connection, item, values=_plan_values(fresh))
        return
    seeded = await store.seeded_values(connection, item)
    follow = _fields_to_follow(stored=_plan_values(old), seeded=seeded, fresh=_plan_values(fresh))
    changed = {field: getattr(fresh, field) for field in follow if field != "models"}
    if "models" in follow:
        changed |= {"all_models": fresh.all_models, "allowed_models": fresh.allowed_models}
    await plans.change(connection, old, new=replace(old, **changed))
    await store.note_seeded_values(connection, item, values=follow)


def _fields_to_follow(
    *, stored: Mapping[str, str], seeded: Mapping[str, str] | None, fresh: Mapping[str, str]
) -> dict[str, str]:
    """The fields that still have what they were given last, with what the seed gives them now.

    Nothing of an item that the seed did not make.
    """
    if seeded is None:
        return {}
    return {
        field: value for field, value in fresh.items() if seeded.get(field) == stored[field] and value != stored[field]
    }


def _model_values(model: Model) -> dict[str, str]:
    values = {field: getattr(model, field) for field in MODEL_FIELDS} | {
        "price": _price_values(model.price),
        "routes": [_route_values(route) for route in model.routes],
    }
    return {field: json.dumps(value) for field, value in values.items()}


def _price_values(price: Price) -> list[int | None]:
    """What the seed names comes first, alone where nobody named more: values noted by older releases must compare."""
    values = [price.input_nanos_per_mtok, price.cached_input_nanos_per_mtok, price.output_nanos_per_mtok]
    write = price.cache_write_input_nanos_per_mtok
    return values if write is None else [*values, write]


def _route_values(route: Route) -> list[str | int]:
    """As `_price_values`."""
    values: list[str | int] = [route.upstream_name, route.upstream_model, route.weight, route.position]
    timeouts = [
        route.connect_timeout_ms,
        route.first_byte_timeout_ms,
        route.idle_timeout_ms,
        route.total_timeout_ms,
    ]
    return [*values, *timeouts] if any(timeouts) else values


def _plan_values(plan: Plan) -> dict[str, str]:
    values = {field: getattr(plan, field) for field in PLAN_FIELDS}
    values["models"] = "all" if plan.all_models else plan.allowed_models
    return {field: json.dumps(value) for field, value in values.items()}


async def main(settings: SeedSettings) -> None:
    """Seed and say what was done in one line; exit status 1 with the reason where that failed."""
    await starting.wait_for(
        starting.schema("catalog", settings.catalog_database_url, allow_newer=settings.allow_newer_schema),
        starting.valkey(settings.redis_url),
        within_s=settings.start_within_s,
    )
    try:
        database = await Database.connect(settings.catalog_database_url, application_name="catalog-seed", max_size=1)
        bus = await Bus.connect(settings.redis_url)
        try:
            report = await seed(
                database,
                bus=bus,
                settings=settings,
                credentials=Credentials(
                    text_of(settings.app_secret_key), previous=text_of(settings.app_secret_key_previous)
                ),
                ids=IdFactory(),
                now=utc_now(),
            )
        finally:
            await bus.close()
            await database.close()
    except AppError as error:
        sys.exit(f"The catalogue was not seeded: {error.message}.")
    what = "seeded" if report.after != report.before else "up to date"
    sys.stdout.write(
        f"Catalogue {what}: {len(seed_data.MODELS)} models, {len(seed_data.PLANS)} plans, "
        f"upstreams from UPSTREAM_KIND={settings.upstream_kind} (version {report.after}).\n"
    )


if __name__ == "__main__":
    configured = load(SeedSettings)
    logs.configure("catalog-seed", level=configured.log_level)
    run(main(configured))
