"""Marked prompts, answers, keys and addresses go every way there is; nothing of them is kept anywhere."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import Any

import httpx
import pytest

from tests.support.waiting import eventually
from tests.telemetry.canaries import PROCESSES, gather
from tests.telemetry.observed import UPSTREAM_CREDENTIAL, Observed
from tests.telemetry.people import PASSWORD, People, Person

PROMPT = "canaryprompt7f3a9c1e"
ANSWER = "canaryanswer4b8d2f60"
BAD_KEY = "sk-pr-live-canarykey0e5b7a90canarykey0e5b7a90canary"
CREDENTIAL = "sk-canarycredential-2c6e"
TEXT = f"Tell me of {PROMPT}, please."
MODEL, IMPATIENT = "privaterouter/fast", "impatient/one"

CHAT, COMPLETIONS, EMBEDDINGS = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
RESPONSES, MESSAGES = "/v1/responses", "/v1/messages"
STREAMING = (CHAT, COMPLETIONS, RESPONSES, MESSAGES)
PATHS = (*STREAMING, EMBEDDINGS)

ECHO = json.dumps({"error": {"message": TEXT, "code": PROMPT, "param": PROMPT, "type": PROMPT}, "detail": TEXT})
COMPLETION = {
    "id": "1",
    "object": "chat.completion",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": ANSWER}, "text": ANSWER, "finish_reason": ANSWER}
    ],
    "usage": {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6},
}
SCRIPTS: dict[str, dict[str, Any]] = {
    "answers": {},
    "answers with a marked text": {"body": json.dumps(COMPLETION)},
    "answers no JSON": {"body": TEXT},
    "answers a page": {"body": f"<html>{TEXT}</html>", "headers": {"content-type": "text/html", "x-echo": TEXT}},
    "answers JSON of another kind": {"body": json.dumps({"choices": TEXT, "usage": {PROMPT: TEXT}})},
    "breaks off": {"tokens": 5, "cut_after_bytes": 300},
    "speaks no HTTP": {"raw": f"{TEXT}\r\n\r\n"},
    "sends a broken header": {"raw": f"HTTP/1.1 200 OK\r\n{TEXT}\x01: {TEXT}\r\n\r\n"},
    "sends a broken chunk": {
        "raw": f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n{TEXT}\r\n"
    },
    **{f"answers {status}": {"status": status, "body": ECHO} for status in (400, 401, 404, 413, 429, 500, 503)},
}


def body_of(path: str, *, script: dict[str, Any] | None = None, model: str = MODEL, **more: Any) -> dict[str, Any]:
    """A request with the marked prompt in it."""
    user = json.dumps(script or {})
    messages = [{"role": "system", "content": TEXT}, {"role": "user", "content": TEXT}]
    by_path: dict[str, dict[str, Any]] = {
        CHAT: {"messages": messages, "max_tokens": 5, "user": user, "metadata": {"about": PROMPT}},
        COMPLETIONS: {"prompt": TEXT, "max_tokens": 5, "user": user},
        EMBEDDINGS: {"input": [TEXT], "model": "privaterouter/embed", "user": user},
        RESPONSES: {"input": TEXT, "instructions": TEXT, "max_output_tokens": 5, "user": user},
        MESSAGES: {"messages": messages[1:], "system": TEXT, "max_tokens": 5, "metadata": {"user_id": user}},
    }
    return {"model": model} | by_path[path] | more


def every_way(person: Person) -> Iterator[tuple[str, dict[str, Any], dict[str, str]]]:
    """Path, body and headers of each request whose answer is read to its end."""
    for path in PATHS:
        for script in SCRIPTS.values():
            for stream in (False, True) if path in STREAMING else (False,):
                yield path, body_of(path, script=script) | ({"stream": True} if stream else {}), person.key
        wrong: dict[str, Any] = {"model": PROMPT, "stream": PROMPT, "user": [PROMPT], "max_tokens": PROMPT, PROMPT: 1}
        for name, value in wrong.items():
            yield path, body_of(path) | {name: value}, person.key
        yield path, body_of(path), {"authorization": f"Bearer {BAD_KEY}"}
        yield path, body_of(path), {"authorization": f"Bearer {TEXT}"}
        yield path, body_of(path), {"x-api-key": BAD_KEY}
        yield path, body_of(path), person.key | {"x-privaterouter-max-cost-usd": TEXT}
        yield path, body_of(path), person.key | {"x-privaterouter-max-cost-usd": "0.000000001"}
        yield path, body_of(path), person.key | {"traceparent": TEXT, "tracestate": TEXT, "x-client-request-id": "a"}
    yield "/v1/quote", body_of(CHAT), person.key
    yield "/v1/messages/count_tokens", body_of(MESSAGES), person.key
    yield CHAT, body_of(CHAT, messages=[{"role": TEXT, "content": TEXT}]), person.key
    yield CHAT, body_of(CHAT, messages=[{"role": "user", "content": [{"type": TEXT, "text": TEXT}]}]), person.key
    yield CHAT, body_of(CHAT, model=IMPATIENT, script={"before_headers_s": 5}), person.key
    yield CHAT, body_of(CHAT, model=IMPATIENT, script={"hang_after_tokens": 2}, stream=True), person.key
    playground = f"/api/playground/chat/completions?key_id={person.api_key_id}"
    yield playground, body_of(CHAT), person.session
    yield playground, body_of(CHAT, stream=True), person.session
    yield playground, body_of(CHAT, script=SCRIPTS["answers 500"]), person.session


async def ask(http: httpx.AsyncClient, path: str, body: dict[str, Any], headers: dict[str, str]) -> int:
    return (await http.post(path, json=body, headers=headers)).status_code


async def send_raw(http: httpx.AsyncClient, person: Person) -> None:
    """What is no request: broken JSON, an endless body, other encodings."""
    for path in (*PATHS, "/v1/quote", "/v1/messages/count_tokens"):
        for content in (
            f'{{"messages": "{TEXT}'.encode(),
            TEXT.encode(),
            b"\xff" + TEXT.encode(),
            b'"' + TEXT.encode(),
        ):
            assert (await http.post(path, content=content, headers=person.key)).status_code == 400
    assert (await http.post(CHAT, content=TEXT.encode(), headers=person.key | {"content-encoding": "gzip"})).is_error
    huge = TEXT.encode() * (33 * 1024 * 1024 // len(TEXT))
    assert (await http.post(CHAT, content=huge, headers=person.key)).status_code == 413


async def leave(http: httpx.AsyncClient, path: str, person: Person) -> None:
    """A client that goes away in the middle of its stream."""
    body = body_of(path, script={"tokens": 50, "before_token_s": 0.1}, stream=True)
    async with http.stream("POST", path, json=body, headers=person.key) as answer:
        await anext(answer.aiter_raw())


async def keep_an_answer(http: httpx.AsyncClient, person: Person) -> None:
    """Answers that are kept for repeated calls are sealed."""
    headers = person.key | {"idempotency-key": "once"}
    body = body_of(CHAT, script=SCRIPTS["answers with a marked text"])
    first = await http.post(CHAT, json=body, headers=headers)
    assert ANSWER in first.text

    async def is_kept() -> bool:
        return (await http.post(CHAT, json=body, headers=headers)).text == first.text

    await eventually(is_kept, within_s=15, what="the kept answer")
    assert (await ask(http, CHAT, body | {"max_tokens": 4}, headers)) == 422


async def use_the_pages(http: httpx.AsyncClient, person: Person, admin: Person) -> None:
    """What people type into forms."""
    credentials = {"email": person.email, "password": PASSWORD}
    for path, body in (
        ("/api/auth/login", credentials | {"password": f"{PASSWORD}-wrong"}),
        ("/api/auth/signup", credentials),
        ("/api/auth/signup", credentials | {"email": f"{person.email}@nowhere@"}),
        ("/api/auth/signup", {"email": f"other-{person.email}", "password": "short"}),
    ):
        assert (await http.post(path, json=body)).is_client_error
    assert (await http.post("/api/auth/login", json=credentials)).is_success
    http.cookies.clear()
    found = await http.get("/api/admin/users", params={"search": person.email}, headers=admin.session)
    assert found.is_success, found.text
    assert (await http.get("/api/usage", params={"model": TEXT}, headers=person.session)).status_code < 500
    upstream = {"kind": "openai", "base_url": "http://127.0.0.1:9", "credential": CREDENTIAL}
    assert (await http.put("/api/admin/upstreams/spare", json=upstream, headers=admin.session)).is_success
    assert (await http.put("/api/admin/upstreams/spare", json=[upstream], headers=admin.session)).is_client_error


async def offer_the_impatient(http: httpx.AsyncClient, admin: Person) -> None:
    """A model whose upstream is given up soon."""
    route = {"upstream_name": "default", "upstream_model": "m", "first_byte_timeout_ms": 500, "idle_timeout_ms": 500}
    model = {
        "public_name": IMPATIENT,
        "kind": "chat",
        "status": "active",
        "context_tokens": 1000,
        "routes": [route],
        "prices": {"input_usd_per_mtok": "0.1", "output_usd_per_mtok": "0.1"},
    }
    answer = await http.post("/api/admin/models", json=model, headers=admin.session)
    assert answer.status_code == 201, answer.text


async def settled(system: Observed, people: People, person: Person) -> str:
    """Waits until everything has arrived where it is kept; the id of the last request."""

    async def is_empty() -> bool:
        exposed = (await people.http.get(system.metrics_urls["edge"])).text
        return "\nedge_journal_rows 0.0" in exposed and "\nedge_leases 0.0" in exposed

    await eventually(is_empty, within_s=30, what="the journal and the leases to be empty")
    last: str = (await people.http.get("/api/auth/me", headers=person.session)).headers["x-request-id"]

    async def is_traced() -> bool:
        return any(span.attributes.get("privaterouter.request_id") == last for span in system.spans())

    await eventually(is_traced, within_s=20, what="the last span")
    return last


@pytest.mark.timeout(180)
async def test_no_prompt_key_or_address_is_kept_anywhere(system: Observed, people: People) -> None:
    person, poor, admin = await asyncio.gather(
        people.person("person", keeps_answers=True), people.person("poor"), people.admin("admin")
    )
    http = people.http
    await offer_the_impatient(http, admin)
    await people.impoverish(poor)
    assert await ask(http, CHAT, body_of(CHAT), poor.key) == 402
    statuses = await in_parallel([partial(ask, http, *one) for one in every_way(person)], most=16)
    assert {200, 400, 401, 402, 404, 413, 502, 503, 504} <= {*statuses, 402}, set(statuses)
    assert 500 not in statuses
    await in_parallel([partial(leave, http, path, person) for path in STREAMING], most=4)
    await send_raw(http, person)
    await keep_an_answer(http, person)
    await use_the_pages(http, person, admin)
    last_id = await settled(system, people, person)

    trove = await gather(system)
    assert trove.kinds_with(MODEL) >= {"traces", "metrics", "database"}, "it looks where things are"
    assert trove.kinds_with(last_id) == {"logs", "traces"}
    assert trove.kinds_with("throttle:login-email") == {"valkey"}
    assert trove.kinds_with("CREATE TABLE") == {"journals"}
    emails = [one.email for one in (person, poor, admin)]
    assert trove.finds(emails, but=["database: auth.users.email", "database: auth.users.email_normalized"]) == []
    tokens = [one.session["authorization"].removeprefix("Bearer ").rpartition(".")[2] for one in (person, admin)]
    secrets = [one.secret[-24:] for one in (person, poor, admin)]
    marked = [PROMPT, ANSWER, BAD_KEY[11:], "canarykey", CREDENTIAL, UPSTREAM_CREDENTIAL, PASSWORD]
    # What hexadecimal and base64 would make of them, too.
    marked += [PROMPT.encode().hex(), ANSWER.encode().hex()]
    assert trove.finds([*marked, *secrets, *tokens]) == []
    assert all(system.log(name) for name in PROCESSES)


async def in_parallel(calls: Sequence[Callable[[], Awaitable[Any]]], *, most: int) -> list[Any]:
    """The results of all, so many of them at a time."""
    slots = asyncio.Semaphore(most)

    async def one(call: Callable[[], Awaitable[Any]]) -> Any:
        async with slots:
            return await call()

    return await asyncio.gather(*(one(call) for call in calls))
