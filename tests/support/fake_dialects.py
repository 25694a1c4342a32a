"""What a server says that speaks Responses or Messages itself, in the shapes that OpenAI and Anthropic document.

https://platform.openai.com/docs/api-reference/responses-streaming, https://docs.anthropic.com/en/api/messages-streaming
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

TOKEN = "tok "


@dataclass(frozen=True)
class Said:
    """One answer: so many tokens of text, and what it used. `cached` and `written` are part of the prompt."""

    model: str
    tokens: int
    prompt: int
    limit: int
    """What it was allowed."""
    cached: int = 0
    written: int = 0
    tells: bool = True
    """Whether it says what it used."""

    @property
    def text(self) -> str:
        return TOKEN * self.tokens


def limit_of(path: str, body: dict[str, Any]) -> int:
    """The output limit where this dialect has it; a request without one is answered with as much as there is."""
    limit: int = body.get("max_output_tokens" if path.endswith("/responses") else "max_tokens", 1_000_000)
    return limit


def whole(path: str, said: Said) -> dict[str, Any]:
    """The answer in one piece."""
    return _response(said, "completed") if path.endswith("/responses") else _message(said)


def events(path: str, said: Said) -> Iterator[bytes]:
    """The answer as a stream."""
    made = _response_events(said) if path.endswith("/responses") else _message_events(said)
    for number, (name, fields) in enumerate(made):
        numbered = {"sequence_number": number} if path.endswith("/responses") else {}
        data = json.dumps({"type": name, **fields, **numbered})
        yield f"event: {name}\ndata: {data}\n\n".encode()


def _response(said: Said, status: str) -> dict[str, Any]:
    is_over = status == "completed"
    usage = {
        "input_tokens": said.prompt,
        "input_tokens_details": {"cached_tokens": said.cached, "cache_write_tokens": said.written},
        "output_tokens": said.tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": said.prompt + said.tokens,
    }
    return {
        "id": "resp_upstream",
        "object": "response",
        "created_at": 1,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "max_output_tokens": said.limit,
        "model": said.model,
        "output": [_item(said)] if is_over else [],
        "parallel_tool_calls": True,
        "store": False,
        "usage": usage if is_over and said.tells else None,
    }


def _item(said: Said) -> dict[str, Any]:
    part = {"type": "output_text", "text": said.text, "annotations": []}
    return {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [part]}


def _response_events(said: Said) -> Iterator[tuple[str, dict[str, Any]]]:
    at = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    begun = {"type": "message", "id": "msg_1", "status": "in_progress", "role": "assistant", "content": []}
    part = {"type": "output_text", "text": "", "annotations": []}
    yield "response.created", {"response": _response(said, "in_progress")}
    yield "response.in_progress", {"response": _response(said, "in_progress")}
    yield "response.output_item.added", {"output_index": 0, "item": begun}
    yield "response.content_part.added", {**at, "part": part}
    for _ in range(said.tokens):
        yield "response.output_text.delta", {**at, "delta": TOKEN}
    yield "response.output_text.done", {**at, "text": said.text}
    yield "response.content_part.done", {**at, "part": {**part, "text": said.text}}
    yield "response.output_item.done", {"output_index": 0, "item": _item(said)}
    yield "response.completed", {"response": _response(said, "completed")}


def _message(said: Said) -> dict[str, Any]:
    return {
        "id": "msg_upstream",
        "type": "message",
        "role": "assistant",
        "model": said.model,
        "content": [{"type": "text", "text": said.text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        **_usage(said, said.tokens),
    }


def _usage(said: Said, output: int) -> dict[str, Any]:
    return {"usage": {**_input(said), "output_tokens": output}} if said.tells else {}


def _input(said: Said) -> dict[str, int]:
    return {
        "input_tokens": said.prompt - said.cached - said.written,
        "cache_read_input_tokens": said.cached,
        "cache_creation_input_tokens": said.written,
    }


def _message_events(said: Said) -> Iterator[tuple[str, dict[str, Any]]]:
    begun = {**_message(said), "content": [], "stop_reason": None, **_usage(said, 1)}
    yield "message_start", {"message": begun}
    yield "content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}
    yield "ping", {}
    for _ in range(said.tokens):
        yield "content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": TOKEN}}
    yield "content_block_stop", {"index": 0}
    delta = {"stop_reason": "end_turn", "stop_sequence": None}
    yield "message_delta", {"delta": delta, **({"usage": {"output_tokens": said.tokens}} if said.tells else {})}
    yield "message_stop", {}
