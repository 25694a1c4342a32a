"""What every answer has, errors of one shape, health and the reference."""

import re
from uuid import UUID

import httpx
import pytest

from kit.ids import time_of
from tests.edge.api.conftest import Application, Person, error_of
from tests.support.services import RunningServices
from tests.support.waiting import eventually


async def test_every_answer_has_an_id_of_ours_and_forbids_what_it_does_not_need(app: Application) -> None:
    async with app.client() as client:
        seen = set()
        for path in ("/health", "/api/models", "/api/auth/me", "/nothing.txt", "/api/docs", "/api/openapi.json"):
            answer = await client.get(path, headers={"x-request-id": "mine", "x-client-request-id": "mine"})
            request_id = UUID(answer.headers["x-request-id"])
            assert (request_id.version, abs(time_of(request_id).timestamp() - app.time().timestamp()) < 60) == (7, True)
            seen.add(request_id)
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["x-frame-options"] == "DENY"
            revalidated = path in ("/api/models", "/api/openapi.json")
            assert answer.headers["cache-control"] == ("private, no-cache" if revalidated else "no-store")
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert "script-src" not in answer.headers["content-security-policy"]
        assert len(seen) == 6


async def test_who_has_the_present_answer_is_not_sent_it_again(alice: Person) -> None:
    first = await alice.http.get("/api/billing/balance")
    tag = first.headers["etag"]
    assert (first.status_code, tag[0], tag[-1]) == (200, '"', '"')
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = await alice.http.get("/api/billing/balance", headers={"if-none-match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert again.headers["cache-control"] == "private, no-cache"
        assert "content-type" not in again.headers
    await alice.http.post("/api/billing/topup", json={"amount_usd": 10})
    changed = await alice.http.get("/api/billing/balance", headers={"if-none-match": tag})
    assert (changed.status_code, changed.json()["balance_usd"]) == (200, "11.00")
    assert changed.headers["etag"] != tag


async def test_errors_changes_and_streams_have_no_tag(alice: Person) -> None:
    answers = [
        await alice.http.get("/api/usage/nothing", headers={"if-none-match": "*"}),
        await alice.http.get("/api/usage/export.csv", headers={"if-none-match": "*"}),
        await alice.http.post("/api/billing/topup", json={"amount_usd": 10}, headers={"if-none-match": "*"}),
    ]
    assert [(answer.status_code, answer.headers.get("etag")) for answer in answers] == [
        (404, None), (200, None), (200, None),
    ]  # fmt: skip
    assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}


@pytest.mark.parametrize(
    "method, path, expected",
    [
        ("GET", "/nothing.txt", (404, "not_found")),
        ("POST", "/nothing", (404, "not_found")),
        ("GET", "/api", (404, "not_found")),
        ("GET", "/api/keys/", (404, "not_found")),
        ("GET", "/api/auth/login", (405, "method_not_allowed")),
        ("PUT", "/api/keys", (405, "method_not_allowed")),
        ("DELETE", "/health", (405, "method_not_allowed")),
        ("GET", "/openapi.json", (404, "not_found")),
    ],
)
async def test_what_is_not_there_is_an_error_of_the_same_shape(
    app: Application, method: str, path: str, expected: tuple[int, str]
) -> None:
    async with app.client() as client:
        answer = await client.request(method, path)
        assert error_of(answer)[:2] == expected
        assert (answer.status_code == 405) == ("allow" in answer.headers)


async def test_health_says_the_process_is_alive(app: Application) -> None:
    async with app.client() as client:
        answer = await client.get("/health")
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_ready_names_what_answers(app: Application) -> None:
    async with app.client() as client:
        answer = await client.get("/health/ready")
        names = ("catalogue", "journal", "auth", "catalog", "billing", "usage")
        assert answer.json() == {"status": "ok", "dependencies": dict.fromkeys(names, "ok")}
        app.fit["journal"] = False
        answer = await client.get("/health/ready")
        assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
        assert answer.json()["dependencies"]["journal"] == "unavailable"


async def test_a_service_that_is_away_is_a_503_and_never_a_401(
    services: RunningServices, redis_url: str, alice: Person
) -> None:
    from tests.edge.api.conftest import application  # noqa: PLC0415

    for name, path in (("AUTH", "/api/auth/me"), ("BILLING", "/api/billing/balance"), ("USAGE", "/api/usage")):
        environment = services.environment | {f"{name}_ADDR": "unix:/nowhere/at/all.sock"}
        async with application(environment) as app, app.client(authorization=f"Bearer {alice.token}") as client:
            answer = await client.get(path)
            assert error_of(answer)[:2] == (503, "service_unavailable"), name
            assert answer.headers["retry-after"] == "1"
            ready = await client.get("/health/ready")
            assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
            assert ready.json()["dependencies"][name.lower()] == "unavailable"


async def test_our_own_failure_tells_nothing_about_itself(app: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr(app.deps.catalogue, "current", broken)
    async with app.client() as client:
        answer = await client.get("/api/models")
    assert error_of(answer)[:2] == (500, "internal_error")
    assert "secret" not in answer.text


async def test_the_reference_may_use_its_own_style_and_nothing_else(app: Application) -> None:
    async with app.client() as client:
        page = await client.get("/api/docs")
    policy = page.headers["content-security-policy"]
    assert re.fullmatch(
        r"default-src 'none'; style-src 'sha256-[\w+/=]{44}'; base-uri 'none'; form-action 'none'; "
        r"frame-ancestors 'none'",
        policy,
    )
    assert not re.search(r"<(script|link|img|iframe)| style=| on\w+=| src=", page.text)


async def test_the_reference_describes_every_route_with_an_example(app: Application) -> None:
    async with app.client() as client:
        document = (await client.get("/api/openapi.json")).json()
        page = (await client.get("/api/docs")).text
    for route in app.edge.api_routes():
        if route.include_in_schema:
            for method in route.methods or ():
                operation = document["paths"][route.path_format][method.lower()]
                assert f"<b>{method}</b> <code>{route.path_format}</code>" in page
                if route.path.startswith("/api/admin/"):
                    assert operation["security"] == [{"session": []}, {"cookie": []}], route.path
    for path in ("/v1/chat/completions", "/v1/completions", "/v1/embeddings"):
        operation = document["paths"][path]["post"]
        assert operation["requestBody"]["content"]["application/json"]["examples"]
        assert operation["responses"]["200"]["content"]["application/json"]["example"]
        assert operation["security"] == [{"apiKey": []}]
    for path in ("/api/keys", "/api/playground/chat/completions"):
        assert document["paths"][path]["post"]["security"] == [{"session": []}, {"cookie": []}]
    assert "security" not in document["paths"]["/api/models"]["get"]
    assert "422" not in str(document["paths"])
    bodies = ("SignUp", "Credentials", "NewKey", "KeyChange", "TopUp", "UserChange", "PlanChange", "Credit")
    for name in (*bodies, "NewModel", "ModelChange", "PriceChange", "PricesToTry", "PlanSettings", "NewUpstream"):
        assert document["components"]["schemas"][name]["examples"], name
    _no_dangling_references(document, document)


def _no_dangling_references(document: dict[str, object], node: object) -> None:
    if isinstance(node, dict):
        reference = node.get("$ref")
        if isinstance(reference, str):
            found: object = document
            for part in reference.removeprefix("#/").split("/"):
                assert isinstance(found, dict)
                found = found[part]
        for value in node.values():
            _no_dangling_references(document, value)
    elif isinstance(node, list):
        for value in node:
            _no_dangling_references(document, value)


async def test_an_account_that_is_still_being_opened_is_a_reason_to_wait(app: Application) -> None:
    """Auth opens it after the answer of the sign-up; until then the answer is a 503, not a 404."""
    async with app.person(open_account=False) as person:

        async def answer() -> httpx.Response | None:
            found = await person.http.get("/api/billing/balance")
            if found.status_code == 200:
                return found
            assert error_of(found)[:2] == (503, "service_unavailable")
            return None

        await eventually(answer)
