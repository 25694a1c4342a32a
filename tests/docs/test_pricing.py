"""docs/pricing.md: every figure on it is computed anew, from the seed data and by the code that holds and charges."""

import json
import re
from datetime import UTC, datetime
from fractions import Fraction
from typing import get_args
from uuid import UUID

import msgspec
import pytest

from edge.api import catalogue as shown_catalogue
from edge.api import charges
from edge.api.usage import Event, EventDetail
from edge.lookup import catalogue
from edge.v1.bounds import DESCRIBED_TOOL_TOKENS, Bounds, bound_chat, bound_embedding
from edge.v1.inputs import ChatInputs, EmbeddingInputs, Message, Part
from kit.money import NANOS_PER_USD, TOKENS_PER_MTOK, cost_nanos, format_price, format_usd
from kit.timestamps import to_proto
from privaterouter.billing.v1 import billing_pb2
from privaterouter.usage.v1 import usage_pb2
from services.catalog.seed_data import MODELS, PLANS, SeedModel
from tests.support import pages
from tests.support.pages import table


def words(row: dict[str, str]) -> str:
    """A row as the name of its test."""
    return " ".join(row.values())


PAGE = pages.read("docs/pricing.md")
BY_NAME = {model.public_name: model for model in MODELS}
MAY_COST = table(PAGE, "Model", "Body bytes", "Limit", "Answers", "Tools", "Images", "May cost", "Least")


def model_of(seed: SeedModel) -> catalogue.Model:
    """A model as the edge knows it."""
    return catalogue.Model(
        id=str(UUID(int=2)),
        public_name=seed.public_name,
        family=seed.family,
        kind=seed.kind.value,
        context_tokens=seed.context_tokens,
        max_output_tokens=seed.max_output_tokens,
        dimensions=seed.dimensions,
        template_tokens=seed.template_tokens,
        tools_tokens=seed.tools_tokens,
        image_tokens=seed.image_tokens,
        create_time=datetime(2026, 1, 1, tzinfo=UTC),
        upstream_model=seed.upstream_model,
        price=catalogue.Price(
            version_id=str(UUID(int=1)),
            input_nanos_per_mtok=seed.rates.input_nanos_per_mtok,
            cached_input_nanos_per_mtok=seed.rates.input_nanos_per_mtok,
            output_nanos_per_mtok=seed.rates.output_nanos_per_mtok,
            cache_write_input_nanos_per_mtok=seed.rates.input_nanos_per_mtok,
        ),
        routes=(),
    )


def bounds_of(row: dict[str, str], model: catalogue.Model) -> Bounds:
    """The bounds of the request that a row describes."""
    size = int(row["Body bytes"])
    if model.kind == "embedding":
        return bound_embedding(EmbeddingInputs(model=model.public_name, input="text"), model, size)
    images = [Part(type="image_url", image_url="")] * int(row.get("Images", 0))
    inputs = ChatInputs(
        model=model.public_name,
        messages=[Message(role="user", content=[*images])],
        max_tokens=None if row["Limit"] == "-" else int(row["Limit"]),
        n=int(row.get("Answers", 1)),
        tools=msgspec.Raw(b"[{}]" if row.get("Tools") == "yes" else b"null"),
    )
    return bound_chat(inputs, model, size)


def dollars(nanos: int) -> str:
    return f"${format_usd(nanos)}"


async def test_its_explained_charge_is_what_the_edge_answers() -> None:
    (shown,) = [json.loads(block.text) for block in pages.blocks(PAGE) if "price_lines" in block.text]
    (charge,) = shown["ledger"]["transactions"]
    rates = BY_NAME[charge["description"]].rates
    record = usage_pb2.UsageRecord(
        input_tokens=14,
        output_tokens=9,
        input_nanos_per_mtok=rates.input_nanos_per_mtok,
        output_nanos_per_mtok=rates.output_nanos_per_mtok,
        cost_nanos=4_100,
    )
    assert shown["price_lines"] == [line.model_dump() for line in charges.price_lines(record)]
    assert shown["rounding"] == charges.Rounding.of(record).model_dump()
    assert shown.keys() | {"event"} == EventDetail.model_fields.keys()
    assert shown["held_usd"] == MAY_COST[0]["May cost"].removeprefix("$")

    class Billing:
        async def GetCharges(self, request: object, *, timeout: float) -> billing_pb2.GetChargesResponse:
            transaction = billing_pb2.Transaction(
                id=charge["id"],
                kind=billing_pb2.TRANSACTION_KIND_CHARGE,
                amount_nanos=-4_100,
                description=charge["description"],
                create_time=to_proto(datetime.fromisoformat(charge["created_at"])),
            )
            row = billing_pb2.RequestTransaction(
                transaction=transaction,
                revision=1,
                lease_id=shown["lease_id"],
                price_version_id=shown["price_version_id"],
            )
            return billing_pb2.GetChargesResponse(transactions=[row])

    ledger = await charges.ledger_of(Billing(), record)  # type: ignore[arg-type]
    assert shown["ledger"] == json.loads(ledger.model_dump_json())


def test_its_states_of_the_ledger_are_those_of_the_edge() -> None:
    assert tuple(row["State"] for row in table(PAGE, "State", "What it means")) == get_args(charges.State)


def test_its_kinds_of_tokens_are_those_of_the_edge() -> None:
    rows = table(PAGE, "Item", "What it is", "Price in GET /api/models", "Tokens in GET /api/usage")
    assert tuple(row["Item"] for row in rows) == get_args(charges.Item)
    assert {row["Price in GET /api/models"] for row in rows} < shown_catalogue.Model.model_fields.keys()
    for row in rows[1:]:
        assert row["Tokens in GET /api/usage"] == f"{row['Item']}_tokens"
        assert row["Tokens in GET /api/usage"] in Event.model_fields
    assert {model.rates.cached_input_nanos_per_mtok for model in MODELS} == {None}
    assert {model.rates.cache_write_input_nanos_per_mtok for model in MODELS} == {None}


def test_its_models_are_those_of_a_fresh_installation() -> None:
    assert table(
        PAGE, "Public name", "Upstream name", "Family", "Context", "Longest answer", "Input $/M", "Output $/M"
    ) == [
        {
            "Public name": model.public_name,
            "Upstream name": model.upstream_model,
            "Family": model.family,
            "Context": str(model.context_tokens),
            "Longest answer": str(model.max_output_tokens),
            "Input $/M": format_price(model.rates.input_nanos_per_mtok),
            "Output $/M": format_price(model.rates.output_nanos_per_mtok),
        }
        for model in MODELS
    ]


def test_its_plans_are_those_of_a_fresh_installation() -> None:
    names = [model.public_name.removeprefix("privaterouter/") for model in MODELS]
    for row, plan in zip(table(PAGE, "Plan", "Monthly", "Included credit", "Models", "RPM"), PLANS, strict=True):
        assert row["Plan"] == plan.id
        assert row["Monthly"] == f"${plan.monthly_nanos // NANOS_PER_USD}"
        assert row["Included credit"] == dollars(plan.included_nanos)
        assert row["RPM"] == str(plan.rpm)
        allowed = {name for name in names if plan.all_models or f"privaterouter/{name}" in plan.allowed_models}
        assert row["Models"] == "all" if plan.all_models else set(row["Models"].split(", ")) == allowed


@pytest.mark.parametrize("row", table(PAGE, "Model", "Input tokens", "Output tokens", "Cost"), ids=words)
def test_what_a_request_costs_is_computed_right(row: dict[str, str]) -> None:
    rates = BY_NAME[row["Model"]].rates
    cost = cost_nanos(
        (int(row["Input tokens"]), rates.input_nanos_per_mtok),
        (int(row["Output tokens"]), rates.output_nanos_per_mtok),
    )
    assert row["Cost"] == dollars(cost)


@pytest.mark.parametrize("row", table(PAGE, "Model", "Prompt only", "1 to 1", "3 to 1", "Answer only"), ids=words)
def test_what_a_dollar_buys_is_computed_right(row: dict[str, str]) -> None:
    rates = BY_NAME[row["Model"]].rates
    shares = {"Prompt only": (1, 0), "1 to 1": (1, 1), "3 to 1": (1, 3), "Answer only": (0, 1)}
    for column, (prompt, answer) in shares.items():
        if row[column] == "-":
            assert rates.output_nanos_per_mtok == 0
            continue
        nanos_per_mtok = Fraction(
            prompt * rates.input_nanos_per_mtok + answer * rates.output_nanos_per_mtok, prompt + answer
        )
        assert row[column] == f"{NANOS_PER_USD * TOKENS_PER_MTOK // nanos_per_mtok:,}"


@pytest.mark.parametrize(
    "row",
    MAY_COST,
    ids=words,
)
def test_what_a_request_may_cost_is_what_is_held(row: dict[str, str]) -> None:
    model = model_of(BY_NAME[row["Model"]])
    bounds = bounds_of(row, model)
    assert row["May cost"] == dollars(bounds.full_nanos(model))
    assert row["Least"] == dollars(bounds.least_nanos(model))


@pytest.mark.parametrize("row", table(PAGE, "Model", "Limit", "Body bytes", "May cost", "At once for $1.00"), ids=words)
def test_how_many_run_at_once_is_computed_right(row: dict[str, str]) -> None:
    model = model_of(BY_NAME[row["Model"]])
    held = bounds_of(row, model).full_nanos(model)
    assert row["May cost"] == dollars(held)
    assert row["At once for $1.00"] == f"{NANOS_PER_USD // held:,}"


def test_the_shown_body_is_as_long_as_it_says() -> None:
    body = next(block for block in pages.blocks(PAGE) if "messages" in block.text)
    assert f"which is {len(body.text.strip())} bytes long" in PAGE


def test_the_constants_of_the_bounds_are_those_of_the_models() -> None:
    """The sentences about templates, tools and images, held to the seed data."""
    chat = [model for model in MODELS if model.max_output_tokens]
    assert {model.template_tokens for model in chat} == {128}
    special = {model.public_name: model.tools_tokens for model in chat if model.tools_tokens != 512}
    assert special == {"privaterouter/deepseek-code": 1024}
    images = {model.public_name: model.image_tokens for model in chat if model.image_tokens != 1120}
    assert images == {"privaterouter/qwen-pro": 16384}
    assert BY_NAME["privaterouter/embed"].template_tokens == 16
    text = " ".join(PAGE.split())
    assert "(128 tokens)" in text
    assert "(512; 1024 for `deepseek-code`)" in text
    assert "1,120 tokens (16,384 for `qwen-pro`)" in text
    assert f"counts {DESCRIBED_TOOL_TOKENS:,} more" in text


def test_fair_use_follows_from_the_plans() -> None:
    columns = ("Plan", "At once", "Then one every", "In the first minute at most", "In an hour at most")
    for row, plan in zip(table(PAGE, *columns), PLANS, strict=True):
        assert row["Plan"] == plan.id
        assert row["At once"] == str(plan.rpm)
        seconds = re.fullmatch(r"([0-9.]+) s", row["Then one every"])
        assert seconds
        assert Fraction(seconds[1]) * plan.rpm == 60
        assert row["In the first minute at most"] == f"{2 * plan.rpm:,}"
        assert row["In an hour at most"] == f"{61 * plan.rpm:,}"
