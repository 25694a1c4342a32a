"""Commands about money and plans, against the real services."""

import json

import httpx
import pytest

from tests.cli.test_users import sign_up
from tests.support.stack import RunningStack


def balance(stack: RunningStack, email: str) -> tuple[str, str]:
    """Plan and balance."""
    user = json.loads(stack.command("admin", "list-users", "--json", "--search", email).stdout)["items"][0]
    return user["plan"], user["balance_usd"]


def test_a_plan_change_grants_its_credits_once(stack: RunningStack, http: httpx.Client) -> None:
    sign_up(http, "plan@example.com")
    command = ("admin", "set-plan", "--email", "plan@example.com", "--plan", "starter")
    first, second = stack.command(*command), stack.command(*command)
    assert first.stdout == "plan@example.com is on starter, $12.00 of credit added; balance $13.00.\n"
    assert second.stdout == "plan@example.com is on starter; balance $13.00.\n"
    assert balance(stack, "plan@example.com") == ("starter", "13.00")


def test_an_unknown_plan_changes_nothing(stack: RunningStack, http: httpx.Client) -> None:
    sign_up(http, "noplan@example.com")
    refused = stack.command("admin", "set-plan", "--email", "noplan@example.com", "--plan", "golden")
    assert refused.returncode == 1
    assert len(refused.stderr.splitlines()) == 1
    assert balance(stack, "noplan@example.com") == ("free", "1.00")


def test_credit_is_added_to_the_nano_and_taken(stack: RunningStack, http: httpx.Client) -> None:
    sign_up(http, "credit@example.com")
    command = ("admin", "add-credit", "--email", "credit@example.com", "--reason", "a test")
    added = stack.command(*command, "--amount-usd", "5.000000001")
    assert (added.returncode, added.stdout) == (0, "credit@example.com: +$5.000000001; balance $6.000000001.\n")
    taken = stack.command(*command, "--amount-usd", "-0.5")
    assert taken.stdout == "credit@example.com: -$0.50; balance $5.500000001.\n"
    too_much = stack.command(*command, "--amount-usd", "-6")
    assert too_much.returncode == 1
    assert balance(stack, "credit@example.com") == ("free", "5.500000001")


def test_the_same_key_books_credit_once(stack: RunningStack, http: httpx.Client) -> None:
    sign_up(http, "once@example.com")
    command = ("admin", "add-credit", "--email", "once@example.com", "--amount-usd", "2", "--reason", "a test")
    for _ in range(2):
        assert stack.command(*command, "--idempotency-key", "may-1").returncode == 0
    assert balance(stack, "once@example.com") == ("free", "3.00")
    assert stack.command(*command).returncode == 0
    assert balance(stack, "once@example.com") == ("free", "5.00")


@pytest.mark.parametrize("amount", ["0", "abc", "1.0000000001", "1e3", "99999999999"])
def test_what_is_no_amount_is_wrong_usage(stack: RunningStack, amount: str) -> None:
    refused = stack.command("admin", "add-credit", "--email", "x@example.com", "--amount-usd", amount, "--reason", "r")
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
