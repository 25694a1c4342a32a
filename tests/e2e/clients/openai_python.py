"""The OpenAI SDK for Python: chat completions, Responses, embeddings."""

import json
from typing import Any

import openai
from openai import OpenAI
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion
from openai.types.responses import ResponseUsage
from pydantic import BaseModel

from tests.e2e.clients.seen import (
    CITY,
    EMBED,
    FAST,
    FUNCTION,
    HELLO,
    KEY,
    MAX_TOKENS,
    QUESTION,
    SCRIPTED,
    V1,
    WEATHER,
    saw,
)

client = OpenAI(base_url=V1, api_key=KEY)


class Facts(BaseModel):
    """A structured answer."""

    capital: str
    districts: int


def used(usage: CompletionUsage | ResponseUsage | None) -> tuple[int, int]:
    assert usage
    if isinstance(usage, ResponseUsage):
        return usage.input_tokens, usage.output_tokens
    return usage.prompt_tokens, usage.completion_tokens


def chat() -> None:
    whole = client.chat.completions.create(
        model=FAST, messages=[{"role": "user", "content": HELLO}], max_tokens=MAX_TOKENS
    )
    saw("chat", whole.choices[0].message.content, used(whole.usage))
    with client.chat.completions.stream(
        model=FAST,
        messages=[{"role": "user", "content": HELLO}],
        max_tokens=MAX_TOKENS,
        stream_options={"include_usage": True},
    ) as stream:
        text = [event.delta for event in stream if event.type == "content.delta"]
        final: ChatCompletion
        try:
            final = stream.get_final_completion()
        except openai.LengthFinishReasonError as cut:
            # The model says what it likes, and the limit is short.
            final = cut.completion
    assert "".join(text) == final.choices[0].message.content
    saw("stream", text, used(final.usage), streamed=True)


def responses() -> None:
    whole = client.responses.create(model=FAST, input=HELLO, max_output_tokens=MAX_TOKENS)
    saw("chat", whole.output_text, used(whole.usage), endpoint="responses")
    with client.responses.stream(model=FAST, input=HELLO, max_output_tokens=MAX_TOKENS) as stream:
        text: list[str] = []
        for event in stream:
            if event.type == "response.output_text.delta":
                text.append(event.delta)
            elif event.type in {"response.completed", "response.incomplete"}:
                final = event.response
    assert "".join(text) == final.output_text
    saw("stream", text, used(final.usage), endpoint="responses", streamed=True)


def embeddings() -> None:
    made = client.embeddings.create(model=EMBED, input=HELLO)
    saw("embeddings", len(made.data[0].embedding), (made.usage.prompt_tokens, 0), endpoint="embeddings")


def tools() -> None:
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    tools: list[Any] = [FUNCTION]
    with client.chat.completions.stream(
        model=SCRIPTED, messages=messages, tools=tools, stream_options={"include_usage": True}
    ) as stream:
        asked = stream.get_final_completion()
    message = asked.choices[0].message
    assert message.tool_calls
    (call,) = message.tool_calls
    saw("tool call", [call.function.name, json.loads(call.function.arguments)], used(asked.usage), streamed=True)
    messages += [message.to_dict(), {"role": "tool", "tool_call_id": call.id, "content": WEATHER}]
    told = client.chat.completions.create(model=SCRIPTED, messages=messages, tools=tools)
    saw("tool result", told.choices[0].message.content, used(told.usage))


def tools_of_responses() -> None:
    items: list[Any] = [{"role": "user", "content": QUESTION}]
    tools: list[Any] = [{"type": "function", "name": "weather", "parameters": CITY, "strict": True}]
    with client.responses.stream(model=SCRIPTED, input=items, tools=tools) as stream:
        asked = stream.get_final_response()
    (call,) = asked.output
    assert call.type == "function_call"
    answer = [call.name, json.loads(call.arguments)]
    saw("tool call", answer, used(asked.usage), endpoint="responses", streamed=True)
    items += [call.to_dict(), {"type": "function_call_output", "call_id": call.call_id, "output": WEATHER}]
    told = client.responses.create(model=SCRIPTED, input=items, tools=tools)
    saw("tool result", told.output_text, used(told.usage), endpoint="responses")


def structured() -> None:
    chatted = client.chat.completions.parse(
        model=SCRIPTED, messages=[{"role": "user", "content": QUESTION}], response_format=Facts
    )
    parsed = chatted.choices[0].message.parsed
    saw("structured", parsed and parsed.model_dump(), used(chatted.usage))
    responded = client.responses.parse(model=SCRIPTED, input=QUESTION, text_format=Facts)
    found = responded.output_parsed
    saw("structured", found and found.model_dump(), used(responded.usage), endpoint="responses")


if __name__ == "__main__":
    chat()
    responses()
    embeddings()
    tools()
    tools_of_responses()
    structured()
