"""The upstreams of the catalogue, asked from here: alive, new enough, taking our credential, with our models."""

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx

from cli import ollama_host
from cli.checks.check import ANSWER_WITHIN_S, Check, clock, failed, ok, skipped, warning
from cli.checks.surroundings import Surroundings
from cli.connect import SERVICES
from cli.discovered import compare
from cli.errors import CommandError, in_words
from kit.client import channel
from kit.errors import RemoteError
from privaterouter.catalog.v1 import catalog_pb2
from privaterouter.catalog.v1.catalog_pb2_grpc import CatalogServiceStub

OLDEST_LITELLM: Final = (1, 84)
POISONED_LITELLM: Final = frozenset({"1.82.7", "1.82.8"})
"""Releases that were tampered with."""
_AT_ONCE: Final = 8
_PATHS: Final = {
    catalog_pb2.UPSTREAM_KIND_LITELLM: "/health/readiness",
    catalog_pb2.UPSTREAM_KIND_OLLAMA: "/api/version",
}
_LITELLM_DETAILS: Final = "/health/readiness/details"
"""Where newer releases tell their version, and only to who has a key; older ones tell everybody."""


async def upstreams(here: Surroundings) -> list[Check]:
    """Each that the catalogue has."""
    name, target = "upstreams", here.targets["catalog"]
    if not target:
        return [skipped(name, "the catalogue cannot be asked from here")]
    async with channel(target, SERVICES["catalog"], timeout_s=ANSWER_WITHIN_S, tls=here.tls) as connected:
        try:
            catalogue = await CatalogServiceStub(connected).GetCatalog(catalog_pb2.GetCatalogRequest())
        except RemoteError as error:
            return [failed(name, f"the catalogue does not tell: {in_words(error)}", "see catalog above")]
    if not catalogue.upstreams:
        return [failed(name, "the catalogue has none", "privaterouter seed, or privaterouter admin set-upstream")]
    some = asyncio.Semaphore(_AT_ONCE)

    async def one(upstream: catalog_pb2.Upstream) -> Sequence[Check]:
        async with some:
            return await _upstream(catalogue, upstream)

    return [check for found in await asyncio.gather(*map(one, catalogue.upstreams)) for check in found]


async def _upstream(catalogue: catalog_pb2.GetCatalogResponse, upstream: catalog_pb2.Upstream) -> Sequence[Check]:
    name = f"upstream {upstream.name}"
    headers = {"accept-encoding": "identity"}
    if upstream.credential and not upstream.virtual_keys:
        headers["authorization"] = f"Bearer {upstream.credential}"
    try:
        async with (
            asyncio.timeout(2 * ANSWER_WITHIN_S),
            # Never by a proxy of the environment: the edge does not go by one either.
            httpx.AsyncClient(base_url=upstream.base_url, timeout=ANSWER_WITHIN_S, trust_env=False) as http,
        ):
            before_s = time.time()
            answer = await http.get(_PATHS.get(upstream.kind, "/v1/models"), headers=headers)
            now_s = (before_s + time.time()) / 2
            if upstream.kind == catalog_pb2.UPSTREAM_KIND_LITELLM and "authorization" in headers:
                details = await http.get(_LITELLM_DETAILS, headers=headers)
                answer = details if details.is_success else answer
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        why = str(error) or type(error).__name__
        mend = f"start it, or: privaterouter admin set-upstream --name {upstream.name} --base-url ..."
        return [failed(name, f"{upstream.base_url} cannot be reached: {why}", mend)]
    found = [judged(upstream, answer)]
    if upstream.kind == catalog_pb2.UPSTREAM_KIND_OLLAMA:
        found += await _models_of_ollama(name, catalogue, upstream)
    if (date := _date(answer)) is not None:
        # It names the second that has begun.
        found.append(clock(name, date.timestamp() + 0.5 - now_s))
    return found


def judged(upstream: catalog_pb2.Upstream, answer: httpx.Response) -> Check:
    """What its answer says of it."""
    judge = {catalog_pb2.UPSTREAM_KIND_LITELLM: _litellm, catalog_pb2.UPSTREAM_KIND_OLLAMA: _ollama}
    return judge.get(upstream.kind, _openai)(f"upstream {upstream.name}", upstream, answer)


def _litellm(name: str, upstream: catalog_pb2.Upstream, answer: httpx.Response) -> Check:
    told = _object(answer)
    database = told.get("db")
    # "Not connected" is one that was given no database, and as ready as others.
    if answer.status_code >= 500 and database not in ("connected", "Not connected", None):
        return failed(name, f"LiteLLM's own database is {database}", "see its DATABASE_URL, and its log")
    if answer.status_code >= 500:
        return failed(name, f"LiteLLM answers {answer.status_code}: it is not ready", "see its log")
    if upstream.virtual_keys and database not in ("connected", None):
        return failed(name, "LiteLLM has no database, and is asked for virtual keys", "give it one: DATABASE_URL there")
    if version := str(told.get("litellm_version", "")):
        return _release_of_litellm(name, upstream, version)
    if told.get("status") == "healthy":
        return ok(name, f"LiteLLM at {upstream.base_url}, which tells its version only to who has its master key")
    mend = "see that /health/readiness can be reached"
    return warning(name, f"answers {answer.status_code} and tells no version", mend)


def _release_of_litellm(name: str, upstream: catalog_pb2.Upstream, version: str) -> Check:
    if version in POISONED_LITELLM:
        return failed(
            name, f"is LiteLLM {version}, a release that was tampered with", "replace it, and all its secrets"
        )
    if _numbers(version) < OLDEST_LITELLM:
        return warning(name, f"is LiteLLM {version}, with known vulnerabilities", "use 1.84 or newer")
    return ok(name, f"LiteLLM {version} at {upstream.base_url}")


def _ollama(name: str, upstream: catalog_pb2.Upstream, answer: httpx.Response) -> Check:
    version = str(_object(answer).get("version", ""))
    if answer.status_code != 200 or not version:
        return failed(name, f"{upstream.base_url} is no Ollama: it answers {answer.status_code}", "see its address")
    return ok(name, f"Ollama {version} at {upstream.base_url}")


def _openai(name: str, upstream: catalog_pb2.Upstream, answer: httpx.Response) -> Check:
    if answer.status_code in (401, 403):
        mend = f"privaterouter admin set-upstream --name {upstream.name} ... --credential-stdin"
        return failed(name, f"refuses our credential ({answer.status_code})", mend)
    if answer.status_code >= 500:
        return failed(name, f"answers {answer.status_code}", "see its log")
    return ok(name, f"answers at {upstream.base_url}")


async def _models_of_ollama(
    name: str, catalogue: catalog_pb2.GetCatalogResponse, upstream: catalog_pb2.Upstream
) -> list[Check]:
    try:
        found = await ollama_host.survey(upstream.base_url, credential=upstream.credential)
    except CommandError as error:
        return [failed(name, str(error), "see its log")]
    missing = compare(catalogue, upstream, found=found, only=()).missing
    return [failed(name, f"{one.public_name} is routed there in vain", one.mend) for one in missing]


def _object(answer: httpx.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


def _date(answer: httpx.Response) -> datetime | None:
    try:
        return parsedate_to_datetime(answer.headers["date"])
    except (KeyError, ValueError, TypeError):
        return None
