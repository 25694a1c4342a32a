"""Where a model is served, for how long a request may take there, and who answers in its place."""

from typing import Any

import asyncpg
import pytest

from privaterouter.catalog.v1 import catalog_pb2 as pb
from tests.services.catalog.conftest import Catalog
from tests.services.catalog.test_servicer import FAST, chat_model, refusal, update_model

QWEN = "privaterouter/qwen-fast"
PRO = "privaterouter/qwen-pro"
EMBED = "privaterouter/embed"


def route(**values: Any) -> pb.Route:
    served: dict[str, Any] = {"upstream_name": "embedded-chat", "upstream_model": "a", "weight": 1}
    return pb.Route(**served | values)


async def test_a_route_keeps_its_timeouts_and_zero_stays_the_default(seeded: Catalog) -> None:
    routes = [
        route(
            connect_timeout_ms=1,
            first_byte_timeout_ms=2_000,
            idle_timeout_ms=3_000,
            total_timeout_ms=86_400_000,
        ),
        route(upstream_model="b"),
    ]
    changed = await update_model(seeded, routes=routes)
    assert list(changed.routes) == routes
    assert await seeded.model(FAST) == changed
    created = (
        await seeded.stub.CreateModel(pb.CreateModelRequest(model=chat_model(routes=routes, sticky=pb.STICKY_USER)))
    ).model
    assert (list(created.routes), created.sticky) == (routes, pb.STICKY_USER)
    assert await seeded.model("acme/new") == created


@pytest.mark.parametrize(
    "timeout", ["connect_timeout_ms", "first_byte_timeout_ms", "idle_timeout_ms", "total_timeout_ms"]
)
@pytest.mark.parametrize("bad", [-1, 86_400_001, 2**31 - 1])
async def test_a_timeout_has_between_none_and_a_day(seeded: Catalog, timeout: str, bad: int) -> None:
    before = await seeded.newest()
    refused = await refusal(update_model(seeded, routes=[route(**{timeout: bad})]))
    assert refused == ("INVALID_ARGUMENT", "INVALID_VALUE", f"routes.{timeout}")
    assert await seeded.newest() == before


async def test_fallback_models_stay_in_their_order_and_can_be_taken_away(seeded: Catalog) -> None:
    changed = await update_model(seeded, fallback_models=[PRO, QWEN], sticky=pb.STICKY_PROMPT_PREFIX)
    assert (list(changed.fallback_models), changed.sticky) == ([PRO, QWEN], pb.STICKY_PROMPT_PREFIX)
    assert await seeded.model(FAST) == changed
    turned = await update_model(seeded, fallback_models=[QWEN, PRO])
    assert list(turned.fallback_models) == [QWEN, PRO]
    assert turned.sticky == pb.STICKY_PROMPT_PREFIX, "not named in the mask"
    before = await seeded.version()
    none = await update_model(seeded, "fallback_models", "sticky")
    assert (list(none.fallback_models), none.sticky) == ([], pb.STICKY_UNSPECIFIED)
    assert await seeded.version() > before
    assert list((await seeded.model(QWEN)).fallback_models) == []


async def test_models_may_answer_for_each_other(seeded: Catalog) -> None:
    await update_model(seeded, fallback_models=[QWEN])
    await update_model(seeded, "fallback_models", public_name=QWEN, fallback_models=[FAST])
    found = [list((await seeded.model(name)).fallback_models) for name in (FAST, QWEN)]
    assert found == [[QWEN], [FAST]]


async def test_a_new_model_may_come_with_fallback_models(seeded: Catalog) -> None:
    request = pb.CreateModelRequest(model=chat_model(fallback_models=[FAST]))
    created = (await seeded.stub.CreateModel(request)).model
    assert list(created.fallback_models) == [FAST]
    assert await seeded.model("acme/new") == created


@pytest.mark.parametrize(
    "names, refused",
    [
        ([FAST], ("INVALID_ARGUMENT", "INVALID_VALUE", "fallback_models")),
        ([QWEN, QWEN], ("INVALID_ARGUMENT", "INVALID_VALUE", "fallback_models")),
        ([QWEN, EMBED], ("INVALID_ARGUMENT", "INVALID_VALUE", "fallback_models")),
        ([QWEN, "acme/none"], ("NOT_FOUND", "MODEL_NOT_FOUND", "fallback_models")),
        ([""], ("NOT_FOUND", "MODEL_NOT_FOUND", "fallback_models")),
        ([f"acme/{number}" for number in range(6)], ("INVALID_ARGUMENT", "INVALID_VALUE", "fallback_models")),
    ],
)
async def test_only_some_other_models_of_the_same_kind_can_answer(
    seeded: Catalog, names: list[str], refused: tuple[str, str, str]
) -> None:
    before = await seeded.newest()
    assert await refusal(update_model(seeded, fallback_models=names)) == refused
    model = chat_model(public_name="acme/new", fallback_models=["acme/new" if name == FAST else name for name in names])
    assert await refusal(seeded.stub.CreateModel(pb.CreateModelRequest(model=model))) == refused
    assert await seeded.newest() == before


async def test_requests_stick_to_nothing_that_nobody_knows(seeded: Catalog) -> None:
    before = await seeded.newest()
    assert await refusal(update_model(seeded, sticky=9)) == ("INVALID_ARGUMENT", "INVALID_VALUE", "sticky")
    created = seeded.stub.CreateModel(pb.CreateModelRequest(model=chat_model(sticky=9)))
    assert await refusal(created) == ("INVALID_ARGUMENT", "INVALID_VALUE", "sticky")
    assert await seeded.newest() == before


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE catalog.routes SET total_timeout_ms = -1",
        "UPDATE catalog.models SET sticky = 'glue'",
        "INSERT INTO catalog.fallback_models SELECT id, 1, id FROM catalog.models LIMIT 1",
        "INSERT INTO catalog.fallback_models SELECT min(id::text)::uuid, 6, max(id::text)::uuid FROM catalog.models",
        "UPDATE catalog.plans SET tpm = 0",
        "UPDATE catalog.plans SET max_in_flight = 0",
        "UPDATE catalog.upstreams SET max_in_flight = -1",
        "UPDATE catalog.upstreams SET max_queued = -1",
        "UPDATE catalog.upstreams SET dialects = ARRAY['esperanto']",
        "UPDATE catalog.prices SET cache_write_input_nanos_per_mtok = -1",
    ],
)
async def test_the_database_itself_refuses_what_makes_no_sense(seeded: Catalog, statement: str) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await seeded.admin.execute(statement)
