"""The Anthropic SDK for Python: Messages, whole and streamed."""

from typing import Any

from anthropic import Anthropic
from anthropic.types import Usage
from pydantic import BaseModel

from tests.e2e.clients.seen import CITY, FAST, HELLO, KEY, MAX_TOKENS, QUESTION, ROOT, SCRIPTED, WEATHER, saw

client = Anthropic(base_url=ROOT, api_key=KEY)


class Facts(BaseModel):
    """A structured answer."""

    capital: str
    districts: int


def used(usage: Usage) -> tuple[int, int]:
    cached = (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
    return usage.input_tokens + cached, usage.output_tokens


def chat() -> None:
    whole = client.messages.create(model=FAST, messages=[{"role": "user", "content": HELLO}], max_tokens=MAX_TOKENS)
    (block,) = whole.content
    assert block.type == "text"
    saw("chat", block.text, used(whole.usage), endpoint="messages")
    with client.messages.stream(
        model=FAST, messages=[{"role": "user", "content": HELLO}], max_tokens=MAX_TOKENS
    ) as stream:
        text = list(stream.text_stream)
        final = stream.get_final_message()
    saw("stream", text, used(final.usage), endpoint="messages", streamed=True)


def tools() -> None:
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    tools: list[Any] = [{"name": "weather", "description": "The weather in a city", "input_schema": CITY}]
    with client.messages.stream(model=SCRIPTED, messages=messages, tools=tools, max_tokens=100) as stream:
        asked = stream.get_final_message()
    (call,) = asked.content
    assert call.type == "tool_use"
    assert asked.stop_reason == "tool_use"
    saw("tool call", [call.name, call.input], used(asked.usage), endpoint="messages", streamed=True)
    result = {"type": "tool_result", "tool_use_id": call.id, "content": WEATHER}
    messages += [{"role": "assistant", "content": asked.content}, {"role": "user", "content": [result]}]
    told = client.messages.create(model=SCRIPTED, messages=messages, tools=tools, max_tokens=100)
    (block,) = told.content
    assert block.type == "text"
    saw("tool result", block.text, used(told.usage), endpoint="messages")


def structured() -> None:
    made = client.messages.parse(
        model=SCRIPTED, messages=[{"role": "user", "content": QUESTION}], max_tokens=100, output_format=Facts
    )
    found = made.parsed_output
    saw("structured", found and found.model_dump(), used(made.usage), endpoint="messages")


if __name__ == "__main__":
    chat()
    tools()
    structured()
