"""Plans for operators: as they are configured, and changed."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from privaterouter.catalog.v1 import catalog_pb2 as pb
from services.catalog.plans import CHANGEABLE
from tests.edge.api.conftest import Application, Person, error_of

URL = "/api/admin/plans"


@pytest.fixture
async def team(app: Application, admin: Person) -> AsyncIterator[dict[str, Any]]:
    """The plan `team`, which nobody is on; it is put back in the end, as the services are shared with other tests."""
    catalog = app.deps.clients.catalog
    before = (await catalog.GetPlan(pb.GetPlanRequest(plan_id="team"))).plan
    (plan,) = [plan for plan in (await admin.http.get(URL)).json()["items"] if plan["id"] == "team"]
    yield plan
    await catalog.UpdatePlan(pb.UpdatePlanRequest(plan=before, update_mask=FieldMask(paths=sorted(CHANGEABLE))))


async def test_a_plan_is_changed_in_what_is_sent_alone(app: Application, admin: Person, team: dict[str, Any]) -> None:
    limits = {"rpm": 61, "tpm": 40_000, "max_in_flight": 4, "monthly_quota_tokens": 10**6}
    amounts = {"monthly_usd": "12.5", "included_credits_usd": 7}
    changed = (await admin.http.patch(f"{URL}/team", json=limits | amounts | {"reason": "a test"})).json()
    assert changed == team | limits | {"monthly_usd": "12.50", "included_credits_usd": "7.00"}
    assert app.deps.catalogue.current().plans["team"].rpm == 61
    fewer = {"all_models": False, "allowed_models": ["privaterouter/fast"], "name": "Crew"}
    changed = (await admin.http.patch(f"{URL}/team", json=fewer | {"tpm": None})).json()
    assert (changed["allowed_models"], changed["all_models"], changed["name"]) == (
        ["privaterouter/fast"],
        False,
        "Crew",
    )
    assert (changed["tpm"], changed["max_in_flight"]) == (None, 4)
    changed = (await admin.http.patch(f"{URL}/team", json={"all_models": True})).json()
    assert (changed["allowed_models"], changed["all_models"]) == ([], True)
    assert changed in (await admin.http.get(URL)).json()["items"]
    events = await app.deps.clients.catalog.ListAuditEvents(pb.ListAuditEventsRequest(actor_id=admin.id))
    assert [(event.subject_id, event.reason) for event in events.events] == [
        ("team", ""),
        ("team", ""),
        ("team", "a test"),
    ]


@pytest.mark.parametrize(
    "body, expected",
    [
        ({}, (400, "invalid_body", None)),
        ({"reason": "none"}, (400, "invalid_body", None)),
        ({"name": ""}, (400, "invalid_body", "name")),
        ({"rpm": 0}, (400, "invalid_body", "rpm")),
        ({"rpm": None}, (400, "invalid_body", "rpm")),
        ({"tpm": 2**70}, (400, "invalid_body", "tpm")),
        ({"max_in_flight": -1}, (400, "invalid_body", "max_in_flight")),
        ({"monthly_usd": "-1"}, (400, "invalid_amount", "monthly_usd")),
        ({"monthly_usd": 1_000_001}, (400, "invalid_amount", "monthly_usd")),
        ({"included_credits_usd": "0.0000000001"}, (400, "invalid_amount", "included_credits_usd")),
        ({"allowed_models": ["acme/gone"], "all_models": False}, (404, "model_not_found", "allowed_models")),
        (
            {"allowed_models": ["privaterouter/fast"], "all_models": True},
            (400, "invalid_parameter", "allowed_models"),
        ),
        ({"position": 1}, (400, "invalid_body", "position")),
        ({"id": "other"}, (400, "invalid_body", "id")),
    ],
)
async def test_a_change_that_makes_no_sense_is_refused(
    admin: Person, team: dict[str, Any], body: dict[str, Any], expected: tuple[int, str, str | None]
) -> None:
    assert error_of(await admin.http.patch(f"{URL}/team", json=body)) == expected
    assert team in (await admin.http.get(URL)).json()["items"]


async def test_a_plan_that_does_not_exist_is_not_found(admin: Person) -> None:
    assert error_of(await admin.http.patch(f"{URL}/gold", json={"rpm": 5}))[:2] == (404, "plan_not_found")
    assert error_of(await admin.http.patch(f"{URL}/a%00", json={"rpm": 5})) == (400, "invalid_parameter", "name")
