"""Asks an upstream whether it is alive, and what it has to serve: one way for each kind."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from edge.lookup.catalogue import Upstream
from edge.upstream import ollama
from edge.upstream.client import UpstreamError
from edge.upstream.getter import Get
from edge.upstream.looks import Look


async def probe(upstream: Upstream, get: Get) -> Look:
    """What is seen of it. Whatever it does, the answer is a Look, in the time that `get` allows."""
    return await _PROBES[upstream.kind](upstream, get)


async def _openai(upstream: Upstream, get: Get) -> Look:
    """Whoever refuses us, or has no list of models, is alive. The list may be partial: it is not read."""
    headers = {"authorization": f"Bearer {upstream.credential}"} if upstream.credential else {}
    return await _alive(f"{upstream.base_url}/v1/models", get, headers=headers, also=frozenset({401, 403, 404}))


async def _litellm(upstream: Upstream, get: Get) -> Look:
    """Its liveliness needs no key; its other health checks ask every provider, at a cost."""
    return await _alive(f"{upstream.base_url}/health/liveliness", get, headers={}, also=frozenset())


async def _alive(url: str, get: Get, *, headers: Mapping[str, str], also: frozenset[int]) -> Look:
    try:
        status = (await get(url, headers=headers)).status
    except UpstreamError as error:
        return Look(healthy=False, why=str(error))
    if 200 <= status < 300 or status in also:
        return Look(healthy=True)
    return Look(healthy=False, why=f"the probe is answered {status}")


_PROBES: Final[Mapping[str, Callable[[Upstream, Get], Awaitable[Look]]]] = {
    "openai": _openai,
    "ollama": ollama.look,
    "litellm": _litellm,
}
