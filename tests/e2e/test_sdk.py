"""The OpenAI SDK raises the exceptions that its users know, with our codes on them."""

import json
from collections.abc import Iterator

import openai
import pytest

from tests.support.customers import Customer
from tests.support.fake_dialects import TOKEN
from tests.support.stack import until

HELLO: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": "Hello"}]
FIVE_TOKENS = TOKEN * 5
"""What the upstream makes of a `max_tokens` of 5."""


@pytest.fixture
def client(bob: Customer) -> Iterator[openai.OpenAI]:
    """The SDK as it is set up by the quickstart, but impatient."""
    with openai.OpenAI(base_url=bob.v1, api_key=bob.key, max_retries=0) as made:
        yield made


def refused(client: openai.OpenAI, *, model: str = "privaterouter/fast", user: str = "") -> openai.APIStatusError:
    """What the SDK raises."""
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model=model, messages=HELLO, max_tokens=5, user=user)
    return caught.value


def facts(error: openai.APIStatusError) -> tuple[type[openai.APIStatusError], int, str | None, str | None]:
    """Class, status, type and code."""
    return type(error), error.status_code, error.type, error.code


def test_an_unknown_key_is_an_authentication_error(client: openai.OpenAI) -> None:
    error = refused(client.with_options(api_key="sk-pr-live-nonsense"))
    assert facts(error) == (openai.AuthenticationError, 401, "invalid_request_error", "invalid_api_key")


def test_a_model_of_another_plan_is_a_permission_denied_error(client: openai.OpenAI) -> None:
    error = refused(client, model="privaterouter/qwen-pro")
    assert facts(error) == (openai.PermissionDeniedError, 403, "invalid_request_error", "model_not_allowed")
    assert error.param == "model"


def test_an_unknown_model_is_a_not_found_error(client: openai.OpenAI) -> None:
    error = refused(client, model="gpt-4o")
    assert facts(error) == (openai.NotFoundError, 404, "invalid_request_error", "model_not_found")


def test_a_route_that_is_not_offered_is_a_not_found_error(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.moderations.create(input="Hello")
    assert caught.value.code == "endpoint_not_supported"


def test_a_wrong_body_is_a_bad_request_error(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="privaterouter/fast", messages=HELLO, n=0)
    assert (caught.value.code, caught.value.param) == ("invalid_body", "n")


def test_an_empty_balance_is_a_402_and_the_key_works_again_after_a_top_up(bob: Customer, client: openai.OpenAI) -> None:
    bob.set_balance(0)
    error = refused(client)
    assert facts(error) == (openai.APIStatusError, 402, "insufficient_quota", "insufficient_credits")
    assert bob.http.post("/api/billing/topup", json={"amount_usd": 10}).status_code == 200
    # The refusal is remembered for a second at most.
    until(lambda: try_hello(client) == FIVE_TOKENS, within_s=2)


def try_hello(client: openai.OpenAI) -> str:
    """The answer; nothing while the balance is still thought empty."""
    try:
        answer = client.chat.completions.create(model="privaterouter/fast", messages=HELLO, max_tokens=5)
    except openai.APIStatusError as error:
        return "" if error.code == "insufficient_credits" else error.message
    return answer.choices[0].message.content or ""


def test_too_many_requests_are_a_rate_limit_error_with_the_time_to_wait(bob: Customer) -> None:
    key = bob.new_key(rpm_limit=2)
    with openai.OpenAI(base_url=bob.v1, api_key=key, max_retries=0) as client:
        assert [try_hello(client), try_hello(client)] == [FIVE_TOKENS, FIVE_TOKENS]
        error = refused(client)
    assert facts(error) == (openai.RateLimitError, 429, "rate_limit_error", "rate_limit_exceeded")
    assert 1 <= int(error.response.headers["retry-after"]) <= 30


@pytest.mark.parametrize(
    "script, status, code", [({"status": 500}, 502, "upstream_failed"), ({"body": "<html>"}, 502, "upstream_failed")]
)
def test_a_failing_upstream_is_a_server_error_that_costs_nothing(
    bob: Customer, client: openai.OpenAI, script: dict[str, object], status: int, code: str
) -> None:
    error = refused(client, user=json.dumps(script))
    assert facts(error) == (openai.InternalServerError, status, "upstream_error", code)
    request_id = error.response.headers["x-request-id"]
    until(lambda: bob.usage(request_id) is not None)
    event = (bob.usage(request_id) or {})["event"]
    assert (event["status"], event["error_code"], event["cost_usd"]) == ("error", code, "0.00")
    assert bob.balance_nanos() == 10**9


def test_a_failure_in_the_middle_of_a_stream_is_raised_from_it(bob: Customer, client: openai.OpenAI) -> None:
    # Three chunks fit into so many bytes, and then the upstream breaks the connection.
    script = json.dumps({"tokens": 50, "cut_after_bytes": 600})
    stream = client.chat.completions.create(model="privaterouter/fast", messages=HELLO, stream=True, user=script)
    chunks: list[openai.types.chat.ChatCompletionChunk] = []
    with pytest.raises(openai.APIError) as caught:
        chunks.extend(stream)
    assert {chunk.choices[0].delta.content for chunk in chunks} == {TOKEN}
    assert caught.value.code == "upstream_failed"
    until(lambda: bool(bob.all_of("/api/usage", status="error")))
    assert bob.balance_nanos() == 10**9
