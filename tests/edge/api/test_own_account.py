"""What people change about themselves: name, password, and where they are logged in."""

from typing import Any

import pytest

from tests.edge.api.conftest import PASSWORD, Application, Person, error_of

NEW_PASSWORD = "another-horse-battery-staple"
NOBODYS = "00000000-0000-7000-8000-000000000000"


def log_in(person: Person, password: str = PASSWORD) -> dict[str, Any]:
    return {"url": "/api/auth/login", "json": {"email": person.user["email"], "password": password}}


async def sessions(person: Person) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await person.http.get("/api/auth/sessions")).json()["items"]
    return items


async def test_people_change_their_own_name_and_nothing_else(alice: Person) -> None:
    answer = await alice.http.patch("/api/auth/me", json={"name": "Alicia"})
    assert answer.json() == alice.user | {"name": "Alicia"}
    assert (await alice.http.get("/api/auth/me")).json() == answer.json()
    for body in ({}, {"name": "x" * 101}, {"name": "a\nb"}, {"role": "admin"}, {"name": "x", "status": "active"}):
        assert error_of(await alice.http.patch("/api/auth/me", json=body))[:2] == (400, "invalid_body")
    assert (await alice.http.get("/api/auth/me")).json() == answer.json()


async def test_another_password_ends_all_other_sessions(app: Application, alice: Person) -> None:
    key = (await alice.http.post("/api/keys", json={"name": "k"})).json()["api_key"]
    async with app.client() as browser:
        await browser.post(**log_in(alice))
        body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
        answer = await alice.http.post("/api/auth/password", json=body)
        assert (answer.status_code, answer.text) == (204, "")
        assert error_of(await browser.get("/api/auth/me"))[:2] == (401, "invalid_session")
        assert error_of(await browser.post(**log_in(alice)))[:2] == (401, "invalid_credentials")
        assert (await browser.post(**log_in(alice, NEW_PASSWORD))).status_code == 200
    assert (await alice.http.get("/api/keys")).json()["items"] == [key]


@pytest.mark.parametrize(
    "body, expected",
    [
        ({"current_password": "x", "new_password": NEW_PASSWORD}, (400, "wrong_password", "current_password")),
        ({"current_password": PASSWORD, "new_password": "password123"}, (400, "invalid_password", "new_password")),
        ({"current_password": PASSWORD, "new_password": "short"}, (400, "invalid_body", "new_password")),
        ({"new_password": NEW_PASSWORD}, (400, "invalid_body", "current_password")),
    ],
)
async def test_a_wrong_or_a_bad_password_is_refused_and_named(
    app: Application, alice: Person, body: dict[str, str], expected: tuple[int, str, str]
) -> None:
    assert error_of(await alice.http.post("/api/auth/password", json=body)) == expected
    async with app.client() as client:
        assert (await client.post(**log_in(alice))).status_code == 200


async def test_guessing_the_present_password_is_slowed_down(alice: Person) -> None:
    body = {"current_password": "a guess", "new_password": NEW_PASSWORD}
    answers = [await alice.http.post("/api/auth/password", json=body) for _ in range(11)]
    assert [answer.status_code for answer in answers] == [400] * 10 + [429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 30


async def test_sessions_are_listed_with_the_program_that_began_them(app: Application, alice: Person) -> None:
    sent = [(b"user-agent", b" Mozilla/5.0\t(\xff) " + b"x" * 400)]
    async with app.client() as browser:
        await browser.post(**log_in(alice), headers=sent)
        listed = (await browser.get("/api/auth/sessions")).json()
    newest, first = listed["items"]
    assert listed == {"items": [newest, first], "total": 2, "limit": 20, "offset": 0}
    assert set(newest) == {"id", "created_at", "expires_at", "is_current", "user_agent"}
    assert (newest["is_current"], first["is_current"]) == (True, False)
    assert newest["user_agent"].startswith("Mozilla/5.0(\xff) xxx")
    assert len(newest["user_agent"]) == 300
    assert first["user_agent"].startswith("python-httpx/")
    assert [one["is_current"] for one in await sessions(alice)] == [False, True]


async def test_a_session_is_ended_from_another_one(app: Application, alice: Person, bob: Person) -> None:
    async with app.client() as browser:
        await browser.post(**log_in(alice))
        other, own = await sessions(alice)
        url = f"/api/auth/sessions/{other['id']}"
        assert error_of(await bob.http.delete(url))[:2] == (404, "session_not_found")
        assert (await browser.get("/api/auth/me")).status_code == 200
        assert (await alice.http.delete(url)).status_code == 204
        assert error_of(await browser.get("/api/auth/me"))[:2] == (401, "invalid_session")
    assert await sessions(alice) == [own]
    for gone in (other["id"], NOBODYS, "nonsense"):
        assert error_of(await alice.http.delete(f"/api/auth/sessions/{gone}"))[:2] == (404, "session_not_found")


async def test_all_other_sessions_are_ended_at_once(app: Application, alice: Person, bob: Person) -> None:
    async with app.client() as browser:
        await browser.post(**log_in(alice))
        assert (await alice.http.delete("/api/auth/sessions")).status_code == 204
        assert error_of(await browser.get("/api/auth/me"))[:2] == (401, "invalid_session")
    assert [one["is_current"] for one in await sessions(alice)] == [True]
    assert (await bob.http.get("/api/auth/me")).status_code == 200
