"""API keys: shown once, changed field by field, and nobody else's."""

from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest

from kit.errors import RemoteError
from privaterouter.billing.v1 import billing_pb2
from tests.edge.api.conftest import Application, Person, error_of

NOBODYS = "00000000-0000-7000-8000-000000000000"


async def new_key(person: Person, **fields: Any) -> dict[str, Any]:
    answer = await person.http.post("/api/keys", json={"name": "laptop"} | fields)
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


async def test_a_new_key_is_shown_in_full_once(alice: Person) -> None:
    created = await new_key(alice)
    assert set(created) == {"key", "api_key"}
    assert created["key"].startswith("sk-pr-live-")
    key = created["api_key"]
    assert key | {"id": "", "created_at": ""} == {
        "id": "",
        "name": "laptop",
        "key_prefix": created["key"][:15],
        "status": "active",
        "monthly_limit_usd": None,
        "allowed_models": [],
        "rpm_limit": None,
        "tpm_limit": None,
        "max_in_flight": None,
        "keeps_answers": False,
        "expires_at": None,
        "last_used_at": None,
        "created_at": "",
        "spent_this_month_usd": "0.00",
    }
    listed = await alice.http.get("/api/keys")
    assert listed.json() == {"items": [key], "total": 1, "limit": 20, "offset": 0}
    assert created["key"] not in listed.text


async def test_a_key_can_be_made_with_all_its_limits(alice: Person) -> None:
    expires = (datetime.now(UTC) + timedelta(days=1)).replace(microsecond=0)
    created = await new_key(
        alice,
        status="disabled",
        monthly_limit_usd="2.5",
        allowed_models=["privaterouter/fast"],
        rpm_limit=5,
        tpm_limit=40_000_000_000,
        max_in_flight=2,
        keeps_answers=True,
        expires_at=expires.isoformat(),
    )
    key = created["api_key"]
    assert key == {
        "id": key["id"],
        "name": "laptop",
        "key_prefix": created["key"][:15],
        "status": "disabled",
        "monthly_limit_usd": "2.50",
        "allowed_models": ["privaterouter/fast"],
        "rpm_limit": 5,
        "tpm_limit": 40_000_000_000,
        "max_in_flight": 2,
        "keeps_answers": True,
        "expires_at": expires.isoformat().replace("+00:00", "Z"),
        "last_used_at": None,
        "created_at": key["created_at"],
        "spent_this_month_usd": "0.00",
    }
    assert (await alice.http.get("/api/keys")).json()["items"] == [key]


async def test_a_change_touches_only_what_it_names_and_null_takes_a_limit_away(alice: Person) -> None:
    limits = {"tpm_limit": 9, "max_in_flight": 3, "keeps_answers": True}
    key = (await new_key(alice, monthly_limit_usd=5, rpm_limit=7, **limits))["api_key"]
    url = f"/api/keys/{key['id']}"
    renamed = (await alice.http.patch(url, json={"name": "work"})).json()
    assert renamed == key | {"name": "work"}
    assert renamed["monthly_limit_usd"] == "5.00"
    freed = (await alice.http.patch(url, json={"monthly_limit_usd": None, "rpm_limit": None})).json()
    assert freed == renamed | {"monthly_limit_usd": None, "rpm_limit": None}
    switched = (await alice.http.patch(url, json={"status": "disabled", "monthly_limit_usd": 0})).json()
    assert switched == freed | {"status": "disabled", "monthly_limit_usd": "0.00"}
    assert {name: switched[name] for name in limits} == limits
    unlimited = {"tpm_limit": None, "max_in_flight": None, "keeps_answers": False}
    assert (await alice.http.patch(url, json=unlimited)).json() == switched | unlimited
    assert (await alice.http.patch(url, json={"max_in_flight": 1})).json() == switched | unlimited | {
        "max_in_flight": 1
    }


@pytest.mark.parametrize(
    "body, expected",
    [
        ({}, (400, "invalid_body", "name")),
        ({"name": ""}, (400, "invalid_body", "name")),
        ({"name": None}, (400, "invalid_body", "name")),
        ({"name": "a\nb"}, (400, "invalid_body", "name")),
        ({"name": "x" * 101}, (400, "invalid_body", "name")),
        ({"name": "k", "colour": "red"}, (400, "invalid_body", "colour")),
        ({"name": "k", "status": "deleted"}, (400, "invalid_body", "status")),
        ({"name": "k", "monthly_limit_usd": "many"}, (400, "invalid_amount", "monthly_limit_usd")),
        ({"name": "k", "monthly_limit_usd": -1}, (400, "invalid_body", "monthly_limit_usd")),
        ({"name": "k", "monthly_limit_usd": True}, (400, "invalid_amount", "monthly_limit_usd")),
        ({"name": "k", "monthly_limit_usd": "0.0000000001"}, (400, "invalid_amount", "monthly_limit_usd")),
        ({"name": "k", "rpm_limit": 0}, (400, "invalid_body", "rpm_limit")),
        ({"name": "k", "rpm_limit": 1.5}, (400, "invalid_body", "rpm_limit")),
        ({"name": "k", "rpm_limit": 10**30}, (400, "invalid_body", "rpm_limit")),
        ({"name": "k", "tpm_limit": 0}, (400, "invalid_body", "tpm_limit")),
        ({"name": "k", "tpm_limit": 10**12 + 1}, (400, "invalid_body", "tpm_limit")),
        ({"name": "k", "tpm_limit": "many"}, (400, "invalid_body", "tpm_limit")),
        ({"name": "k", "max_in_flight": 0}, (400, "invalid_body", "max_in_flight")),
        ({"name": "k", "max_in_flight": 1_000_001}, (400, "invalid_body", "max_in_flight")),
        ({"name": "k", "keeps_answers": None}, (400, "invalid_body", "keeps_answers")),
        ({"name": "k", "keeps_answers": "yes"}, (400, "invalid_body", "keeps_answers")),
        ({"name": "k", "allowed_models": ["privaterouter/none"]}, (400, "invalid_body", "allowed_models")),
        ({"name": "k", "allowed_models": "privaterouter/fast"}, (400, "invalid_body", "allowed_models")),
        ({"name": "k", "expires_at": "tomorrow"}, (400, "invalid_body", "expires_at")),
        ({"name": "k", "expires_at": "2026-01-01T00:00:00"}, (400, "invalid_body", "expires_at")),
        ({"name": "k", "expires_at": 1800000000}, (400, "invalid_body", "expires_at")),
    ],
)
async def test_a_bad_key_is_refused_and_names_its_field(
    alice: Person, body: dict[str, Any], expected: tuple[int, str, str]
) -> None:
    assert error_of(await alice.http.post("/api/keys", json=body)) == expected
    assert (await alice.http.get("/api/keys")).json()["total"] == 0


async def test_an_expiry_in_the_past_is_refused(alice: Person) -> None:
    answer = await alice.http.post("/api/keys", json={"name": "k", "expires_at": "2020-01-01"})
    assert error_of(answer) == (400, "invalid_body", "expires_at")


async def test_a_change_of_nothing_is_refused(alice: Person) -> None:
    key = (await new_key(alice))["api_key"]
    assert error_of(await alice.http.patch(f"/api/keys/{key['id']}", json={}))[:2] == (400, "invalid_body")


@pytest.mark.parametrize("key_id", [NOBODYS, "nonsense", "1%20OR%201=1", "%00"])
async def test_what_is_no_key_is_not_found(alice: Person, key_id: str) -> None:
    for method, body in (("PATCH", {"name": "x"}), ("DELETE", None)):
        answer = await alice.http.request(method, f"/api/keys/{key_id}", json=body)
        assert error_of(answer)[:2] == (404, "api_key_not_found")


async def test_somebody_elses_key_is_not_found_and_stays_as_it_is(alice: Person, bob: Person) -> None:
    key = (await new_key(alice))["api_key"]
    url = f"/api/keys/{key['id']}"
    for method, body in (("PATCH", {"status": "disabled"}), ("DELETE", None)):
        foreign = await bob.http.request(method, url, json=body)
        unknown = await bob.http.request(method, f"/api/keys/{NOBODYS}", json=body)
        assert error_of(foreign)[:2] == (404, "api_key_not_found")
        assert foreign.json() == unknown.json()
    assert (await bob.http.get("/api/keys")).json()["items"] == []
    assert (await alice.http.get("/api/keys")).json()["items"] == [key]


async def test_a_deleted_key_is_gone(alice: Person) -> None:
    url = f"/api/keys/{(await new_key(alice))['api_key']['id']}"
    gone = await alice.http.delete(url)
    assert (gone.status_code, gone.content) == (204, b"")
    assert error_of(await alice.http.delete(url))[:2] == (404, "api_key_not_found")
    assert (await alice.http.get("/api/keys")).json()["total"] == 0


async def test_keys_come_in_pages_newest_first(alice: Person) -> None:
    for number in range(3):
        await new_key(alice, name=f"key {number}")
    page = (await alice.http.get("/api/keys?limit=2")).json()
    assert ([key["name"] for key in page["items"]], page["total"]) == (["key 2", "key 1"], 3)
    page = (await alice.http.get("/api/keys?limit=2&offset=2")).json()
    assert [key["name"] for key in page["items"]] == ["key 0"]


@pytest.mark.parametrize(
    "query, param",
    [("limit=0", "limit"), ("limit=201", "limit"), ("limit=x", "limit"), ("offset=-1", "offset"), ("page=2", "page")],
)
async def test_a_bad_page_is_refused(app: Application, alice: Person, query: str, param: str) -> None:
    assert error_of(await alice.http.get(f"/api/keys?{query}")) == (400, "invalid_parameter", param)


async def test_a_key_shows_what_it_has_spent_and_is_listed_also_where_that_cannot_be_asked(
    app: Application, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = (await new_key(alice))["api_key"]
    spends: list[billing_pb2.KeySpend] = [billing_pb2.KeySpend(api_key_id=key["id"], charged_nanos=4_100)]

    async def answers(request: billing_pb2.BatchGetKeySpendRequest, timeout: float) -> object:
        assert list(request.api_key_ids) == [key["id"]]
        if not spends:
            raise RemoteError(grpc.StatusCode.UNAVAILABLE, "away")
        return billing_pb2.BatchGetKeySpendResponse(key_spends=spends)

    monkeypatch.setattr(app.deps.clients.billing, "BatchGetKeySpend", answers)
    assert (await alice.http.get("/api/keys")).json()["items"] == [key | {"spent_this_month_usd": "0.0000041"}]
    spends.clear()
    assert (await alice.http.get("/api/keys")).json()["items"] == [key | {"spent_this_month_usd": None}]
