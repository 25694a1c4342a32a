"""Requests that are sent twice, on a whole stack: with the opt-in the answer comes back, without it a receipt."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from kit.money import parse_usd
from tests.support.customers import Customer
from tests.support.stack import until

MESSAGES = [{"role": "user", "content": "Say hello to the lighthouse keeper."}]
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": "privaterouter/fast", "messages": MESSAGES, "max_tokens": 8},
    "/v1/responses": {"model": "privaterouter/fast", "input": "Say hello.", "max_output_tokens": 8},
    "/v1/messages": {"model": "privaterouter/fast", "messages": MESSAGES, "max_tokens": 8},
}


@pytest.fixture
def client(bob: Customer) -> Iterator[httpx.Client]:
    """Bob's key at work."""
    headers = {"authorization": f"Bearer {bob.key}"}
    with httpx.Client(base_url=bob.stack.places.api_url, headers=headers, timeout=30) as made:
        yield made


def keep_answers(bob: Customer, keeps: bool) -> None:
    """What the owner of a key does to have its answers kept, or not any more."""
    (key,) = bob.all_of("/api/keys")
    changed = bob.http.patch(f"/api/keys/{key['id']}", json={"keeps_answers": keeps})
    assert (changed.status_code, changed.json()) == (200, key | {"keeps_answers": keeps})


def send(client: httpx.Client, path: str, key: str, **fields: Any) -> httpx.Response:
    return client.post(path, json=BODIES[path] | fields, headers={"idempotency-key": key})


def send_twice(bob: Customer, client: httpx.Client, path: str, key: str) -> tuple[httpx.Response, httpx.Response]:
    """The first answer, and the one to the same request after usage has noted the end of the first."""
    first = send(client, path, key)
    assert first.status_code == 200, first.text
    assert "x-privaterouter-replayed" not in first.headers
    until(lambda: (bob.usage(first.headers["x-request-id"]) or {}).get("event", {}).get("status") == "success")
    again = send(client, path, key)
    assert (again.status_code, again.headers["x-privaterouter-replayed"]) == (200, "true")
    return first, again


@pytest.mark.parametrize("path", BODIES)
def test_a_repeated_request_gets_the_very_answer_and_is_paid_once(
    bob: Customer, client: httpx.Client, path: str
) -> None:
    # Before the key's first use, so that no edge knows it otherwise.
    keep_answers(bob, True)
    first, again = send_twice(bob, client, path, "a")
    assert again.content == first.content
    assert again.headers["content-type"] == first.headers["content-type"]
    other = send(client, path, "a", temperature=0.5)
    assert other.status_code == 422
    if path != "/v1/messages":
        assert other.json()["error"]["code"] == "idempotency_key_reused"

    cost = parse_usd(first.headers["x-privaterouter-cost-usd"])
    assert [(row["id"], parse_usd(row["cost_usd"])) for row in bob.all_of("/api/usage")] == [
        (first.headers["x-request-id"], cost)
    ]
    until(lambda: bob.balance_nanos() == 10**9 - cost > 0)


@pytest.mark.parametrize("path", BODIES)
def test_without_the_opt_in_a_repeated_request_gets_the_receipt(bob: Customer, client: httpx.Client, path: str) -> None:
    first, again = send_twice(bob, client, path, "a")
    receipt = again.json()
    assert (receipt["object"], receipt["request_id"]) == ("receipt", first.headers["x-request-id"])
    cost = parse_usd(receipt["cost_usd"])
    assert [parse_usd(row["cost_usd"]) for row in bob.all_of("/api/usage")] == [cost]
    until(lambda: bob.balance_nanos() == 10**9 - cost)


def test_an_opt_in_that_was_taken_back_keeps_nothing_from_then_on(bob: Customer, client: httpx.Client) -> None:
    path = "/v1/chat/completions"
    keep_answers(bob, True)
    first, _ = send_twice(bob, client, path, "a")
    keep_answers(bob, False)

    def receipt_comes() -> bool:
        _, again = send_twice(bob, client, path, uuid4().hex)
        return bool(again.json()["object"] == "receipt")

    until(receipt_comes)
    assert send(client, path, "a").content == first.content
