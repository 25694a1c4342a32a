"""The playground on a whole stack: a browser's cookie, a stream, and what it leaves behind on the key's bill."""

import json

import httpx

from kit.money import parse_usd
from tests.support.customers import PASSWORD, Customer
from tests.support.stack import until

CHAT = {"model": "privaterouter/fast", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8}


def test_a_stream_for_a_browser_is_billed_to_the_key_that_it_names(bob: Customer) -> None:
    key_id = bob.all_of("/api/keys")[0]["id"]
    with httpx.Client(base_url=bob.stack.places.dashboard_url, timeout=30) as browser:
        assert browser.post("/api/auth/login", json={"email": bob.email, "password": PASSWORD}).status_code == 200
        path = f"/api/playground/chat/completions?key_id={key_id}"
        asked = {**CHAT, "stream": True}
        with browser.stream("POST", path, json=asked, headers={"sec-fetch-site": "same-origin"}) as answer:
            events = answer.read().decode().split("\n\n")
        refused = browser.post(path, json=asked, headers={"sec-fetch-site": "cross-site"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert events[-2:] == ["data: [DONE]", ""]
    deltas = [json.loads(event.removeprefix("data: "))["choices"][0]["delta"] for event in events[:-2]]
    assert sum("content" in delta for delta in deltas) == 8
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "cross_site_request")

    request_id = answer.headers["x-request-id"]
    until(lambda: bob.usage(request_id) is not None, within_s=5)
    found = bob.usage(request_id)
    assert found
    event = found["event"]
    assert (event["api_key_id"], event["status"], event["streamed"]) == (key_id, "success", True)
    cost = parse_usd(event["cost_usd"])
    assert cost > 0
    until(lambda: bob.balance_nanos() == 10**9 - cost, within_s=5)
    assert [row["id"] for row in bob.all_of("/api/usage")] == [request_id]
