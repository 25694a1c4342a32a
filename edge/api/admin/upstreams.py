"""How the servers behind the gateway are doing, as the edge that answers sees them."""

from typing import Literal
from urllib.parse import urlsplit

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from edge.api.catalogue import whole
from edge.api.session import Administrator
from edge.api.wire import JsonRoute, Page
from edge.deps import With
from edge.errors import unavailable
from edge.upstream.fleet import Figures
from edge.upstream.members import Standing

router = APIRouter(prefix="/api/admin/upstreams", tags=["Administration"], route_class=JsonRoute)

_STATUSES: dict[Standing, Literal["healthy", "suspect", "ejected", "on_trial"]] = {
    Standing.HEALTHY: "healthy",
    Standing.SUSPECT: "suspect",
    Standing.EJECTED: "ejected",
    Standing.ON_TRIAL: "on_trial",
}


class Upstream(BaseModel):
    """A server that models are served by, and what one edge has seen of it since that edge was started."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "ollama-2",
                    "kind": "ollama",
                    "address": "ollama-2:11434",
                    "status": "ejected",
                    "latency_ms": 412,
                    "in_flight": 0,
                    "queued": 0,
                    "max_in_flight": 8,
                    "failures": 0,
                    "failed_probes": 2,
                    "ejections": 1,
                    "ejected_for_s": 28,
                }
            ]
        }
    )

    name: str
    kind: str
    address: str = Field(description="Host and port.")
    status: Literal["healthy", "suspect", "ejected", "on_trial"] = Field(
        description="suspect: it does not answer probes. ejected: requests to it failed. "
        "on_trial: its ejection is over, and the next request decides."
    )
    latency_ms: int | None = Field(description="From the last answered request to its first byte.")
    in_flight: int = Field(description="Requests that this edge has running there.")
    queued: int = Field(description="Requests that wait in this edge for a slot there.")
    max_in_flight: int | None = Field(description="The most that one edge has running there. Null: no limit.")
    failures: int = Field(description="Failed requests in a row.")
    failed_probes: int = Field(description="Failed probes in a row.")
    ejections: int = Field(description="How often it was ejected; a long healthy time makes one forgotten.")
    ejected_for_s: int | None = Field(description="Seconds for which it will yet be passed over.")


@router.get("")
async def upstreams(_: Administrator, deps: With) -> Page[Upstream]:
    """Every upstream of the catalogue, by name, as the edge that answers sees it. Other edges may see it otherwise."""
    if deps.fleet is None:
        raise unavailable()
    found = [deps.fleet.look(name) for name in sorted(deps.catalogue.current().upstreams)]
    return whole([_upstream(figures) for figures in found if figures is not None])


def _upstream(figures: Figures) -> Upstream:
    upstream = figures.upstream
    return Upstream(
        name=upstream.name,
        kind=upstream.kind,
        # Neither a path nor a query nor a user: an operator may have put a credential there.
        address=urlsplit(upstream.base_url).netloc.rpartition("@")[2],
        status=_STATUSES[figures.standing],
        latency_ms=None if figures.latency_s is None else round(figures.latency_s * 1000),
        in_flight=figures.in_flight,
        queued=figures.queued,
        max_in_flight=upstream.max_in_flight or None,
        failures=figures.failures,
        failed_probes=figures.failed_probes,
        ejections=figures.ejections,
        ejected_for_s=None if figures.ejected_for_s is None else round(figures.ejected_for_s),
    )
