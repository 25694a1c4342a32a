"""Models for operators: all of them with their configuration, added, changed and hidden."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from privaterouter.catalog.v1 import catalog_pb2 as pb
from tests.edge.api.conftest import Application, Person, error_of

URL = "/api/admin/models"
PRICES = {"input_usd_per_mtok": "0.02", "output_usd_per_mtok": 0.05}


def new_model(name: str, **changes: Any) -> dict[str, Any]:
    """One that nobody sees, as the services are shared with other tests."""
    return {
        "public_name": name,
        "kind": "chat",
        "status": "disabled",
        "context_tokens": 1_000,
        "routes": [{"upstream_name": "default", "upstream_model": "small:latest"}],
        "prices": PRICES,
    } | changes


async def listed(person: Person, name: str) -> dict[str, Any]:
    page = (await person.http.get(URL)).json()
    assert page["total"] == page["limit"] == len(page["items"])
    (found,) = [model for model in page["items"] if model["public_name"] == name]
    assert isinstance(found, dict)
    return found


@pytest.fixture
async def name(app: Application) -> AsyncIterator[str]:
    """A name for a model that is hidden in the end."""
    chosen = f"acme/{app.deps.ids()}"
    yield chosen
    hide = pb.UpdateModelRequest(model=pb.Model(public_name=chosen, status=pb.MODEL_STATUS_DISABLED))
    hide.update_mask.paths.append("status")
    await app.deps.clients.catalog.UpdateModel(hide)


async def test_an_added_model_has_the_defaults_of_its_kind_and_is_offered_at_once(
    app: Application, admin: Person, name: str
) -> None:
    answer = await admin.http.post(URL, json=new_model(name) | {"status": "active"})
    assert answer.status_code == 201, answer.text
    added = answer.json()
    assert added == {
        "id": added["id"],
        "public_name": name,
        "upstream_model": "small:latest",
        "family": "",
        "kind": "chat",
        "status": "active",
        "context_tokens": 1_000,
        "max_output_tokens": 500,
        "dimensions": None,
        "template_tokens": 128,
        "tools_tokens": 1_024,
        "image_tokens": 1_120,
        "sticky": None,
        "fallback_models": [],
        "routes": [
            {
                "upstream_name": "default",
                "upstream_model": "small:latest",
                "weight": 1,
                "position": 0,
                "connect_timeout_ms": None,
                "first_byte_timeout_ms": None,
                "idle_timeout_ms": None,
                "total_timeout_ms": None,
            }
        ],
        "prices": {
            "version_id": added["prices"]["version_id"],
            "input_usd_per_mtok": "0.020000",
            "cached_input_usd_per_mtok": None,
            "cache_write_input_usd_per_mtok": None,
            "output_usd_per_mtok": "0.050000",
            "effective_at": added["prices"]["effective_at"],
        },
        "created_at": added["created_at"],
    }
    assert await listed(admin, name) == added
    assert name in app.deps.catalogue.current().models, "this edge does not wait for the bus"
    events = await app.deps.clients.catalog.ListAuditEvents(pb.ListAuditEventsRequest(subject_id=name))
    assert [(event.actor_id, event.action) for event in events.events] == [(admin.id, "model.created")]


async def test_a_change_names_what_changes_and_leaves_the_rest(app: Application, admin: Person, name: str) -> None:
    added = (await admin.http.post(URL, json=new_model(name, sticky="user", family="acme"))).json()
    routes = [
        {"upstream_name": "default", "upstream_model": "b", "weight": 3, "position": 1, "idle_timeout_ms": 900},
        {"upstream_name": "default", "upstream_model": "a"},
    ]
    change = {"status": "active", "routes": routes, "sticky": None, "fallback_models": ["privaterouter/fast"]}
    changed = (await admin.http.patch(f"{URL}/{name}", json=change | {"reason": "a test"})).json()
    assert [(route["upstream_model"], route["position"]) for route in changed["routes"]] == [("a", 0), ("b", 1)]
    assert changed["routes"][1]["idle_timeout_ms"] == 900
    assert changed == added | {
        "status": "active",
        "routes": changed["routes"],
        "sticky": None,
        "fallback_models": ["privaterouter/fast"],
    }
    offered = (await admin.http.get("/api/models")).json()["items"]
    assert name in [model["public_name"] for model in offered]
    back = (await admin.http.patch(f"{URL}/{name}", json={"routes": changed["routes"], "status": "disabled"})).json()
    assert back == changed | {"status": "disabled"}, "what is read may be sent back"
    offered = (await admin.http.get("/api/models")).json()["items"]
    assert name not in [model["public_name"] for model in offered]
    assert await listed(admin, name) == back, "hidden ones are listed here"
    events = await app.deps.clients.catalog.ListAuditEvents(pb.ListAuditEventsRequest(subject_id=name, limit=2))
    assert [event.reason for event in events.events] == ["", "a test"]


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({"public_name": ""}, (400, "invalid_body", "public_name")),
        ({"public_name": "a b"}, (400, "invalid_parameter", "public_name")),
        ({"public_name": "a//b"}, (400, "invalid_parameter", "public_name")),
        ({"public_name": "\ud800"}, (400, "invalid_body", "public_name")),
        ({"public_name": "a\x00"}, (400, "invalid_body", "public_name")),
        ({"public_name": "privaterouter/fast"}, (409, "model_exists", None)),
        ({"kind": "image"}, (400, "invalid_body", "kind")),
        ({"kind": "embedding", "max_output_tokens": 5}, (400, "invalid_parameter", "max_output_tokens")),
        ({"context_tokens": 0}, (400, "invalid_body", "context_tokens")),
        ({"context_tokens": 2**40}, (400, "invalid_body", "context_tokens")),
        ({"context_tokens": "1000"}, (400, "invalid_body", "context_tokens")),
        ({"max_output_tokens": 1_001}, (400, "invalid_parameter", "max_output_tokens")),
        ({"dimensions": 3}, (400, "invalid_parameter", "dimensions")),
        ({"sticky": "ip"}, (400, "invalid_body", "sticky")),
        ({"routes": []}, (400, "invalid_body", "routes")),
        (
            {"routes": [{"upstream_name": "nowhere", "upstream_model": "m"}]},
            (404, "upstream_not_found", "routes.upstream_name"),
        ),
        (
            {"routes": [{"upstream_name": "default", "upstream_model": "m", "weight": 0}]},
            (400, "invalid_body", "routes.0.weight"),
        ),
        (
            {"routes": [{"upstream_name": "default", "upstream_model": "m", "secret": 0}]},
            (400, "invalid_body", "routes.0.secret"),
        ),
        ({"routes": [{"upstream_name": "default", "upstream_model": "m"}] * 2}, (400, "invalid_parameter", "routes")),
        ({"fallback_models": ["gone"]}, (404, "model_not_found", "fallback_models")),
        ({"fallback_models": ["privaterouter/embed"]}, (400, "invalid_parameter", "fallback_models")),
        ({"prices": {}}, (400, "invalid_body", "prices.input_usd_per_mtok")),
        ({"price": PRICES}, (400, "invalid_body", "price")),
        ({"reason": "x" * 501}, (400, "invalid_body", "reason")),
    ],
)
async def test_a_model_that_makes_no_sense_is_not_added(
    app: Application, admin: Person, changes: dict[str, Any], expected: tuple[int, str, str | None]
) -> None:
    before = app.deps.catalogue.current().version
    body = json.dumps(new_model("acme/none", **changes))
    answer = await admin.http.post(URL, content=body, headers={"content-type": "application/json"})
    assert error_of(answer) == expected
    await app.deps.catalogue.refresh()
    assert app.deps.catalogue.current().version == before


@pytest.mark.parametrize(
    "path, body, expected",
    [
        ("privaterouter/fast", {}, (400, "invalid_body", None)),
        ("privaterouter/fast", {"reason": "none"}, (400, "invalid_body", None)),
        ("privaterouter/fast", {"public_name": "other"}, (400, "invalid_body", "public_name")),
        ("privaterouter/fast", {"kind": "chat"}, (400, "invalid_body", "kind")),
        ("privaterouter/fast", {"prices": PRICES}, (400, "invalid_body", "prices")),
        ("privaterouter/fast", {"routes": []}, (400, "invalid_body", "routes")),
        ("privaterouter/fast", {"family": None}, (400, "invalid_body", "family")),
        ("privaterouter/fast", {"fallback_models": ["privaterouter/fast"]}, (400, "invalid_parameter", None)),
        ("acme/gone", {"family": "x"}, (404, "model_not_found", None)),
        ("a%00b", {"family": "x"}, (400, "invalid_parameter", "name")),
    ],
)
async def test_a_change_that_makes_no_sense_is_refused(
    admin: Person, path: str, body: dict[str, Any], expected: tuple[int, str, str | None]
) -> None:
    before = await listed(admin, "privaterouter/fast")
    status, code, param = error_of(await admin.http.patch(f"{URL}/{path}", json=body))
    assert (status, code) == expected[:2]
    assert param == expected[2] or expected[2] is None
    assert await listed(admin, "privaterouter/fast") == before
