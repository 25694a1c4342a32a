"""The catalogue's RPCs: versions, prices that never change, and every refusal."""

import asyncio
from typing import Any

import asyncpg
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from kit.errors import RemoteError
from privaterouter.catalog.v1 import catalog_pb2 as pb
from tests.services.catalog.conftest import Catalog
from tests.support.waiting import eventually

FAST = "privaterouter/fast"
MAX_INT64 = 2**63 - 1


def chat_model(**changes: Any) -> pb.Model:
    values: dict[str, Any] = {
        "public_name": "acme/new",
        "family": "acme",
        "kind": pb.MODEL_KIND_CHAT,
        "context_tokens": 1_000,
        "max_output_tokens": 500,
        "upstream_model": "acme:latest",
        "price": pb.Price(input_nanos_per_mtok=10, output_nanos_per_mtok=20),
        "routes": [pb.Route(upstream_name="embedded-chat", upstream_model="acme")],
    }
    return pb.Model(**values | changes)


async def refusal(call: Any) -> tuple[str, str, str]:
    """Code, reason and field of a refused call."""
    with pytest.raises(RemoteError) as refused:
        await call
    assert refused.value.domain == "catalog.privaterouter"
    return refused.value.code.name, refused.value.reason, refused.value.metadata.get("field", "")


async def update_model(catalog: Catalog, *paths: str, **values: Any) -> pb.Model:
    model = pb.Model(**{"public_name": FAST} | values)
    request = pb.UpdateModelRequest(model=model, update_mask=FieldMask(paths=paths or list(values)))
    return (await catalog.stub.UpdateModel(request)).model


async def update_plan(catalog: Catalog, *paths: str, **values: Any) -> pb.Plan:
    request = pb.UpdatePlanRequest(
        plan=pb.Plan(**{"id": "free"} | values), update_mask=FieldMask(paths=paths or list(values))
    )
    return (await catalog.stub.UpdatePlan(request)).plan


async def set_price(catalog: Catalog, name: str = FAST, **price: Any) -> pb.Model:
    request = pb.SetModelPriceRequest(public_name=name, price=pb.Price(**price))
    return (await catalog.stub.SetModelPrice(request)).model


async def test_who_has_the_newest_version_gets_only_its_number(seeded: Catalog) -> None:
    newest = await seeded.newest()
    assert len(newest.models) == 6
    again = await seeded.stub.GetCatalog(pb.GetCatalogRequest(known_version=newest.version))
    assert again == pb.GetCatalogResponse(version=newest.version, unchanged=True)
    older = await seeded.stub.GetCatalog(pb.GetCatalogRequest(known_version=newest.version - 1))
    assert older == newest


async def test_a_new_model_is_in_the_next_snapshot_with_a_version_of_its_own(seeded: Catalog) -> None:
    before = await seeded.version()
    created = (await seeded.stub.CreateModel(pb.CreateModelRequest(model=chat_model()))).model
    assert created.status == pb.MODEL_STATUS_ACTIVE
    assert created.price.version_id
    assert created.routes[0].weight == 1
    assert await seeded.model("acme/new") == created
    assert await seeded.version() > before


async def test_a_change_is_announced_after_it_can_be_read(seeded: Catalog) -> None:
    heard: list[tuple[str, dict[str, str], int]] = []

    async def hear(topic: str, payload: dict[str, str]) -> None:
        heard.append((topic, payload, await seeded.version()))

    listening = asyncio.create_task(seeded.bus.subscribe(["catalog"], hear))
    try:

        async def connected() -> bool:
            return bool(heard)

        await eventually(connected)
        await update_plan(seeded, rpm=21)

        async def announced() -> bool:
            return len(heard) == 2

        await eventually(announced)
    finally:
        listening.cancel()
    version = await seeded.version()
    assert heard[1] == ("catalog", {"version": str(version)}, version)


async def test_a_price_change_makes_a_version_and_keeps_the_old_one(seeded: Catalog) -> None:
    old = (await seeded.model(FAST)).price
    new = (
        await set_price(
            seeded,
            input_nanos_per_mtok=7,
            cached_input_nanos_per_mtok=3,
            cache_write_input_nanos_per_mtok=8,
            output_nanos_per_mtok=9,
        )
    ).price
    assert (await seeded.model(FAST)).price == new
    stored = await seeded.admin.fetch(
        "SELECT p.id::text, input_nanos_per_mtok, cached_input_nanos_per_mtok, cache_write_input_nanos_per_mtok, "
        "output_nanos_per_mtok "
        "FROM catalog.prices p JOIN catalog.models m ON m.id = p.model_id WHERE public_name = $1 ORDER BY p.id",
        FAST,
    )
    assert [tuple(row) for row in stored] == [
        (old.version_id, 100_000_000, None, None, 300_000_000),
        (new.version_id, 7, 3, 8, 9),
    ]


async def test_the_price_that_is_current_already_makes_no_version(seeded: Catalog) -> None:
    before = await seeded.newest()
    await set_price(seeded, input_nanos_per_mtok=100_000_000, output_nanos_per_mtok=300_000_000)
    assert await seeded.newest() == before
    assert await seeded.admin.fetchval("SELECT count(*) FROM catalog.prices") == 6


async def test_what_writing_into_a_cache_costs_makes_a_version_once(seeded: Catalog) -> None:
    price: dict[str, Any] = {"input_nanos_per_mtok": 100_000_000, "output_nanos_per_mtok": 300_000_000}
    first = await set_price(seeded, **price, cache_write_input_nanos_per_mtok=125_000_000)
    again = await set_price(seeded, **price, cache_write_input_nanos_per_mtok=125_000_000)
    assert again == first
    assert first.price.cache_write_input_nanos_per_mtok == 125_000_000
    free = await set_price(seeded, **price, cache_write_input_nanos_per_mtok=0)
    assert free.price.HasField("cache_write_input_nanos_per_mtok")
    assert not (await set_price(seeded, **price)).price.HasField("cache_write_input_nanos_per_mtok")
    assert await seeded.admin.fetchval("SELECT count(*) FROM catalog.prices") == 6 + 3


async def test_a_change_to_what_is_so_already_makes_no_version(seeded: Catalog) -> None:
    before = await seeded.newest()
    await update_model(seeded, family="gemma")
    await update_plan(seeded, rpm=20)
    await seeded.stub.SetUpstream(pb.SetUpstreamRequest(upstream=before.upstreams[0]))
    assert await seeded.newest() == before


@pytest.mark.parametrize(
    "statement", ["UPDATE catalog.prices SET output_nanos_per_mtok = 0", "DELETE FROM catalog.prices"]
)
async def test_the_service_itself_cannot_change_a_price_that_was(seeded: Catalog, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with seeded.database.transaction() as connection:
            await connection.execute(statement)


async def test_parallel_price_changes_each_become_a_version(seeded: Catalog) -> None:
    before = await seeded.version()
    await asyncio.gather(*(set_price(seeded, input_nanos_per_mtok=n, output_nanos_per_mtok=n) for n in range(1, 9)))
    rows = await seeded.admin.fetchval("SELECT count(*) FROM catalog.prices")
    assert rows == 6 + 8
    current = (await seeded.model(FAST)).price
    assert current.input_nanos_per_mtok == current.output_nanos_per_mtok
    assert await seeded.version() >= before + 8


async def test_of_parallel_changes_to_different_fields_none_is_lost(seeded: Catalog) -> None:
    before = await seeded.plan("free")
    fields: dict[str, Any] = {"rpm": 7, "tpm": 8, "max_in_flight": 9, "monthly_quota_tokens": 10, "name": "Gratis"}
    await asyncio.gather(*(update_plan(seeded, **{field: value}) for field, value in fields.items()))
    expected = pb.Plan(**fields)
    before.MergeFrom(expected)
    assert await seeded.plan("free") == before


@pytest.mark.parametrize(
    "price, field",
    [
        ({"input_nanos_per_mtok": -1}, "input_nanos_per_mtok"),
        ({"output_nanos_per_mtok": -1}, "output_nanos_per_mtok"),
        ({"input_nanos_per_mtok": MAX_INT64}, "input_nanos_per_mtok"),
        ({"output_nanos_per_mtok": 10_000_000_000_001}, "output_nanos_per_mtok"),
        ({"cached_input_nanos_per_mtok": -1, "input_nanos_per_mtok": 1}, "cached_input_nanos_per_mtok"),
        ({"cached_input_nanos_per_mtok": 2, "input_nanos_per_mtok": 1}, "cached_input_nanos_per_mtok"),
        ({"cache_write_input_nanos_per_mtok": -1}, "cache_write_input_nanos_per_mtok"),
        ({"cache_write_input_nanos_per_mtok": 10_000_000_000_001}, "cache_write_input_nanos_per_mtok"),
    ],
)
async def test_a_price_that_makes_no_sense_is_refused(seeded: Catalog, price: dict[str, Any], field: str) -> None:
    before = await seeded.newest()
    assert await refusal(set_price(seeded, **price)) == ("INVALID_ARGUMENT", "INVALID_PRICE", field)
    created = seeded.stub.CreateModel(pb.CreateModelRequest(model=chat_model(price=pb.Price(**price))))
    assert await refusal(created) == ("INVALID_ARGUMENT", "INVALID_PRICE", field)
    assert await seeded.newest() == before


@pytest.mark.parametrize(
    "changes, field",
    [
        ({"public_name": ""}, "public_name"),
        ({"public_name": "a b"}, "public_name"),
        ({"public_name": "x" * 101}, "public_name"),
        ({"public_name": "a//b"}, "public_name"),
        ({"kind": pb.MODEL_KIND_UNSPECIFIED}, "kind"),
        ({"status": 7}, "status"),
        ({"context_tokens": 0}, "context_tokens"),
        ({"context_tokens": -5}, "context_tokens"),
        ({"context_tokens": 2**31 - 1}, "context_tokens"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"max_output_tokens": 1_001}, "max_output_tokens"),
        ({"dimensions": 5}, "dimensions"),
        ({"kind": pb.MODEL_KIND_EMBEDDING}, "max_output_tokens"),
        ({"template_tokens": -1}, "template_tokens"),
        ({"tools_tokens": 2**31 - 1}, "tools_tokens"),
        ({"image_tokens": -1}, "image_tokens"),
        ({"upstream_model": "a\nb"}, "upstream_model"),
        ({"routes": [pb.Route(upstream_name="embedded-chat", upstream_model="")]}, "routes.upstream_model"),
        ({"routes": [pb.Route(upstream_name="embedded-chat", upstream_model="a", weight=-1)]}, "routes.weight"),
        ({"routes": [pb.Route(upstream_name="embedded-chat", upstream_model="a", position=-1)]}, "routes.position"),
        ({"routes": [pb.Route(upstream_name="embedded-chat", upstream_model="a")] * 2}, "routes"),
    ],
)
async def test_a_model_that_makes_no_sense_is_refused(seeded: Catalog, changes: dict[str, Any], field: str) -> None:
    before = await seeded.newest()
    created = seeded.stub.CreateModel(pb.CreateModelRequest(model=chat_model(**changes)))
    assert await refusal(created) == ("INVALID_ARGUMENT", "INVALID_VALUE", field)
    assert await seeded.newest() == before


@pytest.mark.parametrize(
    "values, field",
    [
        ({"name": ""}, "name"),
        ({"monthly_nanos": -1}, "monthly_nanos"),
        ({"included_nanos": MAX_INT64}, "included_nanos"),
        ({"rpm": 0}, "rpm"),
        ({"rpm": -3}, "rpm"),
        ({"rpm": 1_000_001}, "rpm"),
        ({"tpm": 0}, "tpm"),
        ({"tpm": -1}, "tpm"),
        ({"tpm": MAX_INT64}, "tpm"),
        ({"max_in_flight": 0}, "max_in_flight"),
        ({"max_in_flight": -2}, "max_in_flight"),
        ({"max_in_flight": 2**31 - 1}, "max_in_flight"),
        ({"all_models": True}, "allowed_models"),
        ({"monthly_quota_tokens": 0}, "monthly_quota_tokens"),
        ({"position": 3}, "update_mask"),
        ({"id": "free"}, "update_mask"),
    ],
)
async def test_a_plan_that_makes_no_sense_is_refused(seeded: Catalog, values: dict[str, Any], field: str) -> None:
    before = await seeded.newest()
    assert await refusal(update_plan(seeded, **values)) == ("INVALID_ARGUMENT", "INVALID_VALUE", field)
    assert await seeded.newest() == before


async def test_a_plan_can_be_changed_in_every_field_and_back(seeded: Catalog) -> None:
    changed = await update_plan(
        seeded,
        "all_models",
        "allowed_models",
        "monthly_quota_tokens",
        "name",
        "tpm",
        "max_in_flight",
        all_models=True,
        monthly_quota_tokens=5,
        name="Gratis",
        tpm=40_000,
        max_in_flight=3,
    )
    free = await seeded.plan("free")
    assert changed == free
    assert changed == pb.Plan(
        id="free",
        name="Gratis",
        included_nanos=1_000_000_000,
        rpm=20,
        all_models=True,
        monthly_quota_tokens=5,
        position=1,
        tpm=40_000,
        max_in_flight=3,
    )
    limits = ("monthly_quota_tokens", "tpm", "max_in_flight")
    back = await update_plan(seeded, "all_models", "allowed_models", *limits, allowed_models=[FAST, FAST])
    assert back == pb.Plan(
        id="free", name="Gratis", included_nanos=1_000_000_000, rpm=20, allowed_models=[FAST], position=1
    )
    assert await seeded.plan("free") == back


async def test_what_does_not_exist_is_not_found(seeded: Catalog) -> None:
    nowhere = [pb.Route(upstream_name="nowhere", upstream_model="a")]
    assert await refusal(seeded.plan("gold")) == ("NOT_FOUND", "PLAN_NOT_FOUND", "")
    assert await refusal(update_plan(seeded, id="gold", rpm=1, name="x")) == (
        "INVALID_ARGUMENT",
        "INVALID_VALUE",
        "update_mask",
    )
    assert await refusal(update_plan(seeded, "rpm", id="gold", rpm=1)) == ("NOT_FOUND", "PLAN_NOT_FOUND", "")
    assert await refusal(update_model(seeded, "family", public_name="gone")) == ("NOT_FOUND", "MODEL_NOT_FOUND", "")
    assert await refusal(set_price(seeded, "gone")) == ("NOT_FOUND", "MODEL_NOT_FOUND", "")
    assert await refusal(update_plan(seeded, allowed_models=["gone"])) == (
        "NOT_FOUND",
        "MODEL_NOT_FOUND",
        "allowed_models",
    )
    assert await refusal(update_model(seeded, routes=nowhere)) == (
        "NOT_FOUND",
        "UPSTREAM_NOT_FOUND",
        "routes.upstream_name",
    )
    created = seeded.stub.CreateModel(pb.CreateModelRequest(model=chat_model(routes=nowhere)))
    assert await refusal(created) == ("NOT_FOUND", "UPSTREAM_NOT_FOUND", "routes.upstream_name")


async def test_a_model_name_is_given_once(seeded: Catalog) -> None:
    created = seeded.stub.CreateModel(pb.CreateModelRequest(model=chat_model(public_name=FAST)))
    assert await refusal(created) == ("ALREADY_EXISTS", "MODEL_EXISTS", "")


@pytest.mark.parametrize("paths", [[], ["price"], ["public_name"], ["kind"], ["nonsense"]])
async def test_a_mask_that_names_nothing_or_too_much_is_refused(seeded: Catalog, paths: list[str]) -> None:
    request = pb.UpdateModelRequest(model=pb.Model(public_name=FAST), update_mask=FieldMask(paths=paths))
    assert await refusal(seeded.stub.UpdateModel(request)) == ("INVALID_ARGUMENT", "INVALID_VALUE", "update_mask")


async def test_routes_are_replaced_as_a_whole_and_come_by_position(seeded: Catalog) -> None:
    routes = [
        pb.Route(upstream_name="embedded-embed", upstream_model="b", weight=2, position=1),
        pb.Route(upstream_name="embedded-chat", upstream_model="a", weight=1, position=0),
    ]
    changed = await update_model(seeded, routes=routes)
    assert list(changed.routes) == [routes[1], routes[0]]
    assert await seeded.model(FAST) == changed


async def test_every_reader_sees_a_change_that_another_process_made(seeded: Catalog) -> None:
    before = await seeded.version()
    await seeded.admin.execute("UPDATE catalog.plans SET rpm = 33 WHERE id = 'free'")
    assert (await seeded.plan("free")).rpm == 33
    assert await seeded.version() == before + 1


async def test_all_prices_of_a_model_are_listed_the_newest_first(seeded: Catalog) -> None:
    first = (await seeded.model(FAST)).price
    second = (
        await set_price(seeded, input_nanos_per_mtok=7, cached_input_nanos_per_mtok=3, output_nanos_per_mtok=9)
    ).price
    answer = await seeded.stub.ListModelPrices(pb.ListModelPricesRequest(public_name=FAST))
    assert answer == pb.ListModelPricesResponse(prices=[second, first], current_version_id=second.version_id)
    unknown = seeded.stub.ListModelPrices(pb.ListModelPricesRequest(public_name="acme/none"))
    assert await refusal(unknown) == ("NOT_FOUND", "MODEL_NOT_FOUND", "")
