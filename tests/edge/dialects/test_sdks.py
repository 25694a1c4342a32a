"""The official SDKs, unchanged, against a server that is nothing but the translation."""

from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import httpx2
import msgspec
import openai
import pytest
from pydantic import BaseModel

from edge.dialects.errors import anthropic_error_body
from edge.dialects.messages_request import messages_to_chat
from edge.dialects.responses_request import responses_to_chat
from edge.dialects.translator import Translator
from edge.dialects.translators import make_translator
from edge.errors import EdgeError
from edge.v1.sse import DONE
from tests.edge.dialects.saying import ABOUT, USAGE, call, chunk, dump, stream_of, tell

TEXT = [chunk({"role": "assistant", "content": ""}), chunk({"content": "Hel"}), chunk({"content": "lo"})]
TEXT_ENDED = [*TEXT, chunk(finish="stop")]
CALLS = [
    chunk({"reasoning_content": "hm"}),
    chunk(call(0, "weather", '{"city":', "c1")),
    chunk(call(0, arguments='"Ulm"}')),
    chunk(call(1, "weather", '{"city":"Bonn"}', "c2")),
    chunk(finish="tool_calls"),
]
MODEL = "privaterouter/fast"
FUNCTION: Any = {
    "type": "function",
    "name": "weather",
    "description": "d",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": False,
}
TOOL: Any = {"name": "weather", "description": "d", "input_schema": {"type": "object"}}


class Server:
    """Answers with what a test gives it, and keeps what an upstream would have been asked."""

    def __init__(self) -> None:
        self.chunks: list[dict[str, Any]] = TEXT_ENDED
        self.message: dict[str, Any] = {"role": "assistant", "content": "Hello"}
        self.failure: EdgeError | None = None
        self.asked: list[Any] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        dialect = request.url.path.rpartition("/")[2]
        body = request.read()
        translate: Callable[[bytes], bytes] = responses_to_chat if dialect == "responses" else messages_to_chat
        try:
            chat = msgspec.json.decode(translate(body))
        except EdgeError as error:
            said = error.body() if dialect == "responses" else anthropic_error_body(error)
            return httpx2.Response(error.status, content=said, headers={"content-type": "application/json"})
        self.asked.append(chat)
        saying = make_translator(ABOUT, dialect=dialect, is_native=False, body=body)
        if chat.get("stream"):
            return httpx2.Response(200, content=self._stream(saying), headers={"content-type": "text/event-stream"})
        return httpx2.Response(200, content=self._whole(saying), headers={"content-type": "application/json"})

    def _stream(self, saying: Translator) -> bytes:
        told = tell(saying, [b": keep-alive\n\n", stream_of(self.chunks), DONE])
        return told + (saying.failure(self.failure) if self.failure else saying.end(USAGE))

    def _whole(self, saying: Translator) -> bytes:
        choice = {"index": 0, "message": self.message, "finish_reason": "stop"}
        data = dump({"model": "hidden", "choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 2}})
        return saying.whole(data, saying.read(data))


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def responses(server: Server) -> Iterator[openai.OpenAI]:
    http = openai.DefaultHttpxClient(transport=httpx2.MockTransport(server))
    with openai.OpenAI(api_key="k", base_url="http://edge/v1", http_client=http, max_retries=0) as client:
        yield client


@pytest.fixture
def messages(server: Server) -> Iterator[anthropic.Anthropic]:
    http = anthropic.DefaultHttpxClient(transport=httpx2.MockTransport(server))
    with anthropic.Anthropic(api_key="k", base_url="http://edge", http_client=http, max_retries=0) as client:
        yield client


def test_openai_reads_a_whole_answer(responses: openai.OpenAI, server: Server) -> None:
    got = responses.responses.create(model=MODEL, input="Hi", instructions="Be brief.", store=False)
    assert (got.output_text, got.status, got.model, got.store) == ("Hello", "completed", MODEL, False)  # type: ignore[attr-defined]
    assert got.usage is not None
    assert (got.usage.input_tokens, got.usage.output_tokens, got.usage.total_tokens) == (3, 2, 5)
    assert server.asked[0]["messages"][0] == {"role": "system", "content": "Be brief."}


def test_openai_follows_a_stream(responses: openai.OpenAI) -> None:
    with responses.responses.stream(model=MODEL, input="Hi") as stream:
        deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert deltas == ["Hel", "lo"]
    assert final.output_text == "Hello"


def test_openai_gets_calls_and_sends_them_back(responses: openai.OpenAI, server: Server) -> None:
    server.chunks = CALLS
    with responses.responses.stream(model=MODEL, input="Weather?", tools=[FUNCTION]) as stream:
        final = stream.get_final_response()
    calls = [item for item in final.output if item.type == "function_call"]
    assert [(one.call_id, one.arguments) for one in calls] == [("c1", '{"city":"Ulm"}'), ("c2", '{"city":"Bonn"}')]
    results = [{"type": "function_call_output", "call_id": one.call_id, "output": "sun"} for one in calls]
    history: Any = [{"role": "user", "content": "Weather?"}, *final.output, *results]
    responses.responses.create(model=MODEL, input=history, tools=[FUNCTION])
    assert [message["role"] for message in server.asked[1]["messages"]] == ["user", "assistant", "tool", "tool"]
    assert [one["id"] for one in server.asked[1]["messages"][1]["tool_calls"]] == ["c1", "c2"]


class City(BaseModel):
    name: str


def test_openai_parses_structured_output(responses: openai.OpenAI, server: Server) -> None:
    server.message = {"role": "assistant", "content": '{"name":"Ulm"}'}
    got = responses.responses.parse(model=MODEL, input="A city?", text_format=City)
    assert got.output_parsed == City(name="Ulm")
    assert server.asked[0]["response_format"]["json_schema"]["name"] == "City"


def test_openai_raises_what_was_refused(responses: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        responses.responses.create(model=MODEL, input="Hi", store=True)
    assert (caught.value.param, caught.value.code) == ("store", "invalid_body")


def test_openai_hears_of_a_failure_in_a_stream(responses: openai.OpenAI, server: Server) -> None:
    server.chunks, server.failure = TEXT, EdgeError("upstream_failed", "It broke.")
    events = list(responses.responses.create(model=MODEL, input="Hi", stream=True))
    assert [event.type for event in events[-2:]] == ["error", "response.failed"]


def test_anthropic_reads_a_whole_answer(messages: anthropic.Anthropic, server: Server) -> None:
    got = messages.messages.create(
        model=MODEL, max_tokens=9, system="Be brief.", messages=[{"role": "user", "content": "Hi"}]
    )
    (block,) = got.content
    assert block.type == "text"
    assert (block.text, got.stop_reason, got.model) == ("Hello", "end_turn", MODEL)
    assert (got.usage.input_tokens, got.usage.output_tokens) == (3, 2)
    assert server.asked[0]["messages"][0] == {"role": "system", "content": "Be brief."}


def test_anthropic_follows_a_stream(messages: anthropic.Anthropic) -> None:
    with messages.messages.stream(model=MODEL, max_tokens=9, messages=[{"role": "user", "content": "Hi"}]) as stream:
        texts = list(stream.text_stream)
        final = stream.get_final_message()
    assert texts == ["Hel", "lo"]
    assert (final.stop_reason, final.usage.input_tokens, final.usage.cache_read_input_tokens) == ("end_turn", 5, 4)


def test_anthropic_gets_calls_and_sends_them_back(messages: anthropic.Anthropic, server: Server) -> None:
    server.chunks = CALLS
    history: list[Any] = [{"role": "user", "content": "Weather?"}]
    with messages.messages.stream(model=MODEL, max_tokens=9, messages=history, tools=[TOOL]) as stream:
        final = stream.get_final_message()
    uses = [block for block in final.content if block.type == "tool_use"]
    assert [(use.id, use.input) for use in uses] == [("c1", {"city": "Ulm"}), ("c2", {"city": "Bonn"})]
    assert final.stop_reason == "tool_use"
    results = [{"type": "tool_result", "tool_use_id": use.id, "content": "sun"} for use in uses]
    history += [{"role": "assistant", "content": final.content}, {"role": "user", "content": results}]
    messages.messages.create(model=MODEL, max_tokens=9, messages=history, tools=[TOOL])
    assert [message["role"] for message in server.asked[1]["messages"]] == ["user", "assistant", "tool", "tool"]
    assert [one["id"] for one in server.asked[1]["messages"][1]["tool_calls"]] == ["c1", "c2"]


def test_anthropic_raises_what_was_refused(messages: anthropic.Anthropic) -> None:
    body: Any = {"mcp_servers": []}
    with pytest.raises(anthropic.BadRequestError) as caught:
        messages.messages.create(
            model=MODEL, max_tokens=9, messages=[{"role": "user", "content": "Hi"}], extra_body=body
        )
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["error"]["type"] == "invalid_request_error"
    assert caught.value.body["error"]["param"] == "mcp_servers"


def test_anthropic_raises_a_failure_in_a_stream(messages: anthropic.Anthropic, server: Server) -> None:
    server.chunks, server.failure = TEXT, EdgeError("upstream_failed", "It broke.")
    stream = messages.messages.create(
        model=MODEL, max_tokens=9, messages=[{"role": "user", "content": "Hi"}], stream=True
    )
    with pytest.raises(anthropic.APIStatusError, match=r"It broke\."):
        list(stream)
