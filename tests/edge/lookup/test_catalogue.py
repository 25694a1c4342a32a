"""The catalogue: whole, newest, and in force while catalog is away."""

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from edge.errors import EdgeError
from edge.lookup.catalogue import Catalogue, Model, Plan, Price, Route, Upstream
from kit.timestamps import from_proto
from privaterouter.catalog.v1 import catalog_pb2
from privaterouter.catalog.v1.catalog_pb2_grpc import CatalogServiceStub
from tests.edge.lookup.world import FakeCatalog


@pytest.fixture
def catalogue(catalog_stub: CatalogServiceStub) -> Catalogue:
    return Catalogue(catalog_stub)


def whole(version: int) -> catalog_pb2.GetCatalogResponse:
    return catalog_pb2.GetCatalogResponse(
        version=version,
        models=[
            catalog_pb2.Model(
                id="m1",
                public_name="privaterouter/fast",
                family="gemma",
                kind=catalog_pb2.MODEL_KIND_CHAT,
                status=catalog_pb2.MODEL_STATUS_ACTIVE,
                context_tokens=8192,
                max_output_tokens=4096,
                template_tokens=16,
                tools_tokens=400,
                image_tokens=300,
                price=catalog_pb2.Price(
                    version_id="p1", input_nanos_per_mtok=100_000_000, output_nanos_per_mtok=300_000_000
                ),
                routes=[
                    catalog_pb2.Route(
                        upstream_name="second",
                        upstream_model="x",
                        weight=2,
                        position=1,
                        connect_timeout_ms=1,
                        first_byte_timeout_ms=1_500,
                        idle_timeout_ms=20_000,
                        total_timeout_ms=86_400_000,
                    ),
                    catalog_pb2.Route(upstream_name="first", upstream_model="y"),
                ],
                create_time=Timestamp(seconds=5),
                upstream_model="gemma4:latest",
                fallback_models=["privaterouter/old", "privaterouter/other"],
                sticky=catalog_pb2.STICKY_PROMPT_PREFIX,
            ),
            catalog_pb2.Model(
                public_name="privaterouter/other",
                kind=catalog_pb2.MODEL_KIND_CHAT,
                status=catalog_pb2.MODEL_STATUS_ACTIVE,
                price=catalog_pb2.Price(input_nanos_per_mtok=50, cache_write_input_nanos_per_mtok=60),
                sticky=catalog_pb2.STICKY_USER,
            ),
            catalog_pb2.Model(public_name="privaterouter/old", status=catalog_pb2.MODEL_STATUS_DISABLED),
            catalog_pb2.Model(
                public_name="privaterouter/embed",
                kind=catalog_pb2.MODEL_KIND_EMBEDDING,
                status=catalog_pb2.MODEL_STATUS_ACTIVE,
                price=catalog_pb2.Price(
                    input_nanos_per_mtok=50, cached_input_nanos_per_mtok=0, cache_write_input_nanos_per_mtok=70
                ),
            ),
        ],
        plans=[
            catalog_pb2.Plan(id="free", name="Free", rpm=20, allowed_models=["privaterouter/fast"]),
            catalog_pb2.Plan(
                id="team", all_models=True, monthly_quota_tokens=0, position=1, tpm=100_000, max_in_flight=7
            ),
        ],
        upstreams=[
            catalog_pb2.Upstream(
                name="first",
                kind=catalog_pb2.UPSTREAM_KIND_LITELLM,
                base_url="http://l",
                credential="sk-1",
                virtual_keys=True,
            ),
            catalog_pb2.Upstream(
                name="second",
                kind=catalog_pb2.UPSTREAM_KIND_OPENAI,
                base_url="http://o",
                max_in_flight=8,
                max_queued=3,
                dialects=[catalog_pb2.DIALECT_RESPONSES, catalog_pb2.DIALECT_MESSAGES],
            ),
            catalog_pb2.Upstream(name="third", kind=catalog_pb2.UPSTREAM_KIND_OLLAMA, max_in_flight=2),
        ],
    )


async def test_the_snapshot_has_what_is_offered_in_plain_numbers(catalog: FakeCatalog, catalogue: Catalogue) -> None:
    catalog.answer = whole(7)
    await catalogue.refresh()
    snapshot = catalogue.current()
    assert snapshot.version == 7
    assert list(snapshot.models) == ["privaterouter/fast", "privaterouter/other", "privaterouter/embed"]
    assert snapshot.models["privaterouter/fast"] == Model(
        id="m1",
        public_name="privaterouter/fast",
        family="gemma",
        kind="chat",
        context_tokens=8192,
        max_output_tokens=4096,
        dimensions=0,
        template_tokens=16,
        tools_tokens=400,
        image_tokens=300,
        price=Price("p1", 100_000_000, 100_000_000, 300_000_000, 100_000_000),
        routes=(
            Route("first", "y", 1, 0),
            Route(
                "second",
                "x",
                2,
                1,
                connect_timeout_s=0.001,
                first_byte_timeout_s=1.5,
                idle_timeout_s=20.0,
                total_timeout_s=86_400.0,
            ),
        ),
        create_time=from_proto(Timestamp(seconds=5)),
        upstream_model="gemma4:latest",
        fallback_models=("privaterouter/other",),
        sticky="prompt_prefix",
    )
    other = snapshot.models["privaterouter/other"]
    assert (other.price.cache_write_input_nanos_per_mtok, other.fallback_models, other.sticky) == (60, (), "user")
    assert snapshot.models["privaterouter/embed"].kind == "embedding"
    assert snapshot.models["privaterouter/embed"].price == Price("", 50, 0, 0, 70)
    assert snapshot.plans["free"] == Plan(
        "free",
        "Free",
        0,
        0,
        20,
        all_models=False,
        allowed_models=frozenset({"privaterouter/fast"}),
        monthly_quota_tokens=None,
        position=0,
    )
    assert snapshot.plans["team"] == Plan(
        "team",
        "",
        0,
        0,
        0,
        all_models=True,
        allowed_models=frozenset(),
        monthly_quota_tokens=0,
        position=1,
        tpm=100_000,
        max_in_flight=7,
    )
    assert snapshot.upstreams == {
        "first": Upstream("first", "litellm", "http://l", "sk-1", virtual_keys=True),
        "second": Upstream(
            "second",
            "openai",
            "http://o",
            "",
            max_in_flight=8,
            max_queued=3,
            dialects=frozenset({"responses", "messages"}),
        ),
        "third": Upstream("third", "ollama", "", "", max_in_flight=2, max_queued=2),
    }
    assert "sk-1" not in repr(snapshot)


async def test_a_plan_allows_what_it_lists_or_everything(catalog: FakeCatalog, catalogue: Catalogue) -> None:
    catalog.answer = whole(1)
    await catalogue.refresh()
    plans = catalogue.current().plans
    assert plans["free"].allows("privaterouter/fast")
    assert not plans["free"].allows("privaterouter/embed")
    assert plans["team"].allows("privaterouter/embed")


async def test_without_a_catalogue_there_is_a_503_and_with_one_it_stays_in_force_while_catalog_is_away(
    catalog: FakeCatalog, catalogue: Catalogue
) -> None:
    catalog.answer = whole(1)
    catalog.away = True
    await catalogue.refresh()
    with pytest.raises(EdgeError) as caught:
        catalogue.current()
    assert caught.value.code == "service_unavailable"
    catalog.away = False
    await catalogue.refresh()
    first = catalogue.current()
    await catalogue.refresh()
    assert catalogue.current() is first
    catalog.away = True
    catalog.answer = whole(2)
    await catalogue.refresh()
    assert catalogue.current() is first
    catalog.away = False
    await catalogue.refresh()
    assert catalogue.current().version == 2
