"""Commands about users, against the real services."""

import json

import httpx
import pytest

from tests.support.stack import RunningStack

PASSWORD = "a long enough passphrase"


def sign_up(http: httpx.Client, email: str) -> None:
    answer = http.post("/api/auth/signup", json={"email": email, "password": PASSWORD, "name": "Some One"})
    assert answer.status_code == 201, answer.text
    http.cookies.clear()


def log_in(http: httpx.Client, email: str) -> httpx.Response:
    answer = http.post("/api/auth/login", json={"email": email, "password": PASSWORD})
    http.cookies.clear()
    return answer


def listed(stack: RunningStack, search: str) -> list[dict[str, str]]:
    answer = stack.command("admin", "list-users", "--json", "--search", search)
    assert (answer.returncode, answer.stderr) == (0, "")
    items: list[dict[str, str]] = json.loads(answer.stdout)["items"]
    return items


def test_an_admin_is_made_with_a_password_from_a_pipe_and_may_log_in(stack: RunningStack, http: httpx.Client) -> None:
    made = stack.command("admin", "create-admin", "--email", "root@example.com", "--password-stdin", stdin=PASSWORD)
    assert (made.returncode, made.stdout, made.stderr) == (0, "root@example.com is an admin.\n", "")
    assert log_in(http, "root@example.com").json()["user"]["role"] == "admin"


def test_the_password_may_come_from_the_environment_and_is_required(stack: RunningStack) -> None:
    command = ("admin", "create-admin", "--email", "env@example.com")
    without = stack.command(*command)
    assert (without.returncode, without.stderr) == (
        1,
        "No password: set PRIVATEROUTER_ADMIN_PASSWORD or use --password-stdin.\n",
    )
    assert stack.command(*command, PRIVATEROUTER_ADMIN_PASSWORD=PASSWORD).returncode == 0
    assert [user["role"] for user in listed(stack, "env@example.com")] == ["admin"]


@pytest.mark.parametrize("email, password", [("not an address", PASSWORD), ("fine@example.com", "short")])
def test_what_auth_refuses_is_one_line_and_status_1(stack: RunningStack, email: str, password: str) -> None:
    refused = stack.command("admin", "create-admin", "--email", email, "--password-stdin", stdin=password)
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert len(refused.stderr.splitlines()) == 1
    assert "Traceback" not in refused.stderr


def test_a_user_who_exists_becomes_an_admin_only_when_asked_for(stack: RunningStack, http: httpx.Client) -> None:
    sign_up(http, "ann@example.com")
    taken = stack.command("admin", "create-admin", "--email", "ann@example.com", "--password-stdin", stdin=PASSWORD)
    assert taken.returncode == 1
    assert listed(stack, "ann@example.com")[0]["role"] == "user"
    assert stack.command("admin", "create-admin", "--email", "ANN@example.com", "--existing").returncode == 0
    assert listed(stack, "ann@example.com")[0]["role"] == "admin"


def test_users_are_listed_with_plan_and_balance(stack: RunningStack, http: httpx.Client) -> None:
    sign_up(http, "list1@example.com")
    sign_up(http, "list2@example.com")
    newest, older = listed(stack, "list")
    assert (newest["email"], older["email"]) == ("list2@example.com", "list1@example.com")
    assert (newest["role"], newest["status"], newest["plan"], newest["balance_usd"]) == (
        "user",
        "active",
        "free",
        "1.00",
    )
    assert newest["created_at"].endswith("Z")
    table = stack.command("admin", "list-users", "--search", "list", "--limit", "1")
    assert table.stdout.splitlines()[0].split() == [
        *("EMAIL", "NAME", "ROLE", "STATUS", "PLAN", "BALANCE_USD", "CREATED_AT")
    ]
    assert "list2@example.com" in table.stdout
    assert table.stderr == "1 to 1 of 2: --offset 1 for more\n"


def test_a_disabled_user_may_no_longer_log_in(stack: RunningStack, http: httpx.Client) -> None:
    sign_up(http, "mallory@example.com")
    done = stack.command("admin", "disable-user", "--email", "mallory@example.com")
    assert (done.returncode, done.stdout) == (0, "mallory@example.com is disabled.\n")
    assert log_in(http, "mallory@example.com").status_code == 401
    assert listed(stack, "mallory@example.com")[0]["status"] == "disabled"


def test_an_unknown_user_is_said_so(stack: RunningStack) -> None:
    unknown = stack.command("admin", "disable-user", "--email", "nobody@example.com")
    assert (unknown.returncode, unknown.stderr) == (1, "There is no user with the e-mail nobody@example.com.\n")
