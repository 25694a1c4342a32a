"""An OpenAI-compatible server that misbehaves on request, and keeps its own tally.

`python -m tests.support.fake_upstream` prints its port, then serves until it is killed. What a request's `user` field
holds (JSON, the fields of Script) says how it is answered; without one it makes as many tokens as it may, of at most
five bytes each, and says so. `{"at": {NAME: SCRIPT}}` has one for each of several servers that this one stands for,
at `/NAME/v1`.
`GET /tally` tells, by `x-request-id`, what it was sent and what it made; `GET /tally?asking=TEXT` only of the requests
whose first message is this text, `GET /tally?from=TEXT` of those whose first message begins with it, and
`GET /tally?id=ID` of the one with this id. `/v1/responses` and `/v1/messages` are spoken as fake_dialects.py has it.
"""

import asyncio
import json
import sys
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import parse_qs

from tests.support.fake_dialects import TOKEN, Said, events, limit_of, whole


@dataclass
class Script:
    """How one request is answered; every field may be left out."""

    tokens: int | None = None
    prompt_tokens: int = 7
    cached_tokens: int = 0
    """Of the prompt, read from a cache; told as LiteLLM does, like the next."""
    written_tokens: int = 0
    """Of the prompt, written to a cache."""
    usage: Any = "true"
    """`true`: the truth. `omit`: none. Anything else is sent as it is."""
    usage_position: str = "end"
    """Of a stream: `end` in a chunk of its own, `twice` (a wrong one first), or `last` with the last choice."""
    status: int = 200
    raw: str | None = None
    """Sent as it is in the place of an answer, head and all; then the connection is closed."""
    body: str | None = None
    """Sent as it is in the place of an answer."""
    piece_bytes: int | None = None
    """Sends the body in pieces of so many bytes, each by itself."""
    between_pieces_s: float = 0.001
    hang_after_body: bool = False
    """Never says that the body is over."""
    headers: dict[str, str] = field(default_factory=dict)
    before_headers_s: float = 0
    before_token_s: float = 0
    hang_after_tokens: int | None = None
    cut_after_bytes: int | None = None
    """Closes the connection after so many bytes of the body."""
    finish_reason: str | None = "stop"
    done: bool = True
    ignore_limit: int = 0
    """Tokens made beyond the limit."""
    reasoning: bool = False
    tokens_per_chunk: int = 1
    padding_bytes: int = 0
    """Makes each event of a stream longer by so much, which is no text of the answer."""


@dataclass
class Entry:
    """What the server knows of one request."""

    path: str
    authorization: str
    body: dict[str, Any]
    prompt_tokens: int = 0
    output_tokens: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    sent_bytes: int = 0
    """Of the body, as far as the gateway let it."""
    finished: bool = False
    aborted: bool = False

    @property
    def asked(self) -> str:
        """Its first message."""
        return str(self.body.get("messages", [{}])[0].get("content"))


class Cut(Exception):
    """The script said to close the connection."""


class Reader(asyncio.StreamReader):
    """Tells at once when the gateway has closed the connection, also while nobody reads."""

    def __init__(self) -> None:
        super().__init__(limit=64 * 1024 * 1024)
        self.gone = asyncio.Event()

    def feed_eof(self) -> None:
        super().feed_eof()
        self.gone.set()

    def set_exception(self, exc: Exception) -> None:
        super().set_exception(exc)
        self.gone.set()


class Upstream:
    """The server's state."""

    def __init__(self) -> None:
        self.tally: dict[str, Entry] = {}
        self._asked: dict[str, list[str]] = {}
        """Request ids by first message: a run of hours asks for one of a hundred thousand again and again."""
        self.mood: dict[str, Any] = {}
        """Fields of Script that hold for every request from now on: `POST /mood`."""

    async def serve(self, reader: Reader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, Cut, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _one(self, reader: Reader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        request, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = request.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines) if name}
        content = await reader.readexactly(int(headers.get("content-length", 0)))
        if method == "GET":
            path, _, query = path.partition("?")
            told = {key: asdict(self.tally[key]) for key in self._wanted(parse_qs(query))} if path == "/tally" else {}
            await _respond(writer, 200, json.dumps(told if path == "/tally" else {"data": []}))
            return True
        body = json.loads(content)
        if path == "/mood":
            self.mood = body
            await _respond(writer, 200, "{}")
            return True
        entry = Entry(path, headers.get("authorization", ""), body, headers=headers)
        request_id = headers.get("x-request-id", "")
        self.tally[request_id] = entry
        self._asked.setdefault(entry.asked, []).append(request_id)
        # Messages has another place for it.
        user = str(body.get("user") or (body.get("metadata") or {}).get("user_id", ""))
        asked = json.loads(user) if user.startswith("{") else {}
        # One server stands for several, by how their paths begin.
        asked = asked["at"].get(path.split("/")[1], {}) if "at" in asked else asked
        script = Script(**(asked | self.mood))
        watcher = asyncio.create_task(_watch(reader, asyncio.current_task()))
        try:
            await Answer(entry, script, body, writer).send()
            entry.finished = True
        except asyncio.CancelledError:
            entry.aborted = True
            raise
        except (ConnectionError, Cut):
            entry.aborted = not entry.finished
            raise
        finally:
            watcher.cancel()
        return True

    def _wanted(self, query: dict[str, list[str]]) -> list[str]:
        """The ids of a query's requests, all where it is empty."""
        if "asking" in query:
            return [request_id for text in query["asking"] for request_id in self._asked.get(text, [])]
        if "id" in query:
            return [request_id for request_id in query["id"] if request_id in self.tally]
        begin = tuple(query.get("from", [""]))
        return [request_id for text, ids in self._asked.items() if text.startswith(begin) for request_id in ids]


async def _watch(reader: Reader, task: "asyncio.Task[Any] | None") -> None:
    await reader.gone.wait()
    if task is not None:
        task.cancel()


class Answer:
    """One answer on its way."""

    def __init__(self, entry: Entry, script: Script, body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        self.entry = entry
        self.script = script
        self.body = body
        self.writer = writer
        self.sent = 0
        self.is_chat = entry.path.endswith("/chat/completions")

    async def send(self) -> None:
        script = self.script
        await asyncio.sleep(script.before_headers_s)
        if script.raw is not None:
            self.writer.write(script.raw.encode())
            await self.writer.drain()
            raise Cut
        if script.body is not None or script.status != 200:
            await self._whole(script.body if script.body is not None else json.dumps({"error": {"message": "no"}}))
        elif self.entry.path.endswith("/embeddings"):
            await self._embed()
        elif self.entry.path.endswith(("/responses", "/messages")):
            await self._speak()
        elif self.body.get("stream"):
            await self._stream()
        else:
            await self._complete()

    def _count(self) -> int:
        if self.script.tokens is not None:
            return self.script.tokens
        limit: int = self.body.get("max_completion_tokens") or self.body.get("max_tokens") or 16
        return limit + self.script.ignore_limit

    def _usage(self) -> Any:
        if self.script.usage != "true":
            return self.script.usage
        entry = self.entry
        total = entry.prompt_tokens + entry.output_tokens
        usage = {
            "prompt_tokens": entry.prompt_tokens,
            "completion_tokens": entry.output_tokens,
            "total_tokens": total,
        }
        cached, written = self.script.cached_tokens, self.script.written_tokens
        if not cached + written:
            return usage
        return usage | {
            "prompt_tokens_details": {"cached_tokens": cached, "cache_creation_tokens": written},
            "cache_read_input_tokens": cached,
            "cache_creation_input_tokens": written,
        }

    def _answer(self, **more: Any) -> dict[str, Any]:
        return {"id": "chatcmpl-1", "created": 1, "model": self.body["model"], **more}

    async def _embed(self) -> None:
        given = self.body["input"]
        items = given if isinstance(given, list) and given and not isinstance(given[0], int) else [given]
        self.entry.prompt_tokens = self.script.prompt_tokens * len(items)
        data = [{"object": "embedding", "index": i, "embedding": [0.5, -0.5]} for i in range(len(items))]
        answer = self._answer(object="list", data=data)
        if self.script.usage != "omit":
            answer["usage"] = self._usage()
        await self._whole(json.dumps(answer))

    async def _complete(self) -> None:
        choices = []
        self.entry.prompt_tokens = self.script.prompt_tokens
        for index in range(self._choices()):
            count = self._count()
            self.entry.output_tokens += count
            text = TOKEN * count
            shown = {"message": {"role": "assistant", "content": text}} if self.is_chat else {"text": text}
            choices.append({"index": index, **shown, "finish_reason": self.script.finish_reason})
        answer = self._answer(object="chat.completion", choices=choices)
        if self.script.usage != "omit":
            answer["usage"] = self._usage()
        await asyncio.sleep(self.script.before_token_s * self._count())
        await self._whole(json.dumps(answer))

    async def _speak(self) -> None:
        """An answer in another dialect."""
        script, path = self.script, self.entry.path
        limit = limit_of(path, self.body)
        tokens = limit if script.tokens is None else script.tokens
        said = Said(
            self.body["model"],
            tokens,
            script.prompt_tokens,
            limit,
            script.cached_tokens,
            script.written_tokens,
            tells=script.usage != "omit",
        )
        self.entry.prompt_tokens, self.entry.output_tokens = said.prompt, said.tokens
        if not self.body.get("stream"):
            await self._whole(json.dumps(whole(path, said)))
            return
        await self._head("text/event-stream", length=None)
        for event in events(path, said):
            await asyncio.sleep(script.before_token_s)
            await self._piece(event)
        await self._end()

    def _choices(self) -> int:
        return int(self.body.get("n") or 1)

    async def _stream(self) -> None:
        script = self.script
        await self._head("text/event-stream", length=None)
        self.entry.prompt_tokens = script.prompt_tokens
        if script.usage_position == "twice":
            wrong = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
            await self._event(self._answer(choices=[], usage=wrong))
        for index in range(self._choices()):
            await self._stream_choice(index)
        wants_usage = self.body.get("stream_options", {}).get("include_usage")
        if wants_usage and script.usage != "omit" and script.usage_position != "last":
            await self._event(self._answer(choices=[], usage=self._usage()))
        if script.done:
            await self._piece(b"data: [DONE]\n\n")
        await self._end()

    async def _stream_choice(self, index: int) -> None:
        script = self.script
        count, made = self._count(), 0
        while made < count:
            if script.hang_after_tokens == made:
                await asyncio.sleep(3600)
            await asyncio.sleep(script.before_token_s)
            some = min(script.tokens_per_chunk, count - made)
            made += some
            self.entry.output_tokens += some
            key = "reasoning_content" if script.reasoning else "content"
            role = {"role": "assistant"} if made == some else {}
            shown: dict[str, Any] = {"delta": role | {key: TOKEN * some}} if self.is_chat else {"text": TOKEN * some}
            await self._event(self._answer(choices=[{"index": index, **shown, "finish_reason": None}]))
        if script.hang_after_tokens == count:
            await asyncio.sleep(3600)
        if script.finish_reason is not None:
            ended: dict[str, Any] = {"delta": {}} if self.is_chat else {"text": ""}
            last = self._answer(choices=[{"index": index, **ended, "finish_reason": script.finish_reason}])
            if script.usage_position == "last":
                last["usage"] = self._usage()
            await self._event(last)

    async def _event(self, data: dict[str, Any]) -> None:
        data.setdefault("object", "chat.completion.chunk")
        if self.script.padding_bytes:
            data["padding"] = "x" * self.script.padding_bytes
        await self._piece(b"data: " + json.dumps(data).encode() + b"\n\n")

    async def _whole(self, text: str) -> None:
        body = text.encode()
        await self._head("application/json", length=len(body) + self.script.hang_after_body)
        size = self.script.piece_bytes or max(1, len(body))
        for at in range(0, len(body), size):
            await self._write(body[at : at + size])
            # The gateway is to see each piece by itself.
            await asyncio.sleep(self.script.between_pieces_s if self.script.piece_bytes else 0)
        if self.script.hang_after_body:
            await asyncio.sleep(3600)

    async def _head(self, content_type: str, *, length: int | None) -> None:
        framing = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
        headers = {"content-type": content_type, **self.script.headers}
        lines = [f"HTTP/1.1 {self.script.status} X", framing, *(f"{name}: {value}" for name, value in headers.items())]
        self.writer.write("\r\n".join([*lines, "", ""]).encode())
        await self.writer.drain()

    async def _piece(self, data: bytes) -> None:
        cut = self.script.cut_after_bytes
        kept = data if cut is None else data[: max(0, cut - self.sent)]
        if kept:
            await self._write(b"%x\r\n%b\r\n" % (len(kept), kept), counted=len(kept))
        if len(kept) < len(data):
            raise Cut

    async def _write(self, data: bytes, *, counted: int | None = None) -> None:
        cut = self.script.cut_after_bytes
        if counted is None and cut is not None:
            data = data[:cut]
        self.writer.write(data)
        await self.writer.drain()
        self.sent += len(data) if counted is None else counted
        self.entry.sent_bytes = self.sent
        if counted is None and cut is not None:
            raise Cut

    async def _end(self) -> None:
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()


async def _respond(writer: asyncio.StreamWriter, status: int, text: str) -> None:
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(text.encode())}\r\n\r\n"
    writer.write(head.encode() + text.encode())
    await writer.drain()


async def main() -> None:
    upstream = Upstream()

    def connect() -> asyncio.StreamReaderProtocol:
        reader = Reader()
        return asyncio.StreamReaderProtocol(reader, lambda _, writer: upstream.serve(reader, writer))

    server = await asyncio.get_running_loop().create_server(connect, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
