"""Administration: users, plans and credit, for admins alone."""

from typing import Any

import pytest

from tests.edge.api.conftest import PASSWORD, Application, Person, error_of

NOBODYS = "00000000-0000-7000-8000-000000000000"


async def test_an_admin_finds_users_with_their_accounts(admin: Person, alice: Person) -> None:
    listed = (await admin.http.get("/api/admin/users", params={"email": alice.user["email"].upper()})).json()
    account = {"balance_usd": "1.00", "reserved_usd": "0.00", "plan_name": "free"}
    assert listed == {"items": [alice.user | {"account": account}], "total": 1, "limit": 20, "offset": 0}
    searched = (await admin.http.get("/api/admin/users", params={"search": alice.user["email"][:20]})).json()
    assert alice.id in [user["id"] for user in searched["items"]]
    one = (await admin.http.get(f"/api/admin/users/{alice.id}")).json()
    assert one == listed["items"][0]


async def test_an_admin_changes_a_plan_and_its_credits_come_once(admin: Person, alice: Person) -> None:
    url = f"/api/admin/users/{alice.id}/plan"
    first = (await admin.http.post(url, json={"plan": "starter", "reason": "by mail"})).json()
    assert first == {
        "account": {"balance_usd": "13.00", "reserved_usd": "0.00", "plan_name": "starter"},
        "granted_usd": "12.00",
    }
    again = (await admin.http.post(url, json={"plan": "starter"})).json()
    assert (again["granted_usd"], again["account"]["balance_usd"]) == ("0.00", "13.00")
    assert (await alice.http.get("/api/billing/balance")).json()["plan_name"] == "starter"
    assert error_of(await admin.http.post(url, json={"plan": "gold"}))[:2] == (404, "plan_not_found")


async def test_an_admin_corrects_a_balance_with_a_reason_and_once(admin: Person, alice: Person) -> None:
    url = f"/api/admin/users/{alice.id}/credits"
    headers = {"idempotency-key": "correction-1"}
    for _ in range(2):
        body = {"amount_usd": "0.000000001", "reason": "a nano too little"}
        answer = (await admin.http.post(url, json=body, headers=headers)).json()
        assert answer["account"]["balance_usd"] == "1.000000001"
        assert (answer["transaction"]["kind"], answer["transaction"]["amount_usd"]) == ("adjustment", "0.000000001")
    taken = await admin.http.post(url, json={"amount_usd": "-1.00", "reason": "a mistake"})
    assert taken.json()["account"]["balance_usd"] == "0.000000001"
    too_much = await admin.http.post(url, json={"amount_usd": -1, "reason": "a mistake"})
    assert error_of(too_much)[:2] == (409, "insufficient_funds")
    assert (await alice.http.get("/api/billing/balance")).json()["balance_usd"] == "0.000000001"


@pytest.mark.parametrize(
    "body, expected",
    [
        ({"amount_usd": 1}, (400, "invalid_body", "reason")),
        ({"amount_usd": 1, "reason": ""}, (400, "invalid_body", "reason")),
        ({"amount_usd": 0, "reason": "none"}, (400, "invalid_amount", "amount_nanos")),
        ({"amount_usd": "1e3", "reason": "x"}, (400, "invalid_amount", "amount_usd")),
        ({"amount_usd": 10**12, "reason": "x"}, (400, "invalid_amount", "amount_usd")),
        ({"amount_usd": 1, "reason": "x", "plan": "team"}, (400, "invalid_body", "plan")),
    ],
)
async def test_a_bad_correction_is_refused(
    admin: Person, alice: Person, body: dict[str, Any], expected: tuple[int, str, str]
) -> None:
    assert error_of(await admin.http.post(f"/api/admin/users/{alice.id}/credits", json=body)) == expected
    assert (await alice.http.get("/api/billing/balance")).json()["balance_usd"] == "1.00"


async def test_an_admin_gives_a_role_and_takes_it_back(admin: Person, alice: Person) -> None:
    url = f"/api/admin/users/{alice.id}"
    assert (await admin.http.patch(url, json={"role": "admin"})).json()["role"] == "admin"
    assert (await alice.http.get("/api/admin/users")).status_code == 200
    assert (await admin.http.patch(url, json={"role": "user", "name": "Al"})).json()["name"] == "Al"
    assert error_of(await alice.http.get("/api/admin/users"))[:2] == (403, "admin_required")


async def test_disabling_a_user_and_enabling_again_lets_them_log_in_anew(
    app: Application, admin: Person, alice: Person
) -> None:
    url = f"/api/admin/users/{alice.id}"
    assert (await admin.http.patch(url, json={"status": "disabled"})).json()["status"] == "disabled"
    async with app.client() as client:
        credentials = {"email": alice.user["email"], "password": PASSWORD}
        assert (await client.post("/api/auth/login", json=credentials)).status_code == 401
        await admin.http.patch(url, json={"status": "active"})
        assert (await client.post("/api/auth/login", json=credentials)).status_code == 200
    assert error_of(await alice.http.get("/api/auth/me"))[:2] == (401, "invalid_session"), "the old one stays ended"


async def test_an_admin_sees_a_users_keys_as_the_user_does(admin: Person, alice: Person) -> None:
    for name in ("one", "two"):
        await alice.http.post("/api/keys", json={"name": name})
    page = {"limit": 1, "offset": 1}
    listed = (await admin.http.get(f"/api/admin/users/{alice.id}/keys", params=page)).json()
    assert [key["name"] for key in listed["items"]] == ["one"]
    assert listed == (await alice.http.get("/api/keys", params=page)).json()


@pytest.mark.parametrize(
    "method, path, body",
    [
        ("GET", "/api/admin/users/{id}", None),
        ("GET", "/api/admin/users/{id}/keys", None),
        ("PATCH", "/api/admin/users/{id}", {"status": "active"}),
        ("POST", "/api/admin/users/{id}/plan", {"plan": "team"}),
        ("POST", "/api/admin/users/{id}/credits", {"amount_usd": 1, "reason": "x"}),
    ],
)
async def test_who_does_not_exist_is_not_found(admin: Person, method: str, path: str, body: Any) -> None:
    for user_id in (NOBODYS, "nonsense"):
        answer = await admin.http.request(method, path.format(id=user_id), json=body)
        assert error_of(answer)[:2] in [(404, "user_not_found"), (404, "account_not_found")]


@pytest.mark.parametrize(
    "body", [{}, {"reason": "none"}, {"status": "gone"}, {"role": "root"}, {"email": "new@example.com"}]
)
async def test_a_bad_change_is_refused(admin: Person, alice: Person, body: dict[str, str]) -> None:
    answer = await admin.http.patch(f"/api/admin/users/{alice.id}", json=body)
    assert error_of(answer)[:2] == (400, "invalid_body")
