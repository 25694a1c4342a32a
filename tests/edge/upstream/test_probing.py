"""Probes of each kind of upstream: what counts as alive, and that nothing an upstream does can hurt the prober."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from edge.lookup.catalogue import Upstream
from edge.upstream.getter import Getter
from edge.upstream.looks import Look
from edge.upstream.probing import probe
from tests.support.processes import renewed

INSTALLED = frozenset({"gemma4:latest", "qwen3:0.6b", "nomic-embed-text:latest"})
SECRET = "secret-of-the-upstream"


def upstream(kind: str, url: str) -> Upstream:
    return Upstream("one", kind, url, SECRET)


@asynccontextmanager
async def server(handle: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_an_ollama_tells_what_it_has_and_what_is_loaded(ollama_url: str, getter: Getter) -> None:
    assert await probe(upstream("ollama", ollama_url), getter) == Look(healthy=True, models=INSTALLED)
    renewed(ollama_url, loaded=["gemma4:latest"])
    seen = await probe(upstream("ollama", ollama_url), getter)
    assert seen == Look(healthy=True, models=INSTALLED, loaded=frozenset({"gemma4:latest"}))


async def test_an_ollama_without_models_is_alive(ollama_url: str, getter: Getter) -> None:
    renewed(ollama_url, installed=[])
    assert await probe(upstream("ollama", ollama_url), getter) == Look(healthy=True, models=frozenset())


@pytest.mark.parametrize("nonsense", ["<html>Sign in</html>", "{}", '{"models": 3}', "[" * 5000])
async def test_an_ollama_that_talks_nonsense_is_not_healthy(ollama_url: str, getter: Getter, nonsense: str) -> None:
    renewed(ollama_url, broken=nonsense)
    seen = await probe(upstream("ollama", ollama_url), getter)
    assert (seen.healthy, seen.models, seen.why.startswith("not an answer of Ollama")) == (False, None, True)


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_an_ollama_whose_own_api_is_hidden_is_alive_and_untold(getter: Getter, status: int) -> None:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(status=status)

    async with server(handle) as url:
        assert await probe(upstream("ollama", url), getter) == Look(healthy=True)


async def test_an_old_ollama_without_ps_has_nothing_loaded(getter: Getter) -> None:
    async def handle(request: web.Request) -> web.Response:
        if request.path == "/api/tags":
            return web.json_response({"models": [{"name": "qwen3:latest"}]})
        return web.Response(status=404, text="404 page not found")

    async with server(handle) as url:
        seen = await probe(upstream("ollama", url), getter)
    assert seen == Look(healthy=True, models=frozenset({"qwen3:latest"}))


async def test_a_model_of_the_cloud_needs_no_loading(getter: Getter) -> None:
    async def handle(request: web.Request) -> web.Response:
        return web.json_response({"models": [{"name": "big:cloud", "remote_host": "https://ollama.com"}]})

    async with server(handle) as url:
        seen = await probe(upstream("ollama", url), getter)
    assert seen.loaded == {"big:cloud"}


@pytest.mark.parametrize(
    "kind, path, alive",
    [
        ("openai", "/v1/models", {200, 204, 401, 403, 404}),
        ("litellm", "/health/liveliness", {200, 204}),
        ("ollama", "/api/tags", {401, 403, 404}),
    ],
)
async def test_each_kind_is_asked_its_own_way(kind: str, path: str, alive: set[int], getter: Getter) -> None:
    asked: list[tuple[str, str, str]] = []
    status = 200

    async def handle(request: web.Request) -> web.Response:
        asked.append((request.method, request.path, request.headers.get("authorization", "")))
        return web.Response(status=status)

    async with server(handle) as url:
        found = set()
        for status in (200, 204, 301, 400, 401, 403, 404, 429, 500, 503):
            seen = await probe(upstream(kind, url), getter)
            assert seen.healthy == (not seen.why)
            if seen.healthy:
                found.add(status)
    credential = "" if kind == "litellm" else f"Bearer {SECRET}"
    assert found == alive
    assert {one for one in asked if one[1] == path} == {("GET", path, credential)}


@pytest.mark.parametrize("kind", ["openai", "litellm", "ollama"])
async def test_an_upstream_that_is_away_is_not_healthy_and_says_why(kind: str, getter: Getter) -> None:
    seen = await probe(upstream(kind, "http://127.0.0.1:1"), getter)
    assert (seen.healthy, bool(seen.why), SECRET in seen.why) == (False, True, False)


@pytest.mark.parametrize("kind", ["openai", "litellm", "ollama"])
async def test_a_silent_upstream_is_given_up_in_time(kind: str, hasty_getter: Getter) -> None:
    async def handle(request: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    async with server(handle) as url, asyncio.timeout(10):
        assert await probe(upstream(kind, url), hasty_getter) == Look(healthy=False, why="no answer within 0.5 s")


@pytest.mark.parametrize("pause_s", [0.0, 0.05])
@pytest.mark.parametrize("kind", ["openai", "litellm", "ollama"])
async def test_an_answer_without_end_is_given_up(
    kind: str, pause_s: float, getter: Getter, hasty_getter: Getter
) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 1000)
            await asyncio.sleep(pause_s)

    async with server(handle) as url, asyncio.timeout(10):
        seen = await probe(upstream(kind, url), hasty_getter if pause_s else getter)
    assert (seen.healthy, seen.why) == (
        False,
        "no answer within 0.5 s" if pause_s else "an answer of over 100000 bytes",
    )


@pytest.mark.parametrize("kind", ["openai", "litellm", "ollama"])
async def test_a_credential_follows_no_redirect(kind: str, getter: Getter) -> None:
    asked: list[Any] = []

    async def elsewhere(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response()

    async with server(elsewhere) as other:

        async def handle(request: web.Request) -> web.Response:
            raise web.HTTPFound(f"{other}{request.path}")

        async with server(handle) as url:
            assert (await probe(upstream(kind, url), getter)).healthy is False
    assert asked == []
