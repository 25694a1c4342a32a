"""How upstreams are doing, and how they are set up, for admins alone."""

import json
from dataclasses import replace
from typing import Any

import pytest

from edge.lookup.catalogue import Snapshot
from edge.upstream.fleet import Fleet
from edge.upstream.members import FAILURES
from edge.upstream.visits import Outcome
from privaterouter.catalog.v1 import catalog_pb2 as pb
from tests.edge.api.conftest import Application, Person, error_of


async def test_an_admin_sees_how_upstreams_are_doing_and_no_credential(app: Application, admin: Person) -> None:
    fleet, snapshot = fleet_of(app), app.deps.catalogue.current()
    give_the_upstream_secrets(app, snapshot)
    snapshot = app.deps.catalogue.current()
    model = next(iter(snapshot.models.values()))
    only = fleet.candidates(model, snapshot)[0]
    for _ in range(FAILURES):
        (await fleet.enter(only)).leave(Outcome.FAILURE)
    with await fleet.enter(only) as visit:
        visit.answered(visit.began_s + 0.25)
        answer = await admin.http.get("/api/admin/upstreams")
    expected: dict[str, Any] = {
        "name": "default",
        "kind": "openai",
        "base_url": "http://model:8080/path",
        "has_credential": True,
        "virtual_keys": False,
        "max_queued": 4,
        "dialects": [],
        "address": "model:8080",
        "status": "ejected",
        "latency_ms": 250,
        "in_flight": 1,
        "queued": 0,
        "max_in_flight": 4,
        "failures": 0,
        "failed_probes": 0,
        "ejections": 1,
        "ejected_for_s": answer.json()["items"][0]["ejected_for_s"],
    }
    assert 0 < expected["ejected_for_s"] <= 30
    assert answer.json() == {"items": [expected], "total": 1, "limit": 1, "offset": 0}
    assert "hidden" not in answer.text


async def test_nobody_else_sees_them(app: Application, alice: Person) -> None:
    assert error_of(await alice.http.get("/api/admin/upstreams"))[:2] == (403, "admin_required")


async def test_an_upstream_is_added_and_replaced_and_its_credential_never_shown(
    app: Application, admin: Person
) -> None:
    name = f"up-{app.deps.ids()}"
    url = f"/api/admin/upstreams/{name}"
    body = {"kind": "openai", "base_url": "https://host.example/proxy/v1/", "credential": "hidden", "reason": "a test"}
    limits = {"max_in_flight": 8, "max_queued": 2, "dialects": ["responses", "messages"]}
    added = await admin.http.put(url, json=body | limits)
    assert added.json() == {
        "name": name,
        "kind": "openai",
        "base_url": "https://host.example/proxy",
        "has_credential": True,
        "virtual_keys": False,
        "max_in_flight": 8,
        "max_queued": 2,
        "dialects": ["messages", "responses"],
    }
    assert app.deps.catalogue.current().upstreams[name].credential == "hidden"
    plain = {"kind": "openai", "base_url": "https://host.example"}
    kept = await admin.http.put(url, json=plain)
    assert kept.json() == added.json() | {
        "base_url": "https://host.example",
        "max_in_flight": None,
        "max_queued": None,
        "dialects": [],
    }
    assert app.deps.catalogue.current().upstreams[name].credential == "hidden"
    moved = await admin.http.put(url, json=plain | {"base_url": "https://elsewhere.example"})
    assert error_of(moved) == (400, "invalid_parameter", "credential")
    assert app.deps.catalogue.current().upstreams[name].base_url == "https://host.example"
    taken = await admin.http.put(url, json=plain | {"credential": None})
    assert taken.json() == kept.json() | {"has_credential": False}
    listed = (await admin.http.get("/api/admin/upstreams")).json()["items"]
    assert [upstream["has_credential"] for upstream in listed if upstream["name"] == name] == [False]
    events = await app.deps.clients.catalog.ListAuditEvents(pb.ListAuditEventsRequest(subject_id=name))
    assert [(event.actor_id, event.action, event.reason) for event in events.events] == [
        (admin.id, "upstream.updated", ""),
        (admin.id, "upstream.updated", ""),
        (admin.id, "upstream.created", "a test"),
    ]
    assert '"hidden"' not in added.text + kept.text + moved.text + taken.text


@pytest.mark.parametrize(
    "name, changes, expected",
    [
        ("Bad", {}, (400, "invalid_parameter", "name")),
        ("a%00", {}, (400, "invalid_parameter", "name")),
        ("x", {"kind": "bedrock"}, (400, "invalid_body", "kind")),
        ("x", {"base_url": None}, (400, "invalid_body", "base_url")),
        ("x", {"base_url": "ftp://host"}, (400, "invalid_parameter", "base_url")),
        ("x", {"base_url": "http://user:hidden@host"}, (400, "invalid_parameter", "base_url")),
        ("x", {"base_url": "http://host?key=hidden"}, (400, "invalid_parameter", "base_url")),
        ("x", {"credential": "hidden blank"}, (400, "invalid_parameter", "credential")),
        ("x", {"credential": "hidden\nline"}, (400, "invalid_parameter", "credential")),
        ("x", {"credential": "hidden\ud800"}, (400, "invalid_body", "credential")),
        ("x", {"credential": "hidden" * 1_000}, (400, "invalid_body", "credential")),
        ("x", {"virtual_keys": True}, (400, "invalid_parameter", "virtual_keys")),
        ("x", {"max_in_flight": 0}, (400, "invalid_body", "max_in_flight")),
        ("x", {"max_queued": 2**40}, (400, "invalid_body", "max_queued")),
        ("x", {"dialects": ["klingon"]}, (400, "invalid_body", "dialects.0")),
        ("x", {"status": "healthy"}, (400, "invalid_body", "status")),
    ],
)
async def test_an_upstream_that_makes_no_sense_is_refused(
    app: Application, admin: Person, name: str, changes: dict[str, Any], expected: tuple[int, str, str]
) -> None:
    body = json.dumps({"kind": "ollama", "base_url": "http://host"} | changes)
    headers = {"content-type": "application/json"}
    answer = await admin.http.put(f"/api/admin/upstreams/{name}", content=body, headers=headers)
    assert error_of(answer) == expected
    assert "hidden" not in answer.text
    await app.deps.catalogue.refresh()
    assert name not in app.deps.catalogue.current().upstreams


def fleet_of(app: Application) -> Fleet:
    assert app.deps.fleet is not None
    return app.deps.fleet


def give_the_upstream_secrets(app: Application, snapshot: Snapshot) -> None:
    """Puts a credential into everything that can hold one."""
    upstream = replace(
        snapshot.upstreams["default"],
        base_url="http://hidden-user:hidden-word@model:8080/path?key=hidden",
        credential="hidden",
        max_in_flight=4,
        max_queued=4,
    )
    app.deps.catalogue._snapshot = replace(snapshot, upstreams={"default": upstream})
