"""Asks one Ollama host what it has. Its answers are hostile input: bounded in time and size, and read in kit/ollama."""

import asyncio
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import httpx
import typer

from cli.errors import CommandError
from kit.ollama import MAX_BODY_BYTES, Installed, NoOllama, Shown, canonical, read_ps, read_show, read_tags

TIMEOUT_S: Final = 15.0
_AT_ONCE: Final = 4


@dataclass(frozen=True, slots=True)
class Found:
    """A model of the host; `shown` is None where the host would not tell more of it."""

    installed: Installed
    shown: Shown | None
    is_loaded: bool

    @property
    def capability(self) -> str:
        """`completion`, `embedding`, or empty where it is for neither."""
        capabilities = self.shown.capabilities if self.shown else frozenset()
        return next((one for one in ("embedding", "completion") if one in capabilities), "")


def address(given: str) -> str:
    """A base URL without trailing slash and `/v1`, as the catalogue keeps it; a wrong one is a usage error."""
    try:
        parts = urlsplit(given)
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise typer.BadParameter("must look like http://host:11434", param_hint="--base-url")
    if parts.username is not None or parts.password is not None:
        raise typer.BadParameter("must not carry a password", param_hint="--base-url")
    return given.rstrip("/").removesuffix("/v1").rstrip("/")


async def survey(base_url: str, *, credential: str) -> list[Found]:
    """All that the host has, by name. CommandError where no Ollama answers."""
    headers = {"accept-encoding": "identity"}
    if credential:
        headers["authorization"] = f"Bearer {credential}"
    # Never by a proxy of the environment: the edge does not go by one either.
    async with httpx.AsyncClient(base_url=base_url, headers=headers, timeout=TIMEOUT_S, trust_env=False) as http:
        try:
            installed = read_tags(await _ask(http, "GET", "/api/tags"))
            loaded = read_ps(await _ask(http, "GET", "/api/ps"))
        except (_NoAnswer, NoOllama) as error:
            raise CommandError(
                f"No Ollama answers at {base_url}: {error}. Is it running, and does it listen on more than its own "
                "localhost (OLLAMA_HOST=0.0.0.0)?"
            ) from None
        some = asyncio.Semaphore(_AT_ONCE)

        async def show(model: Installed) -> Found:
            async with some:
                return Found(model, await _show(http, model.name), canonical(model.name) in loaded)

        return sorted(await asyncio.gather(*map(show, installed)), key=lambda found: found.installed.name)


async def _show(http: httpx.AsyncClient, name: str) -> Shown | None:
    try:
        return read_show(await _ask(http, "POST", "/api/show", model=name))
    except (_NoAnswer, NoOllama):
        return None


class _NoAnswer(Exception):
    """What came in the place of an answer, in words."""


async def _ask(http: httpx.AsyncClient, method: str, path: str, **body: str) -> bytes:
    pieces, size = [], 0
    try:
        async with asyncio.timeout(TIMEOUT_S), http.stream(method, path, json=body or None) as response:
            if response.status_code != 200:
                raise _NoAnswer(f"{path} is answered {response.status_code}")
            async for piece in response.aiter_raw():
                size += len(piece)
                if size > MAX_BODY_BYTES:
                    raise _NoAnswer(f"the answer of {path} does not end")
                pieces.append(piece)
    except TimeoutError:
        raise _NoAnswer(f"{path} is not answered within {TIMEOUT_S:.0f} s") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _NoAnswer(str(error) or type(error).__name__) from None
    return b"".join(pieces)
