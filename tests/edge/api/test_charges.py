"""One call's charge: what the ledger has of it, when it is not booked yet, and when billing is away."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from kit.ids import IdFactory
from privaterouter.billing.v1 import billing_pb2
from privaterouter.usage.v1 import usage_pb2 as pb
from tests.edge.api.conftest import Application, Person, application
from tests.edge.api.test_usage import record, store
from tests.support.services import RunningServices
from tests.support.waiting import eventually

new_id = IdFactory()


async def explained(person: Person, request_id: str, *, until: str = "") -> dict[str, Any]:
    """The call; waits for this state of its ledger part."""
    found: dict[str, Any] = {}

    async def reached() -> bool:
        answer = await person.http.get(f"/api/usage/{request_id}")
        assert answer.status_code == 200, answer.text
        found.update(answer.json())
        return not until or found["ledger"]["state"] == until

    await eventually(reached, what=until)
    return found


@asynccontextmanager
async def locked_account(services: RunningServices, account_id: str) -> AsyncIterator[None]:
    """Nothing is booked on the account for so long."""
    admin = await asyncpg.connect(services.database_url)
    try:
        async with admin.transaction():
            await admin.execute("SELECT FROM billing.accounts WHERE account_id = $1::text::uuid FOR UPDATE", account_id)
            yield
    finally:
        await admin.close()


async def test_a_booked_call_shows_lease_hold_rounding_and_its_transaction(app: Application, alice: Person) -> None:
    lease_id = str(new_id())
    made = record(alice, lease_id=lease_id, request_id=str(new_id()), uncharged_nanos=100, cost_nanos=4_000)
    (request_id,) = await store(app, made)
    answer = await explained(alice, request_id, until="booked")
    listed = (await alice.http.get("/api/billing/transactions?kind=charge")).json()["items"][0]
    assert answer["event"]["id"] == request_id
    assert {name: value for name, value in answer.items() if name not in {"event", "price_lines"}} == {
        "price_version_id": made.price_version_id,
        "rounding": {
            "exact_usd": "0.0000041",
            "direction": "up",
            "step_usd": "0.000000001",
            "rounded_usd": "0.0000041",
        },
        "held_usd": "0.00001",
        "uncharged_usd": "0.0000001",
        "lease_id": lease_id,
        "attempts": [],
        "ledger": {
            "state": "booked",
            "paid_usd": "0.000004",
            "transactions": [
                {
                    "id": listed["id"],
                    "kind": "charge",
                    "revision": 1,
                    "amount_usd": "-0.000004",
                    "absorbed_usd": "0.00",
                    "lease_id": lease_id,
                    "price_version_id": made.price_version_id,
                    "description": "privaterouter/fast",
                    "created_at": listed["created_at"],
                }
            ],
        },
    }


async def test_a_corrected_call_shows_both_transactions_and_what_was_paid(app: Application, alice: Person) -> None:
    (request_id,) = await store(app, record(alice, request_id=str(new_id())))
    await explained(alice, request_id, until="booked")
    version = str(new_id())
    correction = billing_pb2.ChargeCorrection(request_id=request_id, charged_nanos=4_100, should_cost_nanos=1_000)
    request = billing_pb2.CorrectChargesRequest(
        corrections=[correction], price_version_id=version, description="privaterouter/fast at another price"
    )
    await app.deps.clients.billing.CorrectCharges(request)
    answer = await explained(alice, request_id)
    assert (answer["ledger"]["state"], answer["ledger"]["paid_usd"]) == ("booked", "0.000001")
    assert [
        (row["kind"], row["revision"], row["amount_usd"], row["lease_id"]) for row in answer["ledger"]["transactions"]
    ] == [("charge", 1, "-0.0000041", None), ("adjustment", None, "0.0000031", None)]
    assert answer["ledger"]["transactions"][1]["price_version_id"] == version
    assert answer["event"]["cost_usd"] == "0.0000041"
    listed = (await alice.http.get("/api/billing/transactions?kind=adjustment")).json()["items"]
    assert [(row["request_id"], row["api_key_id"]) for row in listed] == [(request_id, answer["event"]["api_key_id"])]


async def test_a_call_whose_charge_is_on_its_way_is_pending_until_it_is_booked(
    app: Application, alice: Person, services: RunningServices
) -> None:
    async with locked_account(services, alice.id):
        (request_id,) = await store(app, record(alice, request_id=str(new_id())))
        answer = await explained(alice, request_id)
    assert answer["event"]["cost_usd"] == "0.0000041"
    assert answer["ledger"] == {"state": "pending", "paid_usd": None, "transactions": []}
    assert (await explained(alice, request_id, until="booked"))["ledger"]["paid_usd"] == "0.0000041"


async def test_a_call_that_cost_nothing_has_no_transaction_and_is_not_pending(app: Application, alice: Person) -> None:
    failed = record(alice, status=pb.USAGE_STATUS_ERROR, cost_nanos=0, uncharged_nanos=4_100, http_status=502)
    answer = await explained(alice, (await store(app, failed))[0])
    assert answer["ledger"] == {"state": "not_charged", "paid_usd": "0.00", "transactions": []}
    assert (answer["rounding"]["rounded_usd"], answer["uncharged_usd"], answer["lease_id"]) == (
        "0.0000041",
        "0.0000041",
        None,
    )


async def test_while_billing_is_away_the_rest_is_shown_and_no_amount_is_made_up(services: RunningServices) -> None:
    async with (
        application(services.environment | {"BILLING_ADDR": "unix:/nonexistent/billing.sock"}) as app,
        app.person(open_account=False) as person,
    ):
        (request_id,) = await store(app, record(person))
        answer = await explained(person, request_id)
    assert answer["ledger"] == {"state": "unavailable", "paid_usd": None, "transactions": None}
    assert answer["event"]["cost_usd"] == "0.0000041"
    assert answer["rounding"]["rounded_usd"] == "0.0000041"
