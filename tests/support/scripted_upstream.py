"""An OpenAI-compatible server that calls the tools it is offered and keeps to the schema it is given.

`python -m tests.support.scripted_upstream` prints its port, then serves until it is killed. Offered a tool, it calls it
once, and then says what came of that. Values are made from the schemas: each text is "Paris", each number 21.
"""

import asyncio
import json
import sys
from typing import Any

from aiohttp import web

COMPLETION_TOKENS = 5
PROMPT_TOKENS_PER_MESSAGE = 11


def value_of(schema: dict[str, Any]) -> Any:
    """What a JSON schema asks for."""
    if schema.get("type") == "object":
        return {name: value_of(inner) for name, inner in schema.get("properties", {}).items()}
    return {"string": "Paris", "integer": 21, "number": 21}[schema["type"]]


def message_for(body: dict[str, Any]) -> dict[str, Any]:
    """What the model says."""
    last = body["messages"][-1]
    if last["role"] == "tool":
        return {"role": "assistant", "content": f"The tool said: {last['content']}"}
    if tools := body.get("tools"):
        called = tools[0]["function"]
        arguments = json.dumps(value_of(called["parameters"]))
        call = {"id": "call_1", "type": "function", "function": {"name": called["name"], "arguments": arguments}}
        return {"role": "assistant", "content": None, "tool_calls": [call]}
    return {"role": "assistant", "content": json.dumps(value_of(body["response_format"]["json_schema"]["schema"]))}


def pieces_of(message: dict[str, Any]) -> list[dict[str, Any]]:
    """The deltas of a message in a stream; arguments come in two."""
    pieces: list[dict[str, Any]] = [{"role": "assistant", "content": message["content"]}]
    for index, call in enumerate(message.get("tool_calls", [])):
        arguments = call["function"]["arguments"]
        begun = {**call, "index": index, "function": {**call["function"], "arguments": arguments[:4]}}
        pieces += [
            {"tool_calls": [begun]},
            {"tool_calls": [{"index": index, "function": {"arguments": arguments[4:]}}]},
        ]
    return pieces


async def complete(request: web.Request) -> web.StreamResponse:
    """Answers `POST /v1/chat/completions`."""
    body = await request.json()
    message = message_for(body)
    reason = "tool_calls" if message.get("tool_calls") else "stop"
    prompt_tokens = PROMPT_TOKENS_PER_MESSAGE * len(body["messages"])
    usage = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": COMPLETION_TOKENS,
        "total_tokens": prompt_tokens + COMPLETION_TOKENS,
    }
    answer = {"id": "chatcmpl-1", "created": 1, "model": body["model"]}
    if not body.get("stream"):
        choice = {"index": 0, "message": message, "finish_reason": reason}
        return web.json_response({**answer, "object": "chat.completion", "choices": [choice], "usage": usage})
    choices: list[list[dict[str, Any]]] = [
        [{"index": 0, "delta": delta, "finish_reason": None}] for delta in pieces_of(message)
    ]
    choices.append([{"index": 0, "delta": {}, "finish_reason": reason}])
    chunks = [{**answer, "object": "chat.completion.chunk", "choices": one} for one in choices]
    if body.get("stream_options", {}).get("include_usage"):
        chunks.append({**answer, "object": "chat.completion.chunk", "choices": [], "usage": usage})
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    for chunk in chunks:
        await response.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
    await response.write(b"data: [DONE]\n\n")
    return response


async def main() -> None:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", complete)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
