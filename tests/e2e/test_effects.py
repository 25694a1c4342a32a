"""What a request leaves behind: a row and a debit, and on no other stack."""

import httpx

from kit.money import parse_usd
from tests.support.customers import Customer
from tests.support.stack import until


def test_row_and_debit_appear_soon_after_the_answer(bob: Customer) -> None:
    request_id, cost = bob.ask()
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
