"""The audit log as administrators see it: what was done in every service, newest first."""

from typing import Any

import pytest

from edge.api.admin import audit
from privaterouter.audit.v1.audit_pb2 import AuditEvent
from privaterouter.auth.v1 import auth_pb2
from tests.edge.api.conftest import Application, Person, error_of

URL = "/api/admin/audit-log"


async def test_what_an_admin_did_is_told_with_names(admin: Person, alice: Person) -> None:
    body = {"status": "disabled", "reason": "asked for it"}
    await admin.http.patch(f"/api/admin/users/{alice.id}", json=body)
    listed = (await admin.http.get(URL, params={"actor_id": admin.id, "subject_id": alice.id})).json()
    (event,) = listed["items"]
    assert listed == {"items": [event], "total": 1, "limit": 20, "offset": 0}
    assert event == {
        "id": event["id"],
        "created_at": event["created_at"],
        "actor": {"id": admin.id, "email": admin.user["email"]},
        "action": "user.disabled",
        "subject_kind": "user",
        "subject_id": alice.id,
        "subject_name": alice.user["email"],
        "reason": "asked for it",
        "details": {"status": {"old": "active", "new": "disabled"}},
    }
    assert event["created_at"].endswith("Z")


async def test_people_and_the_command_line_are_actors_too(admin: Person, alice: Person) -> None:
    key = (await alice.http.post("/api/keys", json={"name": "k", "rpm_limit": 5})).json()["api_key"]
    (event,) = (await admin.http.get(URL, params={"subject_id": key["id"]})).json()["items"]
    assert (event["actor"], event["action"]) == ({"id": alice.id, "email": alice.user["email"]}, "api_key.created")
    assert (event["subject_kind"], event["subject_name"]) == ("api_key", key["id"])
    assert event["details"]["rpm_limit"] == {"old": None, "new": "5"}
    # How the tests make an admin is how the command line does.
    (made,) = (await admin.http.get(URL, params={"subject_id": admin.id, "action": "user.updated"})).json()["items"]
    assert made["actor"] is None


@pytest.mark.parametrize(
    "query, param",
    [
        ({"offset": 10_001}, "offset"),
        ({"limit": 201}, "limit"),
        ({"actor_id": "alice"}, "actor_id"),
        ({"subject_id": "x" * 255}, "subject_id"),
        ({"user": "alice"}, "user"),
    ],
)
async def test_a_bad_question_is_refused(admin: Person, query: dict[str, Any], param: str) -> None:
    assert error_of(await admin.http.get(URL, params=query)) == (400, "invalid_parameter", param)


async def test_the_furthest_page_is_asked_for_and_empty(admin: Person) -> None:
    answer = await admin.http.get(URL, params={"offset": 10_000, "limit": 200, "actor_id": admin.id})
    assert answer.json() == {"items": [], "total": 0, "limit": 200, "offset": 10_000}


async def test_the_logs_of_services_are_merged_newest_first(
    app: Application, admin: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [str(app.deps.ids()) for _ in range(5)]

    async def answering(*numbers: int) -> auth_pb2.ListAuditEventsResponse:
        events = [
            AuditEvent(id=ids[number], action="thing.done", subject_kind="thing", subject_id=str(number))
            for number in numbers
        ]
        return auth_pb2.ListAuditEventsResponse(events=events, total=len(events))

    asked: list[audit.Asked] = []

    def sources(_: object, wanted: audit.Asked) -> list[Any]:
        asked.append(wanted)
        return [answering(4, 1), answering(3, 2, 0)]

    monkeypatch.setattr(audit, "sources", sources)
    listed = (await admin.http.get(URL, params={"limit": 3, "offset": 1})).json()
    assert [event["subject_id"] for event in listed["items"]] == ["3", "2", "1"]
    assert listed["total"] == 5
    assert asked == [{"limit": 4, "actor_id": "", "subject_id": "", "action": ""}]
