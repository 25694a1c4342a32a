"""Balance, top-up and transactions, with amounts that never pass through a float."""

import csv
import io
from typing import Any

import pytest

from edge.api.csv_text import csv_text
from tests.edge.api.conftest import Application, Person, error_of

JSON = {"content-type": "application/json"}


async def balance(person: Person) -> str:
    found: str = (await person.http.get("/api/billing/balance")).json()["balance_usd"]
    return found


async def test_a_new_account_has_the_free_plans_dollar(alice: Person) -> None:
    answer = await alice.http.get("/api/billing/balance")
    assert answer.json() == {"balance_usd": "1.00", "plan_name": "free", "monthly_quota_tokens": None}
    listed = (await alice.http.get("/api/billing/transactions")).json()
    assert listed["total"] == 1
    assert listed["items"][0] | {"id": "", "description": "", "created_at": ""} == {
        "id": "",
        "kind": "plan_credit",
        "amount_usd": "1.00",
        "description": "",
        "request_id": None,
        "api_key_id": None,
        "created_at": "",
    }


@pytest.mark.parametrize("written", ["10", '"10"', '"10.00"', "10.0", "10.000000000", "1e1", "1E+1"])
async def test_an_amount_may_be_written_as_number_or_text(alice: Person, written: str) -> None:
    answer = await alice.http.post("/api/billing/topup", content=f'{{"amount_usd": {written}}}', headers=JSON)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"balance_usd": "11.00", "plan_name": "free", "monthly_quota_tokens": None}


@pytest.mark.parametrize("amount", [10, 25, 50, 100, 500])
async def test_the_offered_amounts_can_be_topped_up(alice: Person, amount: int) -> None:
    answer = await alice.http.post("/api/billing/topup", json={"amount_usd": amount})
    assert answer.json()["balance_usd"] == f"{amount + 1}.00"


@pytest.mark.parametrize(
    "written",
    [
        "0", "1", "-10", "11", "10.01", "10.000000001", "10.0000000001", "1e400", "1e-400", "1e99999999999999999999",
        '"ten"', '""', '"10 "', '"1e1"', '"٣"', "true", "null", "[]", "{}", '"NaN"', "9" * 40,
    ],
)  # fmt: skip
async def test_any_other_amount_is_refused(alice: Person, written: str) -> None:
    answer = await alice.http.post("/api/billing/topup", content=f'{{"amount_usd": {written}}}', headers=JSON)
    assert error_of(answer) in [(400, "invalid_amount", "amount_usd"), (400, "invalid_body", None)]
    assert await balance(alice) == "1.00"


@pytest.mark.parametrize(
    "content, expected",
    [
        ("", (400, "invalid_body")),
        ("{", (400, "invalid_body")),
        ("[]", (400, "invalid_body")),
        ("5", (400, "invalid_body")),
        ("null", (400, "invalid_body")),
        ('{"amount_usd": NaN}', (400, "invalid_body")),
        ('{"amount_usd": Infinity}', (400, "invalid_body")),
        ('{"amount_usd": ' + "9" * 5000 + "}", (400, "invalid_body")),
        ("[" * 30_000, (400, "invalid_body")),
        ('{"a":' * 10_000 + "1" + "}" * 10_000, (400, "invalid_body")),
        (b"\xff\xfe{", (400, "invalid_body")),
        ('{"amount_usd": 10, "currency": "EUR"}', (400, "invalid_body")),
        ('{"amount_usd": 10} ' + " " * 2**20, (413, "request_too_large")),
    ],
)
async def test_a_broken_body_is_refused(alice: Person, content: str | bytes, expected: tuple[int, str]) -> None:
    answer = await alice.http.post("/api/billing/topup", content=content, headers=JSON)
    assert error_of(answer)[:2] == expected
    assert await balance(alice) == "1.00"


async def test_a_body_that_does_not_say_how_long_it_is_is_counted(alice: Person) -> None:
    async def endless() -> Any:
        for _ in range(1025):
            yield b" " * 1024

    answer = await alice.http.post("/api/billing/topup", content=endless(), headers=JSON)
    assert error_of(answer)[:2] == (413, "request_too_large")


async def test_a_body_that_is_no_json_is_refused_by_its_type(alice: Person) -> None:
    answer = await alice.http.post("/api/billing/topup", data={"amount_usd": "10"})
    assert error_of(answer)[:2] == (415, "unsupported_media_type")


async def test_a_top_up_with_the_same_key_is_not_booked_again(alice: Person, bob: Person) -> None:
    headers = {"idempotency-key": "order-1"}
    for person in (alice, bob):
        for _ in range(2):
            answer = await person.http.post("/api/billing/topup", json={"amount_usd": 25}, headers=headers)
            assert answer.json()["balance_usd"] == "26.00"
    other = await alice.http.post("/api/billing/topup", json={"amount_usd": 10}, headers=headers)
    assert error_of(other)[:2] == (422, "idempotency_key_reused")
    again = await alice.http.post("/api/billing/topup", json={"amount_usd": 25})
    assert again.json()["balance_usd"] == "51.00", "without a key every call counts"


@pytest.mark.parametrize("key", ["", "x" * 256, "with blank", "\xe4"])
async def test_a_bad_idempotency_key_is_refused(alice: Person, key: str) -> None:
    headers = {"idempotency-key": key.encode("latin-1")}
    answer = await alice.http.post("/api/billing/topup", json={"amount_usd": 25}, headers=headers)  # type: ignore[arg-type]
    assert error_of(answer)[:2] == (400, "invalid_parameter")
    assert await balance(alice) == "1.00"


async def test_transactions_come_newest_first_and_by_kind(alice: Person) -> None:
    await alice.http.post("/api/billing/topup", json={"amount_usd": 10})
    await alice.http.post("/api/billing/topup", json={"amount_usd": 25})
    listed = (await alice.http.get("/api/billing/transactions?limit=2")).json()
    assert ([item["amount_usd"] for item in listed["items"]], listed["total"]) == (["25.00", "10.00"], 3)
    listed = (await alice.http.get("/api/billing/transactions?kind=plan_credit")).json()
    assert [item["amount_usd"] for item in listed["items"]] == ["1.00"]
    assert error_of(await alice.http.get("/api/billing/transactions?kind=gift")) == (400, "invalid_parameter", "kind")


async def test_nobody_sees_or_pays_for_anybody_else(alice: Person, bob: Person) -> None:
    await alice.http.post("/api/billing/topup", json={"amount_usd": 100})
    assert await balance(bob) == "1.00"
    assert (await bob.http.get("/api/billing/transactions")).json()["total"] == 1


async def test_the_catalogue_is_public(app: Application) -> None:
    async with app.client() as client:
        models = (await client.get("/api/models")).json()
        assert (models["total"], len(models["items"])) == (6, 6)
        fast = next(model for model in models["items"] if model["public_name"] == "privaterouter/fast")
        assert fast | {"max_output_tokens": 0} == {
            "public_name": "privaterouter/fast",
            "upstream_model": "gemma4:latest",
            "family": "gemma",
            "kind": "chat",
            "context_tokens": 8192,
            "max_output_tokens": 0,
            "dimensions": None,
            "input_usd_per_mtok": "0.100000",
            "cached_input_usd_per_mtok": "0.100000",
            "cache_write_input_usd_per_mtok": "0.100000",
            "output_usd_per_mtok": "0.300000",
        }
        plans = (await client.get("/api/plans")).json()
        assert [plan["id"] for plan in plans["items"]] == ["free", "starter", "pro", "developer", "team"]
        assert plans["items"][1] == {
            "id": "starter",
            "name": "Starter",
            "monthly_usd": "10.00",
            "included_credits_usd": "12.00",
            "rpm": 60,
            "tpm": None,
            "max_in_flight": None,
            "all_models": False,
            "allowed_models": ["privaterouter/embed", "privaterouter/fast", "privaterouter/qwen-fast"],
            "monthly_quota_tokens": None,
        }
        assert len(plans["items"][4]["allowed_models"]) == 6


async def test_transactions_come_by_time_and_as_csv_over_many_pages(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.api.billing_csv.FIRST", 1)
    monkeypatch.setattr("edge.api.billing_csv.PAGE", 2)
    for amount in (10, 25):
        await alice.http.post("/api/billing/topup", json={"amount_usd": amount})
    items = (await alice.http.get("/api/billing/transactions")).json()["items"]
    second = items[1]["created_at"]
    later = (await alice.http.get("/api/billing/transactions", params={"from": second})).json()
    earlier = (await alice.http.get("/api/billing/transactions", params={"to": second})).json()
    assert ([*later["items"], *earlier["items"]], later["total"], earlier["total"]) == (items, 2, 1)
    answer = await alice.http.get("/api/billing/transactions/export.csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="transactions.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert rows == [{name: value or "" for name, value in item.items()} for item in items]
    topped_up = await alice.http.get("/api/billing/transactions/export.csv?kind=top_up")
    assert [row["amount_usd"] for row in csv.DictReader(io.StringIO(topped_up.text))] == ["25.00", "10.00"]
    bad = await alice.http.get("/api/billing/transactions?from=2026-05-16&to=2026-05-15")
    assert error_of(bad) == (400, "invalid_parameter", "from")


def test_an_amount_that_was_taken_is_no_formula_and_a_description_may_be() -> None:
    assert csv_text(None, [("-0.0000041", "-1.00", "=1+1", "-cmd", "-", 5)]) == "-0.0000041,-1.00,'=1+1,'-cmd,'-,5\r\n"
