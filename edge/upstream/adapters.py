"""How to talk to each kind of upstream: the address of an endpoint, and the credential that it wants.

All three kinds are called by OpenAI's paths. They differ in whose credential is sent: `openai` and `ollama` get the
upstream's own (or none), `litellm` the virtual key that belongs to the caller's API key.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from edge.errors import EdgeError
from edge.lookup.callers import Caller
from edge.lookup.catalogue import Route, Upstream
from edge.upstream import litellm, ollama
from edge.upstream.candidates import Candidate


class Target(msgspec.Struct, frozen=True):
    """Where one attempt goes."""

    upstream: Upstream
    upstream_model: str
    url: str
    headers: Mapping[str, str]


def usable(candidates: tuple[Candidate, ...], caller: Caller) -> tuple[Candidate, ...]:
    """Those that can be asked in the caller's name. EdgeError `upstream_unconfigured` where none can."""
    if caller.virtual_key or not any(candidate.upstream.virtual_keys for candidate in candidates):
        return candidates
    able = tuple(candidate for candidate in candidates if not _wants_virtual_key(candidate.upstream))
    if not able:
        raise EdgeError(
            "upstream_unconfigured",
            "This API key is not known to the upstream (no LiteLLM virtual key). Ask the operator of this gateway to "
            "repair virtual keys, or create a new API key.",
        )
    return able


def _wants_virtual_key(upstream: Upstream) -> bool:
    return upstream.kind == "litellm" and upstream.virtual_keys


def target(upstream: Upstream, route: Route, path: str, *, caller: Caller, request_id: str) -> Target:
    """The target of a request to `path`, such as `/chat/completions`, at one that is usable."""
    headers = {"content-type": "application/json", "accept-encoding": "identity", "x-request-id": request_id}
    credential = _CREDENTIALS[upstream.kind](upstream, caller)
    if credential:
        headers["authorization"] = f"Bearer {credential}"
    return Target(upstream, route.upstream_model, f"{upstream.base_url}/v1{path}", headers)


def limit_fields(upstream: Upstream, given: list[str]) -> list[str]:
    """The fields to write the output limit into, of those that the caller gave."""
    if upstream.kind == "ollama":
        return ollama.limit_fields(given)
    return given or ["max_tokens"]


def extra_fields(
    upstream: Upstream, request_id: str, raw: Mapping[str, msgspec.Raw], *, path: str = "/chat/completions"
) -> dict[str, bytes]:
    """The JSON values that this kind of upstream wants in a body beside what the caller sent, `raw`; by name.

    `path` is the one that the request goes to, such as `/responses`.
    """
    return litellm.extra_fields(request_id, raw, path=path) if upstream.kind == "litellm" else {}


def _own(upstream: Upstream, _caller: Caller) -> str:
    return upstream.credential


def _virtual(upstream: Upstream, caller: Caller) -> str:
    return caller.virtual_key if upstream.virtual_keys else upstream.credential


_CREDENTIALS: Final[Mapping[str, Callable[[Upstream, Caller], str]]] = {
    "openai": _own,
    "ollama": _own,
    "litellm": _virtual,
}
