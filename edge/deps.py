"""What the endpoints under `/api` work with; built once in parts.py and handed to each by FastAPI."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from edge.api.tokens import Tokens
from edge.clients import Clients
from edge.limits.throttle import Throttle
from edge.lookup.catalogue import Catalogue
from edge.settings import EdgeSettings
from edge.upstream.fleet import Fleet
from kit.clock import Clock
from kit.ids import IdFactory


@dataclass(frozen=True)
class Deps:
    """The parts of the process that endpoints use."""

    settings: EdgeSettings
    clients: Clients
    catalogue: Catalogue
    throttle: Throttle
    tokens: Tokens
    ids: IdFactory
    clock: Clock
    is_fit: Callable[[], Awaitable[dict[str, bool]]]
    """Parts of this process that must work for it to take traffic, by name."""
    fleet: Fleet | None = None
    """The upstreams, where this process talks to them."""


async def _deps(request: Request) -> Deps:
    found: Deps = request.app.state.deps
    return found


With = Annotated[Deps, Depends(_deps)]
"""Type of an endpoint's argument that is the process's Deps."""
