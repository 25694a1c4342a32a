"""A repeated request on real services: it runs once and is paid once."""

from typing import Any

import httpx

from tests.edge.test_matrix import Stage, stage  # noqa: F401 (a fixture)
from tests.support.waiting import eventually

PATH = "/v1/chat/completions"
BODY = {"model": "privaterouter/fast", "messages": [{"role": "user", "content": "Hi."}], "max_tokens": 5}


async def post(client: httpx.AsyncClient, key: str, **fields: Any) -> httpx.Response:
    return await client.post(PATH, json=BODY | fields, headers={"idempotency-key": key})


async def replayed(client: httpx.AsyncClient, key: str) -> httpx.Response:
    """The answer to a repeated request, once usage knows that the first one has ended."""
    answers: list[httpx.Response] = []

    async def ended() -> bool:
        answers.append(await post(client, key))
        return answers[-1].status_code == 200

    await eventually(ended)
    in_use = {(409, "idempotency_key_in_use")}
    assert {(answer.status_code, answer.json()["error"]["code"]) for answer in answers[:-1]} <= in_use
    return answers[-1]


async def test_a_repeated_request_gets_the_receipt_of_the_first(stage: Stage) -> None:  # noqa: F811
    client = stage.clients["key"]
    first = await post(client, "a")
    assert first.status_code == 200
    assert "x-privaterouter-replayed" not in first.headers
    again = await replayed(client, "a")
    assert again.headers["x-privaterouter-replayed"] == "true"
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    receipt = again.json()
    assert (receipt["object"], receipt["request_id"]) == ("receipt", first.headers["x-request-id"])
    assert (receipt["status"], receipt["cost_usd"]) == ("success", first.headers["x-privaterouter-cost-usd"])
    assert receipt["usage"]["total_tokens"] == first.json()["usage"]["total_tokens"]
    charged = await stage.clients["owner"].get("/api/usage", params={"model": "privaterouter/fast"})
    assert [item["id"] for item in charged.json()["items"]] == [receipt["request_id"], stage.names["request_id"]]


async def test_another_request_with_the_same_key_is_refused(stage: Stage) -> None:  # noqa: F811
    client = stage.clients["key"]
    assert (await post(client, "a", stream=True)).status_code == 200
    other = await post(client, "a")
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_key_reused")


async def test_a_request_that_was_refused_may_be_repeated(stage: Stage) -> None:  # noqa: F811
    client = stage.clients["key"]
    cheap = {"idempotency-key": "a", "x-privaterouter-max-cost-usd": "0.000000001"}
    answer = await client.post(PATH, json=BODY, headers=cheap)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "max_cost_too_low")
    assert (await post(client, "a")).status_code == 200
