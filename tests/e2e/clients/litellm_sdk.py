"""LiteLLM's SDK as a client: OpenAI's dialects and Anthropic's, embeddings."""

import json
from typing import Any

import litellm

from tests.e2e.clients.seen import (
    EMBED,
    FACTS,
    FAST,
    FUNCTION,
    HELLO,
    KEY,
    MAX_TOKENS,
    QUESTION,
    ROOT,
    SCRIPTED,
    V1,
    WEATHER,
    saw,
)

# It would print a list of providers for each model that is not in its price list.
litellm.suppress_debug_info = True
where = {"api_base": V1, "api_key": KEY}
hello = [{"role": "user", "content": HELLO}]


def used(usage: Any) -> tuple[int, int]:
    return usage.prompt_tokens, usage.completion_tokens


def chat() -> None:
    answer = litellm.completion(model="openai/privaterouter/fast", messages=hello, max_tokens=16, **where)
    saw("chat", answer.choices[0].message.content, used(answer.usage))
    chunks = list(
        litellm.completion(
            model=f"openai/{FAST}",
            messages=hello,
            max_tokens=MAX_TOKENS,
            stream=True,
            stream_options={"include_usage": True},
            **where,
        )
    )
    text = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    final = litellm.stream_chunk_builder(chunks)
    saw("stream", text, used(final.usage), streamed=True)


def other_dialects() -> None:
    responded = litellm.responses(model=f"openai/{FAST}", input=HELLO, max_output_tokens=MAX_TOKENS, **where)
    usage = responded.usage
    saw("chat", responded.output_text, (usage.input_tokens, usage.output_tokens), endpoint="responses")
    messaged = litellm.completion(
        model=f"anthropic/{FAST}", messages=hello, max_tokens=MAX_TOKENS, api_base=ROOT, api_key=KEY
    )
    saw("chat", messaged.choices[0].message.content, used(messaged.usage), endpoint="messages")


def embeddings() -> None:
    made = litellm.embedding(model=f"openai/{EMBED}", input=[HELLO], **where)
    saw("embeddings", len(made.data[0]["embedding"]), (made.usage.prompt_tokens, 0), endpoint="embeddings")


def tools() -> None:
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    options: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
    model = f"openai/{SCRIPTED}"
    chunks = list(litellm.completion(model=model, messages=messages, tools=[FUNCTION], **options, **where))
    asked = litellm.stream_chunk_builder(chunks)
    message = asked.choices[0].message
    (call,) = message.tool_calls
    saw("tool call", [call.function.name, json.loads(call.function.arguments)], used(asked.usage), streamed=True)
    messages += [message.model_dump(), {"role": "tool", "tool_call_id": call.id, "content": WEATHER}]
    told = litellm.completion(model=model, messages=messages, tools=[FUNCTION], **where)
    saw("tool result", told.choices[0].message.content, used(told.usage))


def structured() -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "facts", "strict": True, "schema": FACTS}}
    made = litellm.completion(
        model=f"openai/{SCRIPTED}",
        messages=[{"role": "user", "content": QUESTION}],
        response_format=schema,
        **where,
    )
    saw("structured", json.loads(made.choices[0].message.content), used(made.usage))


if __name__ == "__main__":
    chat()
    other_dialects()
    embeddings()
    tools()
    structured()
