"""Commands about models, prices and plans: the edge follows within two seconds."""

from typing import Any

import httpx

from tests.support.stack import RunningStack, until


def items(http: httpx.Client, path: str, **wanted: str) -> list[Any]:
    """What the edge lists, of it what has these values."""
    answer = http.get(path)
    assert answer.status_code == 200
    listed: list[Any] = answer.json()["items"]
    return [item for item in listed if all(item.get(name) == value for name, value in wanted.items())]


def test_a_plans_limit_reaches_the_edge(stack: RunningStack, http: httpx.Client) -> None:
    done = stack.command("admin", "set-plan-limits", "--plan", "pro", "--rpm", "77")
    assert (done.returncode, done.stdout) == (0, "The plan pro allows 77 calls a minute.\n")
    until(lambda: [plan["rpm"] for plan in items(http, "/api/plans", id="pro")] == [77], within_s=2)


def test_a_plan_can_limit_tokens_and_calls_at_the_same_time_and_be_freed_of_that(
    stack: RunningStack, http: httpx.Client
) -> None:
    def limits() -> list[Any]:
        return [(plan["rpm"], plan["tpm"], plan["max_in_flight"]) for plan in items(http, "/api/plans", id="team")]

    done = stack.command("admin", "set-plan-limits", "--plan", "team", "--tpm", "90000000000", "--max-in-flight", "8")
    assert (done.returncode, done.stdout) == (
        0,
        "The plan team allows 1000 calls a minute, 90000000000 tokens a minute, 8 calls at the same time.\n",
    )
    until(lambda: limits() == [(1_000, 90_000_000_000, 8)], within_s=2)
    done = stack.command("admin", "set-plan-limits", "--plan", "team", "--tpm", "0", "--max-in-flight", "0")
    assert (done.returncode, done.stdout) == (0, "The plan team allows 1000 calls a minute.\n")
    until(lambda: limits() == [(1_000, None, None)], within_s=2)


def test_a_plan_is_not_changed_in_nothing(stack: RunningStack) -> None:
    refused = stack.command("admin", "set-plan-limits", "--plan", "free")
    assert (refused.returncode, "at least one limit" in refused.stderr) == (2, True)


def test_an_unknown_plan_is_one_line(stack: RunningStack) -> None:
    refused = stack.command("admin", "set-plan-limits", "--plan", "golden", "--rpm", "5")
    assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1)


def test_a_number_that_no_plan_can_have_is_a_usage_error(stack: RunningStack) -> None:
    refused = stack.command("admin", "set-plan-limits", "--plan", "free", "--rpm", "99999999999")
    assert (refused.returncode, "Traceback" in refused.stderr) == (2, False)


def test_a_new_model_and_its_new_price_reach_the_edge(stack: RunningStack, http: httpx.Client) -> None:
    added = stack.command(
        *("admin", "add-model", "--name", "privaterouter/tiny", "--upstream-model", "qwen3:0.6b"),
        *("--input-usd", "0.02", "--output-usd", "0.05", "--context", "4096"),
    )
    assert (added.returncode, added.stderr) == (0, "")
    assert added.stdout == (
        "Added, served by default. privaterouter/tiny costs $0.020000 for a million prompt tokens, "
        "$0.050000 for a million output tokens.\n"
    )
    until(lambda: bool(items(http, "/api/models", public_name="privaterouter/tiny")), within_s=2)
    set_price = ("admin", "set-price", "--model", "privaterouter/tiny", "--input-usd", "0.03", "--output-usd", "0.06")
    assert stack.command(*set_price).returncode == 0
    until(
        lambda: bool(items(http, "/api/models", public_name="privaterouter/tiny", input_usd_per_mtok="0.030000")),
        within_s=2,
    )


def test_tokens_of_the_cache_have_prices_of_their_own(stack: RunningStack, http: httpx.Client) -> None:
    done = stack.command(
        *("admin", "set-price", "--model", "privaterouter/qwen-pro", "--input-usd", "0.5", "--output-usd", "1.5"),
        *("--cached-input-usd", "0.05", "--cache-write-usd", "0.625"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "privaterouter/qwen-pro costs $0.500000 for a million prompt tokens, $0.050000 for cached ones, "
        "$0.625000 for those written into a cache, $1.500000 for a million output tokens.\n"
    )
    prices = {"cached_input_usd_per_mtok": "0.050000", "cache_write_input_usd_per_mtok": "0.625000"}
    until(lambda: bool(items(http, "/api/models", public_name="privaterouter/qwen-pro", **prices)), within_s=2)


def test_a_model_that_exists_is_not_added_again(stack: RunningStack) -> None:
    again = stack.command(
        *("admin", "add-model", "--name", "privaterouter/fast", "--upstream-model", "x"),
        *("--input-usd", "1", "--output-usd", "1"),
    )
    assert (again.returncode, len(again.stderr.splitlines())) == (1, 1)


def test_a_chat_model_whose_output_has_no_price_is_not_given_away(stack: RunningStack) -> None:
    refused = stack.command(
        *("admin", "add-model", "--name", "privaterouter/gift", "--upstream-model", "x", "--input-usd", "1")
    )
    assert (refused.returncode, "--output-usd" in refused.stderr) == (2, True)


def test_a_float_is_no_price(stack: RunningStack) -> None:
    refused = stack.command(
        "admin", "set-price", "--model", "privaterouter/fast", "--input-usd", "1e-1", "--output-usd", "0.3"
    )
    assert refused.returncode == 2
