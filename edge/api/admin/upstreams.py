"""The servers behind the gateway: how they are doing, as the edge that answers sees them, and how they are set up."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from fastapi import APIRouter
from fastapi import Path as InPath
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from edge.api.catalogue import whole
from edge.api.session import Administrator
from edge.api.wire import Body, JsonRoute, Line, Page, encodable
from edge.deps import With
from edge.errors import unavailable
from edge.lookup import catalogue as lookup
from edge.upstream.fleet import Figures
from edge.upstream.members import Standing
from privaterouter.catalog.v1 import catalog_pb2 as pb

router = APIRouter(prefix="/api/admin/upstreams", tags=["Administration"], route_class=JsonRoute)

Kind = Literal["openai", "ollama", "litellm"]
Dialect = Literal["messages", "responses"]

KINDS: dict[Kind, pb.UpstreamKind.ValueType] = {
    "openai": pb.UPSTREAM_KIND_OPENAI,
    "ollama": pb.UPSTREAM_KIND_OLLAMA,
    "litellm": pb.UPSTREAM_KIND_LITELLM,
}
DIALECTS: dict[Dialect, pb.Dialect.ValueType] = {
    "messages": pb.DIALECT_MESSAGES,
    "responses": pb.DIALECT_RESPONSES,
}
_STATUSES: dict[Standing, Literal["healthy", "suspect", "ejected", "on_trial"]] = {
    Standing.HEALTHY: "healthy",
    Standing.SUSPECT: "suspect",
    Standing.EJECTED: "ejected",
    Standing.ON_TRIAL: "on_trial",
}

_SETTINGS: dict[str, JsonValue] = {
    "name": "ollama-2",
    "kind": "ollama",
    "base_url": "http://ollama-2:11434",
    "has_credential": False,
    "virtual_keys": False,
    "max_in_flight": 8,
    "max_queued": 8,
    "dialects": [],
}
_FIGURES: dict[str, JsonValue] = {
    "address": "ollama-2:11434",
    "status": "ejected",
    "latency_ms": 412,
    "in_flight": 0,
    "queued": 0,
    "failures": 0,
    "failed_probes": 2,
    "ejections": 1,
    "ejected_for_s": 28,
}


class UpstreamSettings(BaseModel):
    """A server that models are served by, but for its credential, which nobody gets to see."""

    model_config = ConfigDict(json_schema_extra={"examples": [_SETTINGS]})

    name: str
    kind: str
    base_url: str = Field(description="Where it is, without `/v1`.")
    has_credential: bool
    virtual_keys: bool = Field(description="Whether each API key has a virtual key there.")
    max_in_flight: int | None = Field(description="The most that one edge has running there. Null: no limit.")
    max_queued: int | None = Field(description="The most that wait in one edge beyond that. Null: none waits.")
    dialects: list[str] = Field(description="What it speaks beside OpenAI's chat completions.")


class Upstream(UpstreamSettings):
    """A server that models are served by, and what one edge has seen of it since that edge was started."""

    model_config = ConfigDict(json_schema_extra={"examples": [_SETTINGS | _FIGURES]})

    address: str = Field(description="Host and port.")
    status: Literal["healthy", "suspect", "ejected", "on_trial"] = Field(
        description="suspect: it does not answer probes. ejected: requests to it failed. "
        "on_trial: its ejection is over, and the next request decides."
    )
    latency_ms: int | None = Field(description="From the last answered request to its first byte.")
    in_flight: int = Field(description="Requests that this edge has running there.")
    queued: int = Field(description="Requests that wait in this edge for a slot there.")
    failures: int = Field(description="Failed requests in a row.")
    failed_probes: int = Field(description="Failed probes in a row.")
    ejections: int = Field(description="How often it was ejected; a long healthy time makes one forgotten.")
    ejected_for_s: int | None = Field(description="Seconds for which it will yet be passed over.")


class NewUpstream(Body):
    """An upstream to add, or to put in the place of the one of its name."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"kind": "ollama", "base_url": "http://ollama-2:11434", "max_in_flight": 8, "dialects": []}]
        }
    )

    kind: Kind
    base_url: Annotated[Line, Field(min_length=1, description="Where it is; with or without `/v1`.")]
    credential: Annotated[str, Field(max_length=4096), AfterValidator(encodable)] | None = Field(
        None,
        description="The bearer token that it wants. Null: none. Not sent: it keeps the one that it has, "
        "unless it moves to another server: a stored credential is never sent elsewhere.",
    )
    virtual_keys: bool = Field(default=False, description="For LiteLLM: whether each API key has a virtual key there.")
    max_in_flight: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        None, description="Requests that one edge sends it at the same time. Null: no limit."
    )
    max_queued: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        None, description="Requests that may wait in one edge beyond that. Null: as many as may run."
    )
    dialects: list[Dialect] = Field(
        default_factory=list, max_length=10, description="What it speaks beside OpenAI's chat completions."
    )
    reason: Line = Field("", description="Why, for the audit log.")


@router.get("")
async def upstreams(_: Administrator, deps: With) -> Page[Upstream]:
    """Every upstream of the catalogue, by name, as the edge that answers sees it. Other edges may see it otherwise."""
    if deps.fleet is None:
        raise unavailable()
    found = [deps.fleet.look(name) for name in sorted(deps.catalogue.current().upstreams)]
    return whole([_upstream(figures) for figures in found if figures is not None])


@router.put("/{name}")
async def set_upstream(
    name: Annotated[Line, InPath()], admin: Administrator, body: NewUpstream, deps: With
) -> UpstreamSettings:
    """Add an upstream, or replace the one of this name; what is not sent has its default, but for the credential.

    Those of the settings (`default`, `embedded-chat`, `embedded-embed`) get kind, address and credential from there
    again at the next start.
    """
    upstream = pb.Upstream(
        name=name,
        kind=KINDS[body.kind],
        base_url=body.base_url,
        credential=body.credential or "",
        virtual_keys=body.virtual_keys,
        max_in_flight=body.max_in_flight or 0,
        max_queued=body.max_queued or 0,
        dialects=[DIALECTS[dialect] for dialect in body.dialects],
    )
    request = pb.SetUpstreamRequest(
        upstream=upstream,
        keep_credential="credential" not in body.model_fields_set,
        actor_id=admin.user.id,
        reason=body.reason,
    )
    answer = await deps.clients.catalog.SetUpstream(request)
    await deps.catalogue.refresh()
    return _settings(lookup.unpack_upstream(answer.upstream))


def _settings(upstream: lookup.Upstream) -> UpstreamSettings:
    parts = urlsplit(upstream.base_url)
    return UpstreamSettings(
        name=upstream.name,
        kind=upstream.kind,
        # Neither a query nor a user, which the catalogue refuses: an operator may have put a credential there.
        base_url=f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}",
        has_credential=bool(upstream.credential),
        virtual_keys=upstream.virtual_keys,
        max_in_flight=upstream.max_in_flight or None,
        max_queued=upstream.max_queued or None,
        dialects=sorted(upstream.dialects),
    )


def _upstream(figures: Figures) -> Upstream:
    return Upstream(
        **_settings(figures.upstream).model_dump(),
        address=urlsplit(figures.upstream.base_url).netloc.rpartition("@")[2],
        status=_STATUSES[figures.standing],
        latency_ms=None if figures.latency_s is None else round(figures.latency_s * 1000),
        in_flight=figures.in_flight,
        queued=figures.queued,
        failures=figures.failures,
        failed_probes=figures.failed_probes,
        ejections=figures.ejections,
        ejected_for_s=None if figures.ejected_for_s is None else round(figures.ejected_for_s),
    )
