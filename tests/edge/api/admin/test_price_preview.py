"""What other prices would have brought: what was used is counted where it was charged, and nothing is changed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from privaterouter.usage.v1 import usage_pb2 as pb
from tests.edge.api.admin.test_models import URL as MODELS
from tests.edge.api.admin.test_models import new_model
from tests.edge.api.conftest import Application, Person, error_of
from tests.edge.api.test_usage import START, record, store

URL = "/api/admin/prices/preview"
PRICES = {
    "input_usd_per_mtok": "1",
    "cached_input_usd_per_mtok": "0.1",
    "cache_write_input_usd_per_mtok": "2",
    "output_usd_per_mtok": "10",
}
NOTHING = {
    "requests": 0,
    "input_tokens": 0,
    "cached_input_tokens": 0,
    "cache_write_input_tokens": 0,
    "output_tokens": 0,
    "reasoning_tokens": 0,
    "charged_usd": "0.00",
    "would_cost_usd": "0.00",
}


def set_clock(app: Application, now: datetime) -> None:
    app.edge.state.deps = replace(app.deps, clock=lambda: now)


@pytest.fixture
async def model(app: Application, admin: Person) -> str:
    """A hidden model of its own."""
    name = f"acme/{app.deps.ids()}"
    assert (await admin.http.post(MODELS, json=new_model(name))).status_code == 201
    return name


async def test_a_preview_counts_what_the_model_answered_and_was_charged_for(
    app: Application, admin: Person, alice: Person, bob: Person, model: str
) -> None:
    tokens: dict[str, Any] = {
        "input_tokens": 1_000,
        "cached_input_tokens": 200,
        "cache_write_input_tokens": 100,
        "output_tokens": 50,
        "reasoning_tokens": 10,
        "cost_nanos": 4_000,
    }
    other = "privaterouter/fast"
    await store(
        app,
        record(alice, model_public_name=model, **tokens),
        record(bob, model_public_name=other, served_model_public_name=model, **tokens),
        record(bob, model_public_name=model, served_model_public_name=other, **tokens),
        record(bob, model_public_name=model, status=pb.USAGE_STATUS_ERROR, **tokens | {"cost_nanos": 0}),
        record(alice, datetime(2026, 4, 30, 23, 59, 59, tzinfo=UTC), model_public_name=model, **tokens),
    )
    before = (await admin.http.get("/api/admin/prices", params={"model": model})).json()
    now = START + timedelta(hours=1)
    set_clock(app, now)
    answer = (await admin.http.post(URL, json={"model": model, "prices": PRICES})).json()
    # 700 plain at $1, 200 cached at $0.10, 100 written at $2 and 50 of output at $10 for a million.
    one = {
        "requests": 1,
        "input_tokens": 1_000,
        "cached_input_tokens": 200,
        "cache_write_input_tokens": 100,
        "output_tokens": 50,
        "reasoning_tokens": 10,
        "charged_usd": "0.000004",
        "would_cost_usd": "0.00142",
    }
    two = {name: 2 * value for name, value in one.items() if isinstance(value, int)}
    assert answer == {
        "last_month": {"from": "2026-04-01T00:00:00Z", "to": "2026-05-01T00:00:00Z"} | one,
        "this_month": {"from": "2026-05-01T00:00:00Z", "to": now.isoformat().replace("+00:00", "Z")}
        | two
        | {"charged_usd": "0.000008", "would_cost_usd": "0.00284"},
    }
    set_clock(app, datetime(2026, 6, 1, tzinfo=UTC))
    plain = {"input_usd_per_mtok": "1", "output_usd_per_mtok": "0"}
    answer = (await admin.http.post(URL, json={"model": model, "prices": plain})).json()
    assert answer == {
        "last_month": answer["this_month"]
        | {"from": "2026-05-01T00:00:00Z", "to": "2026-06-01T00:00:00Z"}
        | two
        | {"charged_usd": "0.000008", "would_cost_usd": "0.002"},
        "this_month": {"from": "2026-06-01T00:00:00Z", "to": "2026-06-01T00:00:00Z"} | NOTHING,
    }, "caches cost as input where nothing else is said"
    assert (await admin.http.get("/api/admin/prices", params={"model": model})).json() == before


async def test_a_preview_refuses_what_no_price_can_be(admin: Person, model: str) -> None:
    async def refused(**changes: Any) -> tuple[int, str, str | None]:
        return error_of(await admin.http.post(URL, json={"model": model, "prices": PRICES} | changes))

    negative = PRICES | {"output_usd_per_mtok": "-1"}
    assert await refused(prices=negative) == (400, "invalid_amount", "prices.output_usd_per_mtok")
    dear = PRICES | {"cached_input_usd_per_mtok": "1.000000001"}
    assert await refused(prices=dear) == (400, "invalid_amount", "prices.cached_input_usd_per_mtok")
    assert await refused(reason="none is needed") == (400, "invalid_body", "reason")
    assert (await refused(model="acme/gone"))[:2] == (404, "model_not_found")
