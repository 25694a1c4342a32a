"""What a request leaves behind: a row and a debit, still there after a restart, and on no other stack."""

from contextlib import ExitStack
from pathlib import Path

import httpx
import openai
import pytest

from kit.money import parse_usd
from tests.support.customers import Customer, customer
from tests.support.stack import running_stack, until

HELLO: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": "Hello"}]


def ask(someone: Customer) -> tuple[str, int]:
    """One answer that is not streamed: its id, and what the header says that it cost."""
    with openai.OpenAI(base_url=someone.v1, api_key=someone.key, max_retries=0) as client:
        answer = client.chat.completions.with_raw_response.create(
            model="privaterouter/fast", messages=HELLO, max_tokens=8
        )
    return answer.headers["x-request-id"], parse_usd(answer.headers["x-privaterouter-cost-usd"])


def test_row_and_debit_appear_soon_after_the_answer(bob: Customer) -> None:
    request_id, cost = ask(bob)
    assert cost > 0
    until(lambda: bob.usage(request_id) is not None, within_s=5)
    until(lambda: bob.balance_nanos() == 10**9 - cost, within_s=5)
    found = bob.usage(request_id)
    assert found
    lines = found["price_lines"]
    assert sum(parse_usd(line["amount_usd"]) for line in lines) == parse_usd(found["event"]["cost_usd"]) == cost
    assert {line["item"]: line["tokens"] for line in lines} == {"input": 7, "output": 8}
    assert found["rounding"]["rounded_usd"] == found["event"]["cost_usd"]
    assert parse_usd(found["held_usd"]) >= cost
    assert (found["ledger"]["state"], found["ledger"]["paid_usd"]) == ("booked", found["event"]["cost_usd"])
    assert [row["lease_id"] for row in found["ledger"]["transactions"]] == [found["lease_id"]] != [None]


def test_a_key_of_one_stack_is_unknown_to_the_other_beside_it(alice: Customer, bob: Customer) -> None:
    assert alice.stack.places.api_url != bob.stack.places.api_url
    for own, foreign in ((alice, bob), (bob, alice)):
        for key, status in ((own.key, 200), (foreign.key, 401)):
            answer = httpx.get(f"{own.v1}/models", headers={"authorization": f"Bearer {key}"})
            assert answer.status_code == status


@pytest.mark.timeout(180)
def test_a_restart_keeps_accounts_keys_balances_and_usage(tmp_path: Path, upstream: str) -> None:
    settings = {"UPSTREAM_KIND": "openai", "UPSTREAM_BASE_URL": upstream}
    with ExitStack() as stays:
        with running_stack(tmp_path / "home", **settings) as first:
            someone = stays.enter_context(customer(first))
            request_id, cost = ask(someone)
            # Stopped at once: what is under way is brought home first.
            assert first.stop() == 0
        someone.follow(stays.enter_context(running_stack(tmp_path / "home", **settings)))
        until(lambda: someone.balance_nanos() == 10**9 - cost)
        found = someone.usage(request_id)
        assert found
        assert parse_usd(found["event"]["cost_usd"]) == cost
        assert ask(someone)[1] > 0
