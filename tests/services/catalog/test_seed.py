"""Seeding: the contract's tables at first, an operator's edits ever after."""

import os
import subprocess
import sys

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from kit.errors import RemoteError
from privaterouter.catalog.v1 import catalog_pb2 as pb
from services.catalog import seed_data
from tests.services.catalog.conftest import EMBEDDED, Catalog
from tests.support.databases import APP_SECRET, Databases

LITELLM = {
    "UPSTREAM_KIND": "litellm",
    "UPSTREAM_BASE_URL": "http://litellm:4000/v1/",
    "UPSTREAM_API_KEY": "sk-master",
    "LITELLM_VIRTUAL_KEYS": "true",
}


async def test_the_first_seed_makes_the_models_of_the_price_list(catalog: Catalog) -> None:
    await catalog.seed(**LITELLM)
    found = [
        (
            model.public_name,
            model.upstream_model,
            model.family,
            model.context_tokens,
            model.price.input_nanos_per_mtok,
            model.price.output_nanos_per_mtok,
        )
        for model in (await catalog.newest()).models
    ]
    assert found == [
        ("privaterouter/deepseek-code", "qwen3-coder:latest", "deepseek", 32768, 600_000_000, 1_800_000_000),
        ("privaterouter/deepseek-reason", "deepseek-r1:latest", "deepseek", 32768, 300_000_000, 900_000_000),
        ("privaterouter/embed", "nomic-embed-text", "embedding", 8192, 50_000_000, 0),
        ("privaterouter/fast", "gemma4:latest", "gemma", 8192, 100_000_000, 300_000_000),
        ("privaterouter/qwen-fast", "qwen3:latest", "qwen", 32768, 100_000_000, 300_000_000),
        ("privaterouter/qwen-pro", "qwen3.6:latest", "qwen", 32768, 500_000_000, 1_500_000_000),
    ]


async def test_the_first_seed_makes_the_plans_of_the_price_list(catalog: Catalog) -> None:
    await catalog.seed()
    found = [
        (
            plan.id,
            plan.monthly_nanos,
            plan.included_nanos,
            "all" if plan.all_models else [name.removeprefix("privaterouter/") for name in plan.allowed_models],
            plan.rpm,
            plan.HasField("monthly_quota_tokens"),
        )
        for plan in (await catalog.newest()).plans
    ]
    usd = 1_000_000_000
    assert found == [
        ("free", 0, 1 * usd, ["embed", "fast"], 20, False),
        ("starter", 10 * usd, 12 * usd, ["embed", "fast", "qwen-fast"], 60, False),
        ("pro", 20 * usd, 25 * usd, ["deepseek-code", "embed", "fast", "qwen-fast", "qwen-pro"], 120, False),
        ("developer", 49 * usd, 65 * usd, "all", 300, False),
        ("team", 199 * usd, 275 * usd, "all", 1000, False),
    ]


async def test_the_small_model_of_the_embedded_stack_has_a_shorter_longest_answer(catalog: Catalog) -> None:
    longest: list[set[int]] = []
    for upstream in (EMBEDDED, LITELLM):
        await catalog.seed(**upstream)
        longest.append({model.max_output_tokens for model in (await catalog.newest()).models})
    assert longest == [{0, 1_024}, {0, 4_096, 16_384}]


async def test_litellm_in_front_of_the_embedded_models_is_asked_by_the_catalogues_names_within_their_bounds(
    catalog: Catalog,
) -> None:
    await catalog.seed(**EMBEDDED | LITELLM | {"LITELLM_VIRTUAL_KEYS": "false"})
    models = (await catalog.newest()).models
    assert {model.max_output_tokens for model in models} == {0, seed_data.EMBEDDED_ANSWER_TOKENS}
    assert {model.dimensions for model in models} == {0}
    assert [[(route.upstream_name, route.upstream_model) for route in model.routes] for model in models] == [
        [("default", model.upstream_model)] for model in models
    ]


async def test_the_embedded_stack_routes_all_models_to_its_two_servers(seeded: Catalog) -> None:
    newest = await seeded.newest()
    assert [(up.name, up.kind, up.base_url, up.credential) for up in newest.upstreams] == [
        ("embedded-chat", pb.UPSTREAM_KIND_OPENAI, "http://127.0.0.1:4001", ""),
        ("embedded-embed", pb.UPSTREAM_KIND_OPENAI, "http://127.0.0.1:4002", ""),
    ]
    for model in newest.models:
        embeds = model.kind == pb.MODEL_KIND_EMBEDDING
        wanted = ("embedded-embed", "smollm2-embed") if embeds else ("embedded-chat", "smollm2")
        assert [(route.upstream_name, route.upstream_model) for route in model.routes] == [wanted]
        assert model.dimensions == 0, "the stand-in has another size than the real model"


async def test_an_upstream_of_the_settings_serves_the_models_under_their_own_names(catalog: Catalog) -> None:
    await catalog.seed(**LITELLM)
    newest = await catalog.newest()
    assert list(newest.upstreams) == [
        pb.Upstream(
            name="default",
            kind=pb.UPSTREAM_KIND_LITELLM,
            base_url="http://litellm:4000",
            credential="sk-master",
            virtual_keys=True,
        )
    ]
    for model in newest.models:
        assert [(route.upstream_name, route.upstream_model) for route in model.routes] == [
            ("default", model.upstream_model)
        ]
    assert (await catalog.model("privaterouter/embed")).dimensions == 768


async def test_seeding_again_changes_nothing(seeded: Catalog) -> None:
    before = await seeded.newest()
    report = await seeded.seed()
    assert report.before == report.after == before.version
    assert await seeded.newest() == before


async def test_upstreams_follow_the_settings_at_every_start(catalog: Catalog) -> None:
    await catalog.seed(**LITELLM)
    await catalog.seed(**LITELLM | {"UPSTREAM_BASE_URL": "http://elsewhere:4000", "UPSTREAM_API_KEY": "sk-other"})
    (upstream,) = (await catalog.newest()).upstreams
    assert (upstream.base_url, upstream.credential) == ("http://elsewhere:4000", "sk-other")


async def test_another_kind_of_upstream_takes_the_routes_along_and_leaves_no_dead_server_behind(
    seeded: Catalog,
) -> None:
    await seeded.seed(UPSTREAM_KIND="ollama", UPSTREAM_BASE_URL="http://ollama:11434")
    newest = await seeded.newest()
    assert [upstream.name for upstream in newest.upstreams] == ["default"]
    assert {route.upstream_name for model in newest.models for route in model.routes} == {"default"}


async def test_an_upstream_that_an_operators_route_needs_is_kept(seeded: Catalog) -> None:
    fast = pb.Model(
        public_name="privaterouter/fast",
        routes=[pb.Route(upstream_name="embedded-chat", upstream_model="smollm2", weight=7)],
    )
    await seeded.stub.UpdateModel(pb.UpdateModelRequest(model=fast, update_mask=FieldMask(paths=["routes"])))
    await seeded.seed(UPSTREAM_KIND="ollama", UPSTREAM_BASE_URL="http://ollama:11434")
    assert [upstream.name for upstream in (await seeded.newest()).upstreams] == ["default", "embedded-chat"]
    assert (await seeded.model("privaterouter/fast")).routes == fast.routes


async def test_an_operators_edits_survive_the_next_start(seeded: Catalog) -> None:
    await seeded.stub.SetModelPrice(
        pb.SetModelPriceRequest(
            public_name="privaterouter/fast",
            price=pb.Price(input_nanos_per_mtok=200_000_000, output_nanos_per_mtok=1),
        )
    )
    await seeded.stub.UpdateModel(
        pb.UpdateModelRequest(
            model=pb.Model(
                public_name="privaterouter/qwen-pro", status=pb.MODEL_STATUS_DISABLED, max_output_tokens=100
            ),
            update_mask=FieldMask(paths=["status", "max_output_tokens"]),
        )
    )
    await seeded.stub.UpdatePlan(
        pb.UpdatePlanRequest(
            plan=pb.Plan(id="free", rpm=5, allowed_models=["privaterouter/fast"]),
            update_mask=FieldMask(paths=["rpm", "allowed_models"]),
        )
    )
    before = await seeded.newest()
    await seeded.seed()
    assert await seeded.newest() == before


async def test_what_settings_do_not_say_of_an_upstream_is_an_operators(seeded: Catalog) -> None:
    mine = pb.Upstream(
        name="embedded-chat",
        kind=pb.UPSTREAM_KIND_OPENAI,
        base_url="http://elsewhere",
        max_in_flight=4,
        max_queued=2,
        dialects=[pb.DIALECT_RESPONSES],
    )
    await seeded.stub.SetUpstream(pb.SetUpstreamRequest(upstream=mine))
    await seeded.seed()
    mine.base_url = EMBEDDED["EMBEDDED_CHAT_URL"]
    assert (await seeded.newest()).upstreams[0] == mine


async def test_an_upstream_of_another_kind_begins_without_limits_and_dialects(catalog: Catalog) -> None:
    await catalog.seed(**LITELLM)
    mine = (await catalog.newest()).upstreams[0]
    mine.max_in_flight, mine.dialects[:] = 4, [pb.DIALECT_MESSAGES]
    await catalog.stub.SetUpstream(pb.SetUpstreamRequest(upstream=mine))
    await catalog.seed(UPSTREAM_KIND="ollama", UPSTREAM_BASE_URL="http://ollama:11434")
    assert list((await catalog.newest()).upstreams) == [
        pb.Upstream(name="default", kind=pb.UPSTREAM_KIND_OLLAMA, base_url="http://ollama:11434")
    ]


async def test_a_timeout_or_a_price_of_writing_that_an_operator_set_survives_with_what_it_belongs_to(
    seeded: Catalog,
) -> None:
    fast = await seeded.model("privaterouter/fast")
    fast.routes[0].first_byte_timeout_ms = 5_000
    fast.fallback_models.append("privaterouter/qwen-fast")
    fast.sticky = pb.STICKY_USER
    paths = ["routes", "fallback_models", "sticky"]
    await seeded.stub.UpdateModel(pb.UpdateModelRequest(model=fast, update_mask=FieldMask(paths=paths)))
    price = pb.Price(
        input_nanos_per_mtok=fast.price.input_nanos_per_mtok,
        cache_write_input_nanos_per_mtok=125_000_000,
        output_nanos_per_mtok=fast.price.output_nanos_per_mtok,
    )
    await seeded.stub.SetModelPrice(pb.SetModelPriceRequest(public_name=fast.public_name, price=price))
    before = await seeded.model("privaterouter/fast")
    assert before.routes == fast.routes
    await seeded.seed(UPSTREAM_KIND="ollama", UPSTREAM_BASE_URL="http://ollama:11434")
    after = await seeded.model("privaterouter/fast")
    assert after.max_output_tokens == 4_096, "this follows"
    before.max_output_tokens = after.max_output_tokens
    assert after == before


async def test_what_an_older_release_has_noted_of_its_seed_still_follows(seeded: Catalog) -> None:
    noted = await seeded.admin.fetch(
        "SELECT field, value FROM catalog.seeded"
        " WHERE item = 'model:privaterouter/fast' AND field IN ('price', 'routes')"
    )
    assert {row["field"]: row["value"] for row in noted} == {
        "price": "[100000000, null, 300000000]",
        "routes": '[["embedded-chat", "smollm2", 1, 0]]',
    }


async def test_a_new_release_of_the_seed_reaches_only_what_nobody_touched(
    seeded: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    await seeded.stub.UpdatePlan(
        pb.UpdatePlanRequest(plan=pb.Plan(id="free", rpm=5), update_mask=FieldMask(paths=["rpm"]))
    )
    free = next(plan for plan in seed_data.PLANS if plan.id == "free")
    fast = next(model for model in seed_data.MODELS if model.public_name == "privaterouter/fast")
    old_price = (await seeded.model("privaterouter/fast")).price
    newer_plan = seed_data._plan(1, "Free", monthly_usd=0, included_usd=2, rpm=30, models=("fast",))
    newer_model = seed_data.SeedModel(
        public_name=fast.public_name,
        upstream_model="gemma5:latest",
        family="gemma",
        context_tokens=16_384,
        max_output_tokens=8_192,
        input_cents=20,
        output_cents=30,
    )
    monkeypatch.setattr(seed_data, "PLANS", tuple(newer_plan if p is free else p for p in seed_data.PLANS))
    monkeypatch.setattr(seed_data, "MODELS", tuple(newer_model if m is fast else m for m in seed_data.MODELS))
    await seeded.seed()
    plan = await seeded.plan("free")
    assert (plan.rpm, plan.included_nanos, list(plan.allowed_models)) == (5, 2_000_000_000, ["privaterouter/fast"])
    model = await seeded.model("privaterouter/fast")
    assert (model.upstream_model, model.context_tokens) == ("gemma5:latest", 16_384)
    assert model.price.input_nanos_per_mtok == 200_000_000
    assert model.price.version_id != old_price.version_id


async def test_a_model_that_an_operator_made_is_not_taken_over(catalog: Catalog) -> None:
    mine = pb.Model(
        public_name="privaterouter/fast",
        family="mine",
        kind=pb.MODEL_KIND_CHAT,
        context_tokens=100,
        max_output_tokens=10,
        price=pb.Price(input_nanos_per_mtok=1, output_nanos_per_mtok=1),
    )
    created = (await catalog.stub.CreateModel(pb.CreateModelRequest(model=mine))).model
    await catalog.seed()
    await catalog.seed()
    assert await catalog.model("privaterouter/fast") == created


async def test_a_bad_address_is_refused_and_nothing_is_stored(catalog: Catalog) -> None:
    with pytest.raises(Exception, match="base_url must look like"):
        await catalog.seed(**LITELLM | {"UPSTREAM_BASE_URL": "litellm:4000"})
    newest = await catalog.newest()
    assert (newest.version, len(newest.models), len(newest.upstreams)) == (1, 0, 0)
    with pytest.raises(RemoteError) as refused:
        await catalog.plan("free")
    assert refused.value.reason == "PLAN_NOT_FOUND"


def run_seed(**environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "services.catalog.seed"],
        env={"PATH": os.environ["PATH"], "APP_SECRET_KEY": APP_SECRET, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


async def test_the_program_seeds_and_says_so_in_one_line(databases: Databases, redis_url: str) -> None:
    url = await databases.fresh("catalog")
    environment = EMBEDDED | {"CATALOG_DATABASE_URL": databases.url_for("catalog", url), "REDIS_URL": redis_url}
    first = run_seed(**environment)
    assert (first.returncode, first.stdout.count("\n")) == (0, 1), first.stderr
    assert "seeded: 6 models, 5 plans" in first.stdout
    again = run_seed(**environment)
    assert (again.returncode, "up to date" in again.stdout) == (0, True)


@pytest.mark.parametrize(
    "environment, message",
    [
        (EMBEDDED | {"EMBEDDED_CHAT_URL": ""}, "UPSTREAM_KIND=embedded also needs EMBEDDED_CHAT_URL"),
        ({"UPSTREAM_KIND": "openai"}, "UPSTREAM_KIND=openai also needs UPSTREAM_BASE_URL"),
        ({"UPSTREAM_KIND": "vllm"}, "UPSTREAM_KIND: "),
        (LITELLM | {"UPSTREAM_BASE_URL": "ftp://x"}, "The catalogue was not seeded: base_url must look like"),
        (LITELLM | {"UPSTREAM_API_KEY": "two words"}, "The catalogue was not seeded: credential must be ASCII"),
    ],
)
async def test_bad_settings_stop_the_program_with_a_clear_line(
    environment: dict[str, str], message: str, databases: Databases, redis_url: str
) -> None:
    url = databases.url_for("catalog", await databases.fresh("catalog"))
    ended = run_seed(**environment, CATALOG_DATABASE_URL=url, REDIS_URL=redis_url)
    assert ended.returncode != 0
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr
