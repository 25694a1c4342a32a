"""What operators read: the overview, a user's calls and transactions, the ledger of all accounts."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from edge.api.admin.reports import emails_of
from tests.edge.api.conftest import Application, Person, error_of
from tests.edge.api.test_usage import record, store
from tests.support.waiting import eventually

NOBODYS = "00000000-0000-7000-8000-000000000000"


async def test_the_overview_sums_the_last_days_of_all_users(app: Application, admin: Person, alice: Person) -> None:
    before = (await admin.http.get("/api/admin/overview?days=7")).json()
    now = datetime.now(UTC)
    # More than anybody else in the tests is charged, to be among the first ten.
    dear = {"cost_nanos": 900_000_000_000, "held_nanos": 900_000_000_000, "served_model_public_name": "dear/model"}
    await store(app, record(alice, now, **dear), record(alice, now - timedelta(days=1)))
    await alice.http.post("/api/billing/topup", json={"amount_usd": 10})
    await admin.http.post(f"/api/admin/users/{alice.id}/credits", json={"amount_usd": 2, "reason": "goodwill"})

    async def counted() -> dict[str, Any] | None:
        """Users are those of an earlier answer for as long as ten times that one took."""
        found: dict[str, Any] = (await admin.http.get("/api/admin/overview?days=7")).json()
        return found if found["active_users"] > before["active_users"] else None

    after = await eventually(counted, within_s=30, what="the new user's calls in the overview")
    assert after
    today = now.date()
    assert (after["days"], after["from"], after["to"]) == (7, str(today - timedelta(days=6)), str(today))
    assert [day["day"] for day in after["by_day"]] == [str(today - timedelta(days=6 - number)) for number in range(7)]
    assert {name: after[name] - before[name] for name in ("requests", "errors", "input_tokens", "output_tokens")} == {
        "requests": 2, "errors": 0, "input_tokens": 28, "output_tokens": 18,
    }  # fmt: skip
    assert after["by_day"][-1]["requests"] - before["by_day"][-1]["requests"] == 1
    assert after["active_users"] - before["active_users"] == 1
    assert nanos(after["credits_sold_usd"]) - nanos(before["credits_sold_usd"]) == 10 * 10**9
    assert nanos(after["credits_granted_usd"]) - nanos(before["credits_granted_usd"]) == 2 * 10**9
    assert after["new_users"] >= 2
    assert after["top_models"][0] == {
        "model": "dear/model", "requests": 1, "revenue_usd": "900.00", "input_tokens": 14, "output_tokens": 9,
    }  # fmt: skip
    assert after["top_users"][0] == {
        "user_id": alice.id, "email": alice.user["email"], "requests": 2, "revenue_usd": "900.0000041",
    }  # fmt: skip
    assert await emails_of(app.deps, [alice.id, NOBODYS]) == {alice.id: alice.user["email"]}
    assert error_of(await admin.http.get("/api/admin/overview?days=8")) == (400, "invalid_parameter", "days")


async def test_an_admin_sees_a_users_calls_and_transactions_as_the_user_does(
    app: Application, admin: Person, alice: Person
) -> None:
    await store(app, record(alice))
    for theirs, admins in (
        ("/api/usage?limit=5", "usage?limit=5"),
        ("/api/usage/summary?split_by=model", "usage/summary?split_by=model"),
        ("/api/billing/transactions?kind=plan_credit", "transactions?kind=plan_credit"),
    ):
        seen = (await alice.http.get(theirs)).json()
        assert len(seen["items"]) == 1
        assert (await admin.http.get(f"/api/admin/users/{alice.id}/{admins}")).json() == seen
    unknown = await admin.http.get(f"/api/admin/users/{NOBODYS}/transactions")
    assert error_of(unknown)[:2] == (404, "account_not_found")
    assert error_of(await admin.http.get("/api/admin/users/mine/usage"))[:2] == (404, "user_not_found")


async def test_the_ledger_lists_all_accounts_and_sums_to_nothing(admin: Person, alice: Person) -> None:
    await admin.http.post(f"/api/admin/users/{alice.id}/credits", json={"amount_usd": "0.5", "reason": "goodwill"})
    (newest,) = (await admin.http.get("/api/admin/ledger?limit=1&kind=adjustment")).json()["items"]
    assert newest | {"id": "", "created_at": ""} == {
        "id": "",
        "kind": "adjustment",
        "amount_usd": "0.50",
        "description": "goodwill",
        "request_id": None,
        "api_key_id": None,
        "created_at": "",
        "account_id": alice.id,
        "email": alice.user["email"],
        "actor_id": admin.id,
    }
    alices = (await admin.http.get("/api/admin/ledger", params={"account_id": alice.id})).json()
    assert (alices["total"], [item["kind"] for item in alices["items"]]) == (2, ["adjustment", "plan_credit"])
    everybodys = (await admin.http.get("/api/admin/ledger?limit=1&offset=1")).json()
    assert everybodys["total"] > 2
    totals = (await admin.http.get("/api/admin/ledger/totals")).json()
    assert set(totals) == {
        "customer_usd", "revenue_usd", "promo_usd", "cash_usd", "adjustments_usd", "absorbed_usd",
    }  # fmt: skip
    assert sum(nanos(amount) for amount in totals.values()) == 0
    assert nanos(totals["customer_usd"]) > 0


def nanos(amount: str) -> int:
    whole, _, part = amount.removeprefix("-").partition(".")
    value = int(whole) * 10**9 + int(part.ljust(9, "0"))
    return -value if amount.startswith("-") else value


@pytest.mark.parametrize("path", ["overview", "ledger", "ledger/totals"])
async def test_nobody_else_reads_it(alice: Person, path: str) -> None:
    assert error_of(await alice.http.get(f"/api/admin/{path}"))[:2] == (403, "admin_required")
