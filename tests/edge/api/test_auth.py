"""Sign-up, log-in, sessions by token and by cookie, log-out that holds."""

import json
from datetime import UTC, datetime, timedelta

import httpx
import jwt
import pytest

from edge.api.tokens import AUDIENCE, ISSUER
from tests.edge.api.conftest import PASSWORD, Application, Person, error_of
from tests.support.services import JWT_SECRET

JSON = {"content-type": "application/json"}


def credentials(person: Person, password: str = PASSWORD) -> dict[str, str]:
    return {"email": person.user["email"], "password": password}


def cookie_of(answer: httpx.Response) -> str:
    return answer.headers["set-cookie"]


async def test_signing_up_gives_a_token_a_cookie_and_a_dollar(app: Application) -> None:
    async with app.client() as client:
        answer = await client.post(
            "/api/auth/signup", json={"email": "Carol@Example.com", "password": PASSWORD, "name": "Carol"}
        )
        assert answer.status_code == 201
        body = answer.json()
        assert set(body) == {"access_token", "token_type", "user"}
        assert body["token_type"] == "bearer"
        assert set(body["user"]) == {"id", "email", "name", "role", "status", "created_at"}
        assert body["user"] | {"id": "", "created_at": ""} == {
            "id": "",
            "email": "Carol@example.com",
            "name": "Carol",
            "role": "user",
            "status": "active",
            "created_at": "",
        }
        assert datetime.fromisoformat(body["user"]["created_at"]).tzinfo == UTC
        assert body["user"]["created_at"].endswith("Z")
        claims = jwt.decode(body["access_token"], JWT_SECRET, algorithms=["HS256"], audience=AUDIENCE, issuer=ISSUER)
        assert claims["exp"] - claims["iat"] == 3600
        assert claims["sub"] == body["user"]["id"]
        assert cookie_of(answer) == (f"pr_session={body['access_token']}; HttpOnly; Max-Age=3600; Path=/; SameSite=lax")
        assert (await client.get("/api/auth/me")).json() == body["user"]


async def test_the_cookie_is_secure_unless_on_localhost(app: Application, alice: Person) -> None:
    async with app.client(host="router.example.com") as client:
        answer = await client.post("http://router.example.com/api/auth/login", json=credentials(alice))
        assert "; Secure" in cookie_of(answer)


@pytest.mark.parametrize(
    "body, expected",
    [
        ({}, (400, "invalid_body", "email")),
        ({"email": "dave@example.com"}, (400, "invalid_body", "password")),
        ({"email": "dave@example.com", "password": "short"}, (400, "invalid_body", "password")),
        ({"email": "dave@example.com", "password": "x" * 129}, (400, "invalid_body", "password")),
        ({"email": "dave@example.com", "password": "password123"}, (400, "invalid_password", "password")),
        ({"email": "no-address", "password": PASSWORD}, (400, "invalid_email", "email")),
        ({"email": "a\x00@example.com", "password": PASSWORD}, (400, "invalid_body", "email")),
        ({"email": 5, "password": PASSWORD}, (400, "invalid_body", "email")),
        ({"email": ["a"], "password": PASSWORD}, (400, "invalid_body", "email")),
        ({"email": "dave@example.com", "password": PASSWORD, "role": "admin"}, (400, "invalid_body", "role")),
        ({"email": "dave@example.com", "password": PASSWORD, "name": "x" * 101}, (400, "invalid_body", "name")),
        ({"email": "dave@example.com", "password": PASSWORD, "name": "\ud800"}, (400, "invalid_body", "name")),
        ({"email": "dave@example.com", "password": "\ud800" * 9}, (400, "invalid_body", "password")),
    ],
)
async def test_a_bad_sign_up_is_refused_and_names_its_field(
    app: Application, body: dict[str, object], expected: tuple[int, str, str]
) -> None:
    async with app.client() as client:
        answer = await client.post("/api/auth/signup", content=json.dumps(body), headers=JSON)
        assert error_of(answer) == expected
        assert "set-cookie" not in answer.headers
        if "password" in body:
            assert str(body["password"]) not in answer.text


async def test_an_address_signs_up_once_in_whatever_case(app: Application, alice: Person) -> None:
    async with app.client() as client:
        email = alice.user["email"].upper()
        answer = await client.post("/api/auth/signup", json={"email": email, "password": PASSWORD})
        assert error_of(answer)[:2] == (409, "email_taken")


async def test_a_wrong_password_and_an_unknown_address_are_told_the_same(app: Application, alice: Person) -> None:
    async with app.client() as client:
        wrong = await client.post("/api/auth/login", json=credentials(alice, "not-the-password"))
        unknown = await client.post("/api/auth/login", json={"email": "nobody@example.com", "password": PASSWORD})
        assert error_of(wrong)[:2] == error_of(unknown)[:2] == (401, "invalid_credentials")
        assert wrong.json() == unknown.json()


async def test_logging_out_ends_the_session_for_token_and_cookie_alike(app: Application, alice: Person) -> None:
    async with app.client() as browser:
        token = (await browser.post("/api/auth/login", json=credentials(alice))).json()["access_token"]
        out = await browser.post("/api/auth/logout", headers={"content-type": "application/json"})
        assert out.status_code == 204
        assert 'pr_session=""' in cookie_of(out)
        browser.cookies.set("pr_session", token)
        assert error_of(await browser.get("/api/auth/me"))[:2] == (401, "invalid_session")
        browser.cookies.clear()
        by_token = await browser.get("/api/auth/me", headers={"authorization": f"Bearer {token}"})
        assert error_of(by_token)[:2] == (401, "invalid_session")
    assert (await alice.http.get("/api/auth/me")).status_code == 200, "the session of the sign-up goes on"


async def test_a_disabled_user_has_no_session_any_more(app: Application, alice: Person, admin: Person) -> None:
    await admin.http.patch(f"/api/admin/users/{alice.id}", json={"status": "disabled"})
    assert error_of(await alice.http.get("/api/auth/me"))[:2] == (401, "invalid_session")
    async with app.client() as client:
        again = await client.post("/api/auth/login", json=credentials(alice))
        assert error_of(again)[:2] == (401, "invalid_credentials")


def forged(person: Person, **changes: object) -> str:
    claims = jwt.decode(person.token, options={"verify_signature": False}) | changes
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, JWT_SECRET, algorithm="HS256")


@pytest.mark.parametrize("claim", ["iss", "aud", "sub", "sid", "iat", "exp"])
async def test_every_claim_of_a_token_is_needed(alice: Person, claim: str) -> None:
    assert (await alice.http.get("/api/auth/me", headers={"authorization": f"Bearer {forged(alice)}"})).is_success
    headers = {"authorization": f"Bearer {forged(alice, **{claim: None})}"}
    assert error_of(await alice.http.get("/api/auth/me", headers=headers))[:2] == (401, "invalid_session")


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "someone"},
        {"aud": "something"},
        {"sub": "00000000-0000-7000-8000-000000000000"},
        {"sid": "00000000-0000-7000-8000-000000000000"},
        {"sid": "no id"},
        {"sid": 5},
        {"exp": 1},
        {"exp": "soon"},
        {"iat": 2**40},
    ],
)
async def test_every_claim_of_a_token_is_checked(alice: Person, changes: dict[str, object]) -> None:
    headers = {"authorization": f"Bearer {forged(alice, **changes)}"}
    assert error_of(await alice.http.get("/api/auth/me", headers=headers))[:2] == (401, "invalid_session")


async def test_only_our_signature_counts(alice: Person) -> None:
    claims = jwt.decode(alice.token, options={"verify_signature": False})
    tokens = [
        jwt.encode(claims, "x" * 40, algorithm="HS256"),
        jwt.encode(claims, JWT_SECRET * 2, algorithm="HS384"),
        jwt.encode(claims, "", algorithm="none"),
        alice.token[:-2],
        "' OR 1=1 --",
    ]
    for token in tokens:
        answer = await alice.http.get("/api/auth/me", headers={"authorization": f"Bearer {token}"})
        assert error_of(answer)[:2] == (401, "invalid_session")


async def test_a_token_is_good_for_an_hour(app: Application, alice: Person) -> None:
    app.time.ahead = timedelta(minutes=59)
    assert (await alice.http.get("/api/auth/me")).status_code == 200
    app.time.ahead = timedelta(minutes=61)
    assert error_of(await alice.http.get("/api/auth/me"))[:2] == (401, "invalid_session")


async def test_a_cookie_is_renewed_by_use(app: Application, alice: Person) -> None:
    async with app.client() as browser:
        await browser.post("/api/auth/login", json=credentials(alice))
        assert "set-cookie" not in (await browser.get("/api/auth/me")).headers, "it is fresh"
        for minutes in (50, 100, 150):
            app.time.ahead = timedelta(minutes=minutes)
            answer = await browser.get("/api/auth/me")
            assert answer.status_code == 200
            assert cookie_of(answer).startswith("pr_session=ey")
    app.time.ahead = timedelta(minutes=50)
    assert "set-cookie" not in (await alice.http.get("/api/auth/me")).headers, "a bearer token is not a cookie"


async def test_an_api_key_is_no_session_and_the_message_says_so(alice: Person) -> None:
    key = (await alice.http.post("/api/keys", json={"name": "k"})).json()["key"]
    answer = await alice.http.get("/api/auth/me", headers={"authorization": f"Bearer {key}"})
    assert error_of(answer)[:2] == (401, "invalid_session")
    assert "/v1" in answer.json()["error"]["message"]


async def test_a_bad_header_is_not_made_good_by_a_cookie(app: Application, alice: Person) -> None:
    async with app.client() as browser:
        await browser.post("/api/auth/login", json=credentials(alice))
        for header in ("Bearer nonsense", "Basic abc", "Bearer ", "nonsense"):
            answer = await browser.get("/api/auth/me", headers={"authorization": header})
            assert error_of(answer)[:2] == (401, "invalid_session"), header


@pytest.mark.parametrize(
    "headers, expected",
    [
        ({"content-type": "application/json"}, 204),
        ({"content-type": "application/json; charset=utf-8"}, 204),
        ({"content-type": "application/json", "origin": "http://localhost:3000"}, 204),
        ({"content-type": "application/json", "sec-fetch-site": "same-origin"}, 204),
        ({}, (415, "unsupported_media_type")),
        ({"content-type": "text/plain"}, (415, "unsupported_media_type")),
        ({"content-type": "application/x-www-form-urlencoded"}, (415, "unsupported_media_type")),
        ({"content-type": "application/json", "origin": "https://evil.example"}, (403, "cross_site_request")),
        ({"content-type": "application/json", "origin": "http://localhost:8000"}, (403, "cross_site_request")),
        ({"content-type": "application/json", "origin": "null"}, (403, "cross_site_request")),
        ({"content-type": "application/json", "sec-fetch-site": "cross-site"}, (403, "cross_site_request")),
    ],
)
async def test_another_sites_page_cannot_use_the_cookie(
    app: Application, alice: Person, headers: dict[str, str], expected: int | tuple[int, str]
) -> None:
    async with app.client() as browser:
        await browser.post("/api/auth/login", json=credentials(alice))
        answer = await browser.post("/api/auth/logout", headers=headers)
        if isinstance(expected, tuple):
            assert error_of(answer)[:2] == expected
            assert (await browser.get("/api/auth/me")).status_code == 200, "the session goes on"
        else:
            assert answer.status_code == expected


async def test_another_sites_page_cannot_log_anybody_in(app: Application, alice: Person) -> None:
    async with app.client(origin="https://evil.example") as browser:
        answer = await browser.post("/api/auth/login", json=credentials(alice))
        assert error_of(answer)[:2] == (403, "cross_site_request")
        assert "set-cookie" not in answer.headers


async def test_guessing_passwords_is_slowed_down_for_an_address_of_mail(app: Application, alice: Person) -> None:
    answers = []
    for _ in range(11):
        async with app.client() as client:
            answers.append(await client.post("/api/auth/login", json=credentials(alice, "a wrong password")))
    assert [answer.status_code for answer in answers] == [401] * 10 + [429]
    assert error_of(answers[-1])[:2] == (429, "rate_limit_exceeded")
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 30


async def test_signing_up_is_slowed_down_for_an_address(app: Application) -> None:
    app.deps.settings.__dict__["signups_per_hour"] = 2
    async with app.client() as client:
        answers = [
            await client.post(
                "/api/auth/signup", json={"email": f"many-{n}-{app.deps.ids()}@example.com", "password": PASSWORD}
            )
            for n in range(3)
        ]
    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert int(answers[-1].headers["retry-after"]) > 60
