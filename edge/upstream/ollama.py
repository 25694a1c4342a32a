"""What is special about Ollama: how it is looked at, what its refusals mean, and the limits that it reads."""

import asyncio
import re
from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Final

from edge.lookup.catalogue import Route, Upstream
from edge.upstream.client import UpstreamError
from edge.upstream.getter import Get, Got
from edge.upstream.looks import Look
from kit.ollama import NoOllama, canonical, read_ps, read_tags, short

_MAX_SAID: Final = 4096


async def look(upstream: Upstream, get: Get) -> Look:
    """What it has (/api/tags) and what of it is loaded (/api/ps). An answer that is none is a Look too."""
    headers = {"authorization": f"Bearer {upstream.credential}"} if upstream.credential else {}
    tags, running = await asyncio.gather(
        _ask(get, f"{upstream.base_url}/api/tags", headers), _ask(get, f"{upstream.base_url}/api/ps", headers)
    )
    if isinstance(tags, UpstreamError):
        return Look(healthy=False, why=str(tags))
    if tags.status in {401, 403, 404}:
        # Something in front of it shows us its /v1 only: requests will tell how it is.
        return Look(healthy=True)
    if tags.status != 200:
        return Look(healthy=False, why=f"/api/tags answers {tags.status}")
    try:
        installed = read_tags(tags.body)
    except NoOllama as error:
        return Look(healthy=False, why=str(error))
    models = frozenset(canonical(model.name) for model in installed)
    # What runs elsewhere is never loaded here, and needs not be.
    remote = frozenset(canonical(model.name) for model in installed if model.is_remote)
    return Look(healthy=True, models=models, loaded=(_loaded(running) | remote) & models)


async def _ask(get: Get, url: str, headers: dict[str, str]) -> Got | UpstreamError:
    try:
        return await get(url, headers=headers)
    except UpstreamError as error:
        return error


def _loaded(running: Got | UpstreamError) -> frozenset[str]:
    """Nothing where it does not tell: all count as not loaded then, and get the time to load."""
    if isinstance(running, UpstreamError) or running.status != 200:
        return frozenset()
    try:
        return read_ps(running.body)
    except NoOllama:
        return frozenset()


def missing(upstream_name: str, seen: Look, *, routes: Iterable[Route]) -> list[str]:
    """The upstream models that routes lead to and that it does not have, in order; nothing where it does not tell."""
    if seen.models is None:
        return []
    wanted = {route.upstream_model for route in routes if route.upstream_name == upstream_name}
    return sorted(name for name in wanted if canonical(name) not in seen.models)


def lacks_model(status: int, message: str) -> bool:
    """Whether a refusal says that the model is not installed, in the words of today's Ollamas or of older ones.

    `model 'x' not found`, `model "x" not found, try pulling it first`; not a path that an old one does not know.
    """
    said = message[:_MAX_SAID].lower()
    return status == 404 and "model" in said and ("not found" in said or "try pulling" in said)


@lru_cache(maxsize=1024)
def spoken(name: str) -> re.Pattern[str]:
    """The names under which an Ollama may speak of this model in its messages."""
    bare = short(name)
    spelled = {name, bare, f"{bare}:latest"} if canonical(name).endswith(":latest") else {name, bare}
    longest_first = sorted(spelled, key=len, reverse=True)
    return re.compile(
        rf"(?<!\w)(?:registry\.ollama\.ai/)?(?:library/)?(?:{'|'.join(map(re.escape, longest_first))})(?!\w)",
        re.IGNORECASE,
    )


def limit_fields(given: Collection[str]) -> list[str]:
    """The fields to write a limit of tokens into, of those that the caller gave.

    Its /v1 reads `max_tokens` only: one that comes as `max_completion_tokens` would be no limit at all.
    https://github.com/ollama/ollama/blob/main/openai/openai.go
    """
    return [*given] if "max_tokens" in given else [*given, "max_tokens"]
