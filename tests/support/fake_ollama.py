"""A server that answers as Ollama does, from its own API and its OpenAI-compatible one, without a model.

`python -m tests.support.fake_ollama` prints its port, then serves until it is killed. Shapes, statuses and words are
those of https://github.com/ollama/ollama (docs/api.md, openai/openai.go, middleware/openai.go), quirks included:
ids that repeat, usage only for those who ask, `max_completion_tokens` and `n` not read, errors in a stream swallowed.

What a request's `user` field holds (JSON, the fields of Script) says how it is answered; Ollama does not read it.
`POST /fake` makes it a new one in this State; `GET /tally` tells, by `x-request-id`, what was asked.
"""

import asyncio
import json
import sys
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.support.fake_dialects import TOKEN, Said, events, limit_of, whole
from tests.support.ollama_models import FakeModel, models

FINGERPRINT = "fp_ollama"
CREATED = 1_746_890_000


@dataclass
class Script:
    """How one request is answered; every field may be left out."""

    tokens: int | None = None
    """As many as `max_tokens` allows, where it is left out."""
    thinking: int = 0
    """Tokens of reasoning before the first of the answer."""
    done_reason: str = "stop"
    id: str = "chatcmpl-123"
    """Ollama draws one of 999."""
    fail_after: int | None = None
    """Tokens after which the model breaks: the stream just ends, after a chunk without a model's name."""
    tool: bool = False
    token_s: float = 0


@dataclass
class State:
    """What the server has; every field may be left out."""

    installed: list[FakeModel] = field(default_factory=models)
    loaded: set[str] = field(default_factory=set)
    load_s: float = 0
    """How long a model takes to load; the first byte of an answer waits for it."""
    listed_while_loading: bool = True
    """Ollama lists a model in /api/ps before it can answer."""
    old: bool = False
    """Errors as Ollamas of 2024 word them."""
    busy: bool = False
    """Its queue is full."""
    broken: str = ""
    """Sent in the place of every answer of /api, with status 200."""
    tally: dict[str, dict[str, Any]] = field(default_factory=dict)
    loading: dict[str, asyncio.Lock] = field(default_factory=dict)


class Refused(Exception):
    """An error of Ollama's; each API has its own shape for it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Server:
    """The endpoints."""

    def __init__(self) -> None:
        self.state = State()

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._errors], client_max_size=64 * 1024 * 1024)
        app.add_routes(
            [
                web.get("/", self._root),
                web.get("/api/version", self._version),
                web.get("/api/tags", self._tags),
                web.get("/api/ps", self._ps),
                web.post("/api/show", self._show),
                web.get("/v1/models", self._models),
                web.post("/v1/chat/completions", self._answer),
                web.post("/v1/completions", self._answer),
                web.post("/v1/embeddings", self._embed),
                web.post("/v1/responses", self._speak),
                web.post("/v1/messages", self._speak),
                web.post("/fake", self._change),
                web.get("/tally", self._tally),
            ]
        )
        return app

    @web.middleware
    async def _errors(self, request: web.Request, handler: Any) -> web.StreamResponse:
        try:
            if self.state.broken and request.path.startswith("/api"):
                return web.Response(text=self.state.broken, content_type="application/json")
            response: web.StreamResponse = await handler(request)
            return response
        except web.HTTPNotFound:
            return web.Response(status=404, text="404 page not found")
        except Refused as error:
            if request.path.startswith("/api"):
                return web.json_response({"error": error.message}, status=error.status)
            kind = {400: "invalid_request_error", 404: "not_found_error"}.get(error.status, "api_error")
            kind = "api_error" if self.state.old else kind
            said = {"message": error.message, "type": kind, "param": None, "code": None}
            return web.json_response({"error": said}, status=error.status)

    async def _root(self, request: web.Request) -> web.Response:
        return web.Response(text="Ollama is running")

    async def _version(self, request: web.Request) -> web.Response:
        return web.json_response({"version": "0.13.3"})

    async def _tags(self, request: web.Request) -> web.Response:
        return web.json_response({"models": [model.tag() for model in self.state.installed]})

    async def _ps(self, request: web.Request) -> web.Response:
        loaded = [model for model in self.state.installed if model.name in self.state.loaded]
        return web.json_response({"models": [model.running() for model in loaded]})

    async def _show(self, request: web.Request) -> web.Response:
        return web.json_response(self._find((await request.json())["model"]).show())

    async def _models(self, request: web.Request) -> web.Response:
        listed = [
            {"id": model.name, "object": "model", "created": CREATED, "owned_by": "library"}
            for model in self.state.installed
        ]
        # An empty list is null there.
        return web.json_response({"object": "list", "data": listed or None})

    async def _change(self, request: web.Request) -> web.Response:
        said = await request.json()
        if "installed" in said:
            said["installed"] = [FakeModel(**one) for one in said["installed"]]
        if "loaded" in said:
            said["loaded"] = set(said["loaded"])
        self.state = State(**said)
        return web.json_response({})

    async def _tally(self, request: web.Request) -> web.Response:
        return web.json_response(self.state.tally)

    def _find(self, name: str) -> FakeModel:
        wanted = name if ":" in name.rpartition("/")[2] else f"{name}:latest"
        for model in self.state.installed:
            if model.name == wanted:
                return model
        old = f'model "{name}" not found, try pulling it first'
        raise Refused(404, old if self.state.old else f"model '{name}' not found")

    async def _ready(self, body: dict[str, Any], capability: str) -> None:
        """Returns when the model is loaded."""
        model = self._find(body["model"])
        if capability not in model.capabilities:
            raise Refused(400, f'"{body["model"]}" does not support {"chat" if capability == "completion" else "this"}')
        if body.get("tools") and "tools" not in model.capabilities:
            raise Refused(400, f"registry.ollama.ai/library/{model.name} does not support tools")
        if self.state.busy:
            raise Refused(503, "server busy, please try again.  maximum pending requests exceeded")
        async with self.state.loading.setdefault(model.name, asyncio.Lock()):
            if model.name in self.state.loaded:
                return
            await asyncio.sleep(self.state.load_s / 2)
            if self.state.listed_while_loading:
                self.state.loaded.add(model.name)
            await asyncio.sleep(self.state.load_s / 2)
            self.state.loaded.add(model.name)

    async def _asked(self, request: web.Request) -> tuple[dict[str, Any], Script]:
        body = await request.json()
        self.state.tally[request.headers.get("x-request-id", "")] = {"path": request.path, "body": body}
        told = body.get("user") or (body.get("metadata") or {}).get("user_id", "")
        return body, Script(**json.loads(told)) if told.startswith("{") else Script()

    async def _embed(self, request: web.Request) -> web.Response:
        body, _ = await self._asked(request)
        await self._ready(body, "embedding")
        items = body["input"] if isinstance(body["input"], list) else [body["input"]]
        data = [{"object": "embedding", "embedding": [0.5, -0.5], "index": index} for index in range(len(items))]
        usage = {"prompt_tokens": 3 * len(items), "total_tokens": 3 * len(items)}
        return web.json_response({"object": "list", "data": data, "model": body["model"], "usage": usage})

    async def _speak(self, request: web.Request) -> web.StreamResponse:
        body, script = await self._asked(request)
        await self._ready(body, "completion")
        limit = limit_of(request.path, body)
        said = Said(body["model"], limit if script.tokens is None else script.tokens, 11, limit)
        if not body.get("stream"):
            return web.json_response(whole(request.path, said))
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for event in events(request.path, said):
            await response.write(event)
        return response

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body, script = await self._asked(request)
        await self._ready(body, "completion")
        answer = Answer(body, script, is_chat=request.path.endswith("/chat/completions"))
        if not body.get("stream"):
            await asyncio.sleep(script.token_s * answer.count)
            return web.json_response(answer.whole())
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for chunk in answer.chunks():
            await asyncio.sleep(script.token_s)
            await response.write(
                b"data: " + (chunk if isinstance(chunk, bytes) else json.dumps(chunk).encode()) + b"\n\n"
            )
        return response


class Answer:
    """What one request is answered, whole and in chunks."""

    def __init__(self, body: dict[str, Any], script: Script, *, is_chat: bool) -> None:
        self.body = body
        self.script = script
        self.is_chat = is_chat
        limit = body.get("max_tokens") or 16
        # No messages: nothing is asked for but to load the model.
        self.is_load = is_chat and not body.get("messages")
        self.count = 0 if self.is_load else min(limit, limit if script.tokens is None else script.tokens)
        self.reason = "load" if self.is_load else script.done_reason

    @property
    def usage(self) -> dict[str, int]:
        prompt, made = 0 if self.is_load else 11, self.count + self.script.thinking
        return {"prompt_tokens": prompt, "completion_tokens": made, "total_tokens": prompt + made}

    def _envelope(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.script.id,
            "object": kind,
            "created": CREATED,
            "model": self.body["model"],
            "system_fingerprint": FINGERPRINT,
        }

    def _calls(self) -> list[dict[str, Any]]:
        function = {"name": "weather", "arguments": '{"city":"Bonn"}'}
        return [{"id": "call_1", "index": 0, "type": "function", "function": function}]

    def whole(self) -> dict[str, Any]:
        text = TOKEN * self.count
        reason = self.reason or None
        if not self.is_chat:
            choice = {"text": text, "index": 0, "finish_reason": reason}
            return self._envelope("text_completion") | {"choices": [choice], "usage": self.usage}
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if self.script.thinking:
            message["reasoning"] = TOKEN * self.script.thinking
        if self.script.tool:
            message["tool_calls"] = self._calls()
            reason = "tool_calls" if reason == "stop" else reason
        choice = {"index": 0, "message": message, "finish_reason": reason}
        return self._envelope("chat.completion") | {"choices": [choice], "usage": self.usage}

    def chunks(self) -> list[dict[str, Any] | bytes]:
        wants_usage = bool((self.body.get("stream_options") or {}).get("include_usage"))
        return [*(self._chat(wants_usage) if self.is_chat else self._text(wants_usage))]

    def _deltas(self) -> list[dict[str, Any]]:
        deltas: list[dict[str, Any]] = [{"content": "", "reasoning": TOKEN} for _ in range(self.script.thinking)]
        deltas += [{"content": TOKEN} for _ in range(self.count)]
        if self.script.tool:
            deltas.append({"content": "", "tool_calls": self._calls()})
        deltas = deltas or [{"content": ""}]
        deltas[0] = {"role": "assistant"} | deltas[0]
        return deltas

    def _chat(self, wants_usage: bool) -> list[dict[str, Any] | bytes]:
        envelope = self._envelope("chat.completion.chunk")
        chunks: list[dict[str, Any] | bytes] = [
            envelope | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in self._deltas()
        ]
        if self.script.fail_after is not None:
            # `{"error": ...}` of its own API is read as a chunk without anything in it; no [DONE] follows.
            empty = [{"index": 0, "delta": {"content": ""}, "finish_reason": None}]
            return [*chunks[: self.script.fail_after], envelope | {"model": "", "choices": empty}]
        reason = "tool_calls" if self.script.tool and self.reason == "stop" else self.reason or "stop"
        finish = envelope | {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}
        usage = [finish | {"choices": [], "usage": self.usage}] if wants_usage else []
        return [*chunks, finish, *usage, b"[DONE]"]

    def _text(self, wants_usage: bool) -> list[dict[str, Any] | bytes]:
        """Where usage is asked for, every chunk has one: zeros before the last."""
        zeros = {"usage": dict.fromkeys(self.usage, 0)} if wants_usage else {}
        envelope = self._envelope("text_completion") | zeros
        texts = [(TOKEN, None)] * self.count + [("", self.reason or None)]
        chunks: list[dict[str, Any] | bytes] = [
            envelope | {"choices": [{"text": text, "index": 0, "finish_reason": reason}]} for text, reason in texts
        ]
        usage = [envelope | {"choices": [], "usage": self.usage}] if wants_usage else []
        return [*chunks, *usage, b"[DONE]"]


async def main() -> None:
    runner = web.AppRunner(Server().app(), handler_cancellation=True, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
