"""Prices for operators: every version is kept, nonsense is refused."""

import asyncio
from typing import Any

import pytest

from tests.edge.api.admin.test_models import URL as MODELS
from tests.edge.api.admin.test_models import new_model
from tests.edge.api.conftest import Application, Person, error_of

URL = "/api/admin/prices"


@pytest.fixture
async def model(app: Application, admin: Person) -> str:
    """A hidden model of its own."""
    name = f"acme/{app.deps.ids()}"
    assert (await admin.http.post(MODELS, json=new_model(name))).status_code == 201
    return name


async def test_new_prices_are_a_version_and_the_old_one_stays(admin: Person, model: str) -> None:
    (first,) = (await admin.http.get(URL, params={"model": model})).json()["items"]
    wanted = {
        "input_usd_per_mtok": "0.000000001",
        "cached_input_usd_per_mtok": 0,
        "cache_write_input_usd_per_mtok": "10000",
        "output_usd_per_mtok": 3,
    }
    answer = await admin.http.post(URL, json={"model": model, "prices": wanted, "reason": "electricity"})
    second = answer.json()
    assert second == {
        "version_id": second["version_id"],
        "input_usd_per_mtok": "0.000000001",
        "cached_input_usd_per_mtok": "0.000000",
        "cache_write_input_usd_per_mtok": "10000.000000",
        "output_usd_per_mtok": "3.000000",
        "effective_at": second["effective_at"],
    }
    again = (await admin.http.post(URL, json={"model": model, "prices": wanted})).json()
    assert again == second, "what is current already makes no version"
    page = (await admin.http.get(URL, params={"model": model})).json()
    assert page == {
        "items": [second | {"is_current": True}, first | {"is_current": False}],
        "total": 2,
        "limit": 20,
        "offset": 0,
    }
    older = (await admin.http.get(URL, params={"model": model, "limit": 1, "offset": 1})).json()
    assert (older["items"], older["total"]) == ([first | {"is_current": False}], 2)


async def test_of_prices_set_at_the_same_time_each_is_a_version_and_one_counts(admin: Person, model: str) -> None:
    def body(dollars: int) -> dict[str, Any]:
        return {"model": model, "prices": {"input_usd_per_mtok": dollars, "output_usd_per_mtok": dollars}}

    answers = await asyncio.gather(*(admin.http.post(URL, json=body(dollars)) for dollars in range(1, 5)))
    assert [answer.status_code for answer in answers] == [200] * 4
    items = (await admin.http.get(URL, params={"model": model})).json()["items"]
    assert sorted(item["input_usd_per_mtok"] for item in items[:4]) == [f"{dollars}.000000" for dollars in range(1, 5)]
    assert [item["is_current"] for item in items] == [True, *[False] * 4]


@pytest.mark.parametrize(
    "prices, expected",
    [
        ({"input_usd_per_mtok": "-0.1"}, (400, "invalid_amount", "prices.input_usd_per_mtok")),
        ({"output_usd_per_mtok": -1}, (400, "invalid_amount", "prices.output_usd_per_mtok")),
        ({"output_usd_per_mtok": "10000.000000001"}, (400, "invalid_amount", "prices.output_usd_per_mtok")),
        ({"output_usd_per_mtok": 10**30}, (400, "invalid_amount", "prices.output_usd_per_mtok")),
        ({"input_usd_per_mtok": "0.0000000001"}, (400, "invalid_amount", "prices.input_usd_per_mtok")),
        ({"input_usd_per_mtok": "1e-3"}, (400, "invalid_amount", "prices.input_usd_per_mtok")),
        ({"input_usd_per_mtok": True}, (400, "invalid_amount", "prices.input_usd_per_mtok")),
        ({"input_usd_per_mtok": None}, (400, "invalid_amount", "prices.input_usd_per_mtok")),
        ({"cached_input_usd_per_mtok": "2"}, (400, "invalid_amount", "prices.cached_input_usd_per_mtok")),
        ({"cache_write_input_usd_per_mtok": "x"}, (400, "invalid_amount", "prices.cache_write_input_usd_per_mtok")),
        ({"image_usd": "1"}, (400, "invalid_body", "prices.image_usd")),
    ],
)
async def test_prices_that_make_no_sense_are_refused(
    admin: Person, prices: dict[str, Any], expected: tuple[int, str, str]
) -> None:
    params = {"model": "privaterouter/fast"}
    before = (await admin.http.get(URL, params=params)).json()
    wanted = {"input_usd_per_mtok": "1", "output_usd_per_mtok": "1"} | prices
    assert error_of(await admin.http.post(URL, json={"model": "privaterouter/fast", "prices": wanted})) == expected
    assert (await admin.http.get(URL, params=params)).json() == before


async def test_prices_of_no_model_are_not_found(admin: Person) -> None:
    body = {"model": "acme/gone", "prices": {"input_usd_per_mtok": "1", "output_usd_per_mtok": "1"}}
    assert error_of(await admin.http.post(URL, json=body))[:2] == (404, "model_not_found")
    assert error_of(await admin.http.get(URL, params={"model": "acme/gone"}))[:2] == (404, "model_not_found")
    assert error_of(await admin.http.get(URL)) == (400, "invalid_parameter", "model")
    assert error_of(await admin.http.get(URL, params={"model": "a\x00"})) == (400, "invalid_parameter", "model")
