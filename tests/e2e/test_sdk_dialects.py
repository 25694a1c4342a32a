"""The SDKs tell failures in the other dialects as they do those of OpenAI and Anthropic, with our codes on them."""

import json
from collections.abc import Iterator

import anthropic
import openai
import pytest

from kit.money import parse_usd
from tests.support.customers import Customer
from tests.support.fake_dialects import TOKEN
from tests.support.stack import until

FAST = "privaterouter/fast"
# A few deltas fit into so many bytes, and then the upstream breaks the connection.
BREAKS = json.dumps({"tokens": 50, "cut_after_bytes": 600})


@pytest.fixture
def responses(bob: Customer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=bob.v1, api_key=bob.key, max_retries=0) as made:
        yield made


@pytest.fixture
def messages(bob: Customer) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=bob.stack.places.api_url, api_key=bob.key, max_retries=0) as made:
        yield made


def say(client: anthropic.Anthropic, *, model: str = FAST) -> anthropic.types.Message:
    return client.messages.create(model=model, messages=[{"role": "user", "content": "Hello"}], max_tokens=5)


def test_responses_are_refused_by_the_same_exceptions_as_chat(responses: openai.OpenAI) -> None:
    with pytest.raises(openai.AuthenticationError) as unknown:
        responses.with_options(api_key="sk-pr-live-nonsense").responses.create(model=FAST, input="Hello")
    assert unknown.value.code == "invalid_api_key"
    with pytest.raises(openai.NotFoundError) as missing:
        responses.responses.create(model="gpt-4o", input="Hello")
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as stored:
        responses.responses.create(model=FAST, input="Hello", store=True)
    assert stored.value.param == "store"


def test_messages_are_refused_by_the_exceptions_of_their_sdk(messages: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.AuthenticationError, match="invalid_api_key"):
        say(messages.with_options(api_key="sk-pr-live-nonsense"))
    with pytest.raises(anthropic.PermissionDeniedError, match="model_not_allowed"):
        say(messages, model="privaterouter/qwen-pro")
    with pytest.raises(anthropic.NotFoundError, match="model_not_found"):
        say(messages, model="claude-nonsense")


def test_too_many_messages_are_a_rate_limit_error_with_the_time_to_wait(bob: Customer) -> None:
    key = bob.new_key(rpm_limit=1)
    with anthropic.Anthropic(base_url=bob.stack.places.api_url, api_key=key, max_retries=0) as client:
        assert say(client).usage.output_tokens == 5
        with pytest.raises(anthropic.RateLimitError, match="rate_limit_exceeded") as caught:
            say(client)
    assert 1 <= int(caught.value.response.headers["retry-after"]) <= 60


def test_counting_the_tokens_of_messages_costs_nothing(bob: Customer, messages: anthropic.Anthropic) -> None:
    counted = messages.messages.count_tokens(model=FAST, messages=[{"role": "user", "content": "Hello"}])
    assert counted.input_tokens > 0
    assert say(messages).content[0].type == "text"
    until(lambda: len(bob.all_of("/api/usage")) == 1)
    (event,) = bob.all_of("/api/usage")
    until(lambda: bob.balance_nanos() == 10**9 - parse_usd(event["cost_usd"]))


def test_a_failure_in_the_middle_of_a_response_is_told_by_its_events(bob: Customer, responses: openai.OpenAI) -> None:
    """As with OpenAI's own API: this SDK raises nothing from a stream of Responses."""
    *begun, error, failed = responses.responses.create(model=FAST, input="Hello", stream=True, user=BREAKS)
    assert {event.delta for event in begun if event.type == "response.output_text.delta"} == {TOKEN}
    assert error.type == "error"
    assert error.code == "upstream_failed"
    assert failed.type == "response.failed"
    assert failed.response.error
    assert failed.response.error.message == error.message
    cost_nothing(bob)


def test_a_failure_in_the_middle_of_a_message_is_raised_from_its_stream(
    bob: Customer, messages: anthropic.Anthropic
) -> None:
    pieces: list[str] = []
    with (
        messages.messages.stream(
            model=FAST,
            messages=[{"role": "user", "content": "Hello"}],
            max_tokens=100,
            metadata={"user_id": BREAKS},
        ) as stream,
        pytest.raises(anthropic.APIStatusError, match="upstream_failed"),
    ):
        pieces.extend(stream.text_stream)
    assert set(pieces) == {TOKEN}
    cost_nothing(bob)


def cost_nothing(bob: Customer) -> None:
    """The call is on the list as one that failed, and free."""
    until(lambda: bool(bob.all_of("/api/usage", status="error")))
    (event,) = bob.all_of("/api/usage")
    assert (event["error_code"], event["cost_usd"]) == ("upstream_failed", "0.00")
    assert bob.balance_nanos() == 10**9
